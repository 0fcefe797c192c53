/**
 * C2SP signed notes as a reader needs them: texts, signature lines, verifier keys, checkpoints (tlog-checkpoint) and the cosignatures of witnesses
 * (tlog-cosignature, Ed25519). A note of which no known key has signed says nothing.
 */
import { isUtf8 } from 'node:buffer'
import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto'

const ED25519 = 0x01
const COSIGNATURE = 0x04
/** What stands before the 32 bytes in the SPKI form of an Ed25519 key (RFC 8410 §4). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')
export const MAX_NOTE_BYTES = 1024 * 1024
const MAX_SIGNATURES = 64
// biome-ignore lint/suspicious/noControlCharactersInRegex: signed-note forbids them
const FORBIDDEN = /[\x00-\x09\x0b-\x1f]/
const NAME = /^[^\s+]+$/u

/** A note, a key or a proof that is not what it should be. */
export class NoteError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'NoteError'
  }
}

export interface Verifier {
  readonly name: string
  /** First 4 bytes of SHA-256(name ‖ 0x0A ‖ type ‖ public key), as 8 hex digits. */
  readonly id: string
  /** 0x01 signs the text, 0x04 is a witness's timestamped cosignature. */
  readonly type: number
  readonly key: KeyObject
}

export interface Note {
  /** With its final newline. */
  readonly text: string
  readonly signatures: ReadonlyArray<{ readonly name: string; readonly id: string; readonly signature: Buffer }>
}

export interface Verified {
  readonly name: string
  readonly id: string
  /** Of a cosignature: seconds since 1970. */
  readonly time: number | undefined
}

export interface CheckpointText {
  readonly origin: string
  readonly size: number
  readonly root: Buffer
  readonly extensions: readonly string[]
}

/** Standard base64 with padding, and nothing that decodes to the same bytes; undefined for anything else. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

/** The verifier key of an Ed25519 public key, 32 bytes. */
export function vkeyOf(name: string, publicKey: Buffer): string {
  const typed = Buffer.concat([Buffer.from([ED25519]), publicKey])
  return `${name}+${keyId(name, typed)}+${typed.toString('base64')}`
}

function keyId(name: string, typed: Buffer): string {
  const input = Buffer.concat([Buffer.from(`${name}\n`), typed])
  return hash('sha256', input, 'buffer').toString('hex', 0, 4)
}

/** Reads a verifier key, `<name>+<hash>+<base64>`. Throws `NoteError`. */
export function parseVerifier(vkey: string): Verifier {
  const [, name = '', id = '', encoded = ''] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(vkey.trim()) ?? []
  const typed = decodeBase64(encoded)
  if (!NAME.test(name) || typed === undefined) throw new NoteError('a verifier key is <name>+<8 hex digits>+<base64>')
  const type = typed[0] ?? 0
  if (typed.length !== 33 || (type !== ED25519 && type !== COSIGNATURE))
    throw new NoteError('the verifier key is not of Ed25519, the one kind that is known here')
  if (keyId(name, typed) !== id) throw new NoteError('the verifier key’s hash does not belong to it: it was mistyped')
  const der = Buffer.concat([SPKI_PREFIX, typed.subarray(1)])
  return { name, id, type, key: createPublicKey({ key: der, format: 'der', type: 'spki' }) }
}

/** Reads a note, checking its form and no signature. Throws `NoteError`. */
export function parseNote(bytes: Uint8Array): Note {
  if (bytes.length > MAX_NOTE_BYTES) throw new NoteError(`a note is longer than ${MAX_NOTE_BYTES} bytes`)
  if (!isUtf8(bytes)) throw new NoteError('a note is not UTF-8')
  const whole = Buffer.from(bytes).toString('utf8')
  if (FORBIDDEN.test(whole)) throw new NoteError('a note holds control characters')
  const end = whole.lastIndexOf('\n\n')
  if (end < 0 || !whole.endsWith('\n')) throw new NoteError('a note has no signatures, or is cut short')
  const lines = whole.slice(end + 2, -1).split('\n')
  if (lines.length > MAX_SIGNATURES) throw new NoteError(`a note has more than ${MAX_SIGNATURES} signatures`)
  const signatures = lines.map(line => {
    const [, name = '', encoded = ''] = /^— (\S+) (\S+)$/u.exec(line) ?? []
    const signature = decodeBase64(encoded)
    if (!NAME.test(name) || signature === undefined || signature.length < 5)
      throw new NoteError('a signature line of a note is malformed')
    return { name, id: signature.toString('hex', 0, 4), signature: signature.subarray(4) }
  })
  return { text: whole.slice(0, end + 1), signatures }
}

/**
 * Checks every signature of a known key; those of others are ignored. Throws `NoteError` where one of a known key is wrong, and where there is none
 * of a known key.
 */
export function verifyNote(note: Note, verifiers: readonly Verifier[]): Verified[] {
  const verified: Verified[] = []
  for (const { name, id, signature } of note.signatures) {
    const verifier = verifiers.find(each => each.name === name && each.id === id)
    if (verifier === undefined || verified.some(each => each.name === name && each.id === id)) continue
    const time = verifier.type === COSIGNATURE ? cosignatureTime(signature) : undefined
    const signed = time === undefined ? note.text : `cosignature/v1\ntime ${time}\n${note.text}`
    const bytes = verifier.type === COSIGNATURE ? signature.subarray(8) : signature
    if (bytes.length !== 64 || !verify(null, Buffer.from(signed), verifier.key, bytes))
      throw new NoteError(`the signature of ${name} (${id}) is wrong`)
    verified.push({ name, id, time })
  }
  if (verified.length === 0)
    throw new NoteError(`no signature of ${verifiers.map(({ name, id }) => `${name} (${id})`).join(' or ')}`)
  return verified
}

function cosignatureTime(signature: Buffer): number {
  const time = signature.length < 8 ? Number.NaN : Number(signature.readBigUInt64BE(0))
  if (!Number.isSafeInteger(time)) throw new NoteError('a cosignature has no time')
  return time
}

/** The text of a checkpoint. Throws `NoteError`. */
export function parseCheckpoint(text: string): CheckpointText {
  const [origin = '', size = '', encoded = '', ...extensions] = text.slice(0, -1).split('\n')
  const root = decodeBase64(encoded)
  if (origin === '' || !/^(0|[1-9]\d{0,15})$/.test(size) || !Number.isSafeInteger(Number(size)))
    throw new NoteError('a checkpoint has an origin and a size')
  if (root?.length !== 32) throw new NoteError('a checkpoint has a root of 32 bytes in base64')
  if (extensions.includes('')) throw new NoteError('an extension line of a checkpoint is empty')
  return { origin, size: Number(size), root, extensions }
}
