/**
 * Codecs of the shapes in api.ts and words.ts. Maximal lengths are part of the protocol: they are checked here and nowhere later.
 */
import {
  ENCRYPTION_ALGORITHMS,
  type EncryptionAlgorithm,
  EXTERNAL_WRAP_ALGORITHMS,
  type ExternalSpec,
  MAC_ALGORITHMS,
  MESSAGE_TYPES,
  PRIVATE_KEY_ALGORITHMS,
  SIGNING_ALGORITHMS,
} from '../../algorithms.ts'
import { FormatError } from '../../bytes.ts'
import { decodeRow, encodeRow } from '../../crypto/rows.ts'
import { MAX_WRITE_SET_BYTES } from '../../journal/types.ts'
import { checkAsserted, decodeAsserted, encodeAsserted } from '../../record.ts'
import type { EncodedAsserted } from '../../record-fields.ts'
import {
  ASSERTED_FIELDS,
  BACKINGS,
  EXPIRATION_MODELS,
  KEY_MANAGERS,
  KEY_ORIGINS,
  KEY_SPECS,
  KEY_STATES,
  KEY_USAGES,
  OUTCOMES,
  ROW_KINDS,
  type Row,
  type RowKind,
} from '../../words.ts'
import type {
  Ask,
  BoundaryStatus,
  CreateKey,
  EncryptionContext,
  EncryptResult,
  ExternalCiphertext,
  ImportMaterial,
  KeyRow,
  PutRow,
  RecordEntry,
  ReplicateKey,
  RevokeTarget,
  SeedKey,
} from '../api.ts'
import {
  bool,
  bytes,
  type Codec,
  fixed,
  list,
  named,
  nullable,
  oneOf,
  optional,
  struct,
  text,
  u8,
  u16,
  u32,
  u64,
  word,
} from './codec.ts'

/** Row ids, and the links that name other rows. */
export const rowId = text(512)
const ROW_BODY = 1 << 19
const CONTEXT_PAIRS = 4096
const PLAINTEXT = 1 << 16
/** All asserted fields at their longest, with their heads. */
const ASSERTED_BYTES = Object.values(ASSERTED_FIELDS).reduce((sum, field) => sum + 3 + field.max, 0)

export const rowKind: Codec<RowKind> = word(ROW_KINDS)

/** Canonical bytes of a row, as docs/formats/rows.md has them. */
export const row: Codec<Row> = {
  name: 'row',
  write: (w, v) => w.long(encodeRow(v)),
  read: r => decodeRow(r.long(ROW_BODY + 8192)),
}
export const keyRow: Codec<KeyRow> = {
  name: row.name,
  write: row.write,
  read: r => {
    const found = row.read(r)
    if (found.kind !== 'key') throw new FormatError(`a row of kind ${found.kind} where a key must stand`)
    return found as KeyRow
  },
}

/** A write set with its rows as the journal holds them: the boundary passes them on without reading them. */
export interface RawWriteSet {
  readonly number: number
  readonly rows: Buffer
}
export const writeSet: Codec<RawWriteSet> = struct<RawWriteSet>({ number: u64, rows: bytes(MAX_WRITE_SET_BYTES) })

/** Names the sealed key of a use. The row itself comes only after the boundary has asked for it. */
export interface KeyRef {
  readonly id: string
  readonly revision: number
  /** SHA-256 of the row's canonical bytes. */
  readonly digest: Buffer
  readonly row: KeyRow | undefined
}

export const keyRef: Codec<KeyRef> = {
  name: 'key of a use',
  write: (w, v) => {
    w.string(v.id).u64(v.revision).raw(v.digest)
    bool.write(w, v.row !== undefined)
    if (v.row !== undefined) keyRow.write(w, v.row)
  },
  read: r => ({
    id: rowId.read(r),
    revision: r.u64(),
    digest: r.raw(32),
    row: bool.read(r) ? keyRow.read(r) : undefined,
  }),
}

const pairText = text(0xffff)
export const context: Codec<EncryptionContext> = {
  name: 'encryption context',
  write: (w, pairs) => {
    w.u16(pairs.length)
    for (const [name, value] of pairs) w.string(name).string(value)
  },
  read: r => {
    const count = r.u16()
    if (count > CONTEXT_PAIRS || count * 4 > r.left) throw new FormatError(`${count} context pairs`)
    const pairs: (readonly [string, string])[] = []
    for (let i = 0; i < count; i++) pairs.push([pairText.read(r), pairText.read(r)])
    return pairs
  },
}

