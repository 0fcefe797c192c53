/**
 * M of N shares as root of trust: 32 random bytes wrap the sealing roots, and nobody has them but any M holders together. See docs/formats/root.md, "Shares".
 */
import { createSecretKey, type KeyObject } from 'node:crypto'
import { FormatError, Reader, Writer } from '../bytes.ts'
import { type RandomOption, secretBytes } from '../crypto/random.ts'
import { combine, split } from './shamir.ts'
import { KEY_BYTES, SET_ID_BYTES, type ShareSet } from './share-text.ts'
import { RootError, type RootOfTrust } from './types.ts'
import { unwrapWith, wrapWith } from './wrap.ts'

const VERSION = 1
export const MIN_THRESHOLD = 2
export const MAX_SHARES = 16

const inBounds = (threshold: number, count: number): boolean =>
  threshold >= MIN_THRESHOLD && threshold <= count && count <= MAX_SHARES

/** A new set of this boundary. Throws `RootError` Refused for numbers that are none. */
export function newShareSet(boundaryId: Buffer, threshold: number, count: number, options?: RandomOption): ShareSet {
  if (!inBounds(threshold, count)) {
    throw new RootError(
      'Refused',
      `at least ${MIN_THRESHOLD} of at most ${MAX_SHARES} shares open a boundary, and no more than there are: not ${threshold} of ${count}`,
    )
  }
  return { boundaryId, setId: secretBytes(SET_ID_BYTES, options), threshold, count }
}

/** What the root file says of a set: nothing that tells one share from another. */
export const writeParameters = ({ threshold, count, setId }: ShareSet): Buffer =>
  Buffer.from(new Writer(16).u8(VERSION).u8(threshold).u8(count).raw(setId).done())

/** Throws `RootError` Damaged. */
export function readParameters(boundaryId: Buffer, parameters: Buffer): ShareSet {
  try {
    const reader = new Reader(parameters)
    const version = reader.u8()
    const [threshold, count] = [reader.u8(), reader.u8()]
    const setId = Buffer.from(reader.raw(SET_ID_BYTES))
    reader.end()
    if (version !== VERSION || !inBounds(threshold, count)) throw new FormatError('out of bounds')
    return { boundaryId, setId, threshold, count }
  } catch {
    throw new RootError('Damaged', 'the parameters of the shares in the root file are damaged')
  }
}

/** Makes the key of a set: the key, and its raw shares, which the caller wipes. */
export function makeShares(set: ShareSet, options?: RandomOption): { key: KeyObject; shares: Buffer[] } {
  const bytes = secretBytes(KEY_BYTES, options)
  const made = { key: createSecretKey(bytes), shares: split(bytes, set.threshold, set.count, options) }
  bytes.fill(0)
  return made
}

/** The key that these raw shares give, right or wrong. */
export function keyOf(shares: readonly Buffer[]): KeyObject {
  const bytes = combine(shares)
  const key = createSecretKey(bytes)
  bytes.fill(0)
  return key
}

/** A wrong key shows at the first `unwrap` as `RootError` WrongShares, which says nothing of any one of them. */
export const sharesRoot = (set: ShareSet, key: KeyObject): RootOfTrust => ({
  kind: 'shares',
  parameters: writeParameters(set),
  wrap: async secret => wrapWith(key, secret),
  unwrap: async wrapped => unwrapWith(key, wrapped, 'WrongShares', 'one or more of the shares are wrong: begin anew'),
})
