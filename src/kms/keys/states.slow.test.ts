/** Every operation in every state, for keys of every origin and usage: the table says what must be answered, and the real boundary's keys are asked. */
import assert from 'node:assert/strict'
import { constants, createPublicKey, generateKeyPairSync, publicEncrypt, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { isAsymmetric } from '../../boundary/algorithms.ts'
import type { KeySpec, KeyUsage } from '../../boundary/words.ts'
import { accessOf } from '../access/permissions.ts'
import { OPERATIONS } from '../operations/table.ts'
import { ADMINISTRATOR, type Answer, REGIONS, startTestKms, type TestKms } from '../testing.ts'
import { REFUSALS, type ShownState, STATE_TABLE, stateShown } from './states.ts'

let kms: TestKms
before(async () => {
  kms = await startTestKms()
  await kms.principal(ADMINISTRATOR.arn)
})
after(() => kms.stop())

const WRAPPED = {
  ImportToken: randomBytes(64).toString('base64'),
  EncryptedKeyMaterial: randomBytes(256).toString('base64'),
}
const POLICY = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: '*', Action: 'kms:*', Resource: '*' }],
})

interface Kind {
  readonly spec: KeySpec
  readonly usage: KeyUsage
  readonly origin: 'AWS_KMS' | 'EXTERNAL'
}
const SYMMETRIC = { spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT' } as const
const KINDS: readonly Kind[] = [
  { ...SYMMETRIC, origin: 'AWS_KMS' },
  { ...SYMMETRIC, origin: 'EXTERNAL' },
  { spec: 'RSA_2048', usage: 'ENCRYPT_DECRYPT', origin: 'AWS_KMS' },
  { spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY', origin: 'AWS_KMS' },
  { spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY', origin: 'EXTERNAL' },
  { spec: 'ECC_NIST_P256', usage: 'KEY_AGREEMENT', origin: 'AWS_KMS' },
  { spec: 'HMAC_256', usage: 'GENERATE_VERIFY_MAC', origin: 'AWS_KMS' },
  { spec: 'HMAC_256', usage: 'GENERATE_VERIFY_MAC', origin: 'EXTERNAL' },
  { spec: 'ML_KEM_512', usage: 'ENCAPSULATE_DECAPSULATE', origin: 'AWS_KMS' },
]

const OAEP = 'RSAES_OAEP_SHA_256'
const TO_SIGN = { Message: 'AA==', SigningAlgorithm: 'ECDSA_SHA_256' }
const TO_MAC = { Message: 'AA==', MacAlgorithm: 'HMAC_SHA_256' }
const KEM = { EncapsulationAlgorithm: 'ML_KEM' }

/** A request of each operation that needs nothing but the key, and what else may come of it once the state allows it. */
const REQUESTS: Readonly<Record<string, (key: TestKey) => object>> = {
  Encrypt: ({ KeyId, CiphertextBlob }) => ({
    KeyId,
    Plaintext: 'AA==',
    ...(CiphertextBlob === undefined ? { EncryptionAlgorithm: OAEP } : {}),
  }),
  Decrypt: ({ CiphertextBlob, KeyId }) =>
    CiphertextBlob === undefined ? { KeyId, CiphertextBlob: 'AA==', EncryptionAlgorithm: OAEP } : { CiphertextBlob },
  ReEncrypt: ({ CiphertextBlob, KeyId }) =>
    CiphertextBlob === undefined
      ? { SourceKeyId: KeyId, CiphertextBlob: 'AA==', SourceEncryptionAlgorithm: OAEP, DestinationKeyId: KeyId }
      : { CiphertextBlob, DestinationKeyId: KeyId },
  GenerateDataKeyPair: ({ KeyId }) => ({ KeyId, KeyPairSpec: 'ECC_NIST_P256' }),
  GenerateDataKeyPairWithoutPlaintext: ({ KeyId }) => ({ KeyId, KeyPairSpec: 'ECC_NIST_P256' }),
  Sign: ({ KeyId }) => ({ KeyId, ...TO_SIGN }),
  Verify: ({ KeyId }) => ({ KeyId, ...TO_SIGN, Signature: 'AA==' }),
  GenerateMac: ({ KeyId }) => ({ KeyId, ...TO_MAC }),
  VerifyMac: ({ KeyId }) => ({ KeyId, ...TO_MAC, Mac: 'AA==' }),
  DeriveSharedSecret: ({ KeyId }) => ({ KeyId, KeyAgreementAlgorithm: 'ECDH', PublicKey: 'AA==' }),
  Encapsulate: ({ KeyId }) => ({ KeyId, ...KEM }),
  Decapsulate: ({ KeyId }) => ({ KeyId, ...KEM, SharedSecretCiphertextBlob: 'AA==' }),
  GenerateDataKey: ({ KeyId }) => ({ KeyId, KeySpec: 'AES_256' }),
  GenerateDataKeyWithoutPlaintext: ({ KeyId }) => ({ KeyId, KeySpec: 'AES_256' }),
  PutKeyPolicy: ({ KeyId }) => ({ KeyId, Policy: POLICY }),
  ListAliases: ({ KeyId }) => ({ KeyId }),
  DeleteAlias: ({ alias }) => ({ AliasName: alias }),
  CreateGrant: ({ KeyId }) => ({ KeyId, GranteePrincipal: ADMINISTRATOR.arn, Operations: ['Encrypt'] }),
  RetireGrant: ({ arn, GrantId }) => ({ KeyId: arn, GrantId }),
  RevokeGrant: ({ KeyId, GrantId }) => ({ KeyId, GrantId }),
  CreateAlias: ({ KeyId, alias }) => ({ AliasName: `${alias}-new`, TargetKeyId: KeyId }),
  UpdateAlias: ({ KeyId, alias }) => ({ AliasName: alias, TargetKeyId: KeyId }),
  TagResource: ({ KeyId }) => ({ KeyId, Tags: [{ TagKey: 'a', TagValue: 'b' }] }),
  UntagResource: ({ KeyId }) => ({ KeyId, TagKeys: ['a'] }),
  UpdateKeyDescription: ({ KeyId }) => ({ KeyId, Description: 'd' }),
  GetParametersForImport: ({ KeyId }) => ({
    KeyId,
    WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
    WrappingKeySpec: 'RSA_2048',
  }),
  ReplicateKey: ({ KeyId }) => ({ KeyId, ReplicaRegion: REGIONS[1] }),
  UpdatePrimaryRegion: ({ KeyId }) => ({ KeyId, PrimaryRegion: REGIONS[1] }),
  ImportKeyMaterial: ({ KeyId }) => ({ KeyId, ...WRAPPED, ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' }),
}
const requestOf = (operation: string, key: TestKey): object => REQUESTS[operation]?.(key) ?? { KeyId: key.KeyId }

interface TestKey {
  readonly KeyId: string
  readonly arn: string
  readonly alias: string
  /** Of a symmetric key, made while it was usable. */
  readonly CiphertextBlob: string | undefined
  readonly GrantId: string
}

/** Operations after which a key is in another state; they get one of their own. */
const CHANGING = new Set([
  'EnableKey',
  'DisableKey',
  'ScheduleKeyDeletion',
  'CancelKeyDeletion',
  'DeleteImportedKeyMaterial',
  'DeleteAlias',
  'RetireGrant',
  'RevokeGrant',
])

/** Errors that only say that the request itself was no good, after the state had let it pass. */
const AFTERWARDS = new Set([
  'InvalidImportTokenException',
  'KMSInvalidStateException',
  'InvalidKeyUsageException',
  'InvalidCiphertextException',
  'KMSInvalidSignatureException',
  'KMSInvalidMacException',
  'ValidationException',
  'UnsupportedOperationException',
])

let count = 0
async function keyIn(state: ShownState, { spec, usage, origin }: Kind): Promise<TestKey> {
  const { KeyMetadata } = await kms.ok('CreateKey', { KeySpec: spec, KeyUsage: usage, Origin: origin })
  const { KeyId, Arn } = KeyMetadata
  const alias = `alias/state-${++count}`
  await kms.ok('CreateAlias', { AliasName: alias, TargetKeyId: KeyId })
  if (origin === 'EXTERNAL') await importMaterial(KeyId, spec)
  const made =
    spec === 'SYMMETRIC_DEFAULT' ? await kms.ok('Encrypt', { KeyId, Plaintext: 'AA==' }) : { CiphertextBlob: undefined }
  const { GrantId } = await kms.ok('CreateGrant', {
    KeyId,
    GranteePrincipal: ADMINISTRATOR.arn,
    RetiringPrincipal: ADMINISTRATOR.arn,
    Operations: ['DescribeKey'],
  })
  if (state === 'PendingImport') await kms.ok('DeleteImportedKeyMaterial', { KeyId })
  if (state === 'Disabled') await kms.ok('DisableKey', { KeyId })
  if (state === 'PendingDeletion') await kms.ok('ScheduleKeyDeletion', { KeyId })
  const shown = await kms.ok('DescribeKey', { KeyId })
  assert.equal(shown.KeyMetadata.KeyState, state)
  assert.equal(shown.KeyMetadata.Enabled, state === 'Enabled')
  return { KeyId, arn: Arn, alias, CiphertextBlob: made.CiphertextBlob, GrantId }
}

const DER = { format: 'der', type: 'pkcs8' } as const
const materialOf = (spec: KeySpec): Buffer =>
  isAsymmetric(spec) ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export(DER) : randomBytes(32)

async function importMaterial(KeyId: string, spec: KeySpec): Promise<void> {
  const { ImportToken, PublicKey } = await kms.ok('GetParametersForImport', {
    KeyId,
    WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
    WrappingKeySpec: 'RSA_2048',
  })
  const key = createPublicKey({ key: Buffer.from(PublicKey, 'base64'), format: 'der', type: 'spki' })
  const padding = constants.RSA_PKCS1_OAEP_PADDING
  const wrapped = publicEncrypt({ key, padding, oaepHash: 'sha256' }, materialOf(spec))
  await kms.ok('ImportKeyMaterial', {
    KeyId,
    ImportToken,
    EncryptedKeyMaterial: wrapped.toString('base64'),
    ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
  })
}

function check(operation: string, state: ShownState, { origin, spec }: Kind, arn: string, answer: Answer): void {
  const where = `${operation}, ${state}, ${origin}, ${spec}: ${JSON.stringify(answer.body)}`
  const footnotes = STATE_TABLE[operation]?.[state] ?? []
  const refusals = footnotes.map(footnote => REFUSALS[footnote](arn, origin, operation, spec))
  const wanted = refusals.find(refusal => refusal !== undefined)
  if (wanted !== undefined) {
    assert.equal(answer.status, 400, where)
    const message = wanted.text === undefined ? {} : { message: wanted.text }
    assert.deepEqual(answer.body, { __type: wanted.code, ...message }, where)
  } else if (answer.status !== 200) {
    assert.equal(answer.status, 400, where)
    const { __type, message = '' } = answer.body
    const afterwards =
      AFTERWARDS.has(__type) ||
      (__type === 'UnsupportedOperationException' && / is not a multi-region primary key\.$/.test(message))
    assert.ok(afterwards, where)
    assert.doesNotMatch(message, / is (pending|disabled|unavailable)/, where)
  }
}

/** States that a request brings about and that stay; those of multi-Region sets have a test of their own. */
const STABLE = ['Enabled', 'Disabled', 'PendingDeletion', 'PendingImport'] as const satisfies readonly ShownState[]

for (const kind of KINDS) {
  for (const state of STABLE) {
    if (kind.origin === 'AWS_KMS' && state === 'PendingImport') continue
    test(`${kind.spec} for ${kind.usage}, of origin ${kind.origin}, that is ${state}`, async () => {
      const shared = await keyIn(state, kind)
      await Promise.all(
        Object.keys(STATE_TABLE).map(async operation => {
          const key = CHANGING.has(operation) ? await keyIn(state, kind) : shared
          check(operation, state, kind, key.arn, await kms.call(operation, requestOf(operation, key)))
        }),
      )
      assert.deepEqual(kms.defects, [])
    })
  }
}

test('a key whose store is not connected is Unavailable, and pending deletion while it is that', async () => {
  const away = () => false
  const header = (state: string) => ({ state, keyStoreId: 'a/b/cks-1' }) as Parameters<typeof stateShown>[0]
  assert.equal(stateShown(header('Enabled'), away), 'Unavailable')
  assert.equal(stateShown(header('Disabled'), away), 'Unavailable')
  assert.equal(stateShown(header('PendingDeletion'), away), 'PendingDeletion')
  assert.equal(
    stateShown(header('Enabled'), () => true),
    'Enabled',
  )
})

test('every operation with a key has a line in the table', () => {
  const withKey = OPERATIONS.map(({ name }) => name).filter(name => !accessOf(name).iamOnly)
  assert.deepEqual(
    withKey.filter(name => STATE_TABLE[name] === undefined),
    [],
  )
})