/** What the front end asserts, in the bytes of the record: the boundary walks them, and copies them without reading. */
export const asserted: Codec<EncodedAsserted> = {
  name: 'asserted fields',
  write: (w, v) => w.long(v),
  read: r => checkAsserted(r.long(ASSERTED_BYTES)),
}

export const plaintext = bytes(PLAINTEXT)
export const message = bytes(PLAINTEXT)
export const materialId = text(64)

export const encryptionAlgorithm: Codec<EncryptionAlgorithm> = word(ENCRYPTION_ALGORITHMS)
export const signingAlgorithm = word(SIGNING_ALGORITHMS)
export const messageType = word(MESSAGE_TYPES)
export const macAlgorithm = word(MAC_ALGORITHMS)
export const keySpec = word(KEY_SPECS)
export const toSign = { algorithm: signingAlgorithm, messageType, message } as const
/** DER SPKI. */
export const publicKey = bytes(8192)
export const recipient = optional(publicKey)

export interface SentSide {
  readonly key: KeyRef
  readonly algorithm: EncryptionAlgorithm
  readonly context: EncryptionContext
}
export const reEncryptSide: Codec<SentSide> = struct<SentSide>({
  key: keyRef,
  algorithm: encryptionAlgorithm,
  context,
})

export const encryptResult: Codec<EncryptResult> = struct<EncryptResult>({ ciphertext: message, materialId })

export const putRow: Codec<PutRow> = named(
  'row to write',
  struct<PutRow>({
    kind: rowKind,
    id: rowId,
    scope: text(1024),
    link: text(2048),
    expected: u64,
    body: nullable(bytes(ROW_BODY)),
  }),
)

export const createKey: Codec<CreateKey> = struct<CreateKey>({
  id: rowId,
  scope: text(1024),
  account: text(64),
  spec: word(KEY_SPECS),
  usage: word(KEY_USAGES),
  origin: word(KEY_ORIGINS),
  multiRegion: bool,
  manager: word(KEY_MANAGERS),
  managerService: text(128),
  policy: bytes(1 << 17),
  keyStoreId: rowId,
  xksKeyId: text(128),
  rows: list(putRow, 64),
})

export const region = text(32)
export const replicateKey: Codec<ReplicateKey> = struct<ReplicateKey>({
  region,
  policy: bytes(1 << 17),
  rows: list(putRow, 64),
})

const { AWS_KMS, EXTERNAL } = KEY_ORIGINS
const { Enabled, Disabled, PendingImport, PendingDeletion } = KEY_STATES
export const seedKey: Codec<SeedKey> = struct<SeedKey>({
  id: rowId,
  account: text(64),
  spec: word(KEY_SPECS),
  usage: word(KEY_USAGES),
  origin: word({ AWS_KMS, EXTERNAL }),
  replicaRegions: list(region, 64),
  materials: list(bytes(8192), 64),
  state: word({ Enabled, Disabled, PendingImport, PendingDeletion }),
  createdAt: u64,
  pendingWindowDays: u16,
  rotationPeriodDays: u16,
  nextRotationAt: u64,
  policy: bytes(1 << 17),
  rows: list(putRow, 256),
})

export const importMaterial: Codec<ImportMaterial> = struct<ImportMaterial>({
  token: bytes(6144),
  wrapped: bytes(6144),
  expirationModel: word(EXPIRATION_MODELS),
  validTo: u64,
  importType: oneOf('', 'NEW_KEY_MATERIAL', 'EXISTING_KEY_MATERIAL'),
  description: text(1024),
  materialId,
})

export const wrappingAlgorithm = oneOf(
  'RSAES_OAEP_SHA_256',
  'RSAES_OAEP_SHA_1',
  'RSA_AES_KEY_WRAP_SHA_256',
  'RSA_AES_KEY_WRAP_SHA_1',
)
const modulusCodec: Codec<number> = u16
export const modulusBits: Codec<2048 | 3072 | 4096> = {
  name: 'u16',
  write: (w, v) => modulusCodec.write(w, v),
  read: r => {
    const bits = modulusCodec.read(r)
    if (bits !== 2048 && bits !== 3072 && bits !== 4096) throw new FormatError('a modulus size that is not offered')
    return bits
  },
}

