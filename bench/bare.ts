/** Algorithms in a bare loop of node:crypto, in a process that does nothing else. Told over the message channel which, and how often. */
import { ALGORITHMS, type BareJob } from './algorithms.ts'
import { cpuOf } from './cpu.ts'

const loops = new Map(ALGORITHMS.map(({ name, bare }) => [name, bare()]))

process.on('message', ({ name, count }: BareJob) => {
  const run = loops.get(name)
  if (run === undefined) throw new Error(`no algorithm ${name}`)
  const before = cpuOf(process.pid)
  for (let left = count; left > 0; left--) run()
  process.send?.((cpuOf(process.pid) - before) / 1000 / count)
})
process.on('disconnect', () => process.exit(0))
