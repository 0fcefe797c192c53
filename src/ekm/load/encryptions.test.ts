import assert from 'node:assert/strict'
import { test } from 'node:test'
import { counterId, encodeCounter } from '../../boundary/service/keys/counters.ts'
import { BoundaryError, type Row } from '../../boundary/words.ts'
import { EncryptionsMeter } from './encryptions.ts'

const counter = (key: string, version: number, reserved: number | null): Row => ({
  kind: 'counter',
  id: counterId(key, version),
  scope: key.slice(0, key.lastIndexOf('/')),
  link: key,
  revision: 1,
  tag: Buffer.alloc(32),
  body: reserved === null ? null : encodeCounter(reserved),
})

/** A store of counters, and what tells of new ones. */
class Counters {
  readonly rows: Row[] = []
  ready = true
  told: (row: Row) => void = () => {}
  readonly watch = (_kind: string, onRow: (row: Row) => void): void => {
    this.told = onRow
  }
  readonly listAll = async (_kind: string, { after, limit }: { after: string; limit: number }): Promise<Row[]> => {
    if (!this.ready) throw new BoundaryError('Unavailable')
    return this.rows.filter(({ id }) => id > after).slice(0, limit)
  }
}

async function shown(meter: EncryptionsMeter): Promise<string[]> {
  const [counts] = meter.asMetrics()
  const page = await counts?.get()
  return (page?.values ?? []).map(({ labels, value }) => `${labels.tenant} ${labels.key} ${value}`)
}

const meterOf = (replica: Counters, keys = 10): EncryptionsMeter =>
  new EncryptionsMeter({ replica, keys, most: 100, renewAfter: 50 })

test('the newest version of each key counts, the busiest first, whatever comes first: the store or what is told', async () => {
  const store = new Counters()
  store.rows.push(counter('a/b/k', 1, 50), counter('a/b/k', 2, 7), counter('t/other', 1, 9))
  const meter = meterOf(store)
  store.told(counter('t/other', 1, 12))
  store.told(counter('t/new', 1, 3))
  assert.deepEqual(await shown(meter), ['t other 12', 'a/b k 7', 't new 3'])
  store.told(counter('t/new', 2, 0))
  store.told(counter('a/b/k', 1, null))
  assert.deepEqual(await shown(meter), ['t other 12', 'a/b k 7', 't new 0'])
  store.told(counter('a/b/k', 2, null))
  assert.deepEqual(await shown(meter), ['t other 12', 't new 0'])
})

test('more keys than have lines: the busiest have', async () => {
  const store = new Counters()
  for (let n = 1; n <= 2500; n++) store.rows.push(counter(`t/${String(n).padStart(4, '0')}`, 1, n))
  assert.deepEqual(await shown(meterOf(store, 2)), ['t 2500 2500', 't 2499 2499'])
})

test('a store that cannot be read at first is read at the next question', async () => {
  const store = new Counters()
  store.rows.push(counter('t/k', 1, 5))
  store.ready = false
  const meter = meterOf(store)
  assert.deepEqual(await shown(meter), [])
  store.ready = true
  assert.deepEqual(await shown(meter), ['t k 5'])
})
