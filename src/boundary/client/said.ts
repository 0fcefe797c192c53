/**
 * What is said over the boundary's sockets, as types. Byte strings are `Buffer`s; sizes are bytes; times are milliseconds since 1970.
 */
import type { EncryptionAlgorithm, MessageType, PrivateKeyAlgorithm, SigningAlgorithm } from '../algorithms.ts'
import type { TreeHead } from '../journal/types.ts'
import type {
  Asserted,
  ExpirationModel,
  KeyManager,
  KeyOrigin,
  KeySpec,
  KeyUsage,
  Outcome,
  Row,
  RowKind,
  WriteSet,
} from '../words.ts'

/** Pairs as the caller gave them, in any order. The boundary sorts by bytes of the name and encodes with lengths. */
export type EncryptionContext = ReadonlyArray<readonly [name: string, value: string]>

/** Names a sealed key: its row, of which the client sends id, revision and digest, and the body the first time and whenever the boundary asks. */
export type KeyRow = Row & {
  readonly kind: 'key'
  /** SHA-256 of the row (`rowDigest`), where whoever holds it has that ready; otherwise it is computed. 32 bytes. */
  readonly digest?: Buffer | undefined
}

/** What a boundary has had, what it holds, and the checkpoint over it once the older state was accepted. */
export interface OlderStateAnswer {
  readonly seen: TreeHead
  readonly held: TreeHead & { readonly lastTime: number }
  readonly note: string
}

export interface BoundaryStatus {
  readonly service: 'kms' | 'ekm'
  /** 32 hex digits, made at first start. */
  readonly boundaryId: string
  readonly version: string
  readonly pid: number
  readonly locked: boolean
  readonly rootKind: 'keyfile' | 'passphrase' | 'pkcs11' | 'shares'
  readonly rootGeneration: number
  readonly lastWriteSet: number
  /** Number of records that are durable. */
  readonly logSize: number
  readonly logOrigin: string
  /** C2SP vkey of the checkpoint signer: `<name>+<hash>+<base64>`. */
  readonly logKey: string
  readonly dev: boolean
  /** Lifecycle time now. */
  readonly lifecycleNow: number
  readonly keys: number
  /** How often a version of an external key encrypts with AES-GCM, and after how many of these the key gets the next one. */
  readonly maxEncryptions: number
  readonly renewAfter: number
  /** What could not be done to protect the process, each a sentence for the operator. Empty is good. */
  readonly warnings: readonly string[]
}

export interface CeremonyStatus {
  readonly kind: 'unlock' | 'split'
  /** Of a split: how many shares were taken. Trial begins when all of them were. */
  readonly handedOut: number
  /** How many shares were given, and how many it takes. */
  readonly given: number
  readonly needed: number
  /** How many shares there are. */
  readonly shares: number
  /** Until it ends by itself, unless somebody comes. */
  readonly secondsLeft: number
}

export interface CreateKey {
  /** Row id, `<region>/<uuid>`, where the caller chose the UUID. Refused with AlreadyExists if it was ever used. */
  readonly id: string
  readonly scope: string
  readonly account: string
  readonly spec: KeySpec
  readonly usage: KeyUsage
  readonly origin: KeyOrigin
  /** Whether the key is the primary of a multi-Region set; its id is then `<region>/mrk-<32 hex digits>`. */
  readonly multiRegion: boolean
  readonly manager: KeyManager
  readonly managerService: string
  readonly policy: Buffer
  readonly keyStoreId: string
  readonly xksKeyId: string
  /** Rows made together with the key, atomically: attributes, and the alias of a provider-managed key. */
  readonly rows: readonly PutRow[]
}

/** A key as somebody wrote it down: only in a folder made with `--dev`. */
export interface SeedKey {
  /** Row id. With `mrk-` the key is the primary of a multi-Region set. */
  readonly id: string
  readonly account: string
  readonly spec: KeySpec
  readonly usage: KeyUsage
  readonly origin: 'AWS_KMS' | 'EXTERNAL'
  /** Regions of replicas, which have the same material, policy and state. */
  readonly replicaRegions: readonly string[]
  /** Secret bytes, or PKCS #8 DER; oldest first, the last is the current one. More than one only of a SYMMETRIC_DEFAULT key; none only of an EXTERNAL one. */
  readonly materials: readonly Buffer[]
  readonly state: 'Enabled' | 'Disabled' | 'PendingImport' | 'PendingDeletion'
  /** 0: now. */
  readonly createdAt: number
  /** 7 to 30 with the state PendingDeletion, else 0. */
  readonly pendingWindowDays: number
  /** 90 to 2560, or 0 for no rotation by itself. */
  readonly rotationPeriodDays: number
  /** 0: a period from now. */
  readonly nextRotationAt: number
  readonly policy: Buffer
  /** Rows made together with the key and its replicas, atomically: their attributes and aliases. */
  readonly rows: readonly PutRow[]
}

/** A replica to make of a multi-Region primary. */
export interface ReplicateKey {
  readonly region: string
  readonly policy: Buffer
  /** Rows made together with the replica, atomically: attributes. */
  readonly rows: readonly PutRow[]
}

