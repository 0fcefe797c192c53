/**
 * The file `root` of the boundary's folder: who this boundary is, and its sealing roots wrapped by the root of trust. See docs/formats/root.md.
 */
import { createHmac, createPrivateKey, createPublicKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import { FormatError, Reader, Writer } from '../bytes.ts'
import { openBox, sealBox } from '../crypto/box.ts'
import { type RandomOption, secretBytes } from '../crypto/random.ts'
import { Keyring } from './keyring.ts'
import { RootError, type RootKind, type RootOfTrust, Secret } from './types.ts'

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
  readonly generations: ReadonlyArray<{
    readonly generation: number
    readonly createdAt: number
    readonly wrapped: Buffer
  }>
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
}

const MAGIC = Buffer.from('HOLDROOT')
const VERSION = 1
const SERVICES = ['kms', 'ekm'] as const
const KINDS = ['keyfile', 'passphrase', 'pkcs11'] as const
const MAX_FILE_BYTES = 1024 * 1024
const LOG_KEY_AAD = Buffer.from('holdfast log key')
const SEED_BYTES = 32
/** What stands before the seed in the PKCS #8 form of an Ed25519 key. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

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
  for (const { generation, createdAt, wrapped } of file.generations)
    writer.u32(generation).u64(createdAt).short(wrapped)
  return writer.raw(file.logPublicKey).short(file.sealedLogKey).done()
}

/** Under the newest generation: only who holds a sealing root can say what the file says. */
function tagOf(keyring: Keyring, file: Untagged): Buffer {
  return createHmac('sha256', keyring.key('root-file')).update(encode(file)).digest()
}

function finish(keyring: Keyring, untagged: Untagged, logKey: KeyObject): { bytes: Buffer; opened: OpenedRoot } {
  const file = { ...untagged, tag: tagOf(keyring, untagged) }
  return { bytes: Buffer.concat([encode(untagged), file.tag]), opened: { file, keyring, logKey } }
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
    generations: [{ generation: 1, createdAt: input.now, wrapped }],
    logPublicKey: rawPublicKey(createPublicKey(logKey)),
    sealedLogKey,
  }
  return finish(keyring, file, logKey)
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

/** Reads the file without opening it: which kind of root of trust it needs, and its parameters. Throws `RootError` Damaged. */
export function parseRootFile(bytes: Buffer): RootFile {
  try {
    if (bytes.length > MAX_FILE_BYTES) throw new FormatError('too long')
    const reader = new Reader(bytes)
    if (!reader.raw(MAGIC.length).equals(MAGIC)) throw new FormatError('it does not begin as one')
    const version = reader.u16()
    if (version !== VERSION)
      throw new FormatError(`its version is ${version}, and this program knows version ${VERSION}`)
    const boundaryId = reader.raw(16)
    const service = SERVICES[reader.u8()]
    const dev = reader.u8()
    const createdAt = reader.u64()
    const kind = KINDS[reader.u8()]
    const parameters = reader.short()
    if (service === undefined || kind === undefined || dev > 1)
      throw new FormatError('it names what this program does not know')
    const generations: { generation: number; createdAt: number; wrapped: Buffer }[] = []
    for (let left = reader.u16(); left > 0; left--) {
      generations.push({ generation: reader.u32(), createdAt: reader.u64(), wrapped: reader.short() })
    }
    const file = {
      boundaryId,
      service,
      dev: dev === 1,
      createdAt,
      kind,
      parameters,
      generations,
      logPublicKey: reader.raw(32),
      sealedLogKey: reader.short(),
      tag: reader.raw(32),
    }
    reader.end()
    if (generations.length === 0) throw new FormatError('it holds no sealing root')
    return file
  } catch (error) {
    throw new RootError('Damaged', `the root file is damaged or is none: ${(error as Error).message}`)
  }
}

/** Opens with the root of trust. Throws `RootError`: WrongPassphrase, WrongRoot, or Damaged where anything in the file was changed. */
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
  return { file, keyring, logKey }
}

/** A new current generation; the old ones stay. Returns the new bytes to write. */
export async function addGeneration(
  trust: RootOfTrust,
  opened: OpenedRoot,
  now: number,
  options?: RandomOption,
): Promise<{ bytes: Buffer; opened: OpenedRoot }> {
  const roots = new Map<number, Secret>()
  for (const { generation, wrapped } of opened.file.generations) roots.set(generation, await trust.unwrap(wrapped))
  const generation = opened.keyring.current + 1
  const root = new Secret(secretBytes(32, options))
  const wrapped = await trust.wrap(root)
  roots.set(generation, root)
  const keyring = new Keyring(opened.file.boundaryId, roots)
  const seed = openBox(opened.keyring, 'log-key', LOG_KEY_AAD, opened.file.sealedLogKey)
  const sealedLogKey = sealBox(keyring, 'log-key', LOG_KEY_AAD, seed, options)
  seed.fill(0)
  const file: Untagged = {
    ...opened.file,
    kind: trust.kind,
    parameters: trust.parameters,
    generations: [...opened.file.generations, { generation, createdAt: now, wrapped }],
    sealedLogKey,
  }
  return finish(keyring, file, opened.logKey)
}
