// biome-ignore-all lint/suspicious/noTemplateCurlyInString: policy variables are written like that
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { compilePolicy } from './compile.ts'
import { POLICY_MAX_BYTES, readPolicy } from './document.ts'
import { JsonNumber, readJson } from './json.ts'
import { compileArn, compileText } from './patterns.ts'
import { ACCOUNT, callerOf, contextOf, KEY_ARN, policyBytes } from './testing.ts'
import { MalformedPolicyError, POLICY_SAYS, PolicyTooLargeError } from './types.ts'
import { checkIdentityPolicy, checkKeyPolicy } from './validate.ts'
import { readDate } from './values.ts'

const everyoneExists = async () => true
const statement = { Effect: 'Allow', Principal: '*', Action: 'kms:*', Resource: '*' }

function keyPolicy(changes: object, version: string | undefined = '2012-10-17') {
  return policyBytes({ Version: version, Statement: [{ ...statement, ...changes }] })
}

describe('JSON of policies', () => {
  const plain = (json: unknown): unknown => {
    if (json instanceof JsonNumber) return Number(json.text)
    if (Array.isArray(json)) return json.map(plain)
    if (json instanceof Map) return Object.fromEntries([...json].map(([name, value]) => [name, plain(value)]))
    return json
  }

  test('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), text => {
        let expected: unknown
        try {
          expected = plain(readJson(Buffer.from(text)))
        } catch (error) {
          // The one thing that it refuses and JSON.parse takes: names that appear twice.
          assert.match(String(error), /appears twice/)
          return
        }
        assert.deepEqual(expected, JSON.parse(text))
      }),
    )
  })

  test('never takes what JSON.parse refuses', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...'{}[]",:\\/ue1-+.0 \n\u0001tfalsn'), { maxLength: 12 }), parts => {
        const text = parts.join('')
        let taken = true
        try {
          readJson(Buffer.from(text))
        } catch (error) {
          assert.ok(error instanceof MalformedPolicyError)
          taken = false
        }
        if (taken) JSON.parse(text)
      }),
      { numRuns: 3000 },
    )
  })

  for (const [what, text] of [
    ['a name twice', '{"Effect":"Deny","Effect":"Allow"}'],
    ['a name twice, written differently', '{"a":1,"\\u0061":2}'],
    ['nesting', '['.repeat(40) + ']'.repeat(40)],
    ['a comment', '{} // no'],
    ['a byte-order mark', '\ufeff{}'],
    ['a trailing comma', '[1,]'],
    ['a control character', '"\u0001"'],
    ['a leading zero', '[01]'],
  ] as const) {
    test(`refuses ${what}`, () => assert.throws(() => readJson(Buffer.from(text)), MalformedPolicyError))
  }

  test('refuses what is not UTF-8', () => assert.throws(() => readJson(Buffer.from([0x22, 0xff, 0x22])), /UTF-8/))
})

