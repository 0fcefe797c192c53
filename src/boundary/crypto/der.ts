/** What OpenSSL's parsers leave to their callers. */

/** Whether the bytes are one DER SEQUENCE, from the first to the last: OpenSSL reads a key and does not look at what stands behind it. */
export function isOneSequence(der: Buffer): boolean {
  if (der.length < 2 || der[0] !== 0x30) return false
  const first = der[1] as number
  if (first < 0x80) return der.length === 2 + first
  const bytes = first & 0x7f
  if (bytes === 0 || bytes > 4 || der.length < 2 + bytes) return false
  const length = der.readUIntBE(2, bytes)
  // The shortest form of a length is the only one in DER.
  return length >= (bytes === 1 ? 0x80 : 2 ** (8 * (bytes - 1))) && der.length === 2 + bytes + length
}
