/** Load on a token that is taken away and put back: what every request got, and how long it took. */
import assert from 'node:assert/strict'
import type { Removable } from './softhsm.ts'

/** Resolves with `done` or the name of the refusal; rejects where neither is what came. */
export type Ask = () => Promise<string>

export interface Outcome {
  /** How often each answer came before, without the token, and after. */
  readonly before: ReadonlyMap<string, number>
  readonly without: ReadonlyMap<string, number>
  readonly after: ReadonlyMap<string, number>
  /** Of what needs no token that was taken, in all phases. */
  readonly beside: ReadonlyMap<string, number>
  /** Milliseconds that the slowest request took. */
  readonly slowest: number
}

/** Of each request, so many answers in each phase: enough that the loss meets requests in every state. */
const ENOUGH = 50

/**
 * Asks without a pause, `workers` at once, each all of `asks` in turn; takes the token away under it, and puts it back. As many ask `others`, which need no token
 * that is taken.
 */
export async function throughLoss(
  token: Removable,
  workers: number,
  asks: readonly Ask[],
  others: readonly Ask[] = [],
): Promise<Outcome> {
  let counts = new Map<string, number>()
  let done = asks.map(() => 0)
  let refused = asks.map(() => 0)
  let slowest = 0
  let over = false
  const beside = new Map<string, number>()
  const waiting: { readonly enough: () => boolean; readonly resolve: () => void }[] = []
  const told = (at: number, answer: string, took: number): void => {
    counts.set(answer, (counts.get(answer) ?? 0) + 1)
    const of = answer === 'done' ? done : refused
    of[at] = (of[at] ?? 0) + 1
    slowest = Math.max(slowest, took)
    const next = waiting[0]
    if (next?.enough() === true) {
      waiting.shift()
      next.resolve()
    }
  }
  const until = (enough: () => boolean): Promise<void> => new Promise(resolve => waiting.push({ enough, resolve }))
  const allDone = (): boolean => done.every(count => count >= ENOUGH)
  const allRefused = (): boolean => refused.every(count => count >= ENOUGH)
  const phase = (): ReadonlyMap<string, number> => {
    const ended = counts
    counts = new Map()
    done = asks.map(() => 0)
    refused = asks.map(() => 0)
    return ended
  }
  const running = Array.from({ length: workers }, async (_, worker) => {
    for (let turn = worker; !over; turn++) {
      const at = turn % asks.length
      const started = performance.now()
      const answer = await (asks[at] as Ask)()
      told(at, answer, performance.now() - started)
    }
  })
  const runningBeside = Array.from({ length: others.length === 0 ? 0 : workers }, async (_, worker) => {
    for (let turn = worker; !over; turn++) {
      const started = performance.now()
      const answer = await (others[turn % others.length] as Ask)()
      beside.set(answer, (beside.get(answer) ?? 0) + 1)
      slowest = Math.max(slowest, performance.now() - started)
    }
  })
  await until(allDone)
  const before = phase()
  token.take()
  await until(allRefused)
  const without = phase()
  token.putBack()
  await until(allDone)
  over = true
  await Promise.all([...running, ...runningBeside])
  return { before, without, after: phase(), beside, slowest }
}

/** Every request was answered in time, nothing but `refusals` was said, and afterwards all of `asks` work again. */
export async function survived(outcome: Outcome, refusals: readonly string[], asks: readonly Ask[]): Promise<void> {
  assert.deepEqual([...outcome.before.keys()], ['done'])
  for (const answer of outcome.beside.keys()) assert.equal(answer, 'done')
  for (const phase of [outcome.without, outcome.after])
    for (const answer of phase.keys()) assert.ok([...refusals, 'done'].includes(answer), answer)
  for (const ask of asks) assert.equal(await ask(), 'done')
}
