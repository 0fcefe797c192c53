/**
 * The names of PKCS#11 v2.40 that this room uses, with their numbers: return values, mechanisms, object classes, attributes and flags.
 */

/** CK_RV (PKCS#11 v2.40 base specification, §5.1, and v3.0 for AEAD_DECRYPT_FAILED). */
export const CKR = {
  OK: 0x0,
  HOST_MEMORY: 0x2,
  SLOT_ID_INVALID: 0x3,
  GENERAL_ERROR: 0x5,
  FUNCTION_FAILED: 0x6,
  ARGUMENTS_BAD: 0x7,
  CANT_LOCK: 0xa,
  ATTRIBUTE_SENSITIVE: 0x11,
  ATTRIBUTE_TYPE_INVALID: 0x12,
  ATTRIBUTE_VALUE_INVALID: 0x13,
  DATA_INVALID: 0x20,
  DATA_LEN_RANGE: 0x21,
  DEVICE_ERROR: 0x30,
  DEVICE_MEMORY: 0x31,
  DEVICE_REMOVED: 0x32,
  ENCRYPTED_DATA_INVALID: 0x40,
  ENCRYPTED_DATA_LEN_RANGE: 0x41,
  AEAD_DECRYPT_FAILED: 0x42,
  FUNCTION_CANCELED: 0x50,
  FUNCTION_NOT_SUPPORTED: 0x54,
  KEY_HANDLE_INVALID: 0x60,
  KEY_SIZE_RANGE: 0x62,
  KEY_TYPE_INCONSISTENT: 0x63,
  KEY_FUNCTION_NOT_PERMITTED: 0x68,
  MECHANISM_INVALID: 0x70,
  MECHANISM_PARAM_INVALID: 0x71,
  OBJECT_HANDLE_INVALID: 0x82,
  OPERATION_ACTIVE: 0x90,
  OPERATION_NOT_INITIALIZED: 0x91,
  PIN_INCORRECT: 0xa0,
  PIN_INVALID: 0xa1,
  PIN_LEN_RANGE: 0xa2,
  PIN_EXPIRED: 0xa3,
  PIN_LOCKED: 0xa4,
  SESSION_CLOSED: 0xb0,
  SESSION_COUNT: 0xb1,
  SESSION_HANDLE_INVALID: 0xb3,
  SIGNATURE_INVALID: 0xc0,
  TOKEN_NOT_PRESENT: 0xe0,
  TOKEN_NOT_RECOGNIZED: 0xe1,
  TOKEN_WRITE_PROTECTED: 0xe2,
  USER_ALREADY_LOGGED_IN: 0x100,
  USER_NOT_LOGGED_IN: 0x101,
  USER_PIN_NOT_INITIALIZED: 0x102,
  USER_ANOTHER_ALREADY_LOGGED_IN: 0x104,
  BUFFER_TOO_SMALL: 0x150,
  CRYPTOKI_NOT_INITIALIZED: 0x190,
  CRYPTOKI_ALREADY_INITIALIZED: 0x191,
} as const

const NAMES = new Map<number, string>(Object.entries(CKR).map(([name, code]) => [code, name]))

/** `CKR_DEVICE_REMOVED (0x32)`, for operators. */
export function ckrName(rv: number): string {
  const name = NAMES.get(rv)
  return name === undefined ? `CKR 0x${rv.toString(16)}` : `CKR_${name} (0x${rv.toString(16)})`
}

/**
 * Mechanisms. CKM_AES_KEY_WRAP_PAD (0x210a) is not among them: RFC 5649 to some vendors, PKCS #7 to others, which is why v3.0 has new names for the two.
 */
export const CKM = {
  RSA_PKCS_KEY_PAIR_GEN: 0x0,
  RSA_X_509: 0x3,
  RSA_PKCS_OAEP: 0x9,
  SHA_1: 0x220,
  SHA256: 0x250,
  AES_KEY_GEN: 0x1080,
  AES_ECB: 0x1081,
  AES_GCM: 0x1087,
  AES_KEY_WRAP: 0x2109,
  AES_KEY_WRAP_KWP: 0x210b,
} as const

export const CKG = { MGF1_SHA1: 1, MGF1_SHA256: 2 } as const
/** The label of RSAES-OAEP is in the parameters. */
export const CKZ_DATA_SPECIFIED = 1

export const CKO_PUBLIC_KEY = 2
export const CKO_PRIVATE_KEY = 3
export const CKO_SECRET_KEY = 4
export const CKK_RSA = 0x0
export const CKK_AES = 0x1f
export const CKU_USER = 1

export const CKA = {
  CLASS: 0x0,
  TOKEN: 0x1,
  PRIVATE: 0x2,
  LABEL: 0x3,
  VALUE: 0x11,
  KEY_TYPE: 0x100,
  ID: 0x102,
  SENSITIVE: 0x103,
  ENCRYPT: 0x104,
  DECRYPT: 0x105,
  WRAP: 0x106,
  UNWRAP: 0x107,
  SIGN: 0x108,
  VERIFY: 0x10a,
  DERIVE: 0x10c,
  MODULUS: 0x120,
  MODULUS_BITS: 0x121,
  PUBLIC_EXPONENT: 0x122,
  VALUE_LEN: 0x161,
  EXTRACTABLE: 0x162,
  MODIFIABLE: 0x170,
} as const

/** Flags of CK_C_INITIALIZE_ARGS, C_OpenSession, CK_TOKEN_INFO and CK_MECHANISM_INFO. */
export const CKF = {
  OS_LOCKING_OK: 0x2,
  HW: 0x1,
  ENCRYPT: 0x100,
  DECRYPT: 0x200,
  GENERATE: 0x8000,
  GENERATE_KEY_PAIR: 0x10000,
  WRAP: 0x20000,
  UNWRAP: 0x40000,
  RW_SESSION: 0x2,
  SERIAL_SESSION: 0x4,
  USER_PIN_FINAL_TRY: 0x20000,
  USER_PIN_LOCKED: 0x40000,
} as const
