/** Plays scripts at the doors of a running `holdfast ekm`, some at a time, and looks at what it answers, and at what is left of it. */

import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { inspect } from 'node:util'
import { type Frame, frameStream, hello, requests } from '../frames.ts'
import { Random } from '../random.ts'
import { grpcScript } from './grpc.ts'
import { httpScript } from './http.ts'
import { play, type Script, statusesIn } from './play.ts'
import { type Door, type Doors, startDoors, type Use } from './service.ts'

export interface ListenersOptions {
  readonly seed: number
  readonly first?: number
  /** Connections. */
  readonly runs?: number
  readonly seconds?: number
}

export interface ListenersReport {
  readonly seed: number
  readonly connections: number
  readonly seconds: number
  /** By door and status. */
  readonly outcomes: ReadonlyMap<string, number>
  /** Of what was there after the first connections, when nothing was under way. */
  readonly growth: Readonly<Record<'frontEnd' | 'boundary', Use>>
  readonly failure:
    | { readonly at: number; readonly door: string; readonly script: unknown; readonly error: unknown }
    | undefined
}

/** Below what the service serves at once: what is refused for being too much is another test's. */
const AT_ONCE = 48
/** Connections that are open on this side only. */
const HELD = 200
/** No connection is open for longer: the service cuts what is slow after some hundred milliseconds, and its machine may be busy. */
const MOST_MS = 20_000
const SETTLE_MS = 10_000
/** What a heap that is collected now and then, and pools that have grown once, make of it. */
const NOISE = { memory: 96 << 20, handles: 4 }
/** 501 is XKS's word for what is larger than has to be supported, and Google's for what is not spoken; 503 is everybody's for come again. */
const OWN: ReadonlySet<number> = new Set([501, 503])
const DEFECT = /"level":(?:50|60|"error"|"fatal")|for a reason of ours|Uncaught|UnhandledPromise/

export async function fuzzListeners(options: ListenersOptions): Promise<ListenersReport> {
  const doors = await startDoors()
  let report: ListenersReport
  try {
    report = await new Playing(doors, options).run()
  } catch (error) {
    await doors.stop()
    throw error
  }
  const code = await doors.stop()
  if (code !== 0) throw new Error(`the service ended with ${code}`)
  return report
}

class Playing {
  readonly #service: Doors
  readonly #options: ListenersOptions
  readonly #random = new Random()
  readonly #outcomes = new Map<string, number>()
  /** `trip` is for the owner's rules: it would revoke what the good requests need. */
  readonly #frames: readonly Frame[] = requests().filter(({ name }) => name !== 'trip')
  readonly #held = new Set<Socket>()
  #next: number
  #failure: ListenersReport['failure']

  constructor(service: Doors, options: ListenersOptions) {
    this.#service = service
    this.#options = options
    this.#next = options.first ?? 0
  }

