/**
 * Base64url as RFC 7515 §2 has it, in its one canonical form: without padding, URL-safe alphabet, unused bits zero, nothing between. `Buffer.from` alone
 * would accept the other alphabet, padding and garbage, and several texts would then be one value.
 */

/** The most characters that `bytes` bytes encode to. */
export function encodedLength(bytes: number): number {
  return Math.ceil((bytes * 4) / 3)
}

/** Undefined where `text` is not the canonical encoding of some bytes. Bound its length first. */
export function decodeCanonical(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}
