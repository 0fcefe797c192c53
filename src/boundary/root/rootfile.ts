/**
 * The file `root` of the boundary's folder: who this boundary is, and its sealing roots wrapped by the root of trust. See docs/formats/root.md.
 */
import { createHmac, createPrivateKey, createPublicKey, hash, type KeyObject, timingSafeEqual } from 'node:crypto'
import { checkVersion, FormatError, Reader, UnknownVersion, Writer } from '../bytes.ts'
import { openBox, sealBox } from '../crypto/box.ts'
import { type RandomOption, secretBytes } from '../crypto/random.ts'
import { Keyring } from './keyring.ts'
import { RootError, type RootKind, type RootOfTrust, Secret } from './types.ts'

/** A sealing root of the file. */
export interface Generation {
  readonly generation: number
  readonly createdAt: number
  /** From this record on, write sets are sealed under this generation, and whatever stands in them. */
  readonly firstRecord: number
  /** Number of the first write set that is sealed under it. */
  readonly firstWriteSet: number
  readonly wrapped: Buffer
}

/** Where the journal begins. */
export interface Base {
  /** Number of the first record that is there. */
  readonly seq: number
  /** Number of the last write set before it. */
  readonly writeSet: number
  /** RFC 6962 root of all records before it. */
  readonly root: Buffer
}

export interface RootFile {
  /** 16 bytes. */
  readonly boundaryId: Buffer
  readonly service: 'kms' | 'ekm'
  /** Made with `--dev`, for ever. */
  readonly dev: boolean
  /** Milliseconds since 1970. */
  readonly createdAt: number
  readonly kind: RootKind
  readonly parameters: Buffer
  /** Oldest first: more than one while a rotation is under way. */
  readonly generations: readonly Generation[]
  /** The newest generation that was destroyed, and when; 0 for none. */
  readonly destroyed: number
  readonly destroyedAt: number
  /** Number of records by which all that was in force had been sealed anew when it was destroyed; 0 for none. A journal that ends before lacks rows. */
  readonly wholeAt: number
  readonly base: Base
  /** Ed25519, 32 raw bytes. */
  readonly logPublicKey: Buffer
  readonly sealedLogKey: Buffer
  readonly tag: Buffer
}

export interface OpenedRoot {
  readonly file: RootFile
  readonly keyring: Keyring
  /** Ed25519 private key for signing checkpoints. */
  readonly logKey: KeyObject
  /** What the file was opened with, and wraps the generations to come. */
  readonly trust: RootOfTrust
}

const MAGIC = Buffer.from('HOLDROOT')
const VERSION = 2
const SERVICES = ['kms', 'ekm'] as const
const KINDS = ['keyfile', 'passphrase', 'pkcs11', 'shares'] as const
const MAX_FILE_BYTES = 1024 * 1024
const LOG_KEY_AAD = Buffer.from('holdfast log key')
const SEED_BYTES = 32
/** What stands before the seed in the PKCS #8 form of an Ed25519 key. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

/**
 * The write set up to which nothing is to be had any more. Those after it, applied to nothing, make the whole: what was still in force was written again.
 * See docs/formats/root.md, "Horizon".
 */
export function horizonOf({ base, generations }: Pick<RootFile, 'base' | 'generations'>): number {
  const oldest = generations[0]?.firstWriteSet ?? 1
  return Math.max(base.writeSet, oldest - 1)
}

/** Nothing was erased: the root is that of the empty tree. */
const WHOLE_JOURNAL: Base = { seq: 0, writeSet: 0, root: hash('sha256', '', 'buffer') }

type Untagged = Omit<RootFile, 'tag'>

function encode(file: Untagged): Buffer {
  const writer = new Writer(512)
    .raw(MAGIC)
    .u16(VERSION)
    .raw(file.boundaryId)
    .u8(SERVICES.indexOf(file.service))
    .u8(file.dev ? 1 : 0)
    .u64(file.createdAt)
    .u8(KINDS.indexOf(file.kind))
    .short(file.parameters)
    .u16(file.generations.length)
  for (const { generation, createdAt, firstRecord, firstWriteSet, wrapped } of file.generations)
    writer.u32(generation).u64(createdAt).u64(firstRecord).u64(firstWriteSet).short(wrapped)
  const { seq, writeSet, root } = file.base
  return writer
    .u32(file.destroyed)
    .u64(file.destroyedAt)
    .u64(file.wholeAt)
    .u64(seq)
    .u64(writeSet)
    .raw(root)
    .raw(file.logPublicKey)
    .short(file.sealedLogKey)
    .done()
}