/** Bytes of what a session token holds, and of the token. */
export const SESSION_BODY = 8192
export const SESSION_TOKEN = 12_288

export type SentRecord = Omit<RecordEntry, 'asserted'> & { readonly asserted: EncodedAsserted }
export const recordEntry: Codec<SentRecord> = struct<SentRecord>({
  outcome: word(OUTCOMES),
  error: text(128),
  keyId: rowId,
  asserted,
  count: u64,
})

export const externalCiphertext: Codec<ExternalCiphertext> = named(
  'external ciphertext',
  struct<ExternalCiphertext>({
    iv: bytes(16),
    ciphertext: message,
    tag: bytes(16),
    metadata: bytes(20),
    integrityValue: optional(fixed(32)),
  }),
)

const { EXTERNAL_AES_256, RSA_2048, RSA_3072, RSA_4096 } = KEY_SPECS
const EXTERNAL_SPEC_CODES = { EXTERNAL_AES_256, RSA_2048, RSA_3072, RSA_4096 } as const satisfies Record<
  ExternalSpec,
  number
>
export const externalWrapAlgorithm = word(EXTERNAL_WRAP_ALGORITHMS)
export const privateKeyAlgorithm = word(PRIVATE_KEY_ALGORITHMS)

export const externalKeyInput = struct<{
  id: string
  scope: string
  tenant: string
  spec: ExternalSpec
  backing: keyof typeof BACKINGS
  tokenObject: string
  mayEncrypt: boolean
  mayDecrypt: boolean
}>({
  id: rowId,
  scope: text(1024),
  tenant: text(128),
  spec: word(EXTERNAL_SPEC_CODES),
  backing: word(BACKINGS),
  tokenObject: text(512),
  mayEncrypt: bool,
  mayDecrypt: bool,
})

/** A use that waits for a person, as the administrator is shown it. */
export const ask: Codec<Ask> = struct<Ask>({
  id: text(64),
  keyId: rowId,
  asserted: {
    name: asserted.name,
    write: (w, v) => asserted.write(w, encodeAsserted(v)),
    read: r => decodeAsserted(asserted.read(r)),
  },
  firstAt: u64,
  lastAt: u64,
  count: u32,
  waiting: u32,
  decision: oneOf('none', 'approved', 'denied'),
  by: text(256),
  until: u64,
})

const TARGETS = ['all', 'tenant', 'key', 'protocol', 'principal'] as const
type TargetKind = (typeof TARGETS)[number]
export const revokeTarget: Codec<RevokeTarget> = {
  name: 'u8 (0 all, 1 tenant, 2 key, 3 protocol, 4 principal), name: string(512)',
  write: (w, v) => {
    const [[kind, name]] = Object.entries(v) as [[TargetKind, string | true]]
    w.u8(TARGETS.indexOf(kind)).string(name === true ? '' : name)
  },
  read: r => {
    const kind = TARGETS[r.u8()]
    const name = rowId.read(r)
    if (kind === undefined) throw new FormatError('an unknown target')
    // One byte away from a single name: never taken for everything.
    if (kind === 'all' && name !== '') throw new FormatError('everything has no name')
    return (kind === 'all' ? { all: true } : { [kind]: name }) as RevokeTarget
  },
}

export const status: Codec<BoundaryStatus> = struct<BoundaryStatus>({
  service: oneOf('kms', 'ekm'),
  boundaryId: text(32),
  version: text(64),
  pid: u32,
  locked: bool,
  rootKind: oneOf('keyfile', 'passphrase', 'pkcs11', 'shares'),
  rootGeneration: u32,
  lastWriteSet: u64,
  logSize: u64,
  logOrigin: text(256),
  logKey: text(512),
  dev: bool,
  lifecycleNow: u64,
  keys: u32,
  maxEncryptions: u64,
  renewAfter: u64,
  warnings: list(text(2048), 64),
})

/** What `checkRows` says of one row. */
export const rowCheck: Codec<'ok' | Row | undefined> = {
  name: 'u8 (0 not known, 1 ok, 2 other) [row]',
  write: (w, v) => {
    w.u8(v === undefined ? 0 : v === 'ok' ? 1 : 2)
    if (v !== undefined && v !== 'ok') row.write(w, v)
  },
  read: r => {
    const kind = u8.read(r)
    if (kind > 2) throw new FormatError('an unknown answer')
    return kind === 0 ? undefined : kind === 1 ? 'ok' : row.read(r)
  },
}
