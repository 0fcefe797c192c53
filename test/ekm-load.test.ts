/**
 * The XKS proxy under the load that AWS may send, beside a boundary that stops answering and goes on: every request is answered, in time, nothing hangs, what
 * was turned away and what was done too late is in the log, and afterwards everything is as before.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { ANSWER_WITHIN_MS } from '../src/ekm/keys/protocols.ts'
import { type Ekm, holdfast, startEkm } from './support/ekm.ts'
import { load, quantile, type Sent, startLoad } from './support/xks-load.ts'

interface Line {
  readonly data: string
  readonly endpoint: string
  readonly operations: string
}

const WITHIN = ANSWER_WITHIN_MS.xks
/** What AWS sends a store at most; and less, for a machine that is too small or too busy to send and to serve that. */
const RATES = [1800, 1200, 800, 500, 300, 150]
const folder = mkdtempSync(join(tmpdir(), 'holdfast-load-'))

let ekm: Ekm<Line>
let credential: { accessKeyId: string; secretAccessKey: string }

before(async () => {
  const file = join(folder, 'ekm.yaml')
  writeFileSync(
    file,
    JSON.stringify({
      data: join(folder, 'data'),
      listen: { port: 0 },
      boundary: { root: { kind: 'keyfile', file: join(folder, 'root.key') } },
      health: { everyMs: 1000 },
    }),
  )
  ekm = await startEkm<Line>(['--config', file])
  await ekm.cli('tenant', 'create', 'store')
  await ekm.cli('tenant', 'set-quota', 'store', '--per-second', '100000', '--in-flight', '300')
  await ekm.cli('key', 'create', 'k')
  credential = await ekm.cli('credential', 'create')
})
after(async () => {
  await ekm?.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** Without a number, as many connections as are in use at a rate when each answer takes a third of a second. */
const job = (rate: number, seconds: number, connections = Math.ceil(rate / 3)) => ({
  ...{ endpoint: ekm.line.endpoint, pathPrefix: 'store', ...credential, key: 'k' },
  ...{ rate, seconds, connections },
})
const statuses = (sent: readonly Sent[]): Record<number, number> => {
  const counts: Record<number, number> = {}
  for (const { status } of sent) counts[status] = (counts[status] ?? 0) + 1
  return counts
}
const share = (sent: readonly Sent[], status: number): number =>
  sent.length === 0 ? 0 : sent.filter(each => each.status === status).length / sent.length
const ping = async (): Promise<number> => (await fetch(`${ekm.line.operations}/ping`)).status
const gauge = async (line: string): Promise<number> => {
  const text = await (await fetch(`${ekm.line.operations}/metrics`)).text()
  const found = text.split('\n').find(each => each.startsWith(`${line} `))
  return Number(found?.split(' ').at(-1) ?? Number.NaN)
}

test('1,800 requests a second beside a boundary that is stopped and goes on', async t => {
  const warm = await load(job(0, 2, 32))
  const before = [...warm]
  let rate = 0
  let calm: readonly Sent[] = []
  // With room to spare: what else this machine does comes and goes.
  for (rate of RATES) {
    calm = await load(job(rate, 2))
    before.push(...calm)
    if (calm.length === rate * 2 && share(calm, 200) === 1 && quantile(calm, 0.99) < WITHIN / 4) break
  }
  t.diagnostic(`${rate} a second, of which half are answered within ${quantile(calm, 0.5).toFixed(1)} ms`)
  assert.ok(share(calm, 200) > 0.9, JSON.stringify(statuses(calm)))

  const { boundary } = ekm.children()
  const running = startLoad(job(rate, 10))
  const begun = await running.begun
  const since = (): number => performance.now() - begun
  await wait(1500)
  process.kill(boundary, 'SIGSTOP')
  const stopped = since()
  let worstPing = 0
  const pings: number[] = []
  let resumed = 0
  try {
    while (since() < stopped + 5000) {
      const asked = performance.now()
      assert.equal((await fetch(`${ekm.line.operations}/health/live`)).status, 200)
      worstPing = Math.max(worstPing, performance.now() - asked)
      pings.push(await ping())
      await wait(100)
    }
  } finally {
    process.kill(boundary, 'SIGCONT')
    resumed = since()
  }
  const sent = await running.sent
  const during = (from: number, to: number) => sent.filter(({ at }) => at >= from && at < to)

  // Every one is answered, with what the protocol has for it, and nobody waits for longer than the protocol has.
  assert.equal(share(sent, 0), 0)
  const unexpected = sent.filter(({ status }) => ![200, 429, 503].includes(status))
  assert.deepEqual(statuses(unexpected), {})
  const worst = Math.max(...sent.map(({ took }) => took))
  const slack = Math.max(...calm.map(({ took }) => took))
  t.diagnostic(`worst ${worst.toFixed(0)} ms, ${slack.toFixed(0)} ms when calm; ${JSON.stringify(statuses(sent))}`)
  assert.ok(worst < 2 * WITHIN + 2 * slack, `${worst} ms`)

  // While nothing is answered, who asks is told so before time is over.
  const hung = during(stopped + 2 * WITHIN, resumed - 2 * WITHIN)
  assert.ok(hung.length > rate, `${hung.length}`)
  assert.equal(share(hung, 200), 0)
  assert.ok(share(hung, 503) > 0.9, JSON.stringify(statuses(hung)))
  assert.ok(quantile(hung, 0.9) < WITHIN, `${quantile(hung, 0.9)}`)

  // Load balancers find out, and so do those who restart processes that are alive: not at all.
  assert.equal(pings.at(-1), 503)

  // And when it goes on, so does everything.
  const recovered = during(resumed + 1500, Number.POSITIVE_INFINITY)
  assert.ok(recovered.length > rate / 2)
  assert.ok(share(recovered, 200) > 0.9, JSON.stringify(statuses(recovered)))
  let healthy = 503
  for (const until = performance.now() + 20_000; healthy !== 200 && performance.now() < until; await wait(100))
    healthy = await ping()
  assert.equal(healthy, 200)
  assert.equal(await gauge('holdfast_ekm_in_flight{tenant="store",service="ekm"}'), 0)
  assert.ok((await gauge('holdfast_ekm_load_total{tenant="store",protocol="xks",reason="deadline",service="ekm"}')) > 0)

  // Everything has left its trace: done, refused, or counted with the others that were turned away.
  assert.equal(await ekm.stop(), 0)
  const { stdout, stderr, code } = await holdfast(['log', 'show', ekm.data, '--json'])
  assert.equal(code, 0, stderr)
  let done = 0
  let refused = 0
  let turnedAway = 0
  for (const line of stdout.trim().split('\n')) {
    const { boundaryOperation, outcome, count, asserted } = JSON.parse(line)
    if (boundaryOperation === 'externalEncrypt' && outcome === 'allowed') done++
    else if (asserted?.operation === 'xks:encrypt') refused++
    else if (asserted?.operation === 'xks' && asserted.account === 'store') turnedAway += count
  }
  const all = [...before, ...sent]
  t.diagnostic(`${all.length} sent; in the log ${done} done, ${refused} refused, ${turnedAway} turned away`)
  assert.equal(done + refused + turnedAway, all.length)
  assert.ok(done > all.filter(({ status }) => status === 200).length, 'what was done too late is there too')
})