/** Under the newest generation: only who holds a sealing root can say what the file says. */
function tagOf(keyring: Keyring, file: Untagged): Buffer {
  return createHmac('sha256', keyring.key('root-file')).update(encode(file)).digest()
}

function finish(
  keyring: Keyring,
  untagged: Untagged,
  logKey: KeyObject,
  trust: RootOfTrust,
): { bytes: Buffer; opened: OpenedRoot } {
  const file = { ...untagged, tag: tagOf(keyring, untagged) }
  return { bytes: Buffer.concat([encode(untagged), file.tag]), opened: { file, keyring, logKey, trust } }
}

/** Makes a new boundary: id, first sealing root, log key. Returns the bytes to write, and everything opened. */
export async function makeRoot(
  trust: RootOfTrust,
  input: { service: 'kms' | 'ekm'; dev: boolean; now: number },
  options?: RandomOption,
): Promise<{ bytes: Buffer; opened: OpenedRoot }> {
  const boundaryId = secretBytes(16, options)
  const root = new Secret(secretBytes(32, options))
  const wrapped = await trust.wrap(root)
  const keyring = new Keyring(boundaryId, new Map([[1, root]]))
  const seed = secretBytes(SEED_BYTES, options)
  const sealedLogKey = sealBox(keyring, 'log-key', LOG_KEY_AAD, seed, options)
  const logKey = logKeyOf(seed)
  const file: Untagged = {
    boundaryId,
    service: input.service,
    dev: input.dev,
    createdAt: input.now,
    kind: trust.kind,
    parameters: trust.parameters,
    generations: [{ generation: 1, createdAt: input.now, firstRecord: 0, firstWriteSet: 1, wrapped }],
    destroyed: 0,
    destroyedAt: 0,
    wholeAt: 0,
    base: WHOLE_JOURNAL,
    logPublicKey: rawPublicKey(createPublicKey(logKey)),
    sealedLogKey,
  }
  return finish(keyring, file, logKey, trust)
}

/** The private key of an Ed25519 seed (RFC 8410 §7), which is wiped. */
function logKeyOf(seed: Buffer): KeyObject {
  const der = Buffer.concat([PKCS8_PREFIX, seed])
  seed.fill(0)
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  der.fill(0)
  return key
}

/** The last 32 bytes of an Ed25519 SPKI are the key (RFC 8410 §4). */
function rawPublicKey(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' }).subarray(-32)
}

/** Reads the file without opening it: which kind of root of trust it needs, and its parameters. Throws `UnknownVersion`, or `RootError` Damaged. */
export function parseRootFile(bytes: Buffer): RootFile {
  try {
    if (bytes.length > MAX_FILE_BYTES) throw new FormatError('too long')
    const reader = new Reader(bytes)
    if (!reader.raw(MAGIC.length).equals(MAGIC)) throw new FormatError('it does not begin as one')
    const version = reader.u16()
    checkVersion('the root file', version, VERSION)
    const boundaryId = reader.raw(16)
    const service = SERVICES[reader.u8()]
    const dev = reader.u8()
    const createdAt = reader.u64()
    const kind = KINDS[reader.u8()]
    const parameters = reader.short()
    if (service === undefined || kind === undefined || dev > 1)
      throw new FormatError('it names what this program does not know')
    const generations: Generation[] = []
    for (let left = reader.u16(); left > 0; left--) {
      generations.push({
        generation: reader.u32(),
        createdAt: reader.u64(),
        firstRecord: reader.u64(),
        firstWriteSet: reader.u64(),
        wrapped: reader.short(),
      })
    }
    const file = {
      boundaryId,
      service,
      dev: dev === 1,
      createdAt,
      kind,
      parameters,
      generations,
      destroyed: reader.u32(),
      destroyedAt: reader.u64(),
      wholeAt: reader.u64(),
      base: { seq: reader.u64(), writeSet: reader.u64(), root: reader.raw(32) },
      logPublicKey: reader.raw(32),
      sealedLogKey: reader.short(),
      tag: reader.raw(32),
    }
    reader.end()
    if (generations.length === 0) throw new FormatError('it holds no sealing root')
    return file
  } catch (error) {
    if (error instanceof UnknownVersion) throw error
    throw new RootError('Damaged', `the root file is damaged or is none: ${(error as Error).message}`)
  }
}

