/**
 * `npm run bench`: µs of CPU that the serving processes spend on a request, and p50 and p99 of its latency, beside nginx `return 200` and a bare node:http
 * echo, all interleaved in one run. What counts are the ratios: everything ran on the same machine in the same minutes.
 */
import { availableParallelism, cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { cpuOf, memoryOf } from './cpu.ts'
import { keyPolicy, seedGrants } from './grants.ts'
import { Loader } from './loader.ts'
import { startEcho, startNginx } from './references.ts'
import { type Measured, type Signer, startMeasured, xksEncrypt } from './services.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    keys: { type: 'string' },
    grants: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) {
  console.log(`npm run bench -- [--quick] [--only TEXT] [--rounds N] [--keys N] [--grants N] [--json]
  --quick   fewer and shorter rounds, 2,000 keys instead of 100,000
  --only    only lines whose name holds this text (nginx is always measured: it is the unit)
  --rounds  how many rounds the medians are of (3 with --quick, otherwise 5)
  --keys    how many keys the second KMS has
  --grants  a third KMS, with as many keys as the second, policies of ten statements and this many grants; 1000000 takes minutes to make
  --json    the figures as JSON`)
  process.exit(0)
}

const ROUNDS = count('rounds', values.rounds, values.quick ? 3 : 5)
const KEYS = count('keys', values.keys, values.quick ? 2_000 : 100_000)
const GRANTS = values.grants === undefined ? 0 : count('grants', values.grants, 0)
const COUNT = values.quick ? 4_000 : 12_000
const CONNECTIONS = 64
const MEASURED = ['Encrypt', 'Decrypt', 'GenerateDataKey'] as const
const PLAINTEXT = Buffer.alloc(32, 7).toString('base64')

function count(name: string, given: string | undefined, otherwise: number): number {
  const number = Number(given ?? otherwise)
  if (Number.isSafeInteger(number) && number > 0) return number
  console.error(`--${name} takes a number from 1 up, not ${given}`)
  process.exit(2)
}

interface Target {
  readonly name: string
  readonly port: number
  readonly frontEnd: readonly number[]
  readonly boundary: readonly number[]
  /** Requests of one round. */
  requests(round: number): Buffer[]
}

interface Round {
  readonly frontEnd: number
  readonly boundary: number
  readonly p50: number
  readonly p99: number
}

const say = (text: string): void => console.error(text)
const median = (numbers: number[]): number => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0

async function measure(loader: Loader, target: Target, round: number): Promise<Round> {
  const requests = target.requests(round)
  const cpu = (pids: readonly number[]): number => pids.reduce((sum, pid) => sum + cpuOf(pid), 0)
  const before = [cpu(target.frontEnd), cpu(target.boundary)] as const
  const result = await loader.run({ port: target.port, requests, count: COUNT, connections: CONNECTIONS, from: 0 })
  if (result.failed > 0)
    throw new Error(`${target.name}: ${result.failed} requests failed, the first with ${result.firstFailure}`)
  const each = (after: number, from: number): number => (after - from) / 1000 / COUNT
  return {
    frontEnd: each(cpu(target.frontEnd), before[0]),
    boundary: each(cpu(target.boundary), before[1]),
    p50: result.p50,
    p99: result.p99,
  }
}

/** Makes keys through the API, as many at once as there are connections. */
async function makeKeys(loader: Loader, kms: Measured, count: number, input: object = {}): Promise<string[]> {
  for (let made = 0; made < count; made += 10_000) {
    // Signed anew: on a slow machine making them all takes longer than a signature is good for.
    const create = kms.sign({ path: '/', target: 'CreateKey', body: JSON.stringify(input) })
    const result = await loader.run({
      port: kms.port,
      requests: [create],
      count: Math.min(10_000, count - made),
      connections: CONNECTIONS,
      from: 0,
    })
    if (result.failed > 0) throw new Error(`CreateKey: ${result.firstFailure}`)
    say(`  ${Math.min(made + 10_000, count)} of ${count} keys`)
  }
  const ids: string[] = []
  for (let Marker: unknown; ; ) {
    const page = await kms.call('ListKeys', { Limit: 1000, ...(Marker === undefined ? {} : { Marker }) })
    ids.push(...(page.Keys as { KeyId: string }[]).map(key => key.KeyId))
    Marker = page.NextMarker
    if (page.Truncated !== true) return ids
  }
}

