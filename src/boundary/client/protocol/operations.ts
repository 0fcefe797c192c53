/**
 * The opcode table: every operation of both sockets with its code, where it may be asked, and how request and answer stand in the frame.
 * A code is for ever. The dispatcher and both clients walk this table; docs/formats/sockets.md is checked against it.
 */
import type { Writer } from '../../bytes.ts'
import { FormatError, type Reader } from '../../bytes.ts'
import { BOUNDARY_ERRORS, BoundaryError } from '../../words.ts'
import * as c from './ceremony-shapes.ts'
import { bool, bytes, type Codec, fixed, list, nothing, optional, struct, text, u16, u32, u64, word } from './codec.ts'
import * as j from './journal-shapes.ts'
import { newTrust, rootStatus } from './root-shapes.ts'
import * as s from './shapes.ts'

export type SocketKind = 'use' | 'control' | 'admin'

export interface Operation<I, O> {
  readonly code: number
  readonly sockets: readonly SocketKind[]
  readonly request: Codec<I>
  readonly answer: Codec<O>
}

const use = ['use'] as const
const control = ['control'] as const
const both = ['use', 'control'] as const
const every = ['use', 'control', 'admin'] as const
/** What may be done from afar: taking the key away, giving it back, deciding about holds, and what it takes to name them. */
const afar = ['control', 'admin'] as const

const op = <I, O>(
  code: number,
  sockets: readonly SocketKind[],
  request: Codec<I>,
  answer: Codec<O>,
): Operation<I, O> => ({ code, sockets, request, answer })

const { asserted, keyRef, context, plaintext, message, materialId, recipient, rowId, keyRow } = s
const ofKey = struct({ id: rowId, asserted })