  async run(): Promise<ListenersReport> {
    const { seed, first = 0, runs = Number.POSITIVE_INFINITY, seconds = Number.POSITIVE_INFINITY } = this.#options
    const { ekm } = this.#service
    const begun = performance.now()
    const pids = ekm.children()
    const passed = (): number => (performance.now() - begun) / 1000
    await this.#goodAtEach()
    await this.#until(() => this.#next >= first + runs / 3 || passed() > seconds / 3)
    const before = await this.#settled()
    await this.#until(() => this.#next >= first + runs || passed() > seconds)
    await this.#goodAtEach()
    const after = await this.#settled(before)
    const growth = {
      frontEnd: grown(before.frontEnd, after.frontEnd),
      boundary: grown(before.boundary, after.boundary),
    }
    for (const [name, { memory, handles }] of Object.entries(growth))
      if (memory > NOISE.memory || handles > NOISE.handles)
        this.#fail(first, name, undefined, new Error(`has grown: ${inspect(growth)}`))
    if (inspect(ekm.children()) !== inspect(pids)) this.#fail(first, '', undefined, new Error('a process has ended'))
    for (const socket of this.#held) socket.destroy()
    const defect = ekm.stderr.split('\n').find(line => DEFECT.test(line))
    if (defect !== undefined) this.#fail(first, '', undefined, new Error(`in the log: ${defect}`))
    return {
      seed,
      connections: this.#next - first,
      seconds: passed(),
      outcomes: this.#outcomes,
      growth,
      failure: this.#failure,
    }
  }

  async #until(over: () => boolean): Promise<void> {
    const worker = async (): Promise<void> => {
      while (!over() && this.#failure === undefined) await this.#one(this.#next++)
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
  }

  async #one(at: number): Promise<void> {
    const random = this.#random.begin(this.#options.seed, at)
    const door = random.pick(this.#service.doors)
    const script = this.#script(random, door)
    try {
      const socket = script.bare && door.bare !== undefined ? door.bare() : door.connect()
      this.#hold(socket)
      const answers = await play(socket, script, MOST_MS)
      const statuses = door.speaks === 'http' ? statusesIn(answers) : []
      const outcome = answers.length === 0 ? 'no answer' : 'answered'
      for (const status of statuses.length === 0 ? [outcome] : statuses) this.#count(`${door.name} ${status}`)
      const own = statuses.find(status => status >= 500 && !OWN.has(status))
      if (own !== undefined) throw new Error(`answered with ${own}: ${answers.toString('latin1').slice(0, 2000)}`)
    } catch (error) {
      this.#fail(at, door.name, script, error)
    }
  }

  #script(random: Random, door: Door): Script {
    const script = this.#scriptOf(random, door)
    return door.patient && script.last === 'stay' ? { ...script, last: 'end' } : script
  }

  #scriptOf(random: Random, door: Door): Script {
    if (door.speaks === 'http') return httpScript(random, door.requests(), door.bare !== undefined)
    if (door.speaks === 'grpc') return grpcScript(random, door.bare !== undefined)
    const greeting = random.chance(0.9) ? hello() : undefined
    return {
      bare: false,
      parts: [frameStream(random, this.#frames, greeting)],
      pauseMs: 0,
      last: random.pick(['end', 'cut']),
    }
  }

  /** Those that stay open here are to take no place there. The oldest make room. */
  #hold(socket: Socket): void {
    this.#held.add(socket)
    socket.once('close', () => this.#held.delete(socket))
    const [oldest] = this.#held
    if (this.#held.size > HELD) oldest?.destroy()
  }

  #count(outcome: string): void {
    this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1)
  }

  #fail(at: number, door: string, script: Script | undefined, error: unknown): void {
    const parts = script && { ...script, parts: script.parts.map(part => part.toString('latin1').slice(0, 4000)) }
    this.#failure ??= { at, door, script: parts, error }
  }

  async #goodAtEach(): Promise<void> {
    for (const door of this.#service.doors)
      await door.good().catch(error => this.#fail(this.#next, door.name, undefined, error))
  }

  /** When no connection of ours is left, as far as it comes to that in time. */
  async #settled(
    before?: Readonly<Record<'frontEnd' | 'boundary', Use>>,
  ): Promise<Readonly<Record<'frontEnd' | 'boundary', Use>>> {
    const end = performance.now() + SETTLE_MS
    let last = this.#service.use()
    for (;;) {
      await delay(100)
      const now = this.#service.use()
      const few = before === undefined ? same(last, now) : grown(before.frontEnd, now.frontEnd).handles <= 0
      if (few || performance.now() > end) return now
      last = now
    }
  }
}

const grown = (before: Use, after: Use): Use => ({
  memory: after.memory - before.memory,
  handles: after.handles - before.handles,
})

const same = (one: Readonly<Record<string, Use>>, other: Readonly<Record<string, Use>>): boolean =>
  Object.keys(one).every(name => one[name]?.handles === other[name]?.handles)
