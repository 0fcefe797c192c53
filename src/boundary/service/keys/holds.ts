/**
 * Keys on hold: each use waits for a named person. Who asks, for what and how often is kept here as an ask; a decision lets that ask pass, or refuses it, for
 * as long as it was given for. Asks and decisions live as long as this process: after a restart every use is asked about again, and the log has what was
 * decided.
 */
import { createHash } from 'node:crypto'
import { FormatError, Reader, Writer } from '../../bytes.ts'
import type { Ask } from '../../client/api.ts'
import { decodeAsserted } from '../../record.ts'
import type { EncodedAsserted } from '../../record-fields.ts'
import { type Asserted, BoundaryError, type Row } from '../../words.ts'

/** `deny`: refused until decided. `wait`: the request waits, as long as its protocol lets it, and is then refused. */
export const HOLD_MODES = { deny: 1, wait: 2 } as const
export type HoldMode = keyof typeof HOLD_MODES

export interface Hold {
  readonly mode: HoldMode
  /** For how long a decision holds, in seconds, where it does not say. */
  readonly decisionSeconds: number
  /** Who may decide; empty: whoever reaches the control socket or the admin API, by any name. */
  readonly approvers: readonly string[]
  /** Why, for those who look. */
  readonly note: string
}

const VERSION = 1
const MAX_APPROVERS = 32

/** Body of a row of kind `hold`, whose id is that of its key. */
export function encodeHold({ mode, decisionSeconds, approvers, note }: Hold): Buffer {
  const writer = new Writer(64).u8(VERSION).u8(HOLD_MODES[mode]).u32(decisionSeconds).string(note).u8(approvers.length)
  for (const name of approvers) writer.string(name)
  return writer.done()
}

export function decodeHold(body: Buffer): Hold {
  const reader = new Reader(body)
  if (reader.u8() !== VERSION) throw new FormatError('a hold of another version')
  const code = reader.u8()
  const mode = (Object.keys(HOLD_MODES) as HoldMode[]).find(each => HOLD_MODES[each] === code)
  if (mode === undefined) throw new FormatError('a hold of no known mode')
  const decisionSeconds = reader.u32()
  const note = reader.string()
  const count = reader.u8()
  if (count > MAX_APPROVERS) throw new FormatError('too many approvers')
  const approvers = Array.from({ length: count }, () => reader.string())
  reader.end()
  return { mode, decisionSeconds, approvers, note }
}

type Kept = { -readonly [F in keyof Ask]: Ask[F] } & { readonly waiters: Set<() => void> }

/** Asks that are kept: strangers make none, and whoever may ask is known, but nothing grows without a bound. */
const MAX_ASKS = 1000

/** Bytes that are no hold hold all the same: nobody can decide, until the owner has written it anew. */
function holdOf(body: Buffer): Hold {
  try {
    return decodeHold(body)
  } catch {
    return { mode: 'deny', decisionSeconds: 0, approvers: [''], note: '' }
  }
}

export class Holds {
  readonly #holds = new Map<string, Hold>()
  readonly #asks = new Map<string, Kept>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /** Takes a row of kind `hold` that is in force. */
  take({ id, body }: Pick<Row, 'id' | 'body'>): void {
    if (body === null) this.#holds.delete(id)
    else this.#holds.set(id, holdOf(body))
    // What was decided under the old hold is not what the new one asks.
    for (const [ask, kept] of this.#asks) {
      if (kept.keyId !== id) continue
      this.#asks.delete(ask)
      wake(kept)
    }
  }

  get(keyId: string): Hold | undefined {
    return this.#holds.get(keyId)
  }

  /** Throws Held where a decision is missing or was against; its detail is `<mode> <ask id>`, and `deny` where waiting is of no use. */
  check(keyId: string, asserted: EncodedAsserted): void {
    if (this.#holds.size === 0) return
    const hold = this.#holds.get(keyId)
    if (hold === undefined) return
    const ask = this.#asked(keyId, decodeAsserted(asserted))
    if (ask.decision !== 'none' && ask.until <= this.#now()) ask.decision = 'none'
    if (ask.decision === 'approved') return
    throw new BoundaryError('Held', `${ask.decision === 'denied' ? 'deny' : hold.mode} ${ask.id}`)
  }

  #asked(keyId: string, asserted: Asserted): Kept {
    const { operation = '', accessKeyId = '', principal = '', claimedPrincipal = '', reason = '' } = asserted
    const what = new Writer()
    for (const part of [keyId, operation, accessKeyId, principal, claimedPrincipal, reason]) what.string(part)
    const id = createHash('sha256').update(what.done()).digest('hex').slice(0, 12)
    const now = this.#now()
    const known = this.#asks.get(id)
    if (known !== undefined) {
      known.count++
      known.lastAt = now
      known.asserted = asserted
      return known
    }
    if (this.#asks.size >= MAX_ASKS) this.#dropOldest()
    const ask: Kept = {
      ...{ id, keyId, asserted, firstAt: now, lastAt: now, count: 1, waiting: 0, decision: 'none', by: '', until: 0 },
      waiters: new Set(),
    }
    this.#asks.set(id, ask)
    return ask
  }

  #dropOldest(): void {
    for (const [id, { waiting }] of this.#asks) {
      if (waiting > 0) continue
      this.#asks.delete(id)
      return
    }
    throw new BoundaryError('Busy', 'too many uses wait for a decision')
  }

  /** Oldest first. */
  list(): readonly Ask[] {
    return [...this.#asks.values()].map(({ waiters: _, ...ask }) => ask)
  }

  find(id: string): Ask | undefined {
    return this.#asks.get(id)
  }

  /** In force for every use that starts after it; those that wait go on. The caller has checked who decides. */
  decide(id: string, approve: boolean, by: string, until: number): void {
    const ask = this.#asks.get(id)
    if (ask === undefined) return
    ask.decision = approve ? 'approved' : 'denied'
    ask.by = by
    ask.until = until
    wake(ask)
  }

  /** Resolves when the ask is decided, gone, or `milliseconds` are over. */
  async wait(id: string, milliseconds: number): Promise<void> {
    const ask = this.#asks.get(id)
    if (ask === undefined || ask.decision !== 'none') return
    ask.waiting++
    try {
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, milliseconds)
        ask.waiters.add(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    } finally {
      ask.waiting--
    }
  }
}

function wake(ask: Kept): void {
  for (const waiter of ask.waiters) waiter()
  ask.waiters.clear()
}
