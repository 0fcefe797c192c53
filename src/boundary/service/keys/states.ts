/**
 * Key states as data: what each state answers to a use and to a transition, after aws-kms.md §9.2 and, for an owner's keys, the ekm's own two states.
 * The boundary walks these tables; the tests are generated from them.
 */
import type { BoundaryErrorCode, KeyState } from '../../words.ts'

/** The refusal of a use, or undefined where the state allows it. The same for every operation with key material. */
export const USE_STATES: Readonly<Record<KeyState, BoundaryErrorCode | undefined>> = {
  Enabled: undefined,
  Disabled: 'KeyDisabled',
  PendingImport: 'KeyPendingImport',
  PendingDeletion: 'KeyPendingDeletion',
  PendingReplicaDeletion: 'KeyPendingDeletion',
  Revoked: 'KeyRevoked',
  Creating: 'InvalidState',
  Updating: undefined,
}

export const KEY_TRANSITIONS = [
  'enableKey',
  'disableKey',
  'scheduleKeyDeletion',
  'cancelKeyDeletion',
  'putKeyPolicy',
  'setKeyRotation',
  'rotateKeyOnDemand',
  'importParameters',
  'importKeyMaterial',
  'deleteImportedKeyMaterial',
  'rotateExternalKey',
  'revoke',
  'restore',
] as const
export type KeyTransition = (typeof KEY_TRANSITIONS)[number]

/**
 * What a state says to a transition: the state that follows (a name), `stay` where the state is kept or follows from more than the state, or a refusal.
 */
type Verdict = { readonly to: KeyState } | { readonly refuse: BoundaryErrorCode } | 'stay'

const to = (state: KeyState): Verdict => ({ to: state })
const refuse = (code: BoundaryErrorCode): Verdict => ({ refuse: code })
const deleting = refuse('KeyPendingDeletion')
const importing = refuse('KeyPendingImport')
const wrong = refuse('InvalidState')

/** States that no key of this version reaches refuse everything that they must not allow. */
const notYet = {
  Creating: wrong,
  Updating: wrong,
  PendingReplicaDeletion: deleting,
} as const

export const TRANSITIONS: Readonly<Record<KeyTransition, Readonly<Record<KeyState, Verdict>>>> = {
  enableKey: {
    ...notYet,
    Enabled: 'stay',
    Disabled: to('Enabled'),
    PendingImport: importing,
    PendingDeletion: deleting,
    Revoked: wrong,
  },
  disableKey: {
    ...notYet,
    Enabled: to('Disabled'),
    Disabled: 'stay',
    PendingImport: importing,
    PendingDeletion: deleting,
    Revoked: wrong,
  },
  scheduleKeyDeletion: {
    ...notYet,
    Creating: to('PendingDeletion'),
    Enabled: to('PendingDeletion'),
    Disabled: to('PendingDeletion'),
    PendingImport: to('PendingDeletion'),
    PendingDeletion: deleting,
    Revoked: wrong,
  },
  /** To PendingImport where material is missing. */
  cancelKeyDeletion: {
    ...notYet,
    PendingReplicaDeletion: to('Disabled'),
    Enabled: wrong,
    Disabled: wrong,
    PendingImport: wrong,
    PendingDeletion: to('Disabled'),
    Revoked: wrong,
  },
  putKeyPolicy: {
    Creating: 'stay',
    Updating: 'stay',
    PendingReplicaDeletion: 'stay',
    Enabled: 'stay',
    Disabled: 'stay',
    PendingImport: 'stay',
    PendingDeletion: 'stay',
    Revoked: wrong,
  },
  setKeyRotation: {
    ...notYet,
    Enabled: 'stay',
    Disabled: refuse('KeyDisabled'),
    PendingImport: importing,
    PendingDeletion: deleting,
    Revoked: wrong,
  },
  rotateKeyOnDemand: {
    ...notYet,
    Enabled: 'stay',
    Disabled: refuse('KeyDisabled'),
    PendingImport: importing,
    PendingDeletion: deleting,
    Revoked: wrong,
  },
  importParameters: {
    ...notYet,
    Enabled: 'stay',
    Disabled: 'stay',
    PendingImport: 'stay',
    PendingDeletion: deleting,
    Revoked: wrong,
  },
  /** To Enabled with the last missing material. */
  importKeyMaterial: {
    ...notYet,
    Updating: 'stay',
    Enabled: 'stay',
    Disabled: 'stay',
    PendingImport: 'stay',
    PendingDeletion: deleting,
    Revoked: wrong,
  },
  /** To PendingImport, but for keys that are to be deleted. */
  deleteImportedKeyMaterial: {
    ...notYet,
    PendingReplicaDeletion: 'stay',
    Enabled: 'stay',
    Disabled: 'stay',
    PendingImport: 'stay',
    PendingDeletion: 'stay',
    Revoked: wrong,
  },
  /** An owner's keys are Enabled or Revoked, and nothing else. */
  rotateExternalKey: {
    ...notYet,
    Enabled: 'stay',
    Disabled: wrong,
    PendingImport: wrong,
    PendingDeletion: wrong,
    Revoked: refuse('KeyRevoked'),
  },
  revoke: {
    ...notYet,
    Enabled: to('Revoked'),
    Disabled: to('Revoked'),
    PendingImport: wrong,
    PendingDeletion: wrong,
    Revoked: 'stay',
  },
  restore: {
    ...notYet,
    Enabled: 'stay',
    Disabled: 'stay',
    PendingImport: wrong,
    PendingDeletion: wrong,
    Revoked: to('Enabled'),
  },
}
