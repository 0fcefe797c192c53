/**
 * `npm run bench`: µs of CPU that the serving processes spend on a request, and p50 and p99 of its latency, beside nginx `return 200` and a bare node:http
 * echo, all interleaved in one run. What counts are the ratios: everything ran on the same machine in the same minutes.
 */
import { availableParallelism, cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { ALGORITHMS, BareLoops, compared } from './algorithms.ts'
import { memoryOf } from './cpu.ts'
import { startMeasuredEkm } from './ekm/targets.ts'
import { offerLoad, XKS_LOAD } from './ekm/xks-load.ts'
import { Granted } from './granted.ts'
import { keyPolicy } from './grants.ts'
import {
  algorithmTarget,
  encryptName,
  encryptTarget,
  firstUses,
  makeKeys,
  makeManyKeys,
  picker,
  SELDOM_ROW,
  seldomTarget,
  symmetricNames,
  symmetricTargets,
} from './kms-targets.ts'
import { measureLarge } from './large.ts'
import { Loader } from './loader.ts'
import { CONNECTIONS, measureAll, type Row, served, type Target } from './measure.ts'
import { startEcho, startNginx } from './references.ts'
import { print, printLarge, printOffered } from './report.ts'
import { startMeasured, xksEncrypt } from './services.ts'
import { makeRole } from './sessions.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    keys: { type: 'string' },
    grants: { type: 'string' },
    large: { type: 'string' },
    records: { type: 'string' },
    recipient: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) {
  console.log(`npm run bench -- [--quick] [--only TEXT] [--rounds N] [--keys N] [--grants N] [--large N [--records N] [--recipient AGE]] [--json]
  --quick   fewer and shorter rounds, 2,000 keys instead of 100,000
  --only    only lines whose name holds this text (nginx is always measured: it is the unit); xks-load: only the load of one external key store
  --rounds  how many rounds the medians are of (3 with --quick, otherwise 5)
  --keys    how many keys the second KMS has
  --grants  a third KMS, with as many keys as the second, policies of ten statements and this many grants, which is started again before it is measured;
            1000000 takes minutes to make
  --large   nothing else: starts and memory of a KMS with this many keys and --records records besides (1,000,000); with --recipient a backup too.
            1000000 keys take minutes to make, and 4 GB in the temporary folder
  --json    the figures as JSON`)
  process.exit(0)
}

const ROUNDS = count('rounds', values.rounds, values.quick ? 3 : 5)
const KEYS = count('keys', values.keys, values.quick ? 2_000 : 100_000)
const GRANTS = values.grants === undefined ? 0 : count('grants', values.grants, 0)
const COUNT = values.quick ? 4_000 : 12_000
const FEW = '10 keys'

function count(name: string, given: string | undefined, otherwise: number): number {
  const number = Number(given ?? otherwise)
  if (Number.isSafeInteger(number) && number > 0) return number
  console.error(`--${name} takes a number from 1 up, not ${given}`)
  process.exit(2)
}

const say = (text: string): void => console.error(text)
const wanted = (name: string): boolean => values.only === undefined || name.includes(values.only)

const LOAD_SECONDS = values.quick ? 3 : 10
if (values.only === XKS_LOAD) {
  const offered = await offerLoad(LOAD_SECONDS, say)
  if (values.json) console.log(JSON.stringify(offered, null, 1))
  else printOffered(offered)
  process.exit(0)
}

if (values.large !== undefined) {
  const size = {
    keys: count('large', values.large, 0),
    records: count('records', values.records, 1_000_000),
    recipient: values.recipient,
  }
  const large = await measureLarge(size, say)
  if (values.json) console.log(JSON.stringify(large, null, 1))
  else printLarge(large)
  process.exit(0)
}

const loader = new Loader()
say('starting nginx, a bare node:http echo, two KMSs and an external key manager …')
const owner = await startMeasuredEkm(say)
const nginx = await startNginx()
const echo = await startEcho()
const bare = new BareLoops()
const few = await startMeasured('kms', [])
const many = await startMeasured('kms', [])
const granted = GRANTS === 0 ? undefined : new Granted()
const ekm = await startMeasured('ekm', ['--http', '--key', 'bench'])

