/** E-mail addresses and lists as they stand in verified tokens: bounded, and of one form, before anything is compared with them. */
const EMAIL = /^[^\s@\p{C}]{1,64}@[^\s@\p{C}]{1,255}$/u
/** Bytes (RFC 6531 §3.7.1): with any tenant before it a kill switch can name it, and a record holds it whole. */
const MAX_EMAIL = 320

/** In lower case; undefined for what is no address, or a longer one. */
export function readEmail(value: unknown): string | undefined {
  if (typeof value !== 'string' || value.length > MAX_EMAIL || !EMAIL.test(value)) return undefined
  const email = value.toLowerCase()
  return Buffer.byteLength(email) > MAX_EMAIL ? undefined : email
}

/** `max`: characters. */
export function readText(value: unknown, max: number): string | undefined {
  return typeof value === 'string' && value.length <= max ? value : undefined
}

const MAX_ENTRIES = 1000

/** The strings of a claim that is a list; none where it is something else, or longer than any that is meant. */
export function readList(value: unknown): readonly string[] {
  if (!Array.isArray(value) || value.length > MAX_ENTRIES) return []
  return value.filter(entry => typeof entry === 'string')
}
