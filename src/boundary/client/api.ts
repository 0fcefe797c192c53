/**
 * What the boundary does for others, as types: the use socket (for the front end) and the control socket (for the administrator's CLI).
 *
 * Every method is one request on the socket, except that a use whose key the boundary has not opened yet is repeated once with the sealed key.
 * Every answer comes after the record of what was done is durable. Every method rejects with a `BoundaryError`, and at once with
 * `Unavailable` while there is no connection. Byte strings are `Buffer`s; sizes are bytes; times are milliseconds since 1970.
 */
import type { EncryptionAlgorithm, ExternalSpec, ExternalWrapAlgorithm, MacAlgorithm } from '../algorithms.ts'
import type { Asserted, Backing, BoundaryErrorCode, KeyHeader, KeySpec, Row, RowKind, WriteSet } from '../words.ts'
import type { NewTrust, RootStatus } from './root.ts'
import type {
  Ask,
  BoundaryStatus,
  CeremonyStatus,
  CreateKey,
  EncryptionContext,
  EncryptResult,
  ExternalCiphertext,
  ImportMaterial,
  KeyRow,
  KeyUse,
  PrivateKeyWork,
  PutRow,
  Recipient,
  RecordEntry,
  ReEncryptSide,
  ReplicateKey,
  RevokeTarget,
  ToSign,
  WrappingAlgorithm,
} from './said.ts'

/** The use socket. One connection per front end; requests of one tick leave in one write. */
export interface BoundaryUse {
  status(): Promise<BoundaryStatus>
  /**
   * Write sets with numbers above `after`, oldest first, at most `max`. Those up to the horizon are not to be had any more: where `after` is below it, they
   * begin behind the horizon, and make the whole for a store that was emptied first.
   */
  writeSets(after: number, max: number): Promise<{ readonly horizon: number; readonly sets: readonly WriteSet[] }>
  /**
   * Checks rows that were loaded from the store against the newest that the boundary knows. The answer holds for each either `'ok'`
   * or the current row (with a null body where it is deleted), or undefined where none is known: it never was, or is deleted and forgotten.
   */
  checkRows(rows: readonly Row[]): Promise<ReadonlyArray<'ok' | Row | undefined>>
  /** Opens a row of protection `secret` that is current. */
  openSecret(row: Row): Promise<Buffer>

  /**
   * The last successful use of a key, as the log has it: `operation` as the API names it, `time` of lifecycle time, `eventId` of its record. `since`: real
   * time from which uses are known, before any key of this boundary was made.
   */
  keyLastUsage(id: string): Promise<{ readonly since: number; readonly use: KeyUse | undefined }>
  /** The key with which front ends sign the markers of their lists: 32 bytes, the same for all of them, also after a restart. */
  markerKey(): Promise<Buffer>
  /**
   * Seals what a session of temporary credentials is made of, at most 8192 bytes, until `expiresAt`: real time, at most 36 hours ahead. What it is made
   * of is the front end's business; that nobody else makes one, or makes one last longer, is the boundary's.
   */
  sealSession(body: Buffer, expiresAt: number, asserted: Asserted): Promise<{ token: Buffer }>
  /**
   * What `sealSession` sealed. InvalidSession where the token is not this boundary's, ExpiredSession where its time is over; strangers can send any, so
   * refusals have no record.
   */
  openSession(token: Buffer, asserted: Asserted): Promise<{ body: Buffer; expiresAt: number }>

  encrypt(key: KeyRow, plaintext: Buffer, context: EncryptionContext, asserted: Asserted): Promise<EncryptResult>
  /** With `dryRun`, here and in the other two that have it, all of it is done and what came of it is wiped: DryRun where it would have succeeded. */
  decrypt(
    key: KeyRow,
    message: Buffer,
    context: EncryptionContext,
    asserted: Asserted,
    recipient?: Recipient,
    dryRun?: boolean,
  ): Promise<{ plaintext: Buffer; materialId: string }>
  /** RSAES-OAEP with an RSA key. The ciphertext is as long as the modulus. Plaintext longer than the algorithm takes: InvalidRequest. */
  asymmetricEncrypt(
    key: KeyRow,
    algorithm: EncryptionAlgorithm,
    plaintext: Buffer,
    asserted: Asserted,
  ): Promise<{ ciphertext: Buffer }>
  asymmetricDecrypt(
    key: KeyRow,
    algorithm: EncryptionAlgorithm,
    ciphertext: Buffer,
    asserted: Asserted,
    recipient?: Recipient,
    dryRun?: boolean,
  ): Promise<{ plaintext: Buffer }>
  /** One operation over two keys of any spec; the plaintext never leaves. Material ids of asymmetric keys are empty. */
  reEncrypt(
    source: ReEncryptSide,
    message: Buffer,
    destination: ReEncryptSide,
    asserted: Asserted,
    dryRun?: boolean,
  ): Promise<EncryptResult & { sourceMaterialId: string }>
  /** Makes `bytes` random bytes (1..1024) and encrypts them. Without `wantPlaintext` they never leave the boundary. */
  generateDataKey(
    key: KeyRow,
    bytes: number,
    wantPlaintext: boolean,
    context: EncryptionContext,
    asserted: Asserted,
    recipient?: Recipient,
  ): Promise<EncryptResult & { plaintext: Buffer | undefined }>
  /** A key pair whose private half (PKCS #8 DER) is encrypted under `key` as a message. `publicKey` is DER SPKI. `spec` is one that `SPECS` calls a pair. */
  generateDataKeyPair(
    key: KeyRow,
    spec: KeySpec,
    wantPlaintext: boolean,
    context: EncryptionContext,
    asserted: Asserted,
    recipient?: Recipient,
  ): Promise<EncryptResult & { publicKey: Buffer; plaintext: Buffer | undefined }>
  generateRandom(bytes: number, asserted: Asserted, recipient?: Recipient): Promise<Buffer>

