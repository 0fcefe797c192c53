/**
 * What a record of the log says: an allow-list of fields, and the codes of what stands in them. A field that no table names cannot get in, so neither
 * plaintext nor ciphertext nor key bytes can. How it is written: record.ts. See docs/formats/record.md.
 */
import { type Asserted, OUTCOMES, type RowKind } from './words.ts'

/** What the boundary itself did. Codes are for ever. */
export const BOUNDARY_OPERATIONS = {
  encrypt: 1,
  decrypt: 2,
  reEncrypt: 3,
  generateDataKey: 4,
  generateRandom: 5,
  record: 6,
  externalEncrypt: 7,
  externalDecrypt: 8,
  openSecret: 9,
  selfTest: 10,
  sign: 11,
  verify: 12,
  generateMac: 13,
  verifyMac: 14,
  deriveSharedSecret: 15,
  createKey: 16,
  enableKey: 17,
  disableKey: 18,
  scheduleKeyDeletion: 19,
  cancelKeyDeletion: 20,
  putKeyPolicy: 21,
  setKeyRotation: 22,
  rotateKeyOnDemand: 23,
  importParameters: 24,
  importKeyMaterial: 25,
  deleteImportedKeyMaterial: 26,
  putRows: 27,
  createExternalKey: 28,
  rotateExternalKey: 29,
  revoke: 30,
  restore: 31,
  wrapForImport: 32,
  encapsulate: 33,
  decapsulate: 34,
  generateDataKeyPair: 35,
  replicateKey: 36,
  updatePrimaryRegion: 37,
  sealSession: 38,
  openSession: 39,
  externalWrap: 40,
  externalUnwrap: 41,
  externalDigest: 42,
  externalPrivateKey: 43,
  trip: 44,
  decideAsk: 45,
  /** Done when their time came, asked by nobody. */
  rotateKeyAutomatically: 48,
  expireKeyMaterial: 49,
  deleteKey: 50,
  /** Encryptions under an external key version, reserved ahead. */
  reserveEncryptions: 51,
  /** A replica, or a change of the primary Region, is complete. */
  finishRegions: 52,
  start: 64,
  stop: 65,
  unlock: 66,
  advanceClock: 67,
  /** A rotation of the root: it is asked for; rows are sealed anew; the generations before are destroyed. */
  rotateRoot: 68,
  destroyGeneration: 69,
  rewriteRows: 72,
  /** Another root of trust from now on. */
  changeRoot: 73,
  /** New shares are in force, and a ceremony of shares that ended without any. */
  splitRoot: 74,
  cancelCeremony: 75,
} as const
export type BoundaryOperation = keyof typeof BOUNDARY_OPERATIONS

export const RECORD_SOURCES = { use: 1, control: 2, boundary: 3, admin: 4 } as const
export type RecordSource = keyof typeof RECORD_SOURCES

/** A row that was written: enough to find it, nothing of what stands in it. */
export interface RowChange {
  readonly kind: RowKind
  readonly id: string
  readonly revision: number
}

/** What a field of the boundary's own may hold. `min` and `max` are in bytes. */
export type OwnSpec =
  | { readonly code: number; readonly type: 'code'; readonly codes: Readonly<Record<string, number>> }
  | { readonly code: number; readonly type: 'string'; readonly max: number }
  | { readonly code: number; readonly type: 'bytes'; readonly min: number; readonly max: number }
  | { readonly code: number; readonly type: 'u64' }
  | { readonly code: number; readonly type: 'changes' }

