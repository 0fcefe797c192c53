/**
 * One tenant's load, revocation or misconfiguration shows in nobody else's answers: a tenant is loaded far above its quota, revoked, and locked out by its own
 * settings, and another is measured all the while. What is compared is the other's latency with and without, in the same run.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { AzureClient, answeredByAzure } from './support/azure.ts'
import { TestAuthority } from './support/certificates.ts'
import { type Ekm, holdfast, startEkm } from './support/ekm.ts'
import { load, quantile, type Sent, startLoad } from './support/xks-load.ts'

interface Line {
  readonly data: string
  readonly endpoint: string
  readonly operations: string
  readonly azure: string
}
interface Credential {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** Of the loud one. What it sends is many times that. */
const QUOTA = 50
const SECONDS = 3
const ROUNDS = 3
/** How many times its latency alone the quiet one may see: what two processors and the client's own work make of it, and far from what a queue would. */
const RATIO = 10
/** The same of long work, which shares few threads: 16 unwraps under RSA-4096 stand before one under RSA-2048, and not 128. */
const LONG_RATIO = 40
const folder = mkdtempSync(join(tmpdir(), 'holdfast-isolation-'))

let ekm: Ekm<Line>
const credentials: Record<string, Credential> = {}
/** Pools of Azure that are two tenants more. */
const pools: Record<string, AzureClient> = {}

