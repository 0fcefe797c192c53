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
  'replicateKey',
  'updatePrimaryRegion',
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

/** What most transitions are told in the states of multi-Region keys. Creating and Updating are passed through. */
const passing = {
  Creating: wrong,
  Updating: wrong,
  PendingReplicaDeletion: deleting,
} as const

export const TRANSITIONS: Readonly<Record<KeyTransition, Readonly<Record<KeyState, Verdict>>>> = {
  enableKey: {
    ...passing,
    Enabled: 'stay',
    Disabled: to('Enabled'),
    PendingImport: importing,
    PendingDeletion: deleting,
    Revoked: wrong,
  },
  disableKey: {
    ...passing,
    Enabled: to('Disabled'),
    Disabled: 'stay',
    PendingImport: importing,
    PendingDeletion: deleting,
    Revoked: wrong,
  },
  /** To PendingReplicaDeletion where a primary has replicas. */
  scheduleKeyDeletion: {
    ...passing,
    Creating: to('PendingDeletion'),
    Enabled: to('PendingDeletion'),
    Disabled: to('PendingDeletion'),
    PendingImport: to('PendingDeletion'),
    PendingDeletion: deleting,
    Revoked: wrong,
  },
  /** To PendingImport where material is missing. */
  cancelKeyDeletion: {
    ...passing,
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
    ...passing,
    Updating: 'stay',
    Enabled: 'stay',
    Disabled: refuse('KeyDisabled'),
    PendingImport: importing,
    PendingDeletion: deleting,
    Revoked: wrong,
  },
  rotateKeyOnDemand: {
    ...passing,
    Enabled: 'stay',
    Disabled: refuse('KeyDisabled'),
    PendingImport: importing,
    PendingDeletion: deleting,
    Revoked: wrong,
  },
  importParameters: {
    ...passing,
    Enabled: 'stay',
    Disabled: 'stay',
    PendingImport: 'stay',
    PendingDeletion: deleting,
    Revoked: wrong,
  },
  /** To Enabled with the last missing material. */
  importKeyMaterial: {
    ...passing,
    Updating: 'stay',
    Enabled: 'stay',
    Disabled: 'stay',
    PendingImport: 'stay',
    PendingDeletion: deleting,
    Revoked: wrong,
  },
  /** To PendingImport, but for keys that are to be deleted. */
  deleteImportedKeyMaterial: {
    ...passing,
    PendingReplicaDeletion: 'stay',
    Enabled: 'stay',
    Disabled: 'stay',
    PendingImport: 'stay',
    PendingDeletion: 'stay',
    Revoked: wrong,
  },
  /** An owner's keys are Enabled or Revoked, and nothing else. */
  rotateExternalKey: {
    ...passing,
    Enabled: 'stay',
    Disabled: wrong,
    PendingImport: wrong,
    PendingDeletion: wrong,
    Revoked: refuse('KeyRevoked'),
  },
  revoke: {
    ...passing,
    Enabled: to('Revoked'),
    Disabled: to('Revoked'),
    PendingImport: wrong,
    PendingDeletion: wrong,
    Revoked: 'stay',
  },
  restore: {
    ...passing,
    Enabled: 'stay',
    Disabled: 'stay',
    PendingImport: wrong,
    PendingDeletion: wrong,
    Revoked: to('Enabled'),
  },
  replicateKey: {
    ...passing,
    Enabled: 'stay',
    Disabled: refuse('KeyDisabled'),
    PendingImport: importing,
    PendingDeletion: deleting,
    Revoked: wrong,
  },
  updatePrimaryRegion: {
    ...passing,
    Updating: 'stay',
    Enabled: to('Updating'),
    Disabled: refuse('KeyDisabled'),
    PendingImport: importing,
    PendingDeletion: deleting,
    Revoked: wrong,
  },
}
