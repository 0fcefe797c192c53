/** Text for records, whose fields are bounded in bytes. */

/** At most `bytes` of UTF-8, without half a character at the end. */
export function cut(text: string, bytes: number): string {
  if (text.length * 3 <= bytes || Buffer.byteLength(text) <= bytes) return text
  return Buffer.from(text)
    .subarray(0, bytes)
    .toString()
    .replace(/\ufffd+$/, '')
}