  /** AWS's encodings: DER SEQUENCE(r, s) for ECDSA, raw for RSA, Ed25519 and ML-DSA. A digest of the wrong length: InvalidRequest. */
  sign(key: KeyRow, input: ToSign, asserted: Asserted): Promise<{ signature: Buffer }>
  /** Resolves where the signature is valid; InvalidSignature where it is not; DryRun where it is and `dryRun` is set. */
  verify(key: KeyRow, input: ToSign, signature: Buffer, dryRun: boolean, asserted: Asserted): Promise<void>
  /** HMAC (RFC 2104) of 1 to 4096 bytes; the tag has the hash's length. */
  generateMac(key: KeyRow, algorithm: MacAlgorithm, message: Buffer, asserted: Asserted): Promise<{ mac: Buffer }>
  /** Resolves where the tag is right, in whole and in constant time; InvalidMac where it is not; DryRun where it is and `dryRun` is set. */
  verifyMac(
    key: KeyRow,
    algorithm: MacAlgorithm,
    message: Buffer,
    mac: Buffer,
    dryRun: boolean,
    asserted: Asserted,
  ): Promise<void>
  /** ECDH (SP 800-56A §5.7.1.2): the x coordinate, 32, 48 or 66 bytes. `publicKey` is DER SPKI of the same curve, else InvalidPublicKey. */
  deriveSharedSecret(
    key: KeyRow,
    publicKey: Buffer,
    asserted: Asserted,
    recipient?: Recipient,
  ): Promise<{ sharedSecret: Buffer }>
  /** ML-KEM (FIPS 203). The shared secret has 32 bytes. */
  encapsulate(key: KeyRow, asserted: Asserted): Promise<{ sharedSecret: Buffer; ciphertext: Buffer }>
  /** A ciphertext of the wrong length: InvalidCiphertext. Any other gives a secret (implicit rejection). */
  decapsulate(key: KeyRow, ciphertext: Buffer, asserted: Asserted): Promise<{ sharedSecret: Buffer }>
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
  /**
   * A replica, in another Region, of the multi-Region primary with this row id. Resolves with the replica's row, whose state is Creating; soon after, by
   * itself, it is Enabled, or PendingImport where the material is imported. AlreadyExists where the set has a key in that Region.
   */
  replicateKey(id: string, input: ReplicateKey, asserted: Asserted): Promise<KeyRow>
  /** The replica in this Region becomes the primary in place of the key with this row id. Both are Updating, and soon after what they were. */
  updatePrimaryRegion(id: string, region: string, asserted: Asserted): Promise<KeyRow>
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

  /** Opens the token of a custom key store of type AWS_CLOUDHSM, by the store's row id: empty, or why it does not open, as ConnectionErrorCode. */
  connectCluster(store: string): Promise<string>
  /** Logs out of it. Uses of its keys are the front end's to refuse until it is connected again. */
  disconnectCluster(store: string): Promise<void>
  /** 1 to 1024 random bytes of its token. */
  clusterRandom(store: string, bytes: number, asserted: Asserted, recipient?: Recipient): Promise<Buffer>