/** A row to write, in a compare-and-set: `expected` is the revision that it must have now; 0 = it must not exist (a tombstone counts as not existing). */
export interface PutRow {
  readonly kind: RowKind
  readonly id: string
  readonly scope: string
  readonly link: string
  readonly expected: number
  /** null deletes. For `secret` kinds these are the clear bytes, which the boundary encrypts. */
  readonly body: Buffer | null
}

export interface ImportMaterial {
  readonly token: Buffer
  readonly wrapped: Buffer
  readonly expirationModel: ExpirationModel
  readonly validTo: number
  readonly importType: 'NEW_KEY_MATERIAL' | 'EXISTING_KEY_MATERIAL' | ''
  readonly description: string
  /** 64 hex digits, or empty. */
  readonly materialId: string
}

/** With RSA_AES_KEY_WRAP the blob is RSAES-OAEP of an AES-256 key, then AES-KWP (RFC 5649) of the material under that. */
export type WrappingAlgorithm =
  | 'RSAES_OAEP_SHA_256'
  | 'RSAES_OAEP_SHA_1'
  | 'RSA_AES_KEY_WRAP_SHA_256'
  | 'RSA_AES_KEY_WRAP_SHA_1'

/** Something done without key material, or refused before the boundary: it still has a record. */
export interface RecordEntry {
  readonly outcome: Outcome
  /** The protocol's error name; empty when allowed. */
  readonly error: string
  /** Row id of the key, where there is one. */
  readonly keyId: string
  readonly asserted: Asserted
  /** For counted unauthenticated requests: how many since the last such record of this reason. Else 0. */
  readonly count: number
}

export interface EncryptResult {
  readonly ciphertext: Buffer
  readonly materialId: string
}

/** A use of a key, as the log has it. */
export interface KeyUse {
  readonly operation: string
  readonly time: number
  /** Empty where the request had no UUID. */
  readonly requestId: string
  /** UUID; its last 62 bits are the sequence number of the record. */
  readonly eventId: string
}

/** One side of a re-encryption. The algorithm must be one of the key's. */
export interface ReEncryptSide {
  readonly key: KeyRow
  readonly algorithm: EncryptionAlgorithm
  /** Must be empty for asymmetric keys. */
  readonly context: EncryptionContext
}

/** What is signed: RAW is hashed here; a DIGEST has the length of the algorithm's hash; EXTERNAL_MU has 64 bytes. At most 4096 bytes. */
export interface ToSign {
  readonly algorithm: SigningAlgorithm
  readonly messageType: MessageType
  readonly message: Buffer
}

/**
 * DER SPKI of the RSA key (2048 to 4096 bits) that alone is to open the answer: what would be plaintext is then CMS EnvelopedData (RFC 5652) for it,
 * RSAES-OAEP with SHA-256 and AES-256-CBC. Whoever calls has verified the attestation document that it stands in.
 */
export type Recipient = Buffer | undefined

export interface PrivateKeyWork {
  /** SHA-256 of the DER SPKI of the key that is meant. */
  readonly spki: Buffer
  readonly algorithm: PrivateKeyAlgorithm
  /** The digest that is signed, or the ciphertext. */
  readonly message: Buffer
  /** Of OAEP, at most 1024 bytes; else empty. */
  readonly label: Buffer
}

export interface ExternalCiphertext {
  readonly iv: Buffer
  readonly ciphertext: Buffer
  readonly tag: Buffer
  /** 5 bytes: format 0x01, key version as u32be. Empty where the caller sent none. */
  readonly metadata: Buffer
  /** SHA-256(aad ‖ metadata ‖ iv ‖ ciphertext ‖ tag), verified by a decryption before it is returned. Only with `integrity`. */
  readonly integrityValue: Buffer | undefined
}

/** What of the journal is erased, or would be: records by their numbers. */
export interface Erasing {
  /** Of the retention rule. */
  readonly days: number
  /** The first record that the journal had. */
  readonly begins: number
  /** The first record that stays, which is the first of a segment; `begins` where nothing goes. */
  readonly firstToKeep: number
  readonly segments: number
  /** Current rows that stand in these segments, and are written again before. */
  readonly rows: number
}

/** A use of a key on hold that waits for a named person. Times are real milliseconds since 1970. */
export interface Ask {
  /** 12 hex digits; the same whenever the same caller asks for the same. */
  readonly id: string
  readonly keyId: string
  /** What the latest request said of itself. */
  readonly asserted: Asserted
  readonly firstAt: number
  readonly lastAt: number
  readonly count: number
  /** Requests that wait now. */
  readonly waiting: number
  readonly decision: 'none' | 'approved' | 'denied'
  /** Who decided, and until when it holds. */
  readonly by: string
  readonly until: number
}

/**
 * What a kill switch covers. `protocol` is the word before the operation in records (`xks`); `principal` is an authenticated peer's name, or the one that a
 * provider names as asking, exactly.
 */
export type RevokeTarget =
  | { readonly key: string }
  | { readonly tenant: string }
  | { readonly protocol: string }
  | { readonly principal: string }
  | { readonly all: true }

/**
 * What the front end must do with write sets: those of its own transitions and those that others caused (control socket, due dates, another connection).
 * Called in the order of their numbers, without waiting for the sets before. The boundary counts a set as delivered when its promise and those of all
 * before it have resolved; revoking and administrative changes wait for that, or for the connection's end.
 */
export type OnWriteSet = (set: WriteSet) => Promise<void>
