/**
 * Base64 as RFC 4648 §4 has it, in its one canonical form: padded, standard alphabet, unused bits zero, nothing between. `Buffer.from` alone
 * would accept URL-safe text, white space and garbage, and several texts would then be one value.
 */

/** The most characters that `bytes` bytes encode to. */
export function encodedLength(bytes: number): number {
  return Math.ceil(bytes / 3) * 4
}

/** Undefined where `text` is not the canonical encoding of some bytes. Bound its length first. */
export function decodeCanonical(text: string): Buffer | undefined {
  if (text.length % 4 !== 0) return undefined
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}
