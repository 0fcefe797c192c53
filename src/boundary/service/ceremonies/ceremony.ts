/**
 * What both ceremonies of shares have: people who come one after another from terminals of their own. A short code says who was told of it: without it
 * nobody joins, takes, gives or cancels. It ends by itself when nobody has come for a while.
 */
import { randomInt, timingSafeEqual } from 'node:crypto'
import { BoundaryError } from '../../words.ts'

/** Milliseconds without a share after which a ceremony is over. */
export const PATIENCE = 15 * 60_000

/** Time that nobody can set, and an alarm by it; tests have their own. */
export interface Stopwatch {
  /** Milliseconds since some moment. */
  now(): number
  /** Calls back once after so many milliseconds, unless the returned function was called before. */
  after(milliseconds: number, call: () => void): () => void
}

export const stopwatch: Stopwatch = {
  now: () => performance.now(),
  after: (milliseconds, call) => {
    const timer = setTimeout(call, milliseconds).unref()
    return () => clearTimeout(timer)
  },
}

/** No letter or digit that is taken for another when it is read out. */
const LETTERS = 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789'
/** 40 bits: far more than can be tried over a socket in a quarter of an hour. */
const CODE_LETTERS = 8
export const MAX_CODE_TEXT = 32

/** `XXXX-XXXX` */
function newCode(): string {
  const letters = Array.from({ length: CODE_LETTERS }, () => LETTERS[randomInt(LETTERS.length)])
  return `${letters.slice(0, 4).join('')}-${letters.slice(4).join('')}`
}

/** As it may be typed: small letters, no hyphen. */
const plain = (code: string): Buffer => Buffer.from(code.toUpperCase().replaceAll(/[^A-Z0-9]/g, ''))

export class Ceremony {
  readonly code = newCode()
  readonly #watch: Stopwatch
  readonly #onExpired: () => void
  #until = 0
  #disarm: () => void = () => {}

  constructor(watch: Stopwatch, onExpired: () => void) {
    this.#watch = watch
    this.#onExpired = onExpired
    this.goOn()
  }

  /** Somebody has come: the time begins anew. */
  goOn(): void {
    this.#disarm()
    this.#until = this.#watch.now() + PATIENCE
    this.#disarm = this.#watch.after(PATIENCE, this.#onExpired)
  }

  get secondsLeft(): number {
    return Math.max(0, Math.ceil((this.#until - this.#watch.now()) / 1000))
  }

  /** Throws NotPermitted, the same whether the code is wrong or the time is over and the alarm late. */
  check(code: string): void {
    const [given, wanted] = [plain(code), plain(this.code)]
    const right = given.length === wanted.length && timingSafeEqual(given, wanted)
    if (!right || this.#watch.now() >= this.#until) throw noSuchCeremony()
  }

  /** No alarm any more. */
  end(): void {
    this.#disarm()
  }
}

export const noSuchCeremony = (): BoundaryError =>
  new BoundaryError('NotPermitted', 'no ceremony with this code is under way')