export const OPERATIONS = {
  status: op(1, every, nothing, s.status),
  writeSets: op(2, use, struct({ after: u64, max: u32 }), struct({ horizon: u64, sets: list(s.writeSet, 1 << 16) })),
  checkRows: op(3, use, list(s.row, 1 << 12), list(s.rowCheck, 1 << 12)),
  openSecret: op(4, use, s.row, bytes(1 << 19)),
  record: op(5, use, s.recordEntry, nothing),
  putRows: op(6, both, struct({ rows: list(s.putRow, 1 << 12), asserted }), list(s.row, 1 << 12)),
  getRow: op(7, afar, struct({ kind: s.rowKind, id: rowId }), optional(s.row)),
  listRows: op(8, afar, struct({ kind: s.rowKind, after: rowId, max: u32 }), list(s.row, 1 << 16)),

  keyLastUsage: op(
    9,
    use,
    rowId,
    struct({
      since: u64,
      use: optional(struct({ operation: text(64), time: u64, requestId: text(128), eventId: text(36) })),
    }),
  ),
  markerKey: op(12, use, nothing, fixed(32)),
  sealSession: op(
    10,
    use,
    struct({ body: bytes(s.SESSION_BODY), expiresAt: u64, asserted }),
    struct({ token: bytes(s.SESSION_TOKEN) }),
  ),
  openSession: op(
    11,
    use,
    struct({ token: bytes(s.SESSION_TOKEN), asserted }),
    struct({ body: bytes(s.SESSION_BODY), expiresAt: u64 }),
  ),

  encrypt: op(16, use, struct({ key: keyRef, plaintext, context, asserted }), s.encryptResult),
  decrypt: op(
    17,
    use,
    struct({ key: keyRef, message, context, dryRun: bool, asserted, recipient }),
    struct({ plaintext, materialId }),
  ),
  reEncrypt: op(
    18,
    use,
    struct({ source: s.reEncryptSide, message, destination: s.reEncryptSide, dryRun: bool, asserted }),
    struct({ ciphertext: message, materialId, sourceMaterialId: materialId }),
  ),
  generateDataKey: op(
    19,
    use,
    struct({ key: keyRef, bytes: u16, wantPlaintext: bool, context, asserted, recipient }),
    struct({ ciphertext: message, materialId, plaintext: optional(message) }),
  ),
  generateRandom: op(20, use, struct({ bytes: u16, asserted, recipient }), message),
  externalEncrypt: op(
    21,
    use,
    struct({ key: keyRef, plaintext, aad: bytes(1 << 16), integrity: bool, asserted }),
    s.externalCiphertext,
  ),
  externalDecrypt: op(
    22,
    use,
    struct({ key: keyRef, ciphertext: s.externalCiphertext, aad: bytes(1 << 16), asserted }),
    plaintext,
  ),
  selfTest: op(23, use, nothing, struct({ ok: bool, detail: text(1024) })),

  sign: op(24, use, struct({ key: keyRef, ...s.toSign, asserted }), struct({ signature: message })),
  verify: op(25, use, struct({ key: keyRef, ...s.toSign, signature: message, dryRun: bool, asserted }), nothing),
  generateMac: op(
    26,
    use,
    struct({ key: keyRef, algorithm: s.macAlgorithm, message, asserted }),
    struct({ mac: message }),
  ),
  verifyMac: op(
    27,
    use,
    struct({ key: keyRef, algorithm: s.macAlgorithm, message, mac: message, dryRun: bool, asserted }),
    nothing,
  ),
  deriveSharedSecret: op(
    28,
    use,
    struct({ key: keyRef, publicKey: s.publicKey, asserted, recipient }),
    struct({ sharedSecret: message }),
  ),
  encapsulate: op(29, use, struct({ key: keyRef, asserted }), struct({ sharedSecret: message, ciphertext: message })),
  decapsulate: op(30, use, struct({ key: keyRef, ciphertext: message, asserted }), struct({ sharedSecret: message })),
  generateDataKeyPair: op(
    31,
    use,
    struct({ key: keyRef, spec: s.keySpec, wantPlaintext: bool, context, asserted, recipient }),
    struct({ publicKey: s.publicKey, ciphertext: message, materialId, plaintext: optional(message) }),
  ),
  asymmetricEncrypt: op(
    48,
    use,
    struct({ key: keyRef, algorithm: s.encryptionAlgorithm, plaintext, asserted }),
    struct({ ciphertext: message }),
  ),
  asymmetricDecrypt: op(
    49,
    use,
    struct({ key: keyRef, algorithm: s.encryptionAlgorithm, ciphertext: message, dryRun: bool, asserted, recipient }),
    struct({ plaintext: message }),
  ),

  externalWrap: op(
    50,
    use,
    struct({ key: keyRef, algorithm: s.externalWrapAlgorithm, plaintext, asserted }),
    struct({ wrapped: message, version: u32 }),
  ),
  externalUnwrap: op(
    51,
    use,
    struct({ key: keyRef, algorithm: s.externalWrapAlgorithm, wrapped: message, version: u32, asserted }),
    plaintext,
  ),

  externalDigest: op(
    52,
    use,
    struct({ key: keyRef, ciphertext: s.externalCiphertext, aad: bytes(1 << 16), message, asserted }),
    fixed(32),
  ),
  externalPrivateKey: op(
    53,
    use,
    struct({
      key: keyRef,
      ciphertext: s.externalCiphertext,
      aad: bytes(1 << 16),
      spki: fixed(32),
      algorithm: s.privateKeyAlgorithm,
      message,
      label: bytes(1024),
      asserted,
    }),
    message,
  ),

  awaitDecision: op(55, use, struct({ ask: text(64), milliseconds: u32 }), nothing),
  trip: op(54, use, struct({ target: s.revokeTarget, rule: text(256), evidence: text(1024), asserted }), nothing),

  createKey: op(32, use, struct({ input: s.createKey, asserted }), keyRow),
  enableKey: op(33, use, ofKey, keyRow),
  disableKey: op(34, use, ofKey, keyRow),
  scheduleKeyDeletion: op(35, use, struct({ id: rowId, pendingWindowDays: u16, asserted }), keyRow),
  cancelKeyDeletion: op(36, use, ofKey, keyRow),
  putKeyPolicy: op(37, use, struct({ id: rowId, policy: bytes(1 << 17), asserted }), keyRow),
  setKeyRotation: op(38, use, struct({ id: rowId, enabled: bool, periodDays: u16, asserted }), keyRow),
  rotateKeyOnDemand: op(39, use, ofKey, keyRow),
  importParameters: op(
    40,
    use,
    struct({ id: rowId, algorithm: s.wrappingAlgorithm, modulusBits: s.modulusBits, asserted }),
    struct({ token: bytes(6144), publicKey: bytes(4096), validTo: u64 }),
  ),
  importKeyMaterial: op(
    41,
    use,
    struct({ id: rowId, input: s.importMaterial, asserted }),
    struct({ row: keyRow, materialId }),
  ),
  deleteImportedKeyMaterial: op(
    42,
    use,
    struct({ id: rowId, materialId, asserted }),
    struct({ row: keyRow, materialId }),
  ),
  replicateKey: op(43, use, struct({ id: rowId, input: s.replicateKey, asserted }), keyRow),
  updatePrimaryRegion: op(44, use, struct({ id: rowId, region: s.region, asserted }), keyRow),
  connectCluster: op(45, use, struct({ store: rowId }), text(64)),
  disconnectCluster: op(46, use, struct({ store: rowId }), nothing),
  clusterRandom: op(47, use, struct({ store: rowId, bytes: u16, asserted, recipient }), message),

  unlock: op(64, control, bytes(1024), nothing),
  createExternalKey: op(65, control, struct({ input: s.externalKeyInput, asserted }), keyRow),
  rotateExternalKey: op(66, control, ofKey, keyRow),
  revoke: op(67, afar, struct({ target: s.revokeTarget, asserted }), nothing),
  restore: op(68, afar, struct({ target: s.revokeTarget, asserted }), nothing),
  wrapForImport: op(
    69,
    control,
    struct({
      publicKey: bytes(4096),
      algorithm: s.wrappingAlgorithm,
      material: optional(fixed(32)),
      keepAs: optional(struct({ id: rowId, scope: text(1024), tenant: text(128) })),
      from: optional(rowId),
      asserted,
    }),
    struct({ wrapped: bytes(1024), fingerprint: fixed(32) }),
  ),
  listAsks: op(72, afar, nothing, list(s.ask, 1 << 12)),
  decideAsk: op(73, afar, struct({ ask: text(64), approve: bool, by: text(256), seconds: u32, asserted }), nothing),
  advanceClock: op(70, control, u64, u64),
  stop: op(71, control, nothing, nothing),
  rotateRoot: op(74, control, struct({ trust: newTrust }), nothing),
  rootStatus: op(75, control, nothing, rootStatus),
  checkpoint: op(76, control, nothing, j.signedPlace),
  acceptOlderState: op(77, control, optional(j.treeHead), j.olderState),
  eraseSegments: op(78, control, struct({ firstToKeep: u64, expected: u64, dryRun: bool }), j.erasing),
  seedKey: op(90, control, struct({ input: s.seedKey, asserted }), keyRow),

  giveShare: op(80, control, c.givenShare, c.unlocking),
  ceremony: op(81, control, nothing, c.ceremonyStatus),
  cancelCeremony: op(82, control, c.inCeremony, nothing),
  splitRoot: op(83, control, c.splitting, c.firstShare),
  takeShare: op(84, control, c.inCeremony, c.nextShare),
  confirmShare: op(85, control, c.givenShare, c.trial),
} as const

