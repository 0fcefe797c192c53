/**
 * Memory of signatures, because SigV4 has no nonce: a request that was captured could be sent again for as long as its date is accepted. A request
 * that comes again byte for byte is answered once more within 2 s, to the same peer (its answer may have been lost, and a date has whole seconds
 * only), and refused after that.
 *
 * Nothing is forgotten early. Signatures are kept by credential and by the minute of their X-Amz-Date, which they cover; a minute is dropped only
 * when its dates are past the window, and from then on every date up to it is refused, whatever the wall clock does. When memory is full, new
 * requests are refused. What another process answered before this one is not known here, so of credentials
 * that are older than this memory no date before its beginning is accepted.
 */
import { SignatureTable } from './signature-table.ts'

/** Milliseconds for which a date is accepted after it, and before it; the verifier of signatures holds the same. */
export const SKEW_MS = 5 * 60 * 1000
const SECOND = 1000
const MINUTE = 60_000

export interface ReplayLimits {
  /** Milliseconds within which the same request may be answered once more. */
  readonly repeatMs: number
  /** Signatures remembered for one credential; 1,800 requests a second for the whole window are 540,000. */
  readonly perCredential: number
  /** Signatures remembered in all; each takes at most 64 bytes, the room to find it included. */
  readonly total: number
}
export const DEFAULT_REPLAY_LIMITS: ReplayLimits = { repeatMs: 2000, perCredential: 1 << 20, total: 1 << 21 }

export interface ReplayClock {
  /** Real time in milliseconds since 1970. */
  now(): number
  /** Milliseconds that only grow, shared by all requests of this process. */
  monotonic(): number
}

export interface SignedOnce {
  readonly accessKeyId: string
  /** 64 lower-case hex digits, verified: strangers cannot fill this memory. */
  readonly signature: string
  /** Milliseconds since 1970 of X-Amz-Date. */
  readonly signedAt: number
  /** Milliseconds since 1970: when the credential was made. */
  readonly credentialCreated: number
  /** Fingerprint of the client's certificate, or the address where there is none. */
  readonly peer: string
}

/** `early`: dated before this memory began, with a credential that is older than it; whether it was answered then, nobody knows. */
export type ReplayVerdict = 'first' | 'repeated' | 'replayed' | 'full' | 'early'

class CredentialMemory {
  readonly minutes = new Map<number, SignatureTable>()
  size = 0
  /** Dates up to here may have been forgotten, so none of them is accepted any more. */
  forgottenUpTo = 0
}

export class ReplayMemory {
  readonly #clock: ReplayClock
  readonly #limits: ReplayLimits
  readonly #credentials = new Map<string, CredentialMemory>()
  #size = 0
  #sweptMinute = 0
  readonly #since: number
  /** The same for dates, which have whole seconds. */
  readonly #sinceSecond: number

  /** `since`: when this memory begins, in milliseconds since 1970: the start of the process that answers. */
  constructor(clock: ReplayClock, limits: ReplayLimits, since: number) {
    this.#clock = clock
    this.#limits = limits
    this.#since = since
    this.#sinceSecond = Math.floor(since / SECOND) * SECOND
  }

  /** Signatures remembered. */
  get size(): number {
    return this.#size
  }

  /** Judges a request whose signature and date were just verified, and remembers it. */
  judge(request: SignedOnce): ReplayVerdict {
    // A credential that was made since then was never used with another process.
    if (request.signedAt < this.#sinceSecond && request.credentialCreated < this.#since) return 'early'
    this.#sweep()
    let memory = this.#credentials.get(request.accessKeyId)
    if (memory === undefined) {
      memory = new CredentialMemory()
      this.#credentials.set(request.accessKeyId, memory)
    }
    if (request.signedAt <= memory.forgottenUpTo) return 'replayed'
    const minute = Math.floor(request.signedAt / MINUTE)
    let table = memory.minutes.get(minute)
    if (table === undefined) {
      table = new SignatureTable(this.#clock.monotonic())
      memory.minutes.set(minute, table)
    }
    const seen = table.find(request.signature)
    if (seen !== undefined) return this.#again(table, seen, request.peer)
    if (memory.size >= this.#limits.perCredential || this.#size >= this.#limits.total) return 'full'
    table.add(request.signature, this.#clock.monotonic(), request.peer)
    memory.size++
    this.#size++
    return 'first'
  }

  #again(table: SignatureTable, seen: number, peer: string): ReplayVerdict {
    const since = this.#clock.monotonic() - table.firstSeen(seen)
    if (since > this.#limits.repeatMs || !table.spend(seen, peer)) return 'replayed'
    return 'repeated'
  }

  /** Drops minutes whose every date is past the window; at most once for each minute of real time. */
  #sweep(): void {
    const current = Math.floor(this.#clock.now() / MINUTE)
    if (current === this.#sweptMinute) return
    this.#sweptMinute = current
    const oldest = this.#clock.now() - SKEW_MS
    for (const memory of this.#credentials.values()) {
      for (const [minute, table] of memory.minutes) {
        const last = (minute + 1) * MINUTE - 1
        if (last >= oldest) continue
        memory.minutes.delete(minute)
        memory.forgottenUpTo = Math.max(memory.forgottenUpTo, last)
        memory.size -= table.size
        this.#size -= table.size
      }
    }
  }
}