describe('documents that are refused', () => {
  const cases: ReadonlyArray<readonly [what: string, bytes: Buffer, reason: RegExp]> = [
    ['an unknown version', policyBytes({ Version: '2012-10-18', Statement: [statement] }), /version/],
    ['no statement', policyBytes({ Version: '2012-10-17' }), /Statement/],
    ['no statements', policyBytes({ Statement: [] }), /no statements/],
    ['a statement that is a string', policyBytes({ Statement: 'allow' }), /JSON object/],
    ['a text', Buffer.from('my policy'), /Syntax errors/],
    ['an unknown element', policyBytes({ Statement: [statement], Statements: [] }), /"Statements"/],
    ['an unknown element of a statement', keyPolicy({ Actions: 'kms:*' }), /"Actions"/],
    ['an effect in lower case', keyPolicy({ Effect: 'allow' }), /Effect/],
    ['no effect', keyPolicy({ Effect: undefined }), /Effect/],
    ['Action and NotAction', keyPolicy({ NotAction: 'kms:Decrypt' }), /both/],
    ['Resource and NotResource', keyPolicy({ NotResource: '*' }), /both/],
    ['Principal and NotPrincipal', keyPolicy({ NotPrincipal: '*' }), /both/],
    ['no principal', keyPolicy({ Principal: undefined }), /Principal/],
    ['NotPrincipal that allows', keyPolicy({ Principal: undefined, NotPrincipal: { AWS: ACCOUNT } }), /NotPrincipal/],
    ['an action without vendor', keyPolicy({ Action: 'Decrypt' }), /vendor/],
    ['an empty list', keyPolicy({ Action: [] }), /empty/],
    ['a number as action', keyPolicy({ Action: 1 }), /string/],
    ['a resource that is no ARN', keyPolicy({ Resource: 'key/*' }), /ARN/],
    ['a principal with a wildcard', keyPolicy({ Principal: { AWS: 'arn:aws:iam::*:root' } }), /invalid principals/],
    [
      'a user with a wildcard',
      keyPolicy({ Principal: { AWS: `arn:aws:iam::${ACCOUNT}:user/*` } }),
      /invalid principals/,
    ],
    ['a name as principal', keyPolicy({ Principal: 'alice' }), /invalid principals/],
    ['a short account', keyPolicy({ Principal: { AWS: '1111' } }), /invalid principals/],
    ['an unknown type of principal', keyPolicy({ Principal: { Federated: 'x' } }), /invalid principals/],
    ['every service', keyPolicy({ Principal: { Service: '*' } }), /invalid principals/],
    ['principals of nobody', keyPolicy({ Principal: {} }), /nobody/],
    ['an unknown operator', keyPolicy({ Condition: { StringIs: { 'aws:username': 'a' } } }), /operator/],
    ['NullIfExists', keyPolicy({ Condition: { NullIfExists: { 'aws:username': 'true' } } }), /operator/],
    ['an operator in lower case', keyPolicy({ Condition: { stringequals: { 'aws:username': 'a' } } }), /operator/],
    [
      'an unknown set operator',
      keyPolicy({ Condition: { 'ForNoValues:StringEquals': { 'aws:TagKeys': 'a' } } }),
      /operator/,
    ],
    ['a condition key without vendor', keyPolicy({ Condition: { StringEquals: { username: 'a' } } }), /vendor/],
    [
      'a number that is none',
      keyPolicy({ Condition: { NumericEquals: { 'kms:RotationPeriodInDays': '1o' } } }),
      /number/,
    ],
    ['a date that is none', keyPolicy({ Condition: { DateEquals: { 'aws:CurrentTime': '2026-02-30' } } }), /date/],
    ['a range that is none', keyPolicy({ Condition: { IpAddress: { 'aws:SourceIp': '10.0.0.0/33' } } }), /CIDR/],
    ['a truth that is none', keyPolicy({ Condition: { Bool: { 'aws:SecureTransport': 'yes' } } }), /true or false/],
    ['Null of neither', keyPolicy({ Condition: { Null: { 'aws:username': 'maybe' } } }), /true or false/],
    ['base64 that is none', keyPolicy({ Condition: { BinaryEquals: { 'aws:username': '*' } } }), /base64/],
    ['a short ARN', keyPolicy({ Condition: { ArnLike: { 'aws:PrincipalArn': 'arn:aws:iam' } } }), /ARN/],
    ['an open variable', keyPolicy({ Condition: { StringEquals: { 'aws:username': '${aws:userid' } } }), /not closed/],
    [
      'a variable that is none',
      keyPolicy({ Condition: { StringEquals: { 'aws:username': '${who}' } } }),
      /cannot be read/,
    ],
    [
      'ForAllValues on an encryption context',
      keyPolicy({ Condition: { 'ForAllValues:StringEquals': { 'kms:EncryptionContext:App': 'a' } } }),
      /OverlyPermissiveCondition/,
    ],
  ]
  for (const [what, bytes, reason] of cases) {
    test(what, () =>
      assert.rejects(checkKeyPolicy(bytes, everyoneExists), error => {
        assert.ok(error instanceof MalformedPolicyError, String(error))
        assert.match(error.message, reason)
        return true
      }),
    )
  }

  const identity = { Effect: 'Allow', Action: 'kms:*', Resource: '*' }
  for (const [what, statements, reason] of [
    ['a principal', { ...identity, Principal: '*' }, /should not specify a principal/],
    ['no actions', { ...identity, Action: undefined }, /must contain actions/],
    ['no resources', { ...identity, Resource: undefined }, /must contain resources/],
    ['a Sid with spaces', { ...identity, Sid: 'a b' }, /alpha-numeric/],
    [
      'a Sid twice',
      [
        { ...identity, Sid: 'a' },
        { ...identity, Sid: 'a' },
      ],
      /unique/,
    ],
  ] as const) {
    test(`identity policy: ${what}`, () =>
      assert.throws(() => checkIdentityPolicy(policyBytes({ Statement: statements })), reason))
  }

  test('too many bytes are too large, not malformed', async () => {
    const padding = ' '.repeat(POLICY_MAX_BYTES.key)
    await assert.rejects(checkKeyPolicy(Buffer.from(keyPolicy({}) + padding), everyoneExists), PolicyTooLargeError)
    const fits = keyPolicy({})
    await checkKeyPolicy(Buffer.concat([fits, Buffer.alloc(POLICY_MAX_BYTES.key - fits.length, 0x20)]), everyoneExists)
  })

  test('principals that do not exist', async () => {
    const alice = `arn:aws:iam::${ACCOUNT}:user/alice`
    const asked: string[] = []
    const exists = async (name: string) => {
      asked.push(name)
      return name === ACCOUNT
    }
    await assert.rejects(
      checkKeyPolicy(keyPolicy({ Principal: { AWS: [`arn:aws:iam::${ACCOUNT}:root`, alice] } }), exists),
      /invalid principals.*alice/,
    )
    assert.deepEqual(
      asked,
      [alice, ACCOUNT].filter(name => asked.includes(name)),
    )
  })
})

