/**
 * What happens to keys by itself: finished, destroyed, expired, rotated. The dates are data; this looks at them at start, twice a minute, after the
 * clock was moved and after what leaves something due at once. A use after a date is refused even before it comes by.
 */
import { BoundaryError } from '../words.ts'
import type { Core } from './core.ts'
import { type Due, dueNow } from './keys/due.ts'
import { type Log, placeOf } from './log.ts'
import { finishRegions } from './operations/regions.ts'
import { expireMaterial } from './operations/remove-material.ts'
import { rotateAutomatically } from './operations/rotation.ts'
import { deleteKey } from './operations/state.ts'
import { currentKey } from './transition.ts'

/** Milliseconds of real time between two looks. */
export const SCAN_INTERVAL = 30_000

const ACTS: Readonly<Record<Due, (core: Core, id: string) => Promise<void>>> = {
  finishRegions,
  deleteKey,
  expireKeyMaterial: expireMaterial,
  rotateKeyAutomatically: rotateAutomatically,
}
/** What cannot be undone waits while the clock is in doubt. */
const DESTROYS: ReadonlySet<Due> = new Set(['deleteKey', 'expireKeyMaterial'])
/** What must wait for space, because it makes the journal longer without making anything safer. */
const GROWS: ReadonlySet<Due> = new Set(['rotateKeyAutomatically'])

export class DueScanner {
  readonly #core: Core
  readonly #held: () => boolean
  readonly #log: Log
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #again = false

  /** `held`: whether what is Creating or Updating stays so, for tests that look at it. */
  constructor(core: Core, log: Log, held: () => boolean) {
    this.#core = core
    this.#log = log
    this.#held = held
  }

  start(): void {
    this.#timer = setInterval(() => void this.scan(), SCAN_INTERVAL)
    void this.scan()
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#running
  }

  /** Resolves when everything that is due now has been done. Never rejects: what failed is told, and tried again at the next look. */
  async scan(): Promise<void> {
    if (this.#running !== undefined) {
      this.#again = true
      return this.#running
    }
    this.#running = this.#all()
    try {
      await this.#running
    } finally {
      this.#running = undefined
    }
  }

  async #all(): Promise<void> {
    this.#core.watch.look(this.#log)
    do {
      this.#again = false
      for (const id of this.#core.book.dueBy(this.#core.clocks.lifecycle())) await this.#one(id)
    } while (this.#again)
  }

  /** Everything that is due of one key: several things may be, after a long sleep. */
  async #one(id: string): Promise<void> {
    try {
      for (;;) {
        const { opened } = await currentKey(this.#core, id)
        const due = dueNow(opened.header, this.#core.clocks.lifecycle())
        if (due === 'finishRegions' && this.#held()) return
        if (due !== undefined && DESTROYS.has(due) && this.#core.watch.doubtful) return
        if (due === undefined || (GROWS.has(due) && this.#core.book.journal.lowOnSpace)) return
        await ACTS[due](this.#core, id)
      }
    } catch (error) {
      if (error instanceof BoundaryError && error.code === 'KeyGone') return
      this.#log('error', 'what is due of a key failed', { key: id, ...placeOf(error) })
    }
  }
}
