/**
 * The two things that a drill watches: direct uses of the key (KMS Decrypt, nothing cached between), and reads through the data service.
 * Both run continuously; every attempt is a sample with its start and end on one monotonic clock.
 */
import { createHash } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import type { KMS } from '@aws-sdk/client-kms'
import type { CustodyPlan, ModelPlan } from '../plan.ts'

/** A sample before it is known when revoke answered: `performance.now()` times. */
export interface RawSample {
  readonly start: number
  readonly end: number
  readonly ok: boolean
  readonly error: string
}

export interface Probe {
  readonly samples: RawSample[]
  stop(): Promise<void>
}

/** Repeats `attempt` on some workers until stopped. Closed loop: a worker waits `pause` milliseconds after each answer. */
function repeat(workers: number, pause: number, attempt: (turn: number) => Promise<void>): Probe {
  const samples: RawSample[] = []
  let running = true
  let turn = 0
  const work = async (): Promise<void> => {
    while (running) {
      const start = performance.now()
      try {
        await attempt(turn++)
        samples.push({ start, end: performance.now(), ok: true, error: '' })
      } catch (error) {
        samples.push({ start, end: performance.now(), ok: false, error: (error as Error).name })
      }
      await delay(pause)
    }
  }
  const done = Promise.all(Array.from({ length: workers }, work))
  return {
    samples,
    stop: async () => {
      running = false
      await done
    },
  }
}

/** Uses of the key itself, with the data service's own credential, as a provider would use it. */
export function probeUses(client: KMS, keyArn: string, blob: Uint8Array, context: Record<string, string>): Probe {
  return repeat(2, 10, async () => {
    await client.decrypt({ KeyId: keyArn, CiphertextBlob: blob, EncryptionContext: context })
  })
}

class ReadRefused extends Error {
  constructor(name: string, message: string) {
    super(message)
    this.name = name
  }
}

/** One read of an object through the data service, proven by its SHA-256. */
export async function readObject(
  service: CustodyPlan['dataService'],
  bucket: string,
  file: { name: string; sha256: string },
): Promise<void> {
  const path = file.name.split('/').map(encodeURIComponent).join('/')
  const response = await fetch(`${service.endpoint}/v1/${bucket}/${path}`, {
    headers: { authorization: `Bearer ${service.token}` },
  })
  if (!response.ok || response.body === null) {
    const answer = (await response.json().catch(() => ({}))) as { error?: string; message?: string }
    throw new ReadRefused(answer.error ?? `HTTP ${response.status}`, answer.message ?? '')
  }
  const hash = createHash('sha256')
  for await (const chunk of response.body) hash.update(chunk)
  if (hash.digest('hex') !== file.sha256)
    throw new ReadRefused('WrongPlaintext', 'The plaintext is not what was stored.')
}

/** Readers that go round the files that are read; small ones, so that many reads fall around the act. */
export function probeReads(service: CustodyPlan['dataService'], model: ModelPlan): Probe {
  const files = model.files
    .filter(file => file.read)
    .sort((a, b) => a.bytes - b.bytes)
    .slice(0, 12)
  return repeat(2, 15, async turn => {
    const file = files[turn % files.length]
    if (file) await readObject(service, model.bucket, file)
  })
}