describe('documents that are taken', () => {
  test('a statement without Action or Resource has no effect, not even a denial', async () => {
    for (const lacking of ['Action', 'Resource']) {
      const bytes = policyBytes({ Statement: [{ ...statement, Effect: 'Deny', [lacking]: undefined }] })
      const policy = await checkKeyPolicy(bytes, everyoneExists)
      const caller = callerOf(`arn:aws:iam::${ACCOUNT}:user/alice`)
      assert.equal(policy.evaluate(caller, 'kms:encrypt', KEY_ARN, contextOf({})), POLICY_SAYS.nothing)
    }
  })

  test('a statement that is not in a list, an Id, a Sid with spaces, numbers and booleans as values', async () => {
    const condition = { Bool: { 'aws:SecureTransport': true }, NumericEquals: { 'kms:RotationPeriodInDays': 365 } }
    await checkKeyPolicy(
      policyBytes({ Id: 'an id', Statement: { ...statement, Sid: 'with spaces', Condition: condition } }),
      everyoneExists,
    )
  })

  test('the same bytes are compiled once', () => {
    assert.equal(compilePolicy('key', keyPolicy({})), compilePolicy('key', keyPolicy({})))
    assert.notEqual(compilePolicy('key', keyPolicy({})), compilePolicy('key', keyPolicy({ Effect: 'Deny' })))
  })

  test('no bytes make the reader throw anything else', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), text => {
        try {
          readPolicy('key', Buffer.from(text))
        } catch (error) {
          assert.ok(error instanceof MalformedPolicyError)
        }
      }),
    )
  })
})

