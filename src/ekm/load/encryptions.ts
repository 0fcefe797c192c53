/**
 * How often the newest version of each external key has encrypted, for Prometheus: what the boundary has reserved, read from the rows at the first question and
 * followed from then on. The busiest keys have lines of their own, up to a bound.
 */
import type { Metric } from 'prom-client'
import { decodeCounter, readCounterId } from '../../boundary/service/keys/counters.ts'
import type { Row } from '../../boundary/words.ts'
import type { Replica } from '../../store/replica.ts'

const PAGE = 1000

interface Count {
  readonly tenant: string
  version: number
  reserved: number
}

export interface EncryptionsParts {
  readonly replica: Pick<Replica, 'listAll' | 'watch'>
  /** Keys that are told apart. */
  readonly keys: number
  readonly most: number
  readonly renewAfter: number
}

export class EncryptionsMeter {
  readonly #parts: EncryptionsParts
  readonly #counts = new Map<string, Count>()
  #loaded: Promise<void> | undefined

  constructor(parts: EncryptionsParts) {
    this.#parts = parts
    parts.replica.watch('counter', row => this.#take(row))
  }

  /** Numbers of a version only rise, and so do versions: rows may come in any order. */
  #take({ id, scope, body }: Row): void {
    const { keyId, version } = readCounterId(id)
    const count = this.#counts.get(keyId)
    if (body === null) {
      if (count?.version === version) this.#counts.delete(keyId)
      return
    }
    const reserved = decodeCounter(body)
    if (count === undefined) this.#counts.set(keyId, { tenant: scope, version, reserved })
    else if (version > count.version) {
      count.version = version
      count.reserved = reserved
    } else if (version === count.version) count.reserved = Math.max(count.reserved, reserved)
  }

  /** What is not read this time is tried at the next question. */
  async #load(): Promise<void> {
    const { replica } = this.#parts
    for (let after = ''; ; ) {
      const rows = await replica.listAll('counter', { after, limit: PAGE })
      for (const row of rows) this.#take(row)
      const last = rows.at(-1)
      if (last === undefined || rows.length < PAGE) return
      after = last.id
    }
  }

  async #values(): Promise<{ labels: Record<string, string>; value: number }[]> {
    this.#loaded ??= this.#load().catch(() => {
      this.#loaded = undefined
    })
    await this.#loaded
    const busiest = [...this.#counts].sort(([, a], [, b]) => b.reserved - a.reserved).slice(0, this.#parts.keys)
    return busiest.map(([keyId, { tenant, reserved }]) => ({
      labels: { tenant, key: keyId.slice(keyId.lastIndexOf('/') + 1) },
      value: reserved,
    }))
  }

  asMetrics(): Metric[] {
    const help = 'Encryptions of the newest version of a key, counted in blocks: at most so many'
    const { most, renewAfter } = this.#parts
    return [
      gauge('holdfast_ekm_key_encryptions', help, () => this.#values()),
      gauge('holdfast_ekm_max_encryptions', 'Encryptions of one version beyond which they are refused', () =>
        one(most),
      ),
      gauge('holdfast_ekm_renew_after', 'Encryptions after which a key gets its next version by itself', () =>
        one(renewAfter),
      ),
    ]
  }
}

const one = async (value: number): Promise<object[]> => [{ labels: {}, value }]

function gauge(name: string, help: string, values: () => Promise<object[]>): Metric {
  const get = async () => ({ name, help, type: 'gauge', values: await values(), aggregator: 'max' })
  return { name, get } as unknown as Metric
}
