/** Holders of shares at the command line: each a process of its own, on a terminal or with what they type piped in. */
import { spawn } from 'node:child_process'
import { join, resolve } from 'node:path'

const HOLDFAST = join(resolve(import.meta.dirname, '..', '..'), 'bin', 'holdfast')
export const LINE = /holdfast-share-1 (?:[A-Z2-7]{6}-){16}[A-Z2-7]{5}/

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs `holdfast` to its end, with this first line of standard input. Never rejects. */
export async function typed(args: readonly string[], line = ''): Promise<Ended> {
  const child = spawn(HOLDFAST, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  const said = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].on('data', chunk => {
      said[stream] += String(chunk)
    })
  // A command that asks for nothing may have ended before.
  child.stdin.on('error', () => {})
  child.stdin.end(`${line}\n`)
  const code = await new Promise<number | null>(done => child.once('close', done))
  return { code, ...said }
}

/** `holdfast` on a terminal of its own. */
export class Terminal {
  readonly #child
  readonly #ended: Promise<number | null>
  #screen = ''
  #onMore: () => void = () => {}

  constructor(args: readonly string[]) {
    // No argument here has a character that a shell reads.
    this.#child = spawn('script', ['-qec', [HOLDFAST, ...args].join(' '), '/dev/null'], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#child.stdin.on('error', () => {})
    this.#child.stdout.on('data', chunk => {
      this.#screen += String(chunk)
      this.#onMore()
    })
    this.#ended = new Promise(done => this.#child.once('close', code => done(code)))
  }

  /** Everything that was ever on the screen. */
  get screen(): string {
    return this.#screen
  }

  /** Resolves with the first match on the screen; rejects where the program ends without one. */
  async shows(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = pattern.exec(this.#screen)?.[0]
      if (found !== undefined) return found
      const more = new Promise<'more'>(resolve => {
        this.#onMore = () => resolve('more')
      })
      if ((await Promise.race([more, this.#ended])) === 'more') continue
      throw new Error(`it never showed ${pattern}: ${this.#screen}`)
    }
  }

  type(text: string): void {
    this.#child.stdin.write(text)
  }

  /** Its exit code. */
  ended(): Promise<number | null> {
    return this.#ended
  }
}
