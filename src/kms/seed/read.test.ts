/** What a seed file says, and every problem of one with its line; the published schema is the program's. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ConfigError } from '../../config/problems.ts'
import { readSeed } from './read.ts'
import { seedJsonSchema } from './schema.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-seed-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const PLACE = { account: '111122223333', regions: ['eu-north-1', 'us-east-1'] }
const ID = 'bc436485-5092-42b8-92a3-0aa8b93536dc'
const HEX = '5cdaead27fe7da2de47945d73cd6d79e36494e73802f3cd3869f1d2cb0b5d7a9'

let files = 0
function read(text: string) {
  const file = join(folder, `seed-${++files}.yaml`)
  writeFileSync(file, text)
  return readSeed(file, PLACE)
}
const one = (members: string): string => `Version: 1\nKeys:\n  - KeyId: ${ID}\n${members}`
const entry = (members: string) => read(one(members)).entries[0] ?? assert.fail('no entry')

test('docs/seed.schema.json is what the program prints', () => {
  const file = join(import.meta.dirname, '../../../docs/seed.schema.json')
  assert.equal(readFileSync(file, 'utf8'), seedJsonSchema())
})

test('a key id is enough: the rest is as CreateKey has it, and the material follows from the id', () => {
  const { key, description, tags, aliases } = entry('')
  assert.deepEqual(
    [key.id, key.account, key.spec, key.usage, key.state],
    [`eu-north-1/${ID}`, PLACE.account, 'SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT', 'Enabled'],
  )
  assert.deepEqual([description, [...tags], aliases], ['', [], []])
  // Written down, because what was encrypted under it must open for ever.
  assert.deepEqual(
    key.materials.map(each => each.toString('hex')),
    ['a29c9bac46a7f42b7e46d3c16dfc37a3d70d5a8cbcb51097bbf135ec2e03723d'],
  )
  const hmac = entry('    KeySpec: HMAC_384\n').key
  assert.equal(hmac.materials[0]?.length, 48)
  assert.equal(hmac.usage, 'GENERATE_VERIFY_MAC')
})

test('material in hexadecimal and base64, and private keys in each of their PEM forms, are the same bytes', () => {
  const base64 = Buffer.from(HEX, 'hex').toString('base64')
  const { materials } = entry(
    `    KeyMaterial: ["${HEX.toUpperCase()}", ${Buffer.alloc(32, 1).toString('base64')}]\n`,
  ).key
  assert.equal(materials[0]?.toString('base64'), base64)
  assert.deepEqual(entry(`    KeyMaterial: [${base64}]\n`).key.materials, [Buffer.from(HEX, 'hex')])
  const forms = [
    ['RSA_2048', generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, ['pkcs1', 'pkcs8']],
    ['ECC_NIST_P384', generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey, ['sec1', 'pkcs8']],
    ['ECC_NIST_EDWARDS25519', generateKeyPairSync('ed25519').privateKey, ['pkcs8']],
  ] as const
  for (const [spec, privateKey, types] of forms)
    for (const type of types) {
      const pem = String(privateKey.export({ format: 'pem', type: type as 'pkcs8' })).replaceAll(/^/gm, '      ')
      const { key } = entry(`    KeySpec: ${spec}\n    PrivateKeyPem: |\n${pem}`)
      assert.deepEqual(key.materials, [privateKey.export({ format: 'der', type: 'pkcs8' })])
    }
})

test('everything that a key can be given', () => {
  const { key, description, tags, aliases } =
    read(`
Version: 1
Keys:
  - KeyId: mrk-0123456789abcdef0123456789abcdef
    Region: us-east-1
    AWSAccountId: "444455556666"
    ReplicaRegions: [eu-north-1]
    Description: for invoices
    Tags: [{TagKey: team, TagValue: payments}]
    Policy:
      Version: "2012-10-17"
      Statement: {Effect: Allow, Principal: "*", Action: "kms:*", Resource: "*"}
    Aliases: [alias/a, alias/b]
    KeyState: Disabled
    CreationDate: 2020-01-02T03:04:05Z
    RotationPeriodInDays: 90
    NextRotationDate: 2199-12-31T23:00:00-01:00
`).entries[0] ?? assert.fail()
  const { policy, materials, ...rest } = key
  assert.equal(materials.length, 1)
  assert.equal(JSON.parse(policy.toString()).Statement.Action, 'kms:*')
  assert.deepEqual(rest, {
    id: 'us-east-1/mrk-0123456789abcdef0123456789abcdef',
    account: '444455556666',
    spec: 'SYMMETRIC_DEFAULT',
    usage: 'ENCRYPT_DECRYPT',
    origin: 'AWS_KMS',
    replicaRegions: ['eu-north-1'],
    state: 'Disabled',
    createdAt: Date.UTC(2020, 0, 2, 3, 4, 5),
    pendingWindowDays: 0,
    rotationPeriodDays: 90,
    nextRotationAt: Date.UTC(2200, 0, 1),
  })
  assert.deepEqual([description, [...tags], aliases], ['for invoices', [['team', 'payments']], ['alias/a', 'alias/b']])
})

test('a window, and a date without a period', () => {
  assert.equal(entry('    KeyState: PendingDeletion\n').key.pendingWindowDays, 30)
  assert.equal(entry('    KeyState: PendingDeletion\n    PendingWindowInDays: 7\n').key.pendingWindowDays, 7)
  assert.equal(entry('    NextRotationDate: 2199-01-01T00:00:00Z\n').key.rotationPeriodDays, 365)
  assert.equal(entry('    Origin: EXTERNAL\n').key.state, 'PendingImport')
})

/** The file, and each of its problems as `line: path: message`; the message may be its beginning. */
const WRONG: readonly (readonly [string, ...string[]])[] = [
  ['Keys: []\n', '1: Version: must be one of 1', '1: Keys: must have at least 1'],
  ['Version: 1\nKeys:\n  Symmetric: {}\n', '3: Keys: must be a list'],
  [one('    Keyspec: RSA_2048\n'), '4: Keys.0.Keyspec: unknown; did you mean "KeySpec"?'],
  [one('    KeySpec: RSA_2047\n'), '4: Keys.0.KeySpec: must be one of SYMMETRIC_DEFAULT'],
  [one('    Region: us-west-2\n'), '4: Keys.0.Region: this service has eu-north-1, us-east-1'],
  [one('    Region: nowhere\n'), '4: Keys.0.Region: must be a Region'],
  [one('    AWSAccountId: 111122223333\n'), '4: Keys.0.AWSAccountId: must be a string'],
  [one('    KeySpec: HMAC_256\n    KeyUsage: SIGN_VERIFY\n'), '5: Keys.0.KeyUsage: a HMAC_256 key is for GENERATE_'],
  [one('    KeySpec: ML_KEM_768\n    Origin: EXTERNAL\n'), '5: Keys.0.Origin: material of a ML_KEM_768 key cannot'],
  [one('    KeyMaterial:\n      - xyz\n'), '5: Keys.0.KeyMaterial.0: must be hexadecimal digits or base64'],
  [one(`    KeyMaterial:\n      - ${HEX}\n      - abcd\n`), '6: Keys.0.KeyMaterial.1: must have 32 bytes'],
  [one(`    KeyMaterial:\n      - ${HEX}\n      - ${HEX}\n`), '5: Keys.0.KeyMaterial: names one of them twice'],
  [one(`    KeySpec: HMAC_256\n    KeyMaterial: ["${HEX}", "${HEX}"]\n`), '5: Keys.0.KeyMaterial: a HMAC_256 key does'],
  [one(`    KeySpec: RSA_2048\n    KeyMaterial: ["${HEX}"]\n`), '5: Keys.0.KeyMaterial: a RSA_2048 key has none'],
  [one('    KeySpec: RSA_2048\n'), '3: Keys.0.PrivateKeyPem: missing'],
  [one('    KeySpec: RSA_2048\n    PrivateKeyPem: x\n'), '5: Keys.0.PrivateKeyPem: must be a private key in PEM'],
  [one('    PrivateKeyPem: x\n'), '4: Keys.0.PrivateKeyPem: a SYMMETRIC_DEFAULT key has none'],
  [one('    ReplicaRegions: [us-east-1]\n'), '4: Keys.0.ReplicaRegions: only a key whose id begins with mrk-'],
  [one('    Aliases: [alias/aws/ebs]\n'), '4: Keys.0.Aliases.0: must be alias/'],
  [one('    Aliases: [alias/a, alias/a]\n'), '4: Keys.0.Aliases.1: stands already in Keys.0'],
  [one('    Tags: [{TagKey: "aws:x", TagValue: ""}]\n'), '4: Keys.0.Tags.0.TagKey: must not begin with aws:'],
  [one('    Policy: "{}"\n'), '4: Keys.0.Policy: '],
  [one('    KeyState: PendingImport\n'), '4: Keys.0.KeyState: a key with material does not wait for it'],
  [one('    Origin: EXTERNAL\n    KeyState: Enabled\n'), '5: Keys.0.KeyState: a key without material is'],
  [one('    PendingWindowInDays: 7\n'), '4: Keys.0.PendingWindowInDays: goes with KeyState PendingDeletion'],
  [one('    Origin: EXTERNAL\n    RotationPeriodInDays: 90\n'), '5: Keys.0.RotationPeriodInDays: only SYMMETRIC_'],
  [one('    CreationDate: 2199-01-01T00:00:00Z\n'), '4: Keys.0.CreationDate: is in the future'],
  [one('    CreationDate: yesterday\n'), '4: Keys.0.CreationDate: must be a time with its zone'],
  [one(`  - KeyId: ${ID}\n`), '4: Keys.1.KeyId: stands already in Keys.0'],
  [
    `Version: 1\nKeys:\n  - KeyId: UPPER\n  - KeySpec: RSA\n`,
    '3: Keys.0.KeyId: must be a UUID',
    '4: Keys.1.KeyId: missing',
    '4: Keys.1.KeySpec: must be one of',
  ],
]
for (const [text, ...expected] of WRONG)
  test(`refused: ${expected.join(' and ')}`, () => {
    assert.throws(
      () => read(text),
      (error: unknown) => {
        assert.ok(error instanceof ConfigError)
        const told = error.problems.map(({ line, path, message }) => `${line}: ${path}: ${message}`)
        assert.equal(told.length, expected.length, told.join('\n'))
        for (const [at, begin] of expected.entries()) assert.equal(told[at]?.slice(0, begin.length), begin)
        return true
      },
    )
  })

test('what is wrong with a material is told without it', () => {
  const secret = `${HEX}ff`
  assert.throws(
    () => read(one(`    KeyMaterial: ["${secret}"]\n`)),
    (error: unknown) => error instanceof ConfigError && !error.message.includes(HEX),
  )
})
