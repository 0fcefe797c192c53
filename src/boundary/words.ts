/**
 * The words that the boundary and everything above it share: row kinds, key states, record fields, error codes.
 *
 * All of it is data. Codes are bytes on disk and on the sockets: they are for ever, so a code is never reused or renumbered.
 */

/** What protects a row in the store: only the boundary opens it; authenticated clear bytes; or a secret opened for the front end. */
export type Protection = 'sealed' | 'tagged' | 'secret'

/**
 * Every kind of row that the store holds. `socket` says where a row of that kind may be written from: `transition` kinds change only through
 * key transitions, `use` kinds through `putRows` of the front end, `control` kinds only by the administrator's CLI on the control socket.
 */
export const ROW_KINDS = {
  key: { code: 1, protection: 'sealed', socket: 'transition' },
  policy: { code: 2, protection: 'tagged', socket: 'transition' },
  attributes: { code: 3, protection: 'tagged', socket: 'use' },
  alias: { code: 4, protection: 'tagged', socket: 'use' },
  keystore: { code: 5, protection: 'tagged', socket: 'use' },
  'keystore-credential': { code: 6, protection: 'secret', socket: 'use' },
  grant: { code: 7, protection: 'tagged', socket: 'use' },
  account: { code: 16, protection: 'tagged', socket: 'control' },
  principal: { code: 17, protection: 'tagged', socket: 'control' },
  credential: { code: 18, protection: 'secret', socket: 'control' },
  group: { code: 19, protection: 'tagged', socket: 'control' },
  tenant: { code: 32, protection: 'tagged', socket: 'control' },
  switch: { code: 33, protection: 'tagged', socket: 'transition' },
  counter: { code: 34, protection: 'tagged', socket: 'transition' },
  clock: { code: 35, protection: 'tagged', socket: 'transition' },
  'owner-policy': { code: 36, protection: 'tagged', socket: 'control' },
  hold: { code: 37, protection: 'tagged', socket: 'control' },
} as const satisfies Record<string, { code: number; protection: Protection; socket: 'transition' | 'use' | 'control' }>

export type RowKind = keyof typeof ROW_KINDS

/**
 * Kinds whose tombstones need not be kept: an id is random and made once, and nothing but a row that the boundary knows as the newest is ever believed, so
 * one that it has forgotten is refused as one that never was. Never a kind whose ids come again. See docs/decisions/0027.
 */
export const FORGOTTEN_KINDS: ReadonlySet<RowKind> = new Set(['grant'])

/**
 * One row of the store, as the boundary made it. The store keeps it byte for byte and is not trusted with it.
 *
 * - `id`: UTF-8, at most 512 bytes, unique within its kind. Keys of the KMS: `<region>/<key-id>`; keys of the ekm: `<tenant>/<external-key-id>`;
 *   policy and attributes: the id of their key; alias: `<account>/<region>/alias/<name>`; keystore: `<account>/<region>/<cks-id>`;
 *   grant: `<key row id>#<grant id>`; principal: its ARN; group: its ARN; credential: its access key id; tenant: its path prefix; switch: `all`, `tenant/<tenant>`, `protocol/<name>` or `principal/<name>`; counter: `<key row id>#<version>`; hold: the id of its key; owner-policy: the tenant, or `*` for the whole service;
 *   clock: `offset`, by which lifecycle time is ahead of real time in a service started with `--dev`.
 * - `scope`: what lists walk: `<account>/<region>` for the KMS, the tenant for the ekm, the account for principals and credentials; of a grant
 *   `<region>/<retiring principal>`, empty where nobody may retire it by name.
 * - `link`: a second thing to look rows up by: alias → key row id, key → custom key store row id, credential → principal ARN, keystore → its name,
 *   grant → `<key row id>#<grantee principal>`.
 * - `revision`: from 1, plus one at every change, kept through deletion; of a kind whose tombstones are forgotten, from 1 again should an id come again.
 * - `body`: null is a tombstone. For `sealed` and `secret` kinds it is ciphertext.
 * - `tag`: 32 bytes, HMAC-SHA-256 by the boundary over all the other fields.
 */
