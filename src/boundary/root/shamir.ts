/**
 * Shamir's secret sharing over GF(2^8), byte by byte. No table is looked up and no branch taken by a secret: a product is eight steps whatever its factors
 * are. The places (x) are no secrets. Decision 0040 says why it is written here.
 */
import { type RandomOption, secretBytes } from '../crypto/random.ts'

/** x^8 + x^4 + x^3 + x + 1 */
const POLYNOMIAL = 0x11b

/**
 * Zeros outside V8's heap. A Buffer of up to 64 bytes that was made in any other way stands inside it at first, and stays there as a copy, which nothing
 * wipes, once anything has asked for its ArrayBuffer.
 */
export const room = (length: number): Buffer => Buffer.from(new ArrayBuffer(length))

function multiply(a: number, b: number): number {
  let [left, right, product] = [a, b, 0]
  for (let bit = 0; bit < 8; bit++) {
    product ^= left & -(right & 1)
    left = (left << 1) ^ (POLYNOMIAL & -(left >> 7))
    right >>= 1
  }
  return product
}

/** a^254, by squares: 2 + 4 + … + 128. Of 0 it is 0. */
function inverse(a: number): number {
  let [power, product] = [a, 1]
  for (let square = 1; square < 8; square++) {
    power = multiply(power, power)
    product = multiply(product, power)
  }
  return product
}

/** Different places, none of them 0, where the secret is. */
function places(count: number, options: RandomOption | undefined): number[] {
  const taken = new Set<number>()
  while (taken.size < count) {
    const [place = 0] = secretBytes(1, options)
    if (place !== 0) taken.add(place)
  }
  return [...taken]
}

/**
 * Splits a secret of 1 byte or more into `count` shares, of which any `threshold` give it back and fewer tell nothing of it (2 ≤ threshold ≤ count ≤ 255).
 * A share is as long as the secret and one byte longer: its values, then its place. The caller wipes them.
 */
export function split(secret: Buffer, threshold: number, count: number, options?: RandomOption): Buffer[] {
  if (!(threshold >= 2 && threshold <= count && count <= 255)) throw new RangeError(`${threshold} of ${count} shares`)
  if (secret.length === 0) throw new RangeError('nothing to split')
  const degree = threshold - 1
  // One polynomial a byte: the byte itself at 0, and coefficients that are uniform, zero among them.
  const coefficients = secretBytes(secret.length * degree, options)
  const shares = places(count, options).map(place => {
    const share = room(secret.length + 1)
    for (let at = 0; at < secret.length; at++) {
      let value = 0
      for (let power = degree - 1; power >= 0; power--)
        value = multiply(value ^ (coefficients[at * degree + power] ?? 0), place)
      share[at] = value ^ (secret[at] ?? 0)
    }
    share[secret.length] = place
    return share
  })
  coefficients.fill(0)
  return shares
}

/**
 * The secret that these shares give, which is wrong where one of them is wrong or there are too few: nothing here can tell. Throws `RangeError` where they
 * are not of one length, or two have the same place. The caller wipes it.
 */
export function combine(shares: readonly Buffer[]): Buffer {
  const length = (shares[0]?.length ?? 0) - 1
  const at = shares.map(share => share[length] ?? 0)
  if (shares.length < 2 || length < 1 || shares.some(share => share.length !== length + 1))
    throw new RangeError('shares of one length are wanted, and more than one')
  if (new Set(at).size !== at.length || at.includes(0)) throw new RangeError('each share has a place of its own')
  const secret = room(length)
  shares.forEach((share, mine) => {
    const place = at[mine] ?? 0
    // Lagrange's basis at 0; minus is plus here.
    const basis = at.reduce(
      (product, other, theirs) =>
        theirs === mine ? product : multiply(product, multiply(other, inverse(other ^ place))),
      1,
    )
    for (let byte = 0; byte < length; byte++) secret[byte] = (secret[byte] ?? 0) ^ multiply(share[byte] ?? 0, basis)
  })
  return secret
}
