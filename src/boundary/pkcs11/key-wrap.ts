/**
 * AES key wrap (RFC 3394 §2.2, by indexing) and AES key wrap with padding (RFC 5649 §4) over a block cipher that is elsewhere: for tokens that have
 * CKM_AES_ECB and no key wrap that takes bytes. The key stays where the blocks are done.
 */
import { timingSafeEqual } from 'node:crypto'
import { andThen, type Maybe } from './module.ts'

/** Puts the cipher's output in place of a block of 16 bytes. What it throws goes through. */
export type BlockCipher = (block: Buffer) => Maybe<void>

/** What was unwrapped, or undefined where the wrapped bytes are not what the key has made: always alike, whatever is wrong. */
export type Unwrapped = Buffer | undefined

const SEMIBLOCK = 8
const INITIAL = Buffer.from('a6a6a6a6a6a6a6a6', 'hex')
const PADDED_INITIAL = Buffer.from('a65959a6', 'hex')

/** Does `step` for each number below `count` in turn, without leaving the tick where nothing in it is a promise. */
function each(from: number, count: number, step: (at: number) => Maybe<void>): Maybe<void> {
  for (let at = from; at < count; at++) {
    const done = step(at)
    if (done instanceof Promise) return rest(done, at + 1, count, step)
  }
}

async function rest(first: Promise<void>, from: number, count: number, step: (at: number) => Maybe<void>) {
  await first
  for (let at = from; at < count; at++) await step(at)
}

/** A counter of 64 bits, of which no more than 53 are ever needed, into A. */
function xorCounter(block: Buffer, counter: number): void {
  block.writeUInt32BE((block.readUInt32BE(4) ^ counter) >>> 0, 4)
}

/** `whole` is A ‖ data, wrapped in place. The number of steps is below 2^32. */
function wrapBlocks(whole: Buffer, encrypt: BlockCipher): Maybe<Buffer> {
  const blocks = whole.length / SEMIBLOCK - 1
  const block = Buffer.alloc(2 * SEMIBLOCK)
  whole.copy(block, 0, 0, SEMIBLOCK)
  const done = each(0, 6 * blocks, step => {
    const at = SEMIBLOCK * (1 + (step % blocks))
    whole.copy(block, SEMIBLOCK, at, at + SEMIBLOCK)
    return andThen(encrypt(block), () => {
      xorCounter(block, step + 1)
      block.copy(whole, at, SEMIBLOCK)
    })
  })
  return andThen(done, () => {
    block.copy(whole, 0, 0, SEMIBLOCK)
    return whole
  })
}

function unwrapBlocks(whole: Buffer, decrypt: BlockCipher): Maybe<Buffer> {
  const blocks = whole.length / SEMIBLOCK - 1
  const block = Buffer.alloc(2 * SEMIBLOCK)
  whole.copy(block, 0, 0, SEMIBLOCK)
  const done = each(0, 6 * blocks, step => {
    const number = 6 * blocks - step
    const at = SEMIBLOCK * (1 + ((number - 1) % blocks))
    whole.copy(block, SEMIBLOCK, at, at + SEMIBLOCK)
    xorCounter(block, number)
    return andThen(decrypt(block), () => {
      block.copy(whole, at, SEMIBLOCK)
    })
  })
  return andThen(done, () => {
    block.copy(whole, 0, 0, SEMIBLOCK)
    block.fill(0)
    return whole
  })
}

/** RFC 3394. `plaintext` is a multiple of 8 bytes, at least 16. */
export function wrapByBlocks(plaintext: Buffer, encrypt: BlockCipher): Maybe<Buffer> {
  return wrapBlocks(Buffer.concat([INITIAL, plaintext]), encrypt)
}

/** RFC 3394. `wrapped` is a multiple of 8 bytes, at least 24. */
export function unwrapByBlocks(wrapped: Buffer, decrypt: BlockCipher): Maybe<Unwrapped> {
  return andThen(unwrapBlocks(Buffer.from(wrapped), decrypt), whole =>
    timingSafeEqual(whole.subarray(0, SEMIBLOCK), INITIAL) ? whole.subarray(SEMIBLOCK) : wiped(whole),
  )
}

/** RFC 5649. At least 1 byte. */
export function wrapPaddedByBlocks(plaintext: Buffer, encrypt: BlockCipher): Maybe<Buffer> {
  const whole = Buffer.alloc(SEMIBLOCK * (1 + Math.ceil(plaintext.length / SEMIBLOCK)))
  PADDED_INITIAL.copy(whole)
  whole.writeUInt32BE(plaintext.length, 4)
  plaintext.copy(whole, SEMIBLOCK)
  return whole.length === 2 * SEMIBLOCK ? andThen(encrypt(whole), () => whole) : wrapBlocks(whole, encrypt)
}

/** RFC 5649. `wrapped` is a multiple of 8 bytes, at least 16. */
export function unwrapPaddedByBlocks(wrapped: Buffer, decrypt: BlockCipher): Maybe<Unwrapped> {
  const copy = Buffer.from(wrapped)
  const opened = copy.length === 2 * SEMIBLOCK ? andThen(decrypt(copy), () => copy) : unwrapBlocks(copy, decrypt)
  return andThen(opened, whole => {
    const length = whole.readUInt32BE(4)
    const [most, least] = [whole.length - SEMIBLOCK, whole.length - 2 * SEMIBLOCK + 1]
    const fits = length >= least && length <= most
    // All is looked at before anything is said, so that no time tells which of it is wrong.
    let other = timingSafeEqual(whole.subarray(0, 4), PADDED_INITIAL) ? 0 : 1
    const end = SEMIBLOCK + (fits ? length : most)
    for (let at = end; at < whole.length; at++) other |= whole.readUInt8(at)
    return fits && other === 0 ? whole.subarray(SEMIBLOCK, end) : wiped(whole)
  })
}

function wiped(bytes: Buffer): undefined {
  bytes.fill(0)
}
