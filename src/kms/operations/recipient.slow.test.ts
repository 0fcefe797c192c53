/** Recipient over the operations of the API: who may, what is answered, and what a document that is not good answers. */
import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import {
  asMap,
  enclaveFields,
  type Fields,
  type Hierarchy,
  makeHierarchy,
  PCRS,
  recipientKeys,
  registers,
  signDocument,
} from '../../../test/support/attestation.ts'
import { opensslDecrypt } from '../../../test/support/cms.ts'
import type { ExternalCiphertext } from '../../boundary/client/api.ts'
import type { Caller } from '../access/types.ts'
import { startTestKms, type TestKms, user } from '../testing.ts'
import { externalKey } from './testing/external-key.ts'

const keys = recipientKeys()
const PLAINTEXT = Buffer.from('attested')
const Plaintext = PLAINTEXT.toString('base64')

let hierarchy: Hierarchy
let kms: TestKms
let KeyId: string

/** What an owner would keep: here the inner message itself. */
const owner = {
  encrypt: async (_store: string, _key: string, ciphertext: Buffer): Promise<ExternalCiphertext> => ({
    iv: randomBytes(12),
    tag: randomBytes(16),
    metadata: Buffer.alloc(0),
    ciphertext,
    integrityValue: undefined,
  }),
  decrypt: async (_store: string, _key: string, { ciphertext }: ExternalCiphertext) => Buffer.from(ciphertext),
  checkKey: async () => {},
}

before(async () => {
  hierarchy = await makeHierarchy()
  kms = await startTestKms(owner, { attestationRoots: [hierarchy.root] })
  KeyId = (await kms.ok('CreateKey')).KeyMetadata.KeyId
})
after(async () => {
  await kms.stop()
  assert.deepEqual(kms.defects, [])
})

const recipient = (change: Fields = {}, more: object = {}): object => ({
  KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
  AttestationDocument: signDocument(
    hierarchy,
    asMap({ ...enclaveFields(hierarchy, keys.publicKey), ...change }),
  ).toString('base64'),
  ...more,
})
const opened = (base64: string): Buffer => opensslDecrypt(Buffer.from(base64, 'base64'), keys.privateKey)