export interface Row {
  readonly kind: RowKind
  readonly id: string
  readonly scope: string
  readonly link: string
  readonly revision: number
  readonly body: Buffer | null
  readonly tag: Buffer
}

/** The row id of the key that a grant's row belongs to; empty for an id that is none of a grant. */
export function keyOfGrant(id: string): string {
  return id.slice(0, Math.max(0, id.indexOf('#')))
}

/** What one transition changed. Numbered from 1 without gaps; the store applies them in this order and keeps the number of the last one. */
export interface WriteSet {
  readonly number: number
  readonly rows: readonly Row[]
}

export const KEY_STATES = {
  Enabled: 1,
  Disabled: 2,
  PendingImport: 3,
  PendingDeletion: 4,
  /** Only in the ekm: the owner has revoked the key. */
  Revoked: 5,
  /** Reserved for multi-Region keys. */
  Creating: 6,
  Updating: 7,
  PendingReplicaDeletion: 8,
} as const
export type KeyState = keyof typeof KEY_STATES

/** EXTERNAL_AES_256: a key of the ekm. The others are AWS's. What each is for: `algorithms.ts`. */
export const KEY_SPECS = {
  SYMMETRIC_DEFAULT: 1,
  EXTERNAL_AES_256: 2,
  RSA_2048: 3,
  RSA_3072: 4,
  RSA_4096: 5,
  ECC_NIST_P256: 6,
  ECC_NIST_P384: 7,
  ECC_NIST_P521: 8,
  ECC_SECG_P256K1: 9,
  ECC_NIST_EDWARDS25519: 10,
  ML_DSA_44: 11,
  ML_DSA_65: 12,
  ML_DSA_87: 13,
  ML_KEM_512: 14,
  ML_KEM_768: 15,
  ML_KEM_1024: 16,
  HMAC_224: 17,
  HMAC_256: 18,
  HMAC_384: 19,
  HMAC_512: 20,
} as const
export type KeySpec = keyof typeof KEY_SPECS
export const KEY_USAGES = {
  ENCRYPT_DECRYPT: 1,
  SIGN_VERIFY: 2,
  GENERATE_VERIFY_MAC: 3,
  KEY_AGREEMENT: 4,
  ENCAPSULATE_DECAPSULATE: 5,
} as const
export type KeyUsage = keyof typeof KEY_USAGES
/** OWNER: a key of the ekm. The others are AWS's. */
export const KEY_ORIGINS = { AWS_KMS: 1, EXTERNAL: 2, EXTERNAL_KEY_STORE: 3, OWNER: 4, AWS_CLOUDHSM: 5 } as const
export type KeyOrigin = keyof typeof KEY_ORIGINS
export const KEY_MANAGERS = { CUSTOMER: 1, AWS: 2 } as const
export type KeyManager = keyof typeof KEY_MANAGERS
export const MATERIAL_STATES = {
  CURRENT: 1,
  NON_CURRENT: 2,
  PENDING_ROTATION: 3,
  /** Imported into a multi-Region primary, and not yet into every replica. */
  PENDING_MULTI_REGION_IMPORT_AND_ROTATION: 4,
} as const
export type MaterialState = keyof typeof MATERIAL_STATES
export const ROTATION_TYPES = { NONE: 0, AUTOMATIC: 1, ON_DEMAND: 2 } as const
export type RotationType = keyof typeof ROTATION_TYPES
export const EXPIRATION_MODELS = { NONE: 0, KEY_MATERIAL_EXPIRES: 1, KEY_MATERIAL_DOES_NOT_EXPIRE: 2 } as const
export type ExpirationModel = keyof typeof EXPIRATION_MODELS
/** Whether a key is one of several Regions, and which of them. */
export const MULTI_REGION_TYPES = { NONE: 0, PRIMARY: 1, REPLICA: 2 } as const
export type MultiRegionType = keyof typeof MULTI_REGION_TYPES
/** Where the material of a key is: inside the sealed key, or as an object in the PKCS#11 token. */
export const BACKINGS = { SEALED: 1, TOKEN: 2 } as const
export type Backing = keyof typeof BACKINGS