  /** AES-256-GCM under an owner's external key, in the boundary or in the token. `aad` is the protocol's, before metadata is added. */
  externalEncrypt(
    key: KeyRow,
    plaintext: Buffer,
    aad: Buffer,
    integrity: boolean,
    asserted: Asserted,
  ): Promise<ExternalCiphertext>
  externalDecrypt(key: KeyRow, ciphertext: ExternalCiphertext, aad: Buffer, asserted: Asserted): Promise<Buffer>
  /**
   * Wraps under the current version of an owner's external key. InvalidKeyUsage where the key is not for this algorithm, InvalidRequest for a length
   * that the algorithm does not take (A256KW: a multiple of 8, at least 16; A256KWP: at least 1; OAEP: at most modulus − 2·hash − 2).
   */
  externalWrap(
    key: KeyRow,
    algorithm: ExternalWrapAlgorithm,
    plaintext: Buffer,
    asserted: Asserted,
  ): Promise<{ wrapped: Buffer; version: number }>
  /**
   * `version`: the version of the key that wrapped it, or 0 to try all, newest first: what these algorithms make does not name one. InvalidCiphertext,
   * always the same, whatever is wrong.
   */
  externalUnwrap(
    key: KeyRow,
    algorithm: ExternalWrapAlgorithm,
    wrapped: Buffer,
    version: number,
    asserted: Asserted,
  ): Promise<Buffer>
  /** HMAC-SHA-256 of `message`, keyed with what `externalDecrypt` would answer, which stays in the boundary. */
  externalDigest(
    key: KeyRow,
    ciphertext: ExternalCiphertext,
    aad: Buffer,
    message: Buffer,
    asserted: Asserted,
  ): Promise<Buffer>
  /**
   * One operation with the private key (PKCS #8, DER, RSA of 2048 to 4096 bits) that `externalDecrypt` would answer, which stays in the boundary.
   * InvalidCiphertext, always the same: it does not open, it is another key than `spki` says, or what is to be decrypted does not (of RSAES_PKCS1_V1_5 only
   * what is no number below the modulus; a wrong padding gives bytes that say nothing).
   */
  externalPrivateKey(
    key: KeyRow,
    ciphertext: ExternalCiphertext,
    aad: Buffer,
    work: PrivateKeyWork,
    asserted: Asserted,
  ): Promise<Buffer>
  /**
   * Revokes by itself, for a rule of the owner's (1 to 256 bytes) and what it saw (at most 1024 bytes); never restores. In force when this has resolved.
   */
  trip(target: RevokeTarget, rule: string, evidence: string, asserted: Asserted): Promise<void>
  /** Resolves when the ask of a held use (BoundaryError Held) is decided or gone, or after `milliseconds`, at most a minute. */
  awaitDecision(ask: string, milliseconds: number): Promise<void>
  /** Real cryptography on a test key of the boundary's own (in the token for the pkcs11 kind). */
  selfTest(): Promise<{ ok: boolean; detail: string }>
}

/** The control socket: for the administrator, mode 0600. Works with the front end dead or hostile. */
export interface BoundaryControl {
  status(): Promise<BoundaryStatus>
  unlock(passphrase: Buffer): Promise<void>
  /** The ceremony of shares that is under way (docs/shares.md): how far it is, never who. */
  ceremony(): Promise<CeremonyStatus | undefined>
  /**
   * Gives a holder's share (its line) to a boundary that shares open; with an empty code it begins a ceremony, whose code is answered. `done`: it is unlocked.
   * NotPermitted for another code, InvalidRequest where it is none of these shares, AlreadyExists where it was given before, WrongShares where those that
   * were given do not open it: all of them are forgotten. The line is not wiped.
   */
  giveShare(
    ceremony: string,
    share: Buffer,
  ): Promise<{ ceremony: string; given: number; needed: number; done: boolean }>
  /** Ends a ceremony of either kind. */
  cancelCeremony(ceremony: string): Promise<void>
  /**
   * Makes new shares, of which `threshold` open the boundary (2 ≤ threshold ≤ shares ≤ 16), and hands out the first: its line, which the caller wipes. They
   * are not in force before enough of them were confirmed.
   */
  splitRoot(
    threshold: number,
    shares: number,
  ): Promise<{ ceremony: string; share: Buffer; handedOut: number; shares: number }>
  /** The next of them; each is handed out once. InvalidState where none is left. */
  takeShare(ceremony: string): Promise<{ share: Buffer; handedOut: number; shares: number }>
  /** Gives one back for trial, once all were taken. `done`: the new shares are the root of trust. Fails as `giveShare`. */
  confirmShare(ceremony: string, share: Buffer): Promise<{ given: number; needed: number; done: boolean }>
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
      spec: ExternalSpec
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

  /** Uses of keys on hold that were asked for since the boundary started, oldest first. */
  listAsks(): Promise<readonly Ask[]>
  /**
   * Lets an ask pass, or refuses it, for `seconds` (0: what the hold says). NotPermitted where `by` is not one of the hold's approvers, KeyGone where there
   * is no such ask.
   */
  decideAsk(ask: string, approve: boolean, by: string, seconds: number, asserted: Asserted): Promise<void>

  /**
   * Begins a rotation of the root, which goes on by itself: `rootStatus` tells how far. With `trust` another root of trust wraps the sealing roots from now
   * on, and the next start needs that one; a passphrase in it is sent and not kept. InvalidState while one is under way.
   */
  rotateRoot(trust: NewTrust | undefined): Promise<void>
  rootStatus(): Promise<RootStatus>

  /** Moves lifecycle time forward; only in a service started with `--dev`. Resolves when what fell due has been done. */
  advanceClock(milliseconds: number): Promise<{ lifecycleNow: number }>
  /** Finishes what is in flight, makes all durable and exits. */
  stop(): Promise<void>
}

export type * from './said.ts'
export type { BoundaryErrorCode, KeyHeader }
