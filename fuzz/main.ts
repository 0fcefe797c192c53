/**
 * `npm run fuzz`: inputs by the million for each parser, or connections at every listener of a real service, until the time or the number is up or something is
 * found.
 */
import { inspect, parseArgs } from 'node:util'
import { fuzzListeners, type ListenersReport } from './listeners/run.ts'
import { fuzz, type Report } from './runner.ts'
import { TARGETS } from './targets/index.ts'

const USAGE = `npm run fuzz -- [--target NAME | --listeners] [--seconds N | --runs N] [--seed N] [--at N]
  --target     only this one; may be given again
  --listeners  instead: bytes on connections to every listener of a service that it starts
  --seconds    for each target (10, where --runs is not given)
  --runs       inputs for each target; connections
  --seed       repeats a run
  --at         only the input of this number, to see what is done with it
  --list       which targets there are`

const { values } = parseArgs({
  options: {
    target: { type: 'string', multiple: true },
    listeners: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    runs: { type: 'string' },
    seed: { type: 'string' },
    at: { type: 'string' },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

function number(name: 'seconds' | 'runs' | 'seed' | 'at'): number | undefined {
  const given = values[name]
  if (given === undefined) return undefined
  const value = Number(given)
  if (given.trim() !== '' && Number.isSafeInteger(value) && value >= 0) return value
  console.error(`--${name} takes a whole number, not ${given}\n${USAGE}`)
  process.exit(2)
}

function show({ target, runs, seconds, cpuSeconds, outcomes, slowest, growth }: Report): void {
  const rate = `${Math.round(runs / seconds)}/s, ${Math.round(runs / cpuSeconds)} per second of CPU`
  const kilobytes = Math.round(growth / 1024)
  console.log(
    `${target}: ${runs} inputs in ${seconds.toFixed(1)} s, ${rate}; slowest ${slowest.ms.toFixed(1)} ms (--at ${slowest.at}); heap ${kilobytes >= 0 ? '+' : ''}${kilobytes} KiB`,
  )
  showCounts(outcomes)
}

function showListeners({ connections, seconds, outcomes, growth }: ListenersReport): void {
  const of = (name: 'frontEnd' | 'boundary'): string =>
    `${Math.round(growth[name].memory / 1024)} KiB, ${growth[name].handles} handles`
  console.log(
    `listeners: ${connections} connections in ${seconds.toFixed(1)} s; more than before: front end ${of('frontEnd')}, boundary ${of('boundary')}`,
  )
  showCounts(outcomes)
}

function showCounts(outcomes: ReadonlyMap<string, number>): void {
  for (const [outcome, count] of [...outcomes].sort(([, a], [, b]) => b - a))
    console.log(`  ${String(count).padStart(10)}  ${outcome}`)
}

function found(again: string, failure: { readonly at: number }): never {
  const whole = { depth: 8, maxStringLength: null, maxArrayLength: null }
  console.error(`FOUND by npm run fuzz -- ${again} --seed ${seed} --at ${failure.at}\n${inspect(failure, whole)}`)
  process.exit(1)
}

if (values.help) {
  console.log(USAGE)
  process.exit(0)
}
if (values.list) {
  for (const { name, about } of TARGETS) console.log(`${name.padEnd(12)} ${about}`)
  process.exit(0)
}

const unknown = values.target?.filter(name => !TARGETS.some(target => target.name === name)) ?? []
if (unknown.length > 0) {
  console.error(`there is no target ${unknown.join(', ')}; --list shows them`)
  process.exit(2)
}
const seed = number('seed') ?? Math.floor(Math.random() * 0x1_0000_0000)
const at = number('at')
const runs = at === undefined ? number('runs') : 1
const seconds = number('seconds') ?? (runs === undefined ? 10 : undefined)
const bounds = { ...(runs === undefined ? {} : { runs }), ...(seconds === undefined ? {} : { seconds }) }
console.log(`--seed ${seed}`)
if (values.listeners) {
  const report = await fuzzListeners({ seed, first: at ?? 0, ...bounds })
  showListeners(report)
  if (report.failure !== undefined) found('--listeners', report.failure)
} else {
  for (const target of TARGETS) {
    if (values.target !== undefined && !values.target.includes(target.name)) continue
    const report = await fuzz(target, { seed, first: at ?? 0, ...bounds })
    show(report)
    if (report.failure !== undefined) found(`--target ${target.name}`, report.failure)
  }
}