/** The boundary's own fields. */
export const OWN_FIELDS = {
  boundaryOperation: { code: 64, type: 'code', codes: BOUNDARY_OPERATIONS },
  /** Which socket asked; `boundary`: nobody did, its time had come. */
  source: { code: 65, type: 'code', codes: RECORD_SOURCES },
  outcome: { code: 66, type: 'code', codes: OUTCOMES },
  /** The protocol's error name, or the boundary's. */
  error: { code: 67, type: 'string', max: 128 },
  /** Row id of the key; with two keys, of the source. */
  keyId: { code: 68, type: 'string', max: 512 },
  keyRevision: { code: 69, type: 'u64' },
  materialId: { code: 70, type: 'string', max: 64 },
  destinationKeyId: { code: 71, type: 'string', max: 512 },
  destinationKeyRevision: { code: 72, type: 'u64' },
  destinationMaterialId: { code: 73, type: 'string', max: 64 },
  /** The canonical bytes of the encryption context, the very ones that were authenticated. */
  context: { code: 74, type: 'bytes', min: 2, max: 49152 },
  destinationContext: { code: 75, type: 'bytes', min: 2, max: 49152 },
  /** SHA-256 of the additional data of an external encryption, as the provider sent it. */
  aadDigest: { code: 76, type: 'bytes', min: 32, max: 32 },
  /** Bytes that were made or encrypted: a size, nothing more. */
  size: { code: 77, type: 'u64' },
  /** How many requests this record stands for. */
  count: { code: 78, type: 'u64' },
  /** What a transition changed, for example `Enabled>PendingDeletion`, with its date. */
  transition: { code: 79, type: 'string', max: 256 },
  policyDigest: { code: 80, type: 'bytes', min: 32, max: 32 },
  /** SHA-256 of the public key under which material was wrapped or is to be wrapped. */
  wrappingKeyDigest: { code: 81, type: 'bytes', min: 32, max: 32 },
  /** Lifecycle time, where it is not real time. */
  lifecycleTime: { code: 82, type: 'u64' },
  changes: { code: 83, type: 'changes' },
  /** Of a signature, MAC, asymmetric encryption or key pair: AWS's name of the algorithm, or of the pair's key spec; of a re-encryption `source>destination`; of a
   * wrapping under an external key JOSE's name. */
  algorithm: { code: 84, type: 'string', max: 64 },
  /** SHA-256 of the DER SPKI of the other party of a key agreement. */
  peerKeyDigest: { code: 85, type: 'bytes', min: 32, max: 32 },
  /** SHA-256 of the DER SPKI of the recipient for whom the answer was encrypted. */
  recipientDigest: { code: 86, type: 'bytes', min: 32, max: 32 },
  /** The owner's rule that revoked by itself, and what it saw. */
  rule: { code: 96, type: 'string', max: 256 },
  evidence: { code: 97, type: 'string', max: 1024 },
} as const satisfies Record<string, OwnSpec>
export type OwnField = keyof typeof OWN_FIELDS

/** Asserted fields in their encoding, checked by `checkAsserted`: the boundary copies the bytes and need not read them. */
declare const checked: unique symbol
export type EncodedAsserted = Buffer & { readonly [checked]: true }

export interface RecordFields {
  readonly asserted?: Asserted | EncodedAsserted
  readonly boundaryOperation?: BoundaryOperation
  readonly source?: RecordSource
  readonly outcome?: keyof typeof OUTCOMES
  readonly error?: string
  readonly keyId?: string
  readonly keyRevision?: number
  readonly materialId?: string
  readonly destinationKeyId?: string
  readonly destinationKeyRevision?: number
  readonly destinationMaterialId?: string
  readonly context?: Buffer
  readonly destinationContext?: Buffer
  readonly aadDigest?: Buffer
  readonly size?: number
  readonly count?: number
  readonly transition?: string
  readonly policyDigest?: Buffer
  readonly wrappingKeyDigest?: Buffer
  readonly lifecycleTime?: number
  readonly changes?: readonly RowChange[]
  readonly algorithm?: string
  readonly peerKeyDigest?: Buffer
  readonly recipientDigest?: Buffer
  readonly rule?: string
  readonly evidence?: string
}

/** What `decodeRecord` gives: `asserted` always as fields. */
export type DecodedRecord = Omit<RecordFields, 'asserted'> & { readonly asserted: Asserted }
