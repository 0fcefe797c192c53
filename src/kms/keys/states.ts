/**
 * Key state × operation, as data: aws-kms.md §9, for the operations that are built. Checked after authorization, before the boundary decides again.
 * The tests are generated from the table.
 */
import type { KeyHeader, KeyOrigin, KeySpec } from '../../boundary/words.ts'
import type { Call, FoundKey } from '../operations/types.ts'
import { KmsError } from '../wire/errors.ts'

/** AWS's states. `Unavailable` is not stored: it is a key whose custom key store is not connected. */
export const SHOWN_STATES = ['Enabled', 'Disabled', 'PendingDeletion', 'PendingImport', 'Unavailable'] as const
export type ShownState = (typeof SHOWN_STATES)[number]

/** A footnote of the table: a refusal, or one that applies to some keys only. */
export type Footnote =
  | 'disabled'
  | 'pendingDeletion'
  | 'notPendingDeletion'
  | 'pendingImport'
  | 'unavailable'
  /** Symmetric encryption keys, which alone have more than one material. */
  | 'symmetricOnly'
  /** [7]: keys whose material the provider generated. */
  | 'generatedOnly'
  /** [9]: keys whose material is imported. */
  | 'importedOnly'
  /** Keys that are in no custom key store. */
  | 'notInStore'

/** Footnotes of one operation in one state; the first that applies decides, and none means that the operation is allowed. */
type Line = Readonly<Record<ShownState, readonly Footnote[]>>

const line = (
  Enabled: readonly Footnote[],
  Disabled: readonly Footnote[],
  PendingDeletion: readonly Footnote[],
  PendingImport: readonly Footnote[],
  Unavailable: readonly Footnote[],
): Line => ({ Enabled, Disabled, PendingDeletion, PendingImport, Unavailable })

/** The same for every state, before what the states say. */
const only = (footnote: Footnote, { Enabled, Disabled, PendingDeletion, PendingImport, Unavailable }: Line): Line =>
  line(
    [footnote, ...Enabled],
    [footnote, ...Disabled],
    [footnote, ...PendingDeletion],
    [footnote, ...PendingImport],
    [footnote, ...Unavailable],
  )

const always = line([], [], [], [], [])
const use = line([], ['disabled'], ['pendingDeletion'], ['pendingImport'], ['unavailable'])
const unlessDeleting = line([], [], ['pendingDeletion'], [], [])
const enabling = line([], [], ['pendingDeletion'], ['pendingImport'], [])
const granting = line([], ['disabled'], ['pendingDeletion'], ['pendingImport'], [])
const rotating = line([], ['disabled'], ['pendingDeletion'], ['pendingImport'], [])

export const STATE_TABLE: Readonly<Record<string, Line>> = {
  Encrypt: use,
  Decrypt: use,
  ReEncrypt: use,
  GenerateDataKey: use,
  GenerateDataKeyWithoutPlaintext: use,
  GenerateDataKeyPair: use,
  GenerateDataKeyPairWithoutPlaintext: use,
  Sign: use,
  Verify: use,
  GenerateMac: use,
  VerifyMac: use,
  DeriveSharedSecret: use,
  Encapsulate: use,
  Decapsulate: use,
  GetPublicKey: use,
  DescribeKey: always,
  GetKeyPolicy: always,
  PutKeyPolicy: always,
  ListAliases: always,
  ListKeyPolicies: always,
  ListResourceTags: always,
  ListKeyRotations: only('symmetricOnly', always),
  DeleteAlias: always,
  CreateGrant: granting,
  ListGrants: always,
  RetireGrant: always,
  RevokeGrant: always,
  CreateAlias: unlessDeleting,
  // Of the new target; the old one may be in any state [10].
  UpdateAlias: unlessDeleting,
  TagResource: unlessDeleting,
  UntagResource: unlessDeleting,
  UpdateKeyDescription: unlessDeleting,
  EnableKey: enabling,
  DisableKey: enabling,
  EnableKeyRotation: only('symmetricOnly', only('generatedOnly', rotating)),
  DisableKeyRotation: only('symmetricOnly', only('generatedOnly', rotating)),
  // Of keys that are not symmetric it is told that they do not rotate: clients ask it of every key.
  GetKeyRotationStatus: only('generatedOnly', always),
  RotateKeyOnDemand: only('symmetricOnly', only('notInStore', rotating)),
  GetParametersForImport: only('importedOnly', unlessDeleting),
  ImportKeyMaterial: only('importedOnly', unlessDeleting),
  DeleteImportedKeyMaterial: only('importedOnly', always),
  ScheduleKeyDeletion: unlessDeleting,
  CancelKeyDeletion: line(
    ['notPendingDeletion'],
    ['notPendingDeletion'],
    [],
    ['notPendingDeletion'],
    ['notPendingDeletion'],
  ),
}

