/**
 * What a CK_RV means to us: tables, per kind of call and per vendor.
 */
import { CKR, ckrName } from './constants.ts'
import { TokenError, type TokenErrorCode } from './types.ts'

/** Return values after which the token, our session or our login is gone: everything is opened again. */
const LOST: ReadonlySet<number> = new Set([
  CKR.SLOT_ID_INVALID,
  CKR.DEVICE_ERROR,
  CKR.DEVICE_REMOVED,
  CKR.SESSION_CLOSED,
  CKR.SESSION_HANDLE_INVALID,
  CKR.TOKEN_NOT_PRESENT,
  CKR.TOKEN_NOT_RECOGNIZED,
  CKR.USER_NOT_LOGGED_IN,
  CKR.CRYPTOKI_NOT_INITIALIZED,
])

/** The PIN was refused, or may not be tried: never again. */
const PIN: ReadonlySet<number> = new Set([
  CKR.PIN_INCORRECT,
  CKR.PIN_INVALID,
  CKR.PIN_LEN_RANGE,
  CKR.PIN_EXPIRED,
  CKR.PIN_LOCKED,
  CKR.USER_PIN_NOT_INITIALIZED,
])

/** A remembered handle no longer names an object. */
const STALE: ReadonlySet<number> = new Set([CKR.KEY_HANDLE_INVALID, CKR.OBJECT_HANDLE_INVALID])

/** From `C_Decrypt`, on every token: tag, additional data and ciphertext do not belong together. */
const INVALID_CIPHERTEXT: ReadonlySet<number> = new Set([
  CKR.DATA_INVALID,
  CKR.DATA_LEN_RANGE,
  CKR.ENCRYPTED_DATA_INVALID,
  CKR.ENCRYPTED_DATA_LEN_RANGE,
  CKR.AEAD_DECRYPT_FAILED,
  CKR.SIGNATURE_INVALID,
])

/** From an `…Init` call: the token does not do this mechanism, or not with these parameters. It has not seen any data yet. */
const NOT_SO: ReadonlySet<number> = new Set([
  CKR.ARGUMENTS_BAD,
  CKR.FUNCTION_NOT_SUPPORTED,
  CKR.MECHANISM_INVALID,
  CKR.MECHANISM_PARAM_INVALID,
])

const OTHER: ReadonlyMap<number, TokenErrorCode> = new Map([
  [CKR.KEY_FUNCTION_NOT_PERMITTED, 'UsageRefused'],
  [CKR.KEY_TYPE_INCONSISTENT, 'KeyUnsuitable'],
  [CKR.KEY_SIZE_RANGE, 'KeyUnsuitable'],
  [CKR.SESSION_COUNT, 'Busy'],
] as const)

/** What is known of vendors' modules, by the start of CK_INFO.manufacturerID. */
export interface VendorProfile {
  readonly manufacturer: string
  /** A token in this process, which answers in microseconds: asynchronous calls would cost more than they save. */
  readonly inProcess: boolean
  /** Looks for tokens when it is initialised and at no other time, and is soon done with it: it is initialised anew although others of its tokens are open. */
  readonly rereads: boolean
  /** Return values of `C_Decrypt` that may mean a tag mismatch here. They are believed only when the token proves healthy afterwards. */
  readonly invalidCiphertext: readonly number[]
}

const VENDORS: readonly VendorProfile[] = [
  { manufacturer: 'SoftHSM', inProcess: true, rereads: true, invalidCiphertext: [CKR.GENERAL_ERROR] },
]

const UNKNOWN: VendorProfile = { manufacturer: '', inProcess: false, rereads: false, invalidCiphertext: [] }

export function vendorProfile(manufacturer: string): VendorProfile {
  return VENDORS.find(vendor => manufacturer.startsWith(vendor.manufacturer)) ?? UNKNOWN
}

export function isLost(rv: number): boolean {
  return LOST.has(rv)
}

export function isPinRefusal(rv: number): boolean {
  return PIN.has(rv)
}

export function isStaleHandle(rv: number): boolean {
  return STALE.has(rv)
}

/** Whether a call says that the token does not do what it was to begin. */
export function isNotOffered({ rv, call }: { readonly rv: number; readonly call: string }): boolean {
  return call.endsWith('Init') && NOT_SO.has(rv)
}

/** True for the values that the standard has for it; vendors' own need a healthy token besides. */
export function isInvalidCiphertext(rv: number): boolean {
  return INVALID_CIPHERTEXT.has(rv)
}

/** The error for a return value of `call`, which is the function's name. */
export function tokenError(call: string, rv: number): TokenError {
  const message = `${call} answered ${ckrName(rv)}`
  if (LOST.has(rv)) return new TokenError('TokenLost', message, rv)
  if (PIN.has(rv)) return new TokenError('PinIncorrect', `${message}; the PIN is not tried again`, rv)
  return new TokenError(OTHER.get(rv) ?? 'Failed', message, rv)
}
