/**
 * C_Finalize and C_Initialize: some modules (SoftHSM) see a token that has come back only then, and it ends the sessions of all tokens of the module. Where others
 * are open it is done all the same, but seldom, and between their calls: new work is held, what is under way ends, they are logged in again, and go on.
 */
import { TokenError } from './types.ts'

/** Whose a slot is, and what it does while the module is initialised anew. */
export interface SlotOwner {
  /** Another token of the module is gone: looks whether its own is still there, and lets go of the slot where it is not. */
  readonly doubt: () => Promise<void>
  /** What takes long, or does not return, is under way: not now. */
  readonly busy: () => boolean
  /** Lets no work begin from now on, within the deadlines of those who wait. Resolves when none is under way. */
  readonly hold: () => Promise<void>
  /** Work goes on as if nothing had been. */
  readonly resume: () => void
  /** The module has been initialised anew: finds the token and logs in again; then work goes on. Never rejects. */
  readonly renew: () => Promise<void>
}

export interface ReinitializationParts {
  readonly owners: () => readonly SlotOwner[]
  /** Whether a call is inside the module, and when none is any more. */
  readonly calls: () => number
  readonly idle: () => Promise<void>
  /** Whether the module is one for which tokens that are open are disturbed. */
  readonly mayDisturb: boolean
  readonly anew: () => void
}

/** Milliseconds that work is held for what is under way to end: a fraction of a call's deadline. */
const DRAIN_MS = 50
const FIRST_WAIT_MS = 1000
const LAST_WAIT_MS = 30_000
/** The next one is at least so many times as far away as this one took: a hundredth of the time at most. */
const REST = 100

export class Reinitialization {
  readonly #parts: ReinitializationParts
  /** Between two that disturb others, in milliseconds; grows until a token has come back. */
  #wait = 0
  #notBefore = 0

  constructor(parts: ReinitializationParts) {
    this.#parts = parts
  }

  /** A token has been found: the next one that is lost is looked for as soon as this one was. */
  found(): void {
    this.#wait = 0
  }

  /** For a token that is gone; between connections, so that none is half made. False where it was not done. */
  async run(): Promise<boolean> {
    const { owners, calls, anew } = this.#parts
    // Lest a token that nobody uses keep those that are gone with it from coming back.
    await Promise.all(owners().map(owner => owner.doubt()))
    if (owners().length > 0) return this.#disturbing()
    if (calls() > 0) return false
    anew()
    return true
  }

  async #disturbing(): Promise<boolean> {
    const { owners, calls, idle, mayDisturb, anew } = this.#parts
    const others = owners()
    if (!mayDisturb || !this.#due() || others.some(other => other.busy())) return false
    const quiet = Promise.all(others.map(other => other.hold())).then(idle)
    if (!(await settled(quiet, DRAIN_MS)) || calls() > 0 || others.some(other => other.busy())) {
      for (const other of others) other.resume()
      return false
    }
    const started = performance.now()
    try {
      anew()
    } finally {
      for (const other of others) await other.renew()
      const took = performance.now() - started
      this.#notBefore = performance.now() + Math.max(this.#wait, REST * took)
    }
    return true
  }

  /** Not at once after the loss: whoever takes a token away does not put it back within a moment. */
  #due(): boolean {
    const now = performance.now()
    if (this.#wait === 0) {
      this.#wait = FIRST_WAIT_MS
      this.#notBefore = Math.max(this.#notBefore, now + this.#wait)
    }
    if (now < this.#notBefore) return false
    this.#wait = Math.min(2 * this.#wait, LAST_WAIT_MS)
    // Also where it comes to nothing: what is under way is not held for the same again and again.
    this.#notBefore = now + this.#wait
    return true
  }
}

/** Whether the work ended in time. */
async function settled(work: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>(resolve => {
    timer = setTimeout(resolve, ms, false)
  })
  try {
    return await Promise.race([work.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}

/** What waiting calls are told while the module is initialised anew, should that outlast their deadline. */
export const HELD = new TokenError('TokenLost', 'the module of the token is being initialised anew')