/** Deterministic choice of keys: the same run asks for the same ones. */
function* places(count: number): Generator<number> {
  for (let state = 12_345; ; ) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    yield state % count
  }
}

/** Whether a line of a KMS with this label is to be measured. */
const wanted = (label: string): boolean =>
  values.only === undefined || MEASURED.some(operation => `${operation} 32 B, ${label}`.includes(values.only as string))

async function kmsTargets(kms: Measured, ids: readonly string[], label: string, by?: Signer): Promise<Target[]> {
  const place = places(ids.length)
  const pick = (): string => ids[place.next().value] as string
  const pids = { port: kms.port, frontEnd: [kms.frontEnd], boundary: [kms.boundary] }
  const many = (target: string, body: () => string) => (): Buffer[] =>
    Array.from({ length: Math.min(COUNT, 4_000) }, () => kms.sign({ path: '/', target, body: body() }, by))
  const ciphertexts: string[] = []
  for (let index = 0; index < Math.min(ids.length, 500); index++) {
    const { CiphertextBlob } = await kms.call('Encrypt', { KeyId: pick(), Plaintext: PLAINTEXT })
    ciphertexts.push(String(CiphertextBlob))
  }
  let next = 0
  return [
    {
      ...pids,
      name: `Encrypt 32 B, ${label}`,
      requests: many('Encrypt', () => JSON.stringify({ KeyId: pick(), Plaintext: PLAINTEXT })),
    },
    {
      ...pids,
      name: `Decrypt 32 B, ${label}`,
      requests: many('Decrypt', () => JSON.stringify({ CiphertextBlob: ciphertexts[next++ % ciphertexts.length] })),
    },
    {
      ...pids,
      name: `GenerateDataKey 32 B, ${label}`,
      requests: many('GenerateDataKey', () => JSON.stringify({ KeyId: pick(), NumberOfBytes: 32 })),
    },
  ]
}

