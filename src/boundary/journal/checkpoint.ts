/** Checkpoints: C2SP tlog-checkpoint bodies in C2SP signed notes, signed with Ed25519. See docs/formats/journal.md, "Checkpoint". */
import { createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto'

const ED25519 = 0x01
const ORIGIN = /^[^\s+\p{Cc}]{1,255}$/u

export interface Checkpoint {
  readonly size: number
  readonly root: Buffer
}

export class CheckpointSigner {
  readonly origin: string
  /** `<origin>+<key id>+<base64(0x01 ‖ public key)>`. */
  readonly vkey: string
  readonly #key: KeyObject
  readonly #public: KeyObject
  readonly #id: Buffer

  /** Throws RangeError for an origin that could not be a key name: with a space, `+` or a control character. */
  constructor(origin: string, key: KeyObject) {
    if (!ORIGIN.test(origin)) throw new RangeError('a log origin has no spaces, no + and no control characters')
    this.origin = origin
    this.#key = key
    this.#public = createPublicKey(key)
    const raw = this.#public.export({ format: 'der', type: 'spki' }).subarray(-32)
    const typed = Buffer.concat([Buffer.from([ED25519]), raw])
    this.#id = hash('sha256', Buffer.concat([Buffer.from(`${origin}\n`), typed]), 'buffer').subarray(0, 4)
    this.vkey = `${origin}+${this.#id.toString('hex')}+${typed.toString('base64')}`
  }

  sign({ size, root }: Checkpoint): string {
    const text = `${this.origin}\n${size}\n${root.toString('base64')}\n`
    const signature = Buffer.concat([this.#id, sign(null, Buffer.from(text), this.#key)])
    return `${text}\n— ${this.origin} ${signature.toString('base64')}\n`
  }

  /** What a note of this signer says; undefined where it is not one, or the signature is not this signer's. */
  open(note: string): Checkpoint | undefined {
    const end = note.indexOf('\n\n')
    if (end < 0) return undefined
    const text = note.slice(0, end + 1)
    const [origin, size = '', root = ''] = text.split('\n')
    if (origin !== this.origin || !/^(0|[1-9]\d{0,15})$/.test(size)) return undefined
    for (const line of note.slice(end + 2).split('\n')) {
      const [dash, name, encoded = ''] = line.split(' ')
      const signature = Buffer.from(encoded, 'base64')
      if (dash !== '—' || name !== this.origin || !signature.subarray(0, 4).equals(this.#id)) continue
      if (!verify(null, Buffer.from(text), this.#public, signature.subarray(4))) continue
      return { size: Number(size), root: Buffer.from(root, 'base64') }
    }
    return undefined
  }
}
