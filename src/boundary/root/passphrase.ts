/**
 * A passphrase as root of trust: argon2id on the thread pool. See docs/formats/root.md, "Passphrase".
 */
import { argon2, createSecretKey, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { checkVersion, Reader, UnknownVersion, Writer } from '../bytes.ts'
import { type RandomOption, secretBytes } from '../crypto/random.ts'
import { RootError, type RootOfTrust } from './types.ts'
import { unwrapWith, wrapWith } from './wrap.ts'

export const MIN_PASSPHRASE_BYTES = 12
const MAX_PASSPHRASE_BYTES = 1024

const VERSION = 1
/** RFC 9106 §4, second recommendation: 64 MiB, 3 passes, 4 lanes. */
const MEMORY_KIB = 65_536
const PASSES = 3
const PARALLELISM = 4
/** A root file must not be able to order up all memory, or a cost so low that guessing is free. */
const MEMORY_BOUNDS = [19_456, 4_194_304] as const

const derive = promisify(argon2)

/** A new root with a fresh salt. Throws `RootError` Refused for a passphrase below 12 bytes. The passphrase is wiped. */
export async function newPassphraseRoot(passphrase: Buffer, options?: RandomOption): Promise<RootOfTrust> {
  if (passphrase.length < MIN_PASSPHRASE_BYTES || passphrase.length > MAX_PASSPHRASE_BYTES) {
    passphrase.fill(0)
    throw new RootError('Refused', `a passphrase is ${MIN_PASSPHRASE_BYTES} to ${MAX_PASSPHRASE_BYTES} bytes`)
  }
  const parameters = new Writer(32)
    .u8(VERSION)
    .u32(MEMORY_KIB)
    .u32(PASSES)
    .u8(PARALLELISM)
    .short(secretBytes(16, options))
    .done()
  return openPassphraseRoot(passphrase, Buffer.from(parameters))
}

/** The root with the parameters of the root file; a wrong passphrase shows at the first `unwrap` as `RootError` WrongPassphrase. The passphrase is wiped. */
export async function openPassphraseRoot(passphrase: Buffer, parameters: Buffer): Promise<RootOfTrust> {
  const key = await keyOf(passphrase, parameters).finally(() => passphrase.fill(0))
  return {
    kind: 'passphrase',
    parameters,
    wrap: async secret => wrapWith(key, secret),
    unwrap: async wrapped => unwrapWith(key, wrapped, 'WrongPassphrase', 'the passphrase is not the right one'),
  }
}

async function keyOf(passphrase: Buffer, parameters: Buffer): Promise<KeyObject> {
  const damaged = (): RootError => new RootError('Damaged', 'the passphrase parameters of the root file are damaged')
  let cost: { memory: number; passes: number; parallelism: number; nonce: Buffer }
  try {
    const reader = new Reader(parameters)
    checkVersion('the description of the passphrase', reader.u8(), VERSION)
    cost = { memory: reader.u32(), passes: reader.u32(), parallelism: reader.u8(), nonce: reader.short() }
    reader.end()
  } catch (error) {
    throw error instanceof UnknownVersion ? error : damaged()
  }
  const { memory, passes, parallelism, nonce } = cost
  if (
    memory < MEMORY_BOUNDS[0] ||
    memory > MEMORY_BOUNDS[1] ||
    passes < 1 ||
    passes > 64 ||
    parallelism < 1 ||
    nonce.length < 16
  )
    throw damaged()
  const derived = Buffer.from(
    await derive('argon2id', { message: passphrase, nonce, parallelism, tagLength: 32, memory, passes }),
  )
  const key = createSecretKey(derived)
  derived.fill(0)
  return key
}