const loader = new Loader()
say('starting nginx, a bare node:http echo, two KMSs and an external key manager …')
const nginx = await startNginx()
const echo = await startEcho()
const few = await startMeasured('kms', [])
const many = await startMeasured('kms', [])
const granted = GRANTS === 0 ? undefined : await startMeasured('kms', [])
const ekm = await startMeasured('ekm', ['--http', '--key', 'bench'])
try {
  const plain = Buffer.from(
    `POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{"hello":"you"}`,
  )
  const fewIds = await makeKeys(loader, few, 10)
  const manyTargets: Target[] = []
  if (wanted(`${KEYS} keys`)) {
    say(`making ${KEYS} keys …`)
    const ids = await makeKeys(loader, many, KEYS)
    manyTargets.push(...(await kmsTargets(many, ids, `${KEYS} keys`)))
  }
  let grantTargets: Target[] = []
  if (granted !== undefined) {
    say(`making ${KEYS} keys with policies of ten statements, and ${GRANTS} grants …`)
    const ids = await makeKeys(loader, granted, KEYS, { Policy: keyPolicy(granted.line.accountId ?? '') })
    const grantee = await seedGrants(granted, ids, GRANTS, say)
    grantTargets = [
      ...(await kmsTargets(granted, ids, `${GRANTS} grants, by policy`)),
      ...(await kmsTargets(granted, ids, `${GRANTS} grants, by grant`, grantee)),
    ]
  }
  const reference = (name: string, { port, pids }: { port: number; pids: readonly number[] }): Target => ({
    name,
    port,
    frontEnd: pids,
    boundary: [],
    requests: () => [plain],
  })
  const targets: Target[] = [
    reference('nginx, return 200', nginx),
    reference('node:http, JSON echo', echo),
    ...(await kmsTargets(few, fewIds, '10 keys')),
    ...manyTargets,
    ...grantTargets,
    {
      name: 'XKS encrypt 32 B',
      port: ekm.port,
      frontEnd: [ekm.frontEnd],
      boundary: [ekm.boundary],
      requests: () => Array.from({ length: COUNT }, () => xksEncrypt(ekm, 'bench')),
    },
  ].filter((target, index) => index === 0 || values.only === undefined || target.name.includes(values.only))
  say('a round to warm up …')
  for (const target of targets) await measure(loader, target, 0)
  const rounds = new Map<Target, Round[]>(targets.map(target => [target, []]))
  for (let round = 1; round <= ROUNDS; round++) {
    say(`round ${round} of ${ROUNDS}`)
    for (const target of targets) rounds.get(target)?.push(await measure(loader, target, round))
  }
  const rows = targets.map(target => {
    const all = rounds.get(target) ?? []
    const of = (pick: (round: Round) => number): number => median(all.map(pick))
    return {
      name: target.name,
      cpu: of(one => one.frontEnd + one.boundary),
      frontEnd: of(one => one.frontEnd),
      boundary: of(one => one.boundary),
      p50: of(one => one.p50),
      p99: of(one => one.p99),
    }
  })
  const unit = rows[0]?.cpu ?? 1
  const memory = {
    [`kms front end, ${KEYS} keys`]: memoryOf(many.frontEnd),
    [`kms boundary, ${KEYS} keys`]: memoryOf(many.boundary),
    'kms front end, 10 keys': memoryOf(few.frontEnd),
    ...(granted === undefined
      ? {}
      : {
          [`kms front end, ${GRANTS} grants`]: memoryOf(granted.frontEnd),
          [`kms boundary, ${GRANTS} grants`]: memoryOf(granted.boundary),
        }),
    'ekm front end': memoryOf(ekm.frontEnd),
  }
  const started = { 'kms --dev': few.startedIn, 'ekm --dev': ekm.startedIn }
  if (values.json) {
    console.log(
      JSON.stringify(
        {
          cpu: cpus()[0]?.model,
          cores: availableParallelism(),
          node: process.version,
          rounds: ROUNDS,
          count: COUNT,
          connections: CONNECTIONS,
          rows,
          memoryMB: memory,
          startMs: started,
        },
        null,
        1,
      ),
    )
  } else {
    console.log(
      `\n${availableParallelism()} × ${cpus()[0]?.model}, Node ${process.version}; medians of ${ROUNDS} rounds of ${COUNT} requests, ${CONNECTIONS} connections\n`,
    )
    console.log('                                                   µs CPU a request                    latency, ms')
    console.log('                                                total  × nginx  front end  boundary    p50     p99')
    for (const row of rows) {
      const number = (value: number, width: number, digits = 1): string => value.toFixed(digits).padStart(width)
      console.log(
        `${row.name.padEnd(46)}${number(row.cpu, 7)}${number(row.cpu / unit, 9)}${number(row.frontEnd, 11)}${row.boundary === 0 ? ''.padStart(10) : number(row.boundary, 10)}${number(row.p50, 7, 2)}${number(row.p99, 8, 2)}`,
      )
    }
    console.log('')
    for (const [name, megabytes] of Object.entries(memory))
      console.log(`${name.padEnd(36)}${megabytes.toFixed(0).padStart(5)} MB`)
    for (const [name, ms] of Object.entries(started))
      console.log(`${`${name}, until its line of JSON`.padEnd(36)}${ms.toFixed(0).padStart(5)} ms`)
  }
} finally {
  loader.stop()
  nginx.stop()
  echo.stop()
  await Promise.all([few, many, ekm, granted].map(service => service?.stop()))
}