describe('patterns', () => {
  const username = contextOf({ 'aws:username': 'a*:b', 'aws:principaltag/team': 'red', 'aws:tagkeys': ['x'] })
  const wild = { wildcards: true, variables: true }
  const texts: ReadonlyArray<readonly [pattern: string, subject: string, matches: boolean]> = [
    ['*', '', true],
    ['?', '', false],
    ['a*b*c', 'aXbYbc', true],
    ['a*b*c', 'aXbY', false],
    ['**?', 'x', true],
    ['kms:*', 'kms:encrypt', true],
    ['a?c', 'abc', true],
    ['a?c', 'abbc', false],
    ['${*}', '*', true],
    ['${*}', 'x', false],
    ['${?}${$}', '?$', true],
    // What a variable stands for is literal, whatever is in it.
    ['${aws:username}', 'a*:b', true],
    ['${aws:username}', 'aXX:b', false],
    ['${aws:PrincipalTag/Team}-*', 'red-1', true],
    ["${ aws:userid , 'no {one}' }", 'no {one}', true],
    // No value: equal to nothing. Several values: the same.
    ['${aws:userid}', '', false],
    ['${aws:TagKeys}', 'x', false],
    ['${custom:key}*', 'x', false],
  ]
  for (const [pattern, subject, matches] of texts) {
    test(`${pattern} ${matches ? 'is' : 'is not'} ${JSON.stringify(subject)}`, () =>
      assert.equal(compileText(pattern, wild)(subject, username), matches))
  }
  test('before 2012-10-17 there are no variables', () =>
    assert.equal(compileText('${*}', { wildcards: false, variables: false })('${*}', username), true))

  const arn = 'arn:aws:kms:eu-north-1:111122223333:key/a:b'
  const arns: ReadonlyArray<readonly [pattern: string, matches: boolean]> = [
    ['*', true],
    ['arn:aws:kms:*:111122223333:key/*', true],
    ['arn:aws:kms:*', true],
    ['arn:*', true],
    ['arn:aws:kms:eu-*-1:1111222?3333:*:b', true],
    ['arn:aws:kms:*:key/*', false],
    ['arn:aws:kms*:key/a:b', false],
    ['arn:aws:KMS:*:*:*', false],
    ['arn:aws:kms:eu-north-1:111122223333:key', false],
    ['arn:aws:kms:eu-north-1:111122223333:alias/*', false],
  ]
  for (const [pattern, matches] of arns) {
    test(`${pattern} ${matches ? 'covers' : 'does not cover'} the key`, () =>
      assert.equal(compileArn(pattern, { variables: true, complete: true })(arn, username), matches))
  }
  test('a colon in the value of a variable stays in its part', () => {
    const matches = compileArn('arn:aws:kms:${aws:username}:*:*', { variables: true, complete: true })
    assert.equal(matches('arn:aws:kms:a*:b:x', username), false)
  })
  test('a pattern with many wildcards is not slow', () => {
    const matches = compileText(`${'*a'.repeat(200)}b`, wild)
    const start = performance.now()
    assert.equal(matches('a'.repeat(20_000), username), false)
    assert.ok(performance.now() - start < 2_000)
  })
})

describe('dates', () => {
  for (const [text, iso] of [
    ['2026', '2026-01-01T00:00:00.000Z'],
    ['2026-03', '2026-03-01T00:00:00.000Z'],
    ['2026-03-04', '2026-03-04T00:00:00.000Z'],
    ['2026-03-04T05:06Z', '2026-03-04T05:06:00.000Z'],
    ['2026-03-04T05:06:07+02:00', '2026-03-04T03:06:07.000Z'],
    ['2026-03-04T05:06:07.8-0130', '2026-03-04T06:36:07.800Z'],
    ['1700000000', '2023-11-14T22:13:20.000Z'],
    ['1700000000.5', '2023-11-14T22:13:20.500Z'],
  ] as const) {
    test(text, () => assert.equal(new Date(readDate(text) ?? Number.NaN).toISOString(), iso))
  }
  for (const text of ['', 'soon', '2026-13', '2026-02-29', '2026-01-01T25:00Z', '2026-01-01T10:00', '12-1']) {
    test(`not ${JSON.stringify(text)}`, () => assert.equal(readDate(text), undefined))
  }
})
