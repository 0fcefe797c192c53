/**
 * A KMS that has grown for years: a million keys, millions of records. How long a start takes until it is ready and until a key is used, after a clean end
 * and after kill -9, and what its processes have in memory then. The keys are made through the boundary's socket, one by one, as a front end would; the boundary is in this process
 * for that, and the store is filled by the first start of the service, which is a figure of its own: that of a store that was lost.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { connectUse, type UseConnection } from '../src/boundary/client/use.ts'
import { startBoundary } from '../src/boundary/service/start.ts'
import { boundarySettings } from '../src/config/boundary.ts'
import { defaultConfig } from '../src/kms/dev.ts'
import { memoryOf } from './cpu.ts'
import { type Measured, startMeasured } from './services.ts'

const REGION = 'us-east-1'
/** What one account may have in a Region. */
const KEYS_OF_ACCOUNT = 100_000
/** Requests under way while it is filled. */
const LANES = 256
/** Just below what makes the boundary take a snapshot: the longest replay that there is. */
const SINCE_SNAPSHOT = 249_000
/** Milliseconds between two questions whether it is healthy. */
const HEALTH_MS = 20
const POLICY = Buffer.from(JSON.stringify({ Version: '2012-10-17', Statement: [] }))

export interface LargeFigures {
  readonly startMs: Readonly<Record<string, number>>
  /** Until the operator's listener says so: where the store is behind the boundary, longer. */
  readonly healthyMs: Readonly<Record<string, number>>
  readonly memoryMB: Readonly<Record<string, number>>
  /** Seconds; empty where this program has no `backup`. */
  readonly backup: Readonly<Record<string, number>>
}

export interface Size {
  readonly keys: number
  /** Besides those of making the keys. */
  readonly records: number
  /** Recipient of a backup (age), where one is to be made. */
  readonly recipient: string | undefined
}

export async function measureLarge(size: Size, say: (text: string) => void): Promise<LargeFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-large-'))
  const startMs: Record<string, number> = {}
  const healthyMs: Record<string, number> = {}
  const memoryMB: Record<string, number> = {}
  const backup: Record<string, number> = {}
  const label = `${size.keys} keys, ${size.keys + size.records} records`
  let kms: Measured | undefined
  const start = async (how: string): Promise<Measured> => {
    kms = await startMeasured('kms', ['--data', folder])
    startMs[`${label}, ${how}`] = kms.startedIn
    memoryMB[`front end, ${label}, ${how}`] = memoryOf(kms.frontEnd)
    memoryMB[`boundary, ${label}, ${how}`] = memoryOf(kms.boundary)
    const [startedIn, inAll] = [kms.startedIn, memoryOf(kms.frontEnd) + memoryOf(kms.boundary)].map(Math.round)
    say(`  ready in ${startedIn} ms; front end and boundary have ${inAll} MB`)
    return kms
  }
  try {
    await fill(folder, size, say)
    say('starting it with an empty store …')
    const first = await start('with an empty store')
    healthyMs[`${label}, with an empty store`] = await whole(first)
    await first.stop()
    say('starting it again …')
    const clean = await start('after a clean end')
    healthyMs[`${label}, after a clean end`] = await whole(clean)
    if (size.recipient !== undefined) backup[label] = await backUp(folder, size.recipient)
    await records(folder, SINCE_SNAPSHOT, say)
    await killAll(clean)
    say('starting it again after kill -9 …')
    const killed = await start('after kill -9')
    healthyMs[`${label}, after kill -9`] = await whole(killed)
    memoryMB['boundary, some uses later'] = await used(killed)
    return { startMs, healthyMs, memoryMB, backup }
  } finally {
    await kms?.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Milliseconds from the command until the operator's listener answers that the service is ready: its store has all that the boundary has. */
async function whole({ line, startedIn }: Measured): Promise<number> {
  const began = performance.now()
  while (!(await fetch(new URL('/health/ready', line.operations))).ok) await delay(HEALTH_MS)
  return startedIn + performance.now() - began
}

async function killAll({ boundary, frontEnd, line }: Measured): Promise<void> {
  // The boundary first: told that its supervisor is gone it would end cleanly.
  const supervisor = Number(line.pid)
  for (const pid of [boundary, supervisor, frontEnd]) process.kill(pid, 'SIGKILL')
  while ([boundary, supervisor, frontEnd].some(isThere)) await delay(5)
}

/** A zombie is none: it has no memory. */
function isThere(pid: number): boolean {
  try {
    return memoryOf(pid) > 0
  } catch {
    return false
  }
}

const keyId = (n: number): string => `${REGION}/00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`
const accountOf = (n: number): string => String(100_000_000_000 + Math.floor(n / KEYS_OF_ACCOUNT))

async function connected(data: string): Promise<UseConnection> {
  const up = Promise.withResolvers<void>()
  const use = connectUse({
    socket: join(data, 'boundary', 'use.sock'),
    onWriteSet: async () => {},
    onState: state => {
      if (state.kind === 'connected') up.resolve()
    },
  })
  await up.promise
  return use
}

async function inLanes(
  count: number,
  what: string,
  say: (text: string) => void,
  act: (n: number) => Promise<unknown>,
): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < count) {
      const n = next++
      await act(n)
      if ((n + 1) % 100_000 === 0) say(`  ${n + 1} of ${count} ${what}`)
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
}