const wrongOrigin = (arn: string, origin: KeyOrigin): KmsError =>
  new KmsError('UnsupportedOperationException', `${arn} origin is ${origin} which is not valid for this operation.`)
const invalidState = (text: string) => (arn: string) => new KmsError('KMSInvalidStateException', `${arn} ${text}`)

/** What a footnote says to a key, in AWS's words (§9.1); undefined where it does not concern the key. */
export const REFUSALS: Readonly<
  Record<Footnote, (arn: string, origin: KeyOrigin, operation: string, spec: KeySpec) => KmsError | undefined>
> = {
  disabled: arn => new KmsError('DisabledException', `${arn} is disabled.`),
  pendingDeletion: (arn, _, operation) =>
    invalidState(
      operation === 'UpdateAlias' ? 'is pending deletion.' : 'is pending deletion (or pending replica deletion).',
    )(arn),
  notPendingDeletion: invalidState('is not pending deletion (or pending replica deletion).'),
  pendingImport: invalidState('is pending import.'),
  unavailable: invalidState('is unavailable.'),
  symmetricOnly: (_, _origin, _operation, spec) =>
    spec === 'SYMMETRIC_DEFAULT' ? undefined : new KmsError('UnsupportedOperationException'),
  generatedOnly: (arn, origin) => (origin === 'AWS_KMS' ? undefined : wrongOrigin(arn, origin)),
  importedOnly: (arn, origin) => (origin === 'EXTERNAL' ? undefined : wrongOrigin(arn, origin)),
  notInStore: (arn, origin) => (origin === 'EXTERNAL_KEY_STORE' ? wrongOrigin(arn, origin) : undefined),
}

/** What callers see as the key's state. A key that waits for its deletion goes on doing so while its store is away [13]. */
export function stateShown({ state, keyStoreId }: KeyHeader, connected: (store: string) => boolean): ShownState {
  if (state === 'PendingDeletion') return state
  if (keyStoreId !== '' && !connected(keyStoreId)) return 'Unavailable'
  if (state === 'Enabled' || state === 'Disabled' || state === 'PendingImport') return state
  throw new KmsError('KMSInternalException', undefined, { cause: new Error(`state ${state} is none of the KMS's`) })
}

export function shownState({ services }: Call, { header }: FoundKey): ShownState {
  return stateShown(header, store => services.stores.connected(store))
}

/** Throws the refusal of the table. An operation that has no line in it is a defect. */
export function checkState(call: Call, key: FoundKey, operation = call.operation): void {
  const footnotes = STATE_TABLE[operation]?.[shownState(call, key)]
  if (footnotes === undefined)
    throw new KmsError('KMSInternalException', undefined, {
      cause: new Error(`no key states are declared for ${operation}`),
    })
  for (const footnote of footnotes) {
    const refusal = REFUSALS[footnote](key.arn, key.header.origin, operation, key.header.spec)
    if (refusal !== undefined) throw refusal
  }
}
