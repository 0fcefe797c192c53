/** Every operation in every state, for keys of every origin: the table says what must be answered, and the real boundary's keys are asked. */
import assert from 'node:assert/strict'
import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { accessOf } from '../access/permissions.ts'
import { OPERATIONS } from '../operations/table.ts'
import { ADMINISTRATOR, type Answer, startTestKms, type TestKms } from '../testing.ts'
import { REFUSALS, SHOWN_STATES, type ShownState, STATE_TABLE, stateShown } from './states.ts'

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

/** A request of each operation that needs nothing but the key, and what else may come of it once the state allows it. */
const REQUESTS: Readonly<Record<string, (key: TestKey) => object>> = {
  Encrypt: ({ KeyId }) => ({ KeyId, Plaintext: 'AA==' }),
  Decrypt: ({ CiphertextBlob }) => ({ CiphertextBlob }),
  ReEncrypt: ({ CiphertextBlob, KeyId }) => ({ CiphertextBlob, DestinationKeyId: KeyId }),
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
  ImportKeyMaterial: ({ KeyId }) => ({ KeyId, ...WRAPPED, ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' }),
}
const requestOf = (operation: string, key: TestKey): object => REQUESTS[operation]?.(key) ?? { KeyId: key.KeyId }

interface TestKey {
  readonly KeyId: string
  readonly arn: string
  readonly alias: string
  /** Made while the key was usable; of another key where it never was. */
  readonly CiphertextBlob: string
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
const AFTERWARDS = new Set(['InvalidImportTokenException', 'KMSInvalidStateException'])

let count = 0
async function keyIn(state: ShownState, origin: 'AWS_KMS' | 'EXTERNAL'): Promise<TestKey> {
  const { KeyMetadata } = await kms.ok('CreateKey', { Origin: origin })
  const { KeyId, Arn } = KeyMetadata
  const alias = `alias/state-${++count}`
  await kms.ok('CreateAlias', { AliasName: alias, TargetKeyId: KeyId })
  if (origin === 'EXTERNAL') await importMaterial(KeyId)
  const { CiphertextBlob } = await kms.ok('Encrypt', { KeyId, Plaintext: 'AA==' })
  const { GrantId } = await kms.ok('CreateGrant', {
    KeyId,
    GranteePrincipal: ADMINISTRATOR.arn,
    RetiringPrincipal: ADMINISTRATOR.arn,
    Operations: ['Encrypt'],
  })
  if (state === 'PendingImport') await kms.ok('DeleteImportedKeyMaterial', { KeyId })
  if (state === 'Disabled') await kms.ok('DisableKey', { KeyId })
  if (state === 'PendingDeletion') await kms.ok('ScheduleKeyDeletion', { KeyId })
  const shown = await kms.ok('DescribeKey', { KeyId })
  assert.equal(shown.KeyMetadata.KeyState, state)
  assert.equal(shown.KeyMetadata.Enabled, state === 'Enabled')
  return { KeyId, arn: Arn, alias, CiphertextBlob, GrantId }
}

async function importMaterial(KeyId: string): Promise<void> {
  const { ImportToken, PublicKey } = await kms.ok('GetParametersForImport', {
    KeyId,
    WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
    WrappingKeySpec: 'RSA_2048',
  })
  const key = createPublicKey({ key: Buffer.from(PublicKey, 'base64'), format: 'der', type: 'spki' })
  const wrapped = publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }, randomBytes(32))
  await kms.ok('ImportKeyMaterial', {
    KeyId,
    ImportToken,
    EncryptedKeyMaterial: wrapped.toString('base64'),
    ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
  })
}

function check(
  operation: string,
  state: ShownState,
  origin: 'AWS_KMS' | 'EXTERNAL',
  arn: string,
  answer: Answer,
): void {
  const where = `${operation}, ${state}, ${origin}: ${JSON.stringify(answer.body)}`
  const refusals = (STATE_TABLE[operation]?.[state] ?? []).map(footnote => REFUSALS[footnote](arn, origin, operation))
  const wanted = refusals.find(refusal => refusal !== undefined)
  if (wanted !== undefined) {
    assert.equal(answer.status, 400, where)
    assert.deepEqual(answer.body, { __type: wanted.code, message: wanted.text }, where)
  } else if (answer.status !== 200) {
    assert.equal(answer.status, 400, where)
    assert.ok(
      AFTERWARDS.has(answer.body.__type) && !/ is (pending|disabled|unavailable)/.test(answer.body.message),
      where,
    )
  }
}

for (const origin of ['AWS_KMS', 'EXTERNAL'] as const) {
  for (const state of SHOWN_STATES.filter(each => each !== 'Unavailable')) {
    if (origin === 'AWS_KMS' && state === 'PendingImport') continue
    test(`a key of origin ${origin} that is ${state}`, async () => {
      const shared = await keyIn(state, origin)
      await Promise.all(
        Object.keys(STATE_TABLE).map(async operation => {
          const key = CHANGING.has(operation) ? await keyIn(state, origin) : shared
          check(operation, state, origin, key.arn, await kms.call(operation, requestOf(operation, key)))
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
