/**
 * `node bench/slow-work.ts`: latency of Encrypt at a boundary, asked 500 times a second, while it does nothing else, makes RSA-4096 keys without a pause,
 * and signs with one. Rounds are interleaved; what counts is how the columns compare.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { CreateKey, KeyRow } from '../src/boundary/client/api.ts'
import { connectUse, type UseConnection } from '../src/boundary/client/use.ts'
import { startService } from '../src/boundary/supervisor/supervisor.ts'

const ROUNDS = 5
const SECONDS = 3
const A_SECOND = 500
/** As many as a busy front end would have under way. */
const AT_ONCE = 16
const A = { operation: 'Bench' }

const folder = mkdtempSync(path.join(tmpdir(), 'holdfast-slow-work-'))
const socket = path.join(folder, 'boundary', 'use.sock')
const service = startService({
  boundary: {
    service: 'kms',
    folder: path.join(folder, 'boundary'),
    dev: true,
    root: { kind: 'keyfile', file: path.join(folder, 'root.key') },
    logOrigin: 'bench.example/log',
  },
  frontEnd: {
    entry: path.join(import.meta.dirname, '..', 'test', 'boundary', 'front-end.ts'),
    config: { socket },
  },
  log: () => {},
})
await service.ready
const use: UseConnection = await new Promise(resolve => {
  const connection = connectUse({
    socket,
    onWriteSet: async () => {},
    onState: state => {
      if (state.kind === 'connected') resolve(connection)
    },
  })
})

const newKey = (spec: CreateKey['spec'], usage: CreateKey['usage']): Promise<KeyRow> =>
  use.createKey(
    {
      id: `eu-north-1/${crypto.randomUUID()}`,
      scope: '111122223333/eu-north-1',
      account: '111122223333',
      spec,
      usage,
      origin: 'AWS_KMS',
      multiRegion: false,
      manager: 'CUSTOMER',
      managerService: '',
      policy: Buffer.from('{}'),
      keyStoreId: '',
      xksKeyId: '',
      rows: [],
    },
    A,
  )

const key = await newKey('SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT')
const signer = await newKey('RSA_4096', 'SIGN_VERIFY')
const toSign = { algorithm: 'RSASSA_PSS_SHA_256', messageType: 'RAW', message: Buffer.alloc(64) } as const

/** Latencies of Encrypt in milliseconds, from when each was due. */
async function encrypts(): Promise<number[]> {
  const latencies: Promise<number>[] = []
  const start = performance.now()
  for (let number = 0; number < SECONDS * A_SECOND; number++) {
    const due = start + (number * 1000) / A_SECOND
    const early = due - performance.now()
    if (early > 1) await wait(early)
    latencies.push(use.encrypt(key, Buffer.alloc(32), [], A).then(() => performance.now() - due))
  }
  return Promise.all(latencies)
}

/** Repeats `work`, so many at once, until what `during` returns is there. */
async function beside(
  work: () => Promise<unknown>,
  during: Promise<number[]>,
): Promise<{ latencies: number[]; done: number }> {
  let done = 0
  let over = false
  const worker = async (): Promise<void> => {
    while (!over) {
      await work()
      done++
    }
  }
  const workers = Array.from({ length: AT_ONCE }, worker)
  const latencies = await during
  over = true
  const finished = done
  await Promise.all(workers)
  return { latencies, done: finished }
}

const kinds: Record<string, () => Promise<{ latencies: number[]; done: number }>> = {
  'nothing else': async () => ({ latencies: await encrypts(), done: 0 }),
  'RSA-4096 pairs made': () => beside(() => use.generateDataKeyPair(key, 'RSA_4096', false, [], A), encrypts()),
  'RSA-4096 signatures': () => beside(() => use.sign(signer, toSign, A), encrypts()),
}
const results = new Map(Object.keys(kinds).map(name => [name, { latencies: [] as number[], done: 0 }]))
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, kind] of Object.entries(kinds)) {
    const { latencies, done } = await kind()
    const result = results.get(name)
    result?.latencies.push(...latencies)
    if (result !== undefined) result.done += done
  }
}
const at = (sorted: number[], share: number): string => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(2)
for (const [name, { latencies, done }] of results) {
  const sorted = latencies.sort((a, b) => a - b)
  console.log(
    `${name.padEnd(20)} Encrypt p50 ${at(sorted, 0.5)} ms, p99 ${at(sorted, 0.99)} ms; ${(done / ROUNDS / SECONDS).toFixed(1)} of them a second`,
  )
}
use.close()
await service.stop()
rmSync(folder, { recursive: true, force: true })