describe('an attested answer', () => {
  test('of Decrypt has no plaintext and no key material id', async () => {
    const { CiphertextBlob } = await kms.ok('Encrypt', { KeyId, Plaintext })
    const answer = await kms.ok('Decrypt', { CiphertextBlob, Recipient: recipient() })
    assert.deepEqual(Object.keys(answer).sort(), ['CiphertextForRecipient', 'EncryptionAlgorithm', 'KeyId'])
    assert.deepEqual(opened(answer.CiphertextForRecipient), PLAINTEXT)
  })

  test('of Decrypt with an RSA key', async () => {
    const rsa = (await kms.ok('CreateKey', { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' })).KeyMetadata.KeyId
    const input = { KeyId: rsa, EncryptionAlgorithm: 'RSAES_OAEP_SHA_256' }
    const { CiphertextBlob } = await kms.ok('Encrypt', { ...input, Plaintext })
    const answer = await kms.ok('Decrypt', { ...input, CiphertextBlob, Recipient: recipient() })
    assert.deepEqual(Object.keys(answer).sort(), ['CiphertextForRecipient', 'EncryptionAlgorithm', 'KeyId'])
    assert.deepEqual(opened(answer.CiphertextForRecipient), PLAINTEXT)
  })

  test('of Decrypt with a key in an external key store', async () => {
    const external = await externalKey(kms)
    const { CiphertextBlob } = await kms.ok('Encrypt', { KeyId: external, Plaintext })
    const answer = await kms.ok('Decrypt', { CiphertextBlob, Recipient: recipient() })
    assert.equal(answer.Plaintext, undefined)
    assert.deepEqual(opened(answer.CiphertextForRecipient), PLAINTEXT)
    const made = await kms.ok('GenerateDataKey', { KeyId: external, KeySpec: 'AES_256', Recipient: recipient() })
    const { Plaintext: same } = await kms.ok('Decrypt', { CiphertextBlob: made.CiphertextBlob })
    assert.equal(opened(made.CiphertextForRecipient).toString('base64'), same)
  })

  test('of GenerateDataKey is the data key, and that without plaintext takes no recipient', async () => {
    const answer = await kms.ok('GenerateDataKey', { KeyId, KeySpec: 'AES_256', Recipient: recipient() })
    assert.deepEqual(Object.keys(answer).sort(), ['CiphertextBlob', 'CiphertextForRecipient', 'KeyId', 'KeyMaterialId'])
    const { Plaintext: same } = await kms.ok('Decrypt', { CiphertextBlob: answer.CiphertextBlob })
    assert.equal(opened(answer.CiphertextForRecipient).toString('base64'), same)
    const without = { KeyId, KeySpec: 'AES_256', Recipient: 'not a member of this operation' }
    assert.equal((await kms.ok('GenerateDataKeyWithoutPlaintext', without)).CiphertextForRecipient, undefined)
  })

  test('of GenerateDataKeyPair is the private key, even the largest', async () => {
    for (const KeyPairSpec of ['ECC_NIST_P256', 'RSA_4096']) {
      const answer = await kms.ok('GenerateDataKeyPair', { KeyId, KeyPairSpec, Recipient: recipient() })
      assert.equal(answer.PrivateKeyPlaintext, undefined)
      const key = opened(answer.CiphertextForRecipient)
      createPrivateKey({ key, format: 'der', type: 'pkcs8' })
      const { Plaintext: same } = await kms.ok('Decrypt', { CiphertextBlob: answer.PrivateKeyCiphertextBlob })
      assert.equal(key.toString('base64'), same)
    }
  })

  test('of DeriveSharedSecret is the shared secret', async () => {
    const { KeyMetadata } = await kms.ok('CreateKey', { KeySpec: 'ECC_NIST_P384', KeyUsage: 'KEY_AGREEMENT' })
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
    const input = {
      KeyId: KeyMetadata.KeyId,
      KeyAgreementAlgorithm: 'ECDH',
      PublicKey: publicKey.export({ format: 'der', type: 'spki' }).toString('base64'),
    }
    const answer = await kms.ok('DeriveSharedSecret', { ...input, Recipient: recipient() })
    assert.equal(answer.SharedSecret, undefined)
    const { SharedSecret } = await kms.ok('DeriveSharedSecret', input)
    assert.equal(opened(answer.CiphertextForRecipient).toString('base64'), SharedSecret)
  })

  test('of GenerateRandom is random', async () => {
    const answer = await kms.ok('GenerateRandom', { NumberOfBytes: 24, Recipient: recipient() })
    assert.deepEqual(Object.keys(answer), ['CiphertextForRecipient'])
    assert.equal(opened(answer.CiphertextForRecipient).length, 24)
  })

  test('is not given to a dry run, which sees the document all the same', async () => {
    const input = { KeyId, KeySpec: 'AES_256', DryRun: true }
    const good = await kms.call('GenerateDataKey', { ...input, Recipient: recipient() })
    assert.equal(good.body.__type, 'DryRunOperationException')
    const bad = await kms.call('GenerateDataKey', { ...input, Recipient: recipient({ digest: 'SHA256' }) })
    assert.equal(bad.body.__type, 'ValidationException')
  })
})

describe('who may, by what the document says', () => {
  const [zero, one] = ['00'.repeat(48), '01'.repeat(48)]
  const wanting = (operator: string, key: string, value: string, Effect = 'Allow'): Caller =>
    user('attested', [
      { Effect: 'Allow', Action: ['kms:Encrypt', 'kms:GenerateRandom'], Resource: '*' },
      ...(Effect === 'Deny' ? [{ Effect: 'Allow', Action: 'kms:*', Resource: '*' }] : []),
      { Effect, Action: 'kms:*', Resource: '*', Condition: { [operator]: { [key]: value } } },
    ])
  const NAME = 'kms:RecipientAttestation:'
  const tpm = { pcrs: undefined, nitrotpm_pcrs: PCRS }
  const upper = registers({ 0: Buffer.alloc(48, 0xab) })

  const cases: readonly (readonly [string, string, string, Fields | undefined, boolean])[] = [
    ['StringEquals', 'PCR0', zero, {}, true],
    ['StringEquals', 'PCR1', one, {}, true],
    ['StringEquals', 'pcr1', one, {}, true],
    ['StringEquals', 'PCR0', one, {}, false],
    ['StringEquals', 'PCR01', one, {}, false],
    ['StringEquals', 'PCR', zero, {}, false],
    ['StringEquals', 'PCR16', zero, {}, false],
    ['StringEquals', 'PCR31', 'ff'.repeat(64), { pcrs: registers({ 31: Buffer.alloc(64, 0xff) }) }, true],
    ['StringEquals', 'PCR0', zero, undefined, false],
    ['StringLike', 'PCR0', '*', undefined, false],
    ['StringLike', 'PCR0', '*', {}, true],
    ['StringEquals', 'ImageSha384', zero, {}, true],
    ['StringEquals', 'ImageSha384', one, {}, false],
    ['StringEquals', 'ImageSha384', zero, tpm, false],
    ['StringEquals', 'NitroTPMPCR4', '04'.repeat(48), tpm, true],
    ['StringEquals', 'NitroTPMPCR4', '04'.repeat(48), {}, false],
    ['StringEquals', 'PCR4', '04'.repeat(48), tpm, false],
    ['StringEquals', 'PCR0', 'AB'.repeat(48), { pcrs: upper }, false],
    ['StringEquals', 'PCR0', 'ab'.repeat(48), { pcrs: upper }, true],
    ['StringEqualsIgnoreCase', 'PCR0', 'AB'.repeat(48), { pcrs: upper }, true],
    ['StringNotEquals', 'PCR0', one, {}, true],
    ['StringNotEquals', 'PCR0', zero, {}, false],
    ['Null', 'PCR0', 'false', {}, true],
    ['Null', 'PCR0', 'false', undefined, false],
    ['StringEquals', 'ModuleId', 'i-00000000000000000-enc0000000000000000', {}, false],
  ]
  for (const [operator, key, value, document, allowed] of cases) {
    const whose = document === undefined ? 'no document' : document === tpm ? 'an instance' : 'an enclave'
    test(`${operator} ${key} ${value.slice(0, 4)}: ${whose} is ${allowed ? 'allowed' : 'denied'}`, async () => {
      const input = {
        KeyId,
        KeySpec: 'AES_256',
        ...(document === undefined ? {} : { Recipient: recipient(document) }),
      }
      const { status, body } = await kms.call('GenerateDataKey', input, wanting(operator, NAME + key, value))
      assert.equal(status === 200, allowed, JSON.stringify(body))
      if (!allowed) assert.equal(body.__type, 'AccessDeniedException')
    })
  }

  test('the same holds for each operation that has a Recipient', async () => {
    const { CiphertextBlob } = await kms.ok('Encrypt', { KeyId, Plaintext })
    const agreement = await kms.ok('CreateKey', { KeySpec: 'ECC_NIST_P256', KeyUsage: 'KEY_AGREEMENT' })
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const PublicKey = publicKey.export({ format: 'der', type: 'spki' }).toString('base64')
    for (const [operation, input] of [
      ['Decrypt', { CiphertextBlob }],
      ['GenerateDataKey', { KeyId, NumberOfBytes: 8 }],
      ['GenerateDataKeyPair', { KeyId, KeyPairSpec: 'ECC_NIST_P256' }],
      ['GenerateRandom', { NumberOfBytes: 8 }],
      ['DeriveSharedSecret', { KeyId: agreement.KeyMetadata.KeyId, KeyAgreementAlgorithm: 'ECDH', PublicKey }],
    ] as const) {
      // Denied unless PCR0 is what it must be: so also without any document.
      const caller = wanting('StringNotEquals', `${NAME}PCR0`, zero, 'Deny')
      const ask = async (more: object): Promise<number> =>
        (await kms.call(operation, { ...input, ...more }, caller)).status
      assert.equal(await ask({ Recipient: recipient() }), 200, operation)
      assert.equal(await ask({ Recipient: recipient({ pcrs: registers({ 0: Buffer.alloc(48, 9) }) }) }), 400, operation)
      assert.equal(await ask({}), 400, operation)
    }
  })
})

describe('a Recipient that is refused', () => {
  const refusal = async (Recipient: unknown): Promise<[string, string]> => {
    const before = await kms.records()
    const { status, body } = await kms.call('GenerateRandom', { NumberOfBytes: 8, Recipient })
    assert.equal(status, 400)
    assert.equal(await kms.records(), before + 1)
    return [body.__type, body.message]
  }

  test('says which rule its document breaks, in one record', async () => {
    const expired = enclaveFields(hierarchy, keys.publicKey, Date.now() - 301_000)
    for (const [given, why] of [
      [recipient(expired), 'The attestation document is older than 5 minutes.'],
      [recipient({ public_key: null }), 'The attestation document has no public_key.'],
      [
        recipient({ public_key: Buffer.from('dummy') }),
        'The attestation document has a public_key that is not an RSA key of 2048 to 4096 bits.',
      ],
      [
        recipient({}, { AttestationDocument: Buffer.from('x').toString('base64') }),
        'The attestation document is not well-formed CBOR: cut short.',
      ],
      [
        { KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256' },
        'Recipient needs both KeyEncryptionAlgorithm and AttestationDocument.',
      ],
      [
        { AttestationDocument: Buffer.from('x').toString('base64') },
        'Recipient needs both KeyEncryptionAlgorithm and AttestationDocument.',
      ],
    ] as const)
      assert.deepEqual(await refusal(given), ['ValidationException', why])
    const other = await makeHierarchy()
    const foreign = signDocument(other, asMap(enclaveFields(other, keys.publicKey))).toString('base64')
    assert.deepEqual(await refusal(recipient({}, { AttestationDocument: foreign })), [
      'ValidationException',
      'The attestation document does not chain to a root that this service trusts.',
    ])
    const [type, message] = await refusal(recipient({}, { KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_1' }))
    assert.equal(type, 'ValidationException')
    assert.match(
      message,
      /^1 validation error detected: Value 'RSAES_OAEP_SHA_1' at 'recipient\.keyEncryptionAlgorithm'/,
    )
  })

  test('says so where the service trusts no root', async () => {
    const bare = await startTestKms()
    try {
      const { body } = await bare.call('GenerateRandom', { NumberOfBytes: 8, Recipient: recipient() })
      assert.equal(body.__type, 'UnsupportedOperationException')
      assert.match(body.message, /attestation\.roots is empty/)
    } finally {
      await bare.stop()
    }
  })
})
