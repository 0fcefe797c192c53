/** Key state × operation, as data (aws-kms.md §9.2), for the operations that are built. Checked after authorization, before the boundary decides again. */
import type { Call, FoundKey } from '../operations/types.ts'
import { KmsError } from '../wire/errors.ts'

/** AWS's states; Unavailable is a key whose custom key store is not connected. */
export type ShownState = 'Enabled' | 'Disabled' | 'PendingDeletion' | 'PendingImport' | 'Unavailable'

/** A footnote of the table: the refusal, or `ok`. */
type Cell =
  | 'ok'
  | 'disabled'
  | 'pending-deletion'
  | 'pending-import'
  | 'unavailable'
  | 'not-pending-deletion'
  | 'origin-external'
  | 'unsupported'

type Line = Readonly<Record<ShownState, Cell>>

const line = (Enabled: Cell, Disabled: Cell, PendingDeletion: Cell, PendingImport: Cell, Unavailable: Cell): Line => ({
  Enabled,
  Disabled,
  PendingDeletion,
  PendingImport,
  Unavailable,
})

const use = line('ok', 'disabled', 'pending-deletion', 'pending-import', 'unavailable')
const always = line('ok', 'ok', 'ok', 'ok', 'ok')
const unlessDeleting = line('ok', 'ok', 'pending-deletion', 'ok', 'ok')
const enabling = line('ok', 'ok', 'pending-deletion', 'pending-import', 'ok')
const rotating = line('ok', 'disabled', 'pending-deletion', 'origin-external', 'unsupported')
const importing = line('ok', 'ok', 'pending-deletion', 'ok', 'ok')

export const STATE_TABLE: Readonly<Record<string, Line>> = {
  Encrypt: use,
  Decrypt: use,
  ReEncrypt: use,
  GenerateDataKey: use,
  GenerateDataKeyWithoutPlaintext: use,
  DescribeKey: always,
  GetKeyPolicy: always,
  PutKeyPolicy: always,
  ListAliases: always,
  ListKeyPolicies: always,
  ListResourceTags: always,
  ListKeyRotations: always,
  DeleteAlias: always,
  CreateAlias: unlessDeleting,
  UpdateAlias: unlessDeleting,
  TagResource: unlessDeleting,
  UntagResource: unlessDeleting,
  UpdateKeyDescription: unlessDeleting,
  EnableKey: enabling,
  DisableKey: enabling,
  EnableKeyRotation: rotating,
  DisableKeyRotation: rotating,
  GetKeyRotationStatus: line('ok', 'ok', 'ok', 'origin-external', 'unsupported'),
  RotateKeyOnDemand: line('ok', 'disabled', 'pending-deletion', 'pending-import', 'unsupported'),
  GetParametersForImport: importing,
  ImportKeyMaterial: importing,
  DeleteImportedKeyMaterial: always,
  ScheduleKeyDeletion: unlessDeleting,
  CancelKeyDeletion: line(
    'not-pending-deletion',
    'not-pending-deletion',
    'ok',
    'not-pending-deletion',
    'not-pending-deletion',
  ),
}

const REFUSALS: Readonly<Record<Exclude<Cell, 'ok'>, (arn: string) => KmsError>> = {
  disabled: arn => new KmsError('DisabledException', `${arn} is disabled.`),
  'pending-deletion': arn =>
    new KmsError('KMSInvalidStateException', `${arn} is pending deletion (or pending replica deletion).`),
  'pending-import': arn => new KmsError('KMSInvalidStateException', `${arn} is pending import.`),
  unavailable: arn => new KmsError('KMSInvalidStateException', `${arn} is unavailable.`),
  'not-pending-deletion': arn =>
    new KmsError('KMSInvalidStateException', `${arn} is not pending deletion (or pending replica deletion).`),
  'origin-external': arn =>
    new KmsError('UnsupportedOperationException', `${arn} origin is EXTERNAL which is not valid for this operation.`),
  unsupported: arn =>
    new KmsError(
      'UnsupportedOperationException',
      `${arn} is in a custom key store, which is not valid for this operation.`,
    ),
}

/** What AWS shows as the key's state. */
export function shownState(call: Call, key: FoundKey): ShownState {
  const { header } = key
  if (header.state === 'PendingDeletion') return 'PendingDeletion'
  if (header.keyStoreId !== '' && !call.services.stores.connected(header.keyStoreId)) return 'Unavailable'
  if (header.state === 'Enabled' || header.state === 'Disabled' || header.state === 'PendingImport') return header.state
  throw new KmsError('KMSInternalException', undefined, {
    cause: new Error(`state ${header.state} of ${key.rowId} is none of the KMS's`),
  })
}

/** Throws the refusal of the table. An operation that has no line in it is a defect. */
export function checkState(call: Call, key: FoundKey, operation = call.operation): void {
  const cell = STATE_TABLE[operation]?.[shownState(call, key)]
  if (cell === undefined)
    throw new KmsError('KMSInternalException', undefined, {
      cause: new Error(`no key states are declared for ${operation}`),
    })
  if (cell !== 'ok') throw REFUSALS[cell](key.arn)
}