/** Makes the folder of a service that has been used. */
async function fill(data: string, { keys, records: more }: Size, say: (text: string) => void): Promise<void> {
  const config = defaultConfig({ data, port: 0, regions: [REGION], account: '000000000000' })
  const running = await startBoundary({
    config: boundarySettings('kms', config, true),
    warnings: [],
    log: () => {},
    onFatal: error => {
      throw error
    },
    onStop: () => {},
  })
  const use = await connected(data)
  await inLanes(keys, 'keys', say, n =>
    use.createKey(
      {
        id: keyId(n),
        scope: `${accountOf(n)}/${REGION}`,
        account: accountOf(n),
        spec: 'SYMMETRIC_DEFAULT',
        usage: 'ENCRYPT_DECRYPT',
        origin: 'AWS_KMS',
        multiRegion: false,
        manager: 'CUSTOMER',
        managerService: '',
        policy: POLICY,
        keyStoreId: '',
        xksKeyId: '',
        rows: [],
      },
      { operation: 'CreateKey' },
    ),
  )
  use.close()
  await records(data, more, say)
  await running.stop()
}

async function records(data: string, count: number, say: (text: string) => void): Promise<void> {
  const use = await connected(data)
  await inLanes(count, 'records', say, () => use.generateRandom(16, { operation: 'GenerateRandom' }))
  use.close()
}

/** Encrypts under a key of its own; answers the boundary's memory. */
async function used(kms: Measured): Promise<number> {
  const { KeyMetadata } = (await kms.call('CreateKey', {})) as { KeyMetadata: { KeyId: string } }
  for (let n = 0; n < 1000; n++)
    await kms.call('Encrypt', { KeyId: KeyMetadata.KeyId, Plaintext: Buffer.from(String(n)).toString('base64') })
  return memoryOf(kms.boundary)
}

/** Seconds that `holdfast backup` takes, to a file that is thrown away. */
async function backUp(folder: string, recipient: string): Promise<number> {
  const to = mkdtempSync(join(tmpdir(), 'holdfast-backup-'))
  const holdfast = resolve(import.meta.dirname, '..', 'bin', 'holdfast')
  const began = performance.now()
  try {
    const child = spawn(holdfast, ['backup', to, '--data', folder, '--recipient', recipient], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const code = await new Promise(done => child.once('exit', done))
    if (code !== 0 || statSync(to).size === 0) throw new Error(`holdfast backup ended with ${code}`)
    return (performance.now() - began) / 1000
  } finally {
    rmSync(to, { recursive: true, force: true })
  }
}
