/**
 * What the boundary does for others, as types: the use socket (for the front end) and the control socket (for the administrator's CLI).
 *
 * Every method is one request on the socket, except that a use whose key the boundary has not opened yet is repeated once with the sealed key.
 * Every answer comes after the record of what was done is durable. Every method rejects with a `BoundaryError`, and at once with
 * `Unavailable` while there is no connection. Byte strings are `Buffer`s; sizes are bytes; times are milliseconds since 1970.
 */
import type {
  Asserted,
  Backing,
  BoundaryErrorCode,
  ExpirationModel,
  KeyHeader,
  KeyManager,
  KeyOrigin,
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

export interface BoundaryStatus {
  readonly service: 'kms' | 'ekm'
  /** 32 hex digits, made at first start. */
  readonly boundaryId: string
  readonly version: string
  readonly pid: number
  readonly locked: boolean
  readonly rootKind: 'keyfile' | 'passphrase' | 'pkcs11'
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
  /** What could not be done to protect the process, each a sentence for the operator. Empty is good. */
  readonly warnings: readonly string[]
}

export interface CreateKey {
  /** Row id, `<region>/<uuid>`, where the caller chose the UUID. Refused with AlreadyExists if it was ever used. */
  readonly id: string
  readonly scope: string
  readonly account: string
  readonly origin: KeyOrigin
  readonly manager: KeyManager
  readonly managerService: string
  readonly policy: Buffer
  readonly keyStoreId: string
  readonly xksKeyId: string
  /** Rows made together with the key, atomically: attributes, and the alias of a provider-managed key. */
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

export type WrappingAlgorithm = 'RSAES_OAEP_SHA_256' | 'RSAES_OAEP_SHA_1'

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

/** The use socket. One connection per front end; requests of one tick leave in one write. */
export interface BoundaryUse {
  status(): Promise<BoundaryStatus>
  /** Write sets with numbers above `after`, oldest first, at most `max`. */
  writeSets(after: number, max: number): Promise<readonly WriteSet[]>
  /**
   * Checks rows that were loaded from the store against the newest that the boundary knows. The answer holds for each either `'ok'`
   * or the current row (with a null body where it is deleted), or undefined where there never was one.
   */
  checkRows(rows: readonly Row[]): Promise<ReadonlyArray<'ok' | Row | undefined>>
  /** Opens a row of protection `secret` that is current. */
  openSecret(row: Row): Promise<Buffer>

  encrypt(key: KeyRow, plaintext: Buffer, context: EncryptionContext, asserted: Asserted): Promise<EncryptResult>
  decrypt(
    key: KeyRow,
    message: Buffer,
    context: EncryptionContext,
    asserted: Asserted,
  ): Promise<{ plaintext: Buffer; materialId: string }>
  /** One operation over two keys; the plaintext never leaves. */
  reEncrypt(
    source: KeyRow,
    message: Buffer,
    sourceContext: EncryptionContext,
    destination: KeyRow,
    destinationContext: EncryptionContext,
    asserted: Asserted,
  ): Promise<EncryptResult & { sourceMaterialId: string }>
  /** Makes `bytes` random bytes (1..1024) and encrypts them. Without `wantPlaintext` they never leave the boundary. */
  generateDataKey(
    key: KeyRow,
    bytes: number,
    wantPlaintext: boolean,
    context: EncryptionContext,
    asserted: Asserted,
  ): Promise<EncryptResult & { plaintext: Buffer | undefined }>
  generateRandom(bytes: number, asserted: Asserted): Promise<Buffer>
  record(entry: RecordEntry): Promise<void>

  /** Transitions. Each resolves after its write set was given to `onWriteSet` and that has resolved, so the store has it. */
  createKey(input: CreateKey, asserted: Asserted): Promise<KeyRow>
  enableKey(id: string, asserted: Asserted): Promise<KeyRow>
  disableKey(id: string, asserted: Asserted): Promise<KeyRow>
  scheduleKeyDeletion(id: string, pendingWindowDays: number, asserted: Asserted): Promise<KeyRow>
  cancelKeyDeletion(id: string, asserted: Asserted): Promise<KeyRow>
  putKeyPolicy(id: string, policy: Buffer, asserted: Asserted): Promise<KeyRow>
  setKeyRotation(id: string, enabled: boolean, periodDays: number, asserted: Asserted): Promise<KeyRow>
  rotateKeyOnDemand(id: string, asserted: Asserted): Promise<KeyRow>
  /** A fresh RSA key pair for one import. The private half is in the token, sealed; valid for 24 hours of lifecycle time. */
  importParameters(
    id: string,
    algorithm: WrappingAlgorithm,
    modulusBits: 2048 | 3072 | 4096,
    asserted: Asserted,
  ): Promise<{ token: Buffer; publicKey: Buffer; validTo: number }>
  importKeyMaterial(id: string, input: ImportMaterial, asserted: Asserted): Promise<{ row: KeyRow; materialId: string }>
  /** `materialId` empty means the current one. */
  deleteImportedKeyMaterial(
    id: string,
    materialId: string,
    asserted: Asserted,
  ): Promise<{ row: KeyRow; materialId: string }>
  /** Rows of `use` kinds, all or none. */
  putRows(rows: readonly PutRow[], asserted: Asserted): Promise<readonly Row[]>

  /** AES-256-GCM under an owner's external key, in the boundary or in the token. `aad` is the protocol's, before metadata is added. */
  externalEncrypt(
    key: KeyRow,
    plaintext: Buffer,
    aad: Buffer,
    integrity: boolean,
    asserted: Asserted,
  ): Promise<ExternalCiphertext>
  externalDecrypt(key: KeyRow, ciphertext: ExternalCiphertext, aad: Buffer, asserted: Asserted): Promise<Buffer>
  /** Real cryptography on a test key of the boundary's own (in the token for the pkcs11 kind). */
  selfTest(): Promise<{ ok: boolean; detail: string }>
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

/** The control socket: for the administrator, mode 0600. Works with the front end dead or hostile. */
export interface BoundaryControl {
  status(): Promise<BoundaryStatus>
  unlock(passphrase: Buffer): Promise<void>
  /** Rows of `control` kinds, all or none. */
  putRows(rows: readonly PutRow[], asserted: Asserted): Promise<readonly Row[]>
  /** The current row, as the boundary has it, whatever the store says. */
  getRow(kind: RowKind, id: string): Promise<Row | undefined>
  /** Current rows of a kind in id order, tombstones left out. */
  listRows(kind: RowKind, after: string, max: number): Promise<readonly Row[]>

  createExternalKey(
    input: {
      id: string
      scope: string
      tenant: string
      backing: Backing
      tokenObject: string
      mayEncrypt: boolean
      mayDecrypt: boolean
    },
    asserted: Asserted,
  ): Promise<KeyRow>
  rotateExternalKey(id: string, asserted: Asserted): Promise<KeyRow>
  /** In force for every use that starts after this has resolved, whatever the front end does. */
  revoke(target: RevokeTarget, asserted: Asserted): Promise<void>
  restore(target: RevokeTarget, asserted: Asserted): Promise<void>
  /**
   * Makes 32 random bytes (or takes `material`) and wraps them under a provider's import public key with RSAES-OAEP. With `keepAs` the same material
   * is also kept here as an external key, so that the owner has a durable copy. With `from` it is the current material of an external key that is
   * kept here (sealed, never one in the token) that is wrapped: `material` and `keepAs` are then undefined.
   */
  wrapForImport(
    input: {
      publicKey: Buffer
      algorithm: WrappingAlgorithm
      material: Buffer | undefined
      keepAs: { id: string; scope: string; tenant: string } | undefined
      from?: string
    },
    asserted: Asserted,
  ): Promise<{ wrapped: Buffer; fingerprint: Buffer }>

  /** Moves lifecycle time forward; only in a service started with `--dev`. Resolves when what fell due has been done. */
  advanceClock(milliseconds: number): Promise<{ lifecycleNow: number }>
  /** Finishes what is in flight, makes all durable and exits. */
  stop(): Promise<void>
}

export type RevokeTarget = { readonly key: string } | { readonly tenant: string } | { readonly all: true }

/**
 * What the front end must do with write sets: those of its own transitions and those that others caused (control socket, due dates, another connection).
 * Called in the order of their numbers, one at a time. The boundary counts a set as delivered when the promise has resolved; revoking and
 * administrative changes wait for that, or for the connection's end.
 */
export type OnWriteSet = (set: WriteSet) => Promise<void>

export type { BoundaryErrorCode, KeyHeader }