/** What is known of one key material without opening it. Times are milliseconds since 1970 of lifecycle time; 0 means none. */
export interface MaterialInfo {
  /** KMS: 64 hex digits, derived from key id and material. ekm: the key version as 8 hex digits. */
  readonly id: string
  readonly state: MaterialState
  /** False once imported material was deleted or has expired. */
  readonly present: boolean
  readonly createdAt: number
  readonly expirationModel: ExpirationModel
  readonly validTo: number
  readonly description: string
  readonly rotationType: RotationType
  readonly rotatedAt: number
}

/**
 * The clear, authenticated part of a sealed key: what the front end may know of it. Read it with `readKeyHeader`.
 * Only the boundary can make one that a use accepts.
 */
export interface KeyHeader {
  readonly id: string
  readonly account: string
  readonly revision: number
  readonly rootGeneration: number
  /** The number of the one writing boundary; reserved for several boundaries over one store. */
  readonly fence: number
  readonly createdAt: number
  readonly spec: KeySpec
  readonly usage: KeyUsage
  readonly origin: KeyOrigin
  readonly manager: KeyManager
  /** For keys that the provider manages: the service that they belong to, for example `objects`. Else empty. */
  readonly managerService: string
  readonly state: KeyState
  /** The state to return to when a deletion is cancelled or a revocation is undone. */
  readonly previousState: KeyState
  readonly deletionDate: number
  readonly pendingWindowDays: number
  /** SHA-256 of the key policy's bytes; 32 zero bytes where a key has none. */
  readonly policyDigest: Buffer
  readonly rotationEnabled: boolean
  readonly rotationPeriodDays: number
  readonly nextRotationAt: number
  readonly onDemandRotations: number
  /** Row id of the custom key store, and the external key's id there. Else empty. */
  readonly keyStoreId: string
  readonly xksKeyId: string
  readonly backing: Backing
  /** CKA_ID (hex) or CKA_LABEL of the object in the token, as `id:…` or `label:…`. Else empty. */
  readonly tokenObject: string
  readonly mayEncrypt: boolean
  readonly mayDecrypt: boolean
  /** DER SPKI of an asymmetric key whose material is or was there; else empty. */
  readonly publicKey: Buffer
  /** Members of a multi-Region set have the same bare key id and each name the whole set. */
  readonly multiRegion: MultiRegionType
  /** Region of the set's primary key; empty for keys of one Region. */
  readonly primaryRegion: string
  /** Regions of the set's replicas, sorted by bytes. */
  readonly replicaRegions: readonly string[]
  /** Oldest first. Exactly one is CURRENT once the key has any. */
  readonly materials: readonly MaterialInfo[]
}

/**
 * What the front end asserts of a request: evidence in the record, never authentication. Every field is a string of at most `max` bytes of UTF-8;
 * a longer one is cut by the front end. The boundary copies these and no other.
 */
export const ASSERTED_FIELDS = {
  /** The API's operation, for example `GenerateDataKey` or `xks:encrypt`. */
  operation: { code: 1, max: 64 },
  requestId: { code: 2, max: 128 },
  account: { code: 3, max: 64 },
  principal: { code: 4, max: 2048 },
  accessKeyId: { code: 5, max: 128 },
  sourceIp: { code: 6, max: 64 },
  region: { code: 7, max: 32 },
  viaService: { code: 8, max: 256 },
  userAgent: { code: 9, max: 256 },
  peer: { code: 10, max: 256 },
  claimedPrincipal: { code: 11, max: 2048 },
  claimedKeyArn: { code: 12, max: 2048 },
  claimedOperation: { code: 13, max: 256 },
  claimedRequestId: { code: 14, max: 128 },
  reason: { code: 15, max: 256 },
  /** Ids of what the request was about when it is not a key: alias name, key store id, principal ARN. */
  subject: { code: 16, max: 512 },
  /** Where a provider says that its caller's request came from: the private network and its endpoint. */
  claimedSourceVpc: { code: 17, max: 128 },
  claimedSourceVpce: { code: 18, max: 128 },
  /** The grant that allowed the request; with two keys, of the source. */
  grantId: { code: 19, max: 64 },
  /** Of a verified attestation document: `module_id` (at most 256 units of UTF-16), and its registers, named as in policies (at most 32 of 64 bytes). */
  attestedModule: { code: 20, max: 768 },
  attestedRegisters: { code: 21, max: 4608 },
  /** Ids of the owner's policies that decided. */
  policy: { code: 24, max: 256 },
  /** What a provider says of its caller beside who that is, and where and for what. */
  claimedAccount: { code: 25, max: 256 },
  claimedRegion: { code: 26, max: 64 },
  claimedPool: { code: 27, max: 256 },
  claimedEmail: { code: 28, max: 320 },
  claimedPerimeter: { code: 29, max: 256 },
} as const
export type AssertedField = keyof typeof ASSERTED_FIELDS
export type Asserted = { readonly [F in AssertedField]?: string }

