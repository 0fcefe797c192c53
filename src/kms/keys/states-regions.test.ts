/** The states that only keys of several Regions have: what every operation says in them, against aws-kms.md §9.2 typed a second time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KeyState } from '../../boundary/words.ts'
import type { Call, FoundKey } from '../operations/types.ts'
import { KmsError } from '../wire/errors.ts'
import { checkState, STATE_TABLE } from './states.ts'

const ARN = 'arn:aws:kms:eu-north-1:111122223333:key/mrk-1'

/** The message of the refusal, without the ARN; `ok` for none. A footnote on the origin is asked of a key that it lets pass. */
function said(operation: string, state: KeyState, origin: string): string {
  const call = { operation, services: { stores: { connected: () => true } } } as unknown as Call
  const key = {
    arn: ARN,
    header: { state, origin, spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT', keyStoreId: '' },
  } as unknown as FoundKey
  try {
    checkState(call, key)
    return 'ok'
  } catch (error) {
    assert.ok(error instanceof KmsError && error.code === 'KMSInvalidStateException', `${operation} ${state}: ${error}`)
    return String(error.text).slice(ARN.length + 1)
  }
}

const CREATING = 'is creating.'
const UPDATING = 'is updating.'
const NOT_PENDING = 'is not pending deletion (or pending replica deletion).'

/** Operation → in Creating, in Updating. Those that are not here are allowed in both. */
const WANTED: Readonly<Record<string, readonly [creating: string, updating: string]>> = {
  EnableKey: [CREATING, UPDATING],
  DisableKey: [CREATING, UPDATING],
  EnableKeyRotation: [CREATING, 'ok'],
  DisableKeyRotation: [CREATING, 'ok'],
  RotateKeyOnDemand: [CREATING, UPDATING],
  GetParametersForImport: [CREATING, UPDATING],
  ImportKeyMaterial: [CREATING, 'ok'],
  DeleteImportedKeyMaterial: [CREATING, UPDATING],
  ScheduleKeyDeletion: ['ok', UPDATING],
  CancelKeyDeletion: [NOT_PENDING, NOT_PENDING],
  ReplicateKey: [CREATING, UPDATING],
  UpdatePrimaryRegion: [CREATING, 'ok'],
}
const FREE = new Set([
  ...[
    'DescribeKey',
    'GetKeyPolicy',
    'PutKeyPolicy',
    'ListAliases',
    'ListGrants',
    'ListKeyPolicies',
    'ListResourceTags',
  ],
  ...['RetireGrant', 'RevokeGrant', 'DeleteAlias', 'GetKeyLastUsage', 'ListKeyRotations', 'GetKeyRotationStatus'],
  ...['CreateAlias', 'TagResource', 'UntagResource', 'UpdateKeyDescription', 'UpdateAlias'],
])
/** Uses, and what hands the right to them on. */
const USE: readonly [string, string] = [CREATING, 'ok']

test('Creating and Updating', () => {
  for (const operation of Object.keys(STATE_TABLE)) {
    const [creating, updating] = FREE.has(operation) ? ['ok', 'ok'] : (WANTED[operation] ?? USE)
    const origin = /Import/.test(operation) ? 'EXTERNAL' : 'AWS_KMS'
    assert.equal(said(operation, 'Creating', origin), creating, operation)
    assert.equal(said(operation, 'Updating', origin), updating, operation)
  }
})

test('a primary that waits for its replicas is told what a key that waits for its deletion is', () => {
  for (const operation of Object.keys(STATE_TABLE)) {
    const origin = /Import/.test(operation) ? 'EXTERNAL' : 'AWS_KMS'
    assert.equal(
      said(operation, 'PendingReplicaDeletion', origin),
      said(operation, 'PendingDeletion', origin),
      operation,
    )
  }
})