const reference = (name: string, { port, pids }: { port: number; pids: readonly number[] }): Target => {
  const plain = Buffer.from(
    `POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{"hello":"you"}`,
  )
  return served(loader, { name, port, frontEnd: pids, boundary: [], count: COUNT, requests: () => [plain] })
}

async function fewTargets(): Promise<Target[]> {
  const ids = await makeKeys(few)
  const guarded = await makeKeys(few, { Policy: keyPolicy(few.line.accountId ?? '') })
  const { longLived, session } = await makeRole(few)
  const targets = [
    ...(await symmetricTargets(loader, few, ids, FEW, COUNT)),
    seldomTarget(loader, few, ids, COUNT),
    encryptTarget(loader, few, picker(guarded), 'policy of ten statements', COUNT),
    encryptTarget(loader, few, picker(ids), 'a role by its own credential', COUNT, longLived),
    encryptTarget(loader, few, picker(ids), 'the same role assumed', COUNT, session),
  ]
  for (const algorithm of ALGORITHMS)
    targets.push(bare.target(algorithm, COUNT), await algorithmTarget(loader, few, algorithm, COUNT))
  return targets
}

/** Measured on the way, and once. */
const once: Row[] = []

async function manyTargets(): Promise<Target[]> {
  const label = `${KEYS} keys`
  if (!symmetricNames(label).some(wanted)) return []
  say(`making ${KEYS} keys …`)
  const ids = await makeManyKeys(loader, many, KEYS, say)
  once.push(await firstUses(loader, many, ids, label, say))
  return symmetricTargets(loader, many, ids, label, COUNT)
}

const xks = served(loader, {
  ...{ name: 'XKS encrypt 32 B', port: ekm.port, frontEnd: [ekm.frontEnd], boundary: [ekm.boundary], count: COUNT },
  requests: () => Array.from({ length: COUNT }, () => xksEncrypt(ekm, 'bench')),
})

try {
  const targets = [
    reference('nginx, return 200', nginx),
    reference('node:http, JSON echo', echo),
    ...(await fewTargets()),
    ...(await manyTargets()),
    ...((await granted?.targets(loader, { keys: KEYS, grants: GRANTS, count: COUNT, say })) ?? []),
    xks,
    ...(owner.tokenLoop === undefined ? [] : [owner.tokenLoop.target(Math.ceil(COUNT / 4))]),
    ...owner.targets.map(({ where, slowness, requests, ...target }) => {
      const count = Math.ceil(COUNT / slowness)
      return served(loader, { ...where, ...target, count, requests: () => requests(count) })
    }),
  ].filter(({ name }, index) => index === 0 || wanted(name))
  const rows = [...(await measureAll(targets, ROUNDS, say)), ...once]
  const report = {
    rows,
    algorithms: compared(rows, encryptName(FEW), SELDOM_ROW),
    offered: wanted(XKS_LOAD) ? await offerLoad(LOAD_SECONDS, say) : [],
    memoryMB: {
      'kms front end, few keys': memoryOf(few.frontEnd),
      'kms boundary, few keys': memoryOf(few.boundary),
      [`kms front end, ${KEYS} keys`]: memoryOf(many.frontEnd),
      [`kms boundary, ${KEYS} keys`]: memoryOf(many.boundary),
      ...granted?.memory(),
      'ekm front end': memoryOf(ekm.frontEnd),
      'ekm front end, mutual TLS': memoryOf(owner.frontEnd),
    },
    startMs: { 'kms --dev': few.startedIn, 'ekm --dev': ekm.startedIn, ...granted?.started() },
  }
  const machine = { cpu: cpus()[0]?.model, cores: availableParallelism(), node: process.version }
  if (values.json) {
    const run = { ...machine, rounds: ROUNDS, count: COUNT, connections: CONNECTIONS }
    console.log(JSON.stringify({ ...run, ...report }, null, 1))
  } else {
    const { cpu, cores, node } = machine
    console.log(
      `\n${cores} × ${cpu}, Node ${node}; medians of ${ROUNDS} rounds of ${COUNT} requests, ${CONNECTIONS} connections\n`,
    )
    print(report)
  }
} finally {
  loader.stop()
  nginx.stop()
  echo.stop()
  bare.stop()
  await Promise.all([owner, few, many, ekm, granted].map(service => service?.stop()))
}