export const OUTCOMES = { allowed: 1, denied: 2, failed: 3 } as const
export type Outcome = keyof typeof OUTCOMES

/** What went wrong inside the boundary. `callerError` ones are the caller's doing; the front end maps each to its protocol's own error. */
export const BOUNDARY_ERRORS = {
  /** The root has not been given yet (passphrase), or the token is gone. */
  Locked: { code: 1 },
  /** No connection to the boundary, or it is stopping. Made by the client, never sent. */
  Unavailable: { code: 2 },
  /** The named revision or digest is not the newest; carries the current row. Run the whole operation again, once. */
  StaleKey: { code: 3 },
  /** The boundary does not have this sealed key open; the client sends it along and repeats. Never reaches callers. */
  NeedSealedKey: { code: 4 },
  /** The key is deleted, or was never made here. */
  KeyGone: { code: 5 },
  KeyDisabled: { code: 6 },
  KeyPendingDeletion: { code: 7 },
  KeyPendingImport: { code: 8 },
  KeyRevoked: { code: 9 },
  /** A transition that the key's state or kind does not allow; `detail` names the state or the reason. */
  InvalidState: { code: 10 },
  InvalidKeyUsage: { code: 11 },
  InvalidCiphertext: { code: 12 },
  LimitExceeded: { code: 13 },
  /** Compare-and-set failed: the row has another revision. */
  Conflict: { code: 14 },
  /** The front end sent what it should have refused. Reaching this is a defect above the boundary. */
  InvalidRequest: { code: 15 },
  InvalidImportToken: { code: 16 },
  ExpiredImportToken: { code: 17 },
  IncorrectKeyMaterial: { code: 18 },
  NoPendingMaterial: { code: 19 },
  /** Free space is below the floor: uses are refused, revoking still works. */
  DiskFull: { code: 20 },
  /** The token did not answer in time, or dropped us. */
  TokenUnavailable: { code: 21 },
  WrongPassphrase: { code: 22 },
  NotPermitted: { code: 23 },
  Internal: { code: 24 },
  AlreadyExists: { code: 25 },
  InvalidSignature: { code: 26 },
  InvalidMac: { code: 27 },
  /** All would have succeeded, and was only to be tried. */
  DryRun: { code: 28 },
  /** A peer's public key or a recipient's is none, or does not fit the key. */
  InvalidPublicKey: { code: 29 },
  /** A session token that this boundary did not make, or that has expired. */
  InvalidSession: { code: 30 },
  ExpiredSession: { code: 31 },
  /** Too much slow work waits already; nothing is wrong with the request. */
  Busy: { code: 32 },
  /** The key is on hold and nobody has decided for this use. `detail`: `wait` or `deny`, and the id of the ask. */
  Held: { code: 33 },
  /** One or more of the shares that were given are wrong; never which. All of them are forgotten. */
  WrongShares: { code: 34 },
} as const satisfies Record<string, { code: number }>
export type BoundaryErrorCode = keyof typeof BOUNDARY_ERRORS

/** An error that the boundary answered, or that its client made when there was no answer. `message` never holds a secret. */
export class BoundaryError extends Error {
  readonly code: BoundaryErrorCode
  readonly detail: string
  /** With StaleKey: the current row, or undefined where it is gone. */
  readonly row: Row | undefined
  constructor(code: BoundaryErrorCode, detail = '', row?: Row) {
    super(detail === '' ? code : `${code}: ${detail}`)
    this.name = 'BoundaryError'
    this.code = code
    this.detail = detail
    this.row = row
  }
}