/** Opens with the root of trust. Throws `RootError`: WrongPassphrase, WrongShares, WrongRoot, or Damaged where anything in the file was changed. */
export async function openRoot(trust: RootOfTrust, file: RootFile): Promise<OpenedRoot> {
  const roots = new Map<number, Secret>()
  for (const { generation, wrapped } of file.generations) {
    const root = await trust.unwrap(wrapped)
    if (root.length !== 32) throw new RootError('Damaged', 'a sealing root has the wrong length')
    roots.set(generation, root)
  }
  const keyring = new Keyring(file.boundaryId, roots)
  if (!timingSafeEqual(tagOf(keyring, file), file.tag))
    throw new RootError('Damaged', 'the root file was changed by someone who does not hold the root')
  const seed = openBox(keyring, 'log-key', LOG_KEY_AAD, file.sealedLogKey)
  if (seed.length !== SEED_BYTES) throw new RootError('Damaged', 'the log key has the wrong length')
  const logKey = logKeyOf(seed)
  if (!rawPublicKey(createPublicKey(logKey)).equals(file.logPublicKey))
    throw new RootError('Damaged', 'the log key is not the one that the root file names')
  return { file, keyring, logKey, trust }
}

/** From which record and which write set on a new generation seals. */
export type GenerationStart = Pick<Generation, 'createdAt' | 'firstRecord' | 'firstWriteSet'>

/** A generation that is made and not in force yet: where it begins is said last. */
export interface Prepared {
  readonly generation: number
  /** The new sealing root, and whatever else the keyring takes over. */
  readonly root: Secret
  /** The file's bytes, and the file, once it is known where the generation begins. The keyring must have taken the root over by then. */
  finish(start: GenerationStart): { readonly bytes: Buffer; readonly opened: OpenedRoot }
}

/**
 * Prepares a new current generation beside those that are held. With `trust` another root of trust wraps all of them from then on; what it wrapped is
 * unwrapped again and compared before anything relies on it.
 */
export async function prepareGeneration(
  opened: OpenedRoot,
  trust: RootOfTrust = opened.trust,
  options?: RandomOption,
): Promise<Prepared> {
  const { file, keyring, logKey } = opened
  const wrappedBefore = await Promise.all(
    file.generations.map(async one => {
      if (trust === opened.trust) return one
      const root = await opened.trust.unwrap(one.wrapped)
      try {
        return { ...one, wrapped: await wrapSurely(trust, root) }
      } finally {
        root.wipe()
      }
    }),
  )
  const generation = keyring.current + 1
  const root = new Secret(secretBytes(32, options))
  const wrapped = await wrapSurely(trust, root)
  return {
    generation,
    root,
    finish: start => {
      const { kind, parameters } = trust
      const generations = [...wrappedBefore, { generation, ...start, wrapped }]
      const sealedLogKey = resealLogKey(opened, options)
      return finish(keyring, { ...file, kind, parameters, generations, sealedLogKey }, logKey, trust)
    },
  }
}

/** Wraps, and unwraps again: what does not come back the same was not wrapped. */
async function wrapSurely(trust: RootOfTrust, root: Secret): Promise<Buffer> {
  const wrapped = await trust.wrap(root)
  const again = await trust.unwrap(wrapped)
  try {
    const same = root.use(one => again.use(other => one.length === other.length && timingSafeEqual(one, other)))
    if (!same) throw new RootError('WrongRoot', 'the root of trust does not give back what it wrapped')
  } finally {
    again.wipe()
  }
  return wrapped
}

/** The log key under the newest generation. */
function resealLogKey({ file, keyring }: OpenedRoot, options?: RandomOption): Buffer {
  const seed = openBox(keyring, 'log-key', LOG_KEY_AAD, file.sealedLogKey)
  try {
    return sealBox(keyring, 'log-key', LOG_KEY_AAD, seed, options)
  } finally {
    seed.fill(0)
  }
}

/** The file with another beginning of the journal. */
export function withBase(
  { file, keyring, logKey, trust }: OpenedRoot,
  base: Base,
): { bytes: Buffer; opened: OpenedRoot } {
  return finish(keyring, { ...file, base }, logKey, trust)
}

/** The file without any generation but the newest; `wholeAt` records hold all that is in force under that. The keyring still holds the others: it forgets them once the file is durable. */
export function withoutOldGenerations(
  { file, keyring, logKey, trust }: OpenedRoot,
  destroyedAt: number,
  wholeAt: number,
): { bytes: Buffer; opened: OpenedRoot } {
  const newest = file.generations.at(-1) as Generation
  const destroyed = file.generations.at(-2)?.generation ?? file.destroyed
  return finish(keyring, { ...file, generations: [newest], destroyed, destroyedAt, wholeAt }, logKey, trust)
}
