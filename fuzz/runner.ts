/** Gives a target one input after the other, and watches what comes of it: outcomes, time, memory. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Random } from './random.ts'
import type { Running, Target } from './target.ts'

export interface RunOptions {
  readonly seed: number
  /** Number of the first input. */
  readonly first?: number
  /** How many; with `seconds` whichever ends first. */
  readonly runs?: number
  readonly seconds?: number
}

export interface Failure {
  /** Number of the input: `--seed` and `--at` make it again. */
  readonly at: number
  readonly input: unknown
  readonly error: unknown
}

export interface Report {
  readonly target: string
  readonly seed: number
  readonly runs: number
  readonly seconds: number
  /** Of the processor, making the inputs included. */
  readonly cpuSeconds: number
  readonly outcomes: ReadonlyMap<string, number>
  readonly slowest: { readonly at: number; readonly ms: number }
  /** Bytes of heap and buffers after collecting, of the end over those after the first inputs. */
  readonly growth: number
  readonly failure: Failure | undefined
}

/** Milliseconds that no input may take, the best of several attempts: a machine that is busy with others is not the input's doing. */
export const MOST_MS = 100
const ATTEMPTS = 4
/** What collecting cannot tell from growth. */
const NOISE_BYTES = 8 << 20
const BATCH = 4096
const TRACE = 30
/** Caches are filled and code is compiled by then. */
const WARM_RUNS = 50_000

export async function fuzz<Input>(target: Target<Input>, options: RunOptions): Promise<Report> {
  const fuzzing = new Fuzzing(target, await target.start(), options)
  const trace = Error.stackTraceLimit
  // Nearly every input ends in a refusal, and a trace costs as much as all the rest of it.
  Error.stackTraceLimit = 0
  try {
    return await fuzzing.run()
  } finally {
    Error.stackTraceLimit = trace
  }
}

class Fuzzing<Input> {
  readonly #target: Target<Input>
  readonly #running: Running<Input>
  readonly #options: RunOptions
  readonly #random = new Random()
  readonly #outcomes = new Map<string, number>()
  #slowest = { at: 0, ms: 0 }
  #failure: Failure | undefined

  constructor(target: Target<Input>, running: Running<Input>, options: RunOptions) {
    this.#target = target
    this.#running = running
    this.#options = options
  }

  async run(): Promise<Report> {
    const { seed, first = 0, runs = Number.POSITIVE_INFINITY, seconds = Number.POSITIVE_INFINITY } = this.#options
    const begun = performance.now()
    const cpu = process.cpuUsage()
    const warm = Math.min(WARM_RUNS, runs / 5)
    const batch = Math.min(BATCH, Math.ceil(runs / 5))
    let before: number | undefined
    let done = 0
    while (done < runs && this.#failure === undefined) {
      const passed = (performance.now() - begun) / 1000
      if (passed > seconds) break
      if (before === undefined && (done >= warm || passed > seconds / 5)) before = this.#heap()
      const end = Math.min(done + batch, runs)
      while (done < end && this.#failure === undefined) await this.#one(first + done++)
      this.#running.rest?.()
      // Lets timers and signals in.
      await new Promise(resolve => setImmediate(resolve))
    }
    const growth = before === undefined ? 0 : this.#heap() - before
    if (growth > (this.#target.mayKeep ?? 0) + NOISE_BYTES && this.#failure === undefined)
      this.#failure = { at: first, input: undefined, error: new Error(`the heap has grown by ${growth} bytes`) }
    const { user, system } = process.cpuUsage(cpu)
    return {
      target: this.#target.name,
      seed,
      runs: done,
      seconds: (performance.now() - begun) / 1000,
      cpuSeconds: (user + system) / 1e6,
      outcomes: this.#outcomes,
      slowest: this.#slowest,
      growth,
      failure: this.#failure,
    }
  }

  async #one(at: number): Promise<void> {
    try {
      const { outcome, ms } = await this.#timed(at)
      this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1)
      if (ms > this.#slowest.ms) await this.#slow(at, ms)
    } catch (error) {
      this.#failure = { at, input: this.#make(at), error: await this.#traced(at, error) }
    }
  }

  /** The same once more, with its trace. */
  async #traced(at: number, first: unknown): Promise<unknown> {
    Error.stackTraceLimit = TRACE
    try {
      await this.#running.run(this.#make(at))
    } catch (error) {
      return error
    }
    return first
  }

  async #slow(at: number, first: number): Promise<void> {
    let ms = first
    for (let attempt = 1; attempt < ATTEMPTS && ms > this.#slowest.ms; attempt++)
      ms = Math.min(ms, (await this.#timed(at)).ms)
    if (ms > this.#slowest.ms) this.#slowest = { at, ms }
    if (ms > MOST_MS) throw new Error(`it took ${ms.toFixed(0)} ms`)
  }

  async #timed(at: number): Promise<{ outcome: string; ms: number }> {
    const input = this.#make(at)
    const begun = performance.now()
    const result = this.#running.run(input)
    const outcome = typeof result === 'string' ? result : await result
    return { outcome, ms: performance.now() - begun }
  }

  #make(at: number): Input {
    return this.#running.make(this.#random.begin(this.#options.seed, at))
  }

  #heap(): number {
    this.#running.rest?.()
    collect()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
}

let collector: (() => void) | undefined
function collect(): void {
  if (collector === undefined) {
    setFlagsFromString('--expose-gc')
    collector = runInNewContext('gc') as () => void
  }
  // What is let go of by the first, finalizers included, is gone after the second.
  collector()
  collector()
}
