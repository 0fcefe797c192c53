/** A clock that a test moves under the processes of a service: libfaketime (Debian's libfaketime), loaded into each of them. */
import { existsSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const LIBRARIES = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map(
  machine => `/usr/lib/${machine}/faketime/libfaketimeMT.so.1`,
)

export class MovedClock {
  readonly #file: string
  #milliseconds = 0

  /** `folder`: where it may write. */
  constructor(folder: string) {
    this.#file = join(folder, 'clock')
    this.set(0)
  }

  /** Ahead of the machine's clock by so many milliseconds, or behind it. For running processes too. */
  set(milliseconds: number): void {
    this.#milliseconds = milliseconds
    const seconds = milliseconds / 1000
    // Renamed, so that nobody reads half of it.
    writeFileSync(`${this.#file}.new`, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}\n`)
    renameSync(`${this.#file}.new`, this.#file)
  }

  get now(): number {
    return Date.now() + this.#milliseconds
  }

  /** For the environment of a supervisor. */
  get env(): NodeJS.ProcessEnv {
    const library = LIBRARIES.find(existsSync)
    if (library === undefined) throw new Error('this test needs libfaketime: apt-get install libfaketime')
    return {
      NODE_OPTIONS: `--import=${join(import.meta.dirname, 'clock-preload.ts')}`,
      HOLDFAST_TEST_CLOCK: this.#file,
      HOLDFAST_TEST_LIBRARY: library,
    }
  }
}
