/** How a call of the core can fail, and what the boundary's refusals are to it. */
import type { BoundaryErrorCode } from '../boundary/words.ts'

/** Every way in which an authenticated call can fail; each protocol has its own name for each. */
export type CoreErrorCode =
  | 'KeyUnknown'
  | 'KeyRevoked'
  | 'UsageForbidden'
  | 'BadRequest'
  | 'PolicyDenied'
  | 'Held'
  | 'BadCiphertext'
  | 'KeyExhausted'
  | 'Busy'
  | 'Unavailable'
  | 'Internal'

/** Already recorded where it could be. `message` is for the caller. */
export class CoreError extends Error {
  readonly code: CoreErrorCode
  constructor(code: CoreErrorCode, message: string) {
    super(message)
    this.name = 'CoreError'
    this.code = code
  }
}

export const MESSAGES: Readonly<Record<CoreErrorCode, string>> = {
  KeyUnknown: 'There is no external key of this id at this path.',
  KeyRevoked: 'The owner has revoked the external key, or every use by this caller or at this path.',
  UsageForbidden: 'The external key is not meant for this operation.',
  PolicyDenied: 'The policy of the owner does not allow this operation.',
  Held: 'The owner has put the external key on hold, and nobody has allowed this use yet.',
  BadRequest: 'The key does not know this algorithm, or the algorithm takes no value of this length.',
  BadCiphertext:
    'The ciphertext, its metadata, initialization vector or authentication tag, or the additional authenticated data is not what this key has made.',
  KeyExhausted: 'The external key has been used for as many encryptions as are safe; its owner must rotate it.',
  Busy: 'Too many requests are being handled; try again.',
  Unavailable: 'The key manager does not answer; try again.',
  Internal: 'The key manager failed; its operator finds the cause in its log.',
}

/** What the boundary's refusals are here. It has recorded them, but for those that it could not. */
export const OF_BOUNDARY: Partial<Record<BoundaryErrorCode, CoreErrorCode>> = {
  KeyGone: 'KeyUnknown',
  KeyRevoked: 'KeyRevoked',
  KeyDisabled: 'KeyRevoked',
  InvalidState: 'KeyRevoked',
  InvalidKeyUsage: 'UsageForbidden',
  InvalidCiphertext: 'BadCiphertext',
  InvalidRequest: 'BadRequest',
  Held: 'Held',
  Busy: 'Busy',
  LimitExceeded: 'KeyExhausted',
  Locked: 'Unavailable',
  Unavailable: 'Unavailable',
  TokenUnavailable: 'Unavailable',
  DiskFull: 'Unavailable',
}
