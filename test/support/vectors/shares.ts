/** Vectors of shares: the polynomials, the lines of the holders, and what the key wraps. */

import { RANDOM_FOR_VECTORS } from '../../../src/boundary/crypto/random.ts'
import { writeShare } from '../../../src/boundary/root/share-text.ts'
import { makeShares, newShareSet, sharesRoot } from '../../../src/boundary/root/shares.ts'
import { wrapWith } from '../../../src/boundary/root/wrap.ts'
import { BOUNDARY_ID, copied, hex, ROOTS, stream, type VectorFile } from './source.ts'

const NUMBERS = [
  [2, 3],
  [3, 5],
  [16, 16],
] as const

export function shares(): VectorFile {
  const vectors = NUMBERS.map(([threshold, count]) => {
    const name = `shares ${threshold} of ${count}`
    const set = newShareSet(BOUNDARY_ID, threshold, count, stream(`${name} set`))
    const { key, shares } = makeShares(set, stream(name))
    // What `makeShares` draws first: the key, then the coefficients.
    const drawn = Buffer.alloc(32 * threshold)
    stream(name)[RANDOM_FOR_VECTORS]?.(drawn, 0, drawn.length)
    const wrapped = wrapWith(key, copied(ROOTS[0]), stream(`${name} iv`))
    return {
      boundaryId: hex(BOUNDARY_ID),
      setId: hex(set.setId),
      threshold,
      count,
      parameters: hex(sharesRoot(set, key).parameters),
      key: hex(drawn.subarray(0, 32)),
      coefficients: hex(drawn.subarray(32)),
      shares: shares.map(raw => ({ raw: hex(raw), line: writeShare(set, raw).toString('latin1') })),
      root: hex(ROOTS[0]),
      iv: hex(wrapped.subarray(0, 12)),
      wrapped: hex(wrapped),
    }
  })
  return { vectors, refused: refused(String(vectors[0]?.shares[0]?.line)) }
}

function refused(line: string): { why: string; line: string }[] {
  return [
    { why: 'another label', line: line.replace('share-1', 'share-2') },
    { why: 'a letter changed', line: line.replace(/.$/, last => (last === 'A' ? 'B' : 'A')) },
    { why: 'two letters exchanged', line: line.replace(/ (.)(.)/, ' $2$1') },
    { why: 'a letter missing', line: line.slice(0, -1) },
    { why: 'a letter too many', line: `${line}A` },
    { why: 'a digit that is no letter of it', line: line.replace(/.$/, '1') },
  ]
}
