import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { KmsError } from './errors.ts'
import { DEVIATIONS, OPERATION_INPUTS, shapeOf } from './model/model.ts'
import { compileValidator, decodeBlob } from './validate.ts'

const failure = (operation: string, input: object): KmsError => {
  try {
    compileValidator(operation)(input as Record<string, unknown>)
  } catch (error) {
    assert.ok(error instanceof KmsError, String(error))
    return error
  }
  throw new assert.AssertionError({ message: 'expected a refusal' })
}
const refused = (operation: string, input: object, code: string, text: string | RegExp): void => {
  const error = failure(operation, input)
  assert.equal(error.code, code)
  if (typeof text === 'string') assert.equal(error.text, text)
  else assert.match(error.text ?? '', text)
}

test('the model has 56 operations, and every one of them compiles', () => {
  assert.equal(OPERATION_INPUTS.size, 56)
  for (const name of OPERATION_INPUTS.keys()) compileValidator(name)
  assert.ok(shapeOf('KeySpec').enum?.includes('ML_KEM_768'))
})

test('every deviation names a member of the model', () => {
  for (const name of Object.keys(DEVIATIONS)) {
    const [operation = '', member = ''] = name.split('.')
    assert.ok(shapeOf(OPERATION_INPUTS.get(operation) ?? '').members?.[member], name)
  }
})

test('constraints, in AWS’s words', () => {
  const prefix = '1 validation error detected: '
  refused(
    'CreateKey',
    { KeySpec: 'AES' },
    'ValidationException',
    /^1 validation error detected: Value 'AES' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: \[/,
  )
  refused(
    'GenerateRandom',
    { NumberOfBytes: 1025 },
    'ValidationException',
    `${prefix}Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal to 1024`,
  )
  refused(
    'GenerateRandom',
    { NumberOfBytes: 0 },
    'ValidationException',
    `${prefix}Value '0' at 'numberOfBytes' failed to satisfy constraint: Member must have value greater than or equal to 1`,
  )
  refused(
    'DescribeKey',
    {},
    'ValidationException',
    `${prefix}Value null at 'keyId' failed to satisfy constraint: Member must not be null`,
  )
  refused(
    'CreateAlias',
    { AliasName: 'alias/a b', TargetKeyId: 'x' },
    'ValidationException',
    `${prefix}Value 'alias/a b' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$`,
  )
  refused(
    'TagResource',
    { KeyId: 'x', Tags: [{ TagKey: '', TagValue: 'v' }] },
    'ValidationException',
    `${prefix}Value '' at 'tags.1.member.tagKey' failed to satisfy constraint: Member must have length greater than or equal to 1`,
  )
  refused('ListResourceTags', { KeyId: 'x', Limit: 51 }, 'ValidationException', /less than or equal to 50$/)
  refused('ScheduleKeyDeletion', { KeyId: 'x', PendingWindowInDays: 6 }, 'ValidationException', /equal to 7$/)
})

test('several violations are counted in one message', () => {
  refused(
    'Encrypt',
    { Plaintext: '' },
    'ValidationException',
    "2 validation errors detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null; Value at 'plaintext' failed to satisfy constraint: Member must have length greater than or equal to 1",
  )
})

test('a value that breaks several constraints is counted once for each; of lists of strings AWS names the list', () => {
  refused(
    'CreateAlias',
    { AliasName: '', TargetKeyId: 'x' },
    'ValidationException',
    "2 validation errors detected: Value '' at 'aliasName' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$",
  )
  refused(
    'UntagResource',
    { KeyId: 'x', TagKeys: ['a', '', null] },
    'ValidationException',
    "1 validation error detected: Value '[a, , null]' at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1, Member must not be null]",
  )
})

test('sensitive values and blobs are not repeated, and long ones not in full', () => {
  const secret = Buffer.alloc(4097, 'S').toString('base64')
  const text = failure('Encrypt', { KeyId: 'x', Plaintext: secret }).text ?? ''
  assert.equal(
    text,
    "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096",
  )
  const password = failure('CreateCustomKeyStore', { CustomKeyStoreName: 'a', KeyStorePassword: 'hunter' }).text ?? ''
  assert.doesNotMatch(password, /hunter/)
  assert.ok((failure('DescribeKey', { KeyId: 'k'.repeat(100_000) }).text ?? '').length < 500)
})

test('wrong JSON types end at once', () => {
  const wrong = (input: object) => assert.equal(failure('Encrypt', input).code, 'SerializationException')
  wrong({ KeyId: 5, Plaintext: 'AA==' })
  wrong({ KeyId: 'x', Plaintext: 5 })
  wrong({ KeyId: 'x', Plaintext: 'AA==', EncryptionContext: 'a' })
  wrong({ KeyId: 'x', Plaintext: 'AA==', EncryptionContext: ['a'] })
  wrong({ KeyId: 'x', Plaintext: 'AA==', EncryptionContext: { a: 1 } })
  wrong({ KeyId: 'x', Plaintext: 'AA==', GrantTokens: 'a' })
  wrong({ KeyId: 'x', Plaintext: 'AA==', DryRun: 'true' })
  assert.equal(failure('GenerateRandom', { NumberOfBytes: 1.5 }).code, 'SerializationException')
  assert.equal(failure('ImportKeyMaterial', { KeyId: 'x', ValidTo: 'soon' }).code, 'SerializationException')
})

test('base64 is strict and canonical: a blob has one text', () => {
  for (const text of ['AB==', 'AA', 'AA=', 'AA==\n', ' AA==', 'A-_=', 'AA==AA==', '====']) {
    assert.equal(decodeBlob(text), undefined, text)
    assert.equal(failure('Encrypt', { KeyId: 'x', Plaintext: text }).code, 'SerializationException', text)
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), bytes => {
      const text = Buffer.from(bytes).toString('base64')
      assert.deepEqual(decodeBlob(text), Buffer.from(bytes))
    }),
  )
})

test('what comes out: blobs as bytes, timestamps in milliseconds, and nothing that the model does not know', () => {
  const input = compileValidator('ImportKeyMaterial')({
    KeyId: 'x',
    ImportToken: 'AAE=',
    EncryptedKeyMaterial: 'Ag==',
    ValidTo: 1_700_000_000.5,
    Unknown: { canary: true },
    __proto__: { KeyMaterialId: 'inherited' },
  })
  assert.deepEqual(input, {
    KeyId: 'x',
    ImportToken: Buffer.from([0, 1]),
    EncryptedKeyMaterial: Buffer.from([2]),
    ValidTo: 1_700_000_000_500,
  })
})

test('promise 11: whatever JSON comes, the answer is a refusal in two words or an input', () => {
  const validators = [...OPERATION_INPUTS.keys()].map(name => compileValidator(name))
  const members = [...OPERATION_INPUTS.values()].flatMap(name => Object.keys(shapeOf(name).members ?? {}))
  const body = fc.dictionary(fc.constantFrom(...new Set(members)), fc.jsonValue({ maxDepth: 4 }))
  fc.assert(
    fc.property(fc.constantFrom(...validators), body, (validate, input) => {
      try {
        validate(JSON.parse(JSON.stringify(input)))
      } catch (error) {
        assert.ok(error instanceof KmsError, String(error))
        assert.ok(error.code === 'ValidationException' || error.code === 'SerializationException')
      }
    }),
    { numRuns: 2000 },
  )
})
