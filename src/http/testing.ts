/** What properties of several rooms are tried with. */
import fc from 'fast-check'

/** Code points that are halves of a surrogate pair, and how many there are. */
const SURROGATES = 0xd800
const HALVES = 0x800

/** Any code point but halves of surrogates: fast-check's `unit: 'binary'`, which takes more than a second to be made in each process. */
export const codePoint: fc.Arbitrary<string> = fc
  .nat({ max: 0x10ffff - HALVES })
  .map(number => String.fromCodePoint(number < SURROGATES ? number : number + HALVES))