export type OperationName = keyof typeof OPERATIONS
export type InputOf<N extends OperationName> = (typeof OPERATIONS)[N] extends Operation<infer I, infer _O> ? I : never
export type OutputOf<N extends OperationName> = (typeof OPERATIONS)[N] extends Operation<infer _I, infer O> ? O : never

/** First frame of a client. */
export interface ClientHello {
  readonly version: number
}
/** First frame of the boundary: what a client must know before it asks. */
export interface ServerHello {
  readonly version: number
  readonly socket: SocketKind
  readonly service: 'kms' | 'ekm'
  readonly boundaryId: string
  /** The root has not been given: everything but `status` and `unlock` is answered with Locked. */
  readonly locked: boolean
  /** Write sets above this number are pushed on this connection; the client fetches the others. */
  readonly lastWriteSet: number
}

const MAGIC = Buffer.from('HLDF')
const magic: Codec<undefined> = {
  name: "raw(4) 'HLDF'",
  write: w => w.raw(MAGIC),
  read: r => {
    if (!r.raw(MAGIC.length).equals(MAGIC)) throw new FormatError('not this protocol')
    return undefined
  },
}
export const clientHello: Codec<ClientHello & { magic: undefined }> = struct({ magic, version: u16 })
export const serverHello: Codec<ServerHello & { magic: undefined }> = struct({
  magic,
  version: u16,
  socket: word<SocketKind>({ use: 0, control: 1, admin: 2 }),
  service: word<'kms' | 'ekm'>({ kms: 0, ekm: 1 }),
  boundaryId: text(32),
  locked: bool,
  lastWriteSet: u64,
})

/**
 * An answer says which write set it must not overtake (0: none), then the operation's own answer. The client hands it on when that set
 * was handled.
 */
export const answerHead: Codec<number> = u64

const errorCode = word(BOUNDARY_ERRORS)
const errorRow = optional(s.row)
export const failure: Codec<BoundaryError> = {
  name: 'u8 error code, detail: string, row: bool [row]',
  write: (w: Writer, error: BoundaryError) => {
    errorCode.write(w, error.code)
    w.string(error.detail.slice(0, 4096))
    errorRow.write(w, error.row)
  },
  read: (r: Reader) => {
    const code = errorCode.read(r)
    const detail = r.string()
    return new BoundaryError(code, detail, errorRow.read(r))
  },
}