before(async () => {
  const [owner, microsoft] = await Promise.all(['owner', 'microsoft'].map(name => TestAuthority.make(folder, name)))
  assert.ok(owner && microsoft)
  const server = await owner.issue('server', { commonName: 'ekm', ipAddresses: ['127.0.0.1'], use: 'server' })
  const file = join(folder, 'ekm.yaml')
  writeFileSync(
    file,
    JSON.stringify({
      data: join(folder, 'data'),
      listen: { port: 0 },
      azure: { port: 0, tls: { ...server, clients: { caFile: microsoft.caFile } } },
      boundary: { root: { kind: 'keyfile', file: join(folder, 'root.key') } },
      // A machine that stands still for a moment is not what is tested here.
      load: { withinMs: 5000 },
    }),
  )
  ekm = await startEkm<Line>(['--config', file])
  for (const tenant of ['loud', 'quiet']) {
    await ekm.cli('tenant', 'create', tenant)
    await ekm.cli('key', 'create', 'k', '--tenant', tenant)
    credentials[tenant] = await ekm.cli<Credential>('credential', 'create', '--tenant', tenant)
  }
  for (const pool of ['slow', 'other']) {
    await ekm.cli('tenant', 'create', pool, '--client', pool)
    await ekm.cli('key', 'create', 'pair', '--tenant', pool, '--spec', pool === 'slow' ? 'RSA_4096' : 'RSA_2048')
    pools[pool] = new AzureClient(
      ekm.line.azure,
      owner.caFile,
      await microsoft.issue(pool, { commonName: pool, use: 'client' }),
    )
  }
})
after(async () => {
  for (const pool of Object.values(pools)) pool.close()
  await ekm?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const job = (tenant: string, rate: number, connections: number) => {
  const { accessKeyId = '', secretAccessKey = '' } = credentials[tenant] ?? {}
  const { endpoint } = ekm.line
  return { endpoint, pathPrefix: tenant, key: 'k', accessKeyId, secretAccessKey, rate, connections, seconds: SECONDS }
}
const quiet = () => load(job('quiet', 40, 32))
const statuses = (sent: readonly Sent[]): Record<number, number> => {
  const counts: Record<number, number> = {}
  for (const { status } of sent) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

test("a tenant's quota is its owner's to set, each part for itself, and the service's again when nothing is said", async () => {
  const set = (...options: string[]) => ekm.cli('tenant', 'set-quota', 'loud', ...options)
  const both = await set('--per-second', '7.5', '--in-flight', '3')
  assert.deepEqual([both.perSecond, both.inFlight], [7.5, 3])
  const none = await set()
  assert.deepEqual([none.perSecond, none.inFlight], [null, null])
  for (const wrong of [
    ['--per-second', '0'],
    ['--per-second', 'many'],
    ['--in-flight', '1.5'],
    ['--in-flight', '1000000'],
  ])
    await assert.rejects(set(...wrong), /exit code 1/)
  await assert.rejects(ekm.cli('tenant', 'set-quota', 'none'), /There is no tenant none/)
})

test('whoever is loaded far above its quota is turned away, and nobody else notices', async t => {
  await ekm.cli('tenant', 'set-quota', 'loud', '--per-second', String(QUOTA))
  await quiet()
  const ratios: Record<'half' | 'most', number[]> = { half: [], most: [] }
  for (let round = 1; round <= ROUNDS; round++) {
    const alone = await quiet()
    const flood = startLoad(job('loud', 600, 200))
    await flood.begun
    const beside = await quiet()
    const loud = await flood.sent

    const { 200: served = 0, 429: turnedAway = 0, ...others } = statuses(loud)
    t.diagnostic(`the loud one: ${loud.length} sent, ${served} served`)
    assert.deepEqual(others, {})
    assert.ok(loud.length > 4 * QUOTA * SECONDS, 'far above its quota')
    // What a second brings may come at once, and the load's end is not sharp.
    assert.ok(served >= QUOTA && served <= QUOTA * (SECONDS + 3), String(served))
    assert.ok(turnedAway > served)

    for (const sent of [alone, beside]) assert.deepEqual(statuses(sent), { 200: sent.length })
    ratios.half.push(quantile(beside, 0.5) / quantile(alone, 0.5))
    ratios.most.push(quantile(beside, 0.9) / quantile(alone, 0.9))
  }
  t.diagnostic(`the quiet one, times its latency alone: ${JSON.stringify(ratios)}`)
  // What else the machine does shows in one round or another; what the loud one does would show in all of them.
  for (const all of Object.values(ratios)) assert.ok(Math.min(...all) < RATIO, String(all))
})

test('long work of one tenant takes turns: the short work of another does not wait for it, and its long work for little of it', async t => {
  const [slow, other] = await Promise.all(['slow', 'other'].map(prepared))
  assert.ok(slow && other)
  const unwraps = async (): Promise<Pick<Sent, 'took'>[]> => {
    const sent: Pick<Sent, 'took'>[] = []
    for (let i = 0; i < 40; i++) {
      const at = performance.now()
      answeredByAzure(await other())
      sent.push({ took: performance.now() - at })
    }
    return sent
  }
  await unwraps()
  const ratios: Record<'short' | 'long', number[]> = { short: [], long: [] }
  for (let round = 1; round <= ROUNDS; round++) {
    const alone = { short: await quiet(), long: await unwraps() }
    let over = false
    let done = 0
    const busy = Array.from({ length: 128 }, async () => {
      while (!over) {
        answeredByAzure(await slow())
        done++
      }
    })
    const beside = { short: await quiet(), long: await unwraps() }
    over = true
    await Promise.all(busy)
    assert.ok(done > 128)
    assert.deepEqual(statuses(beside.short), { 200: beside.short.length })
    for (const kind of ['short', 'long'] as const)
      ratios[kind].push(quantile(beside[kind], 0.5) / quantile(alone[kind], 0.5))
  }
  t.diagnostic(`times the latency alone: ${JSON.stringify(ratios)}`)
  assert.ok(Math.min(...ratios.short) < RATIO, String(ratios.short))
  // An unwrap of its own waits for the slow one's turns, not for its 128 requests.
  assert.ok(Math.min(...ratios.long) < LONG_RATIO, String(ratios.long))
})

/** One unwrap under a pool's pair, again and again. */
async function prepared(pool: string) {
  const client = pools[pool]
  assert.ok(client)
  const value = Buffer.alloc(32, 7).toString('base64url')
  const wrapped = answeredByAzure(await client.post(`/${pool}/pair/wrapkey`, { alg: 'RSA-OAEP-256', value }))
  return () => client.post(`/${pool}/pair/unwrapkey`, { alg: 'RSA-OAEP-256', value: wrapped.json.value })
}

test('revoking a tenant, and a mistake in its settings, stop its requests and no others', async () => {
  await ekm.cli('tenant', 'set-quota', 'loud')
  let over = false
  const measured: Sent[] = []
  const measuring = (async () => {
    while (!over) measured.push(...(await quiet()))
  })()
  const asks = async (status: number) => {
    const sent = await load({ ...job('loud', 100, 50), seconds: 1 })
    assert.deepEqual(statuses(sent), { [status]: sent.length })
  }
  await asks(200)
  await ekm.cli('revoke', '--tenant', 'loud')
  await asks(400)
  await ekm.cli('restore', '--tenant', 'loud')
  await asks(200)
  // Plain HTTP has no certificate that this name could stand in.
  await ekm.cli('tenant', 'set-clients', 'loud', 'cks.kms.eu-west-1.amazonaws.com')
  await asks(401)
  over = true
  await measuring
  assert.deepEqual(statuses(measured), { 200: measured.length })
})

test('metrics and log tell the tenants apart', async () => {
  const page = await (await fetch(`${ekm.line.operations}/metrics`)).text()
  const value = (line: string): number =>
    Number(
      page
        .split('\n')
        .find(each => each.startsWith(`${line} `))
        ?.split(' ')
        .at(-1) ?? Number.NaN,
    )
  const answers = (tenant: string, outcome: string, key = 'k'): number =>
    value(
      `holdfast_ekm_requests_total{tenant="${tenant}",protocol="xks",key="${key}",outcome="${outcome}",service="ekm"}`,
    )
  assert.ok(answers('quiet', 'ok') > 0 && answers('loud', 'ok') > 0)
  assert.ok(answers('loud', 'ThrottlingException') > 0 && answers('loud', 'InvalidStateException') > 0)
  assert.ok(Number.isNaN(answers('quiet', 'ThrottlingException')))
  const turnedAway = value('holdfast_ekm_load_total{tenant="loud",protocol="xks",reason="rate",service="ekm"}')
  // While its key was not in memory yet, it had no name.
  const unnamed = answers('loud', 'ThrottlingException', '')
  assert.equal(turnedAway, answers('loud', 'ThrottlingException') + (Number.isNaN(unnamed) ? 0 : unnamed))
  assert.equal(await ekm.stop(), 0)
  const { stdout, stderr, code } = await holdfast(['log', 'show', ekm.data, '--json'])
  assert.equal(code, 0, stderr)
  const counted = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
    .filter(({ error }) => error === 'RateExceeded')
  assert.ok(counted.length > 0)
  assert.deepEqual([...new Set(counted.map(({ asserted }) => asserted.account))], ['loud'])
  assert.equal(
    counted.reduce((sum, { count }) => sum + count, 0),
    turnedAway,
  )
  assert.match(
    ekm.stderr,
    /"tenant":"loud","protocol":"xks","reason":"rate","count":\d+,"msg":"requests of a tenant were/,
  )
})
