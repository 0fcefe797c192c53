/** A front end's store behind a real boundary. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type InProcess, inProcess, newKey } from '../boundary/service/testing/in-process.ts'
import type { WriteSet } from '../boundary/words.ts'
import { StoreError } from './errors.ts'
import { type Link, type LinkOptions, openLink } from './link.ts'
import { MemoryStore } from './testing.ts'

async function start(
  t: TestContext,
  store: MemoryStore,
  onChange: NonNullable<LinkOptions['onChange']> = () => {},
  onFailed: LinkOptions['onFailed'] = () => {},
): Promise<{ readonly boundary: InProcess; readonly link: Link }> {
  const boundary = await inProcess()
  const link = await openLink({
    store,
    socket: boundary.running.useSocket,
    limits: {},
    log: () => {},
    onChange,
    onFailed,
  })
  t.after(async () => {
    link.boundary.close()
    await boundary.stop()
    boundary.remove()
  })
  return { boundary, link }
}

/** Takes nothing before it is let. */
class SlowStore extends MemoryStore {
  readonly commits: number[] = []
  readonly open = Promise.withResolvers<void>()

  override async apply(sets: readonly WriteSet[]): Promise<void> {
    this.commits.push(sets.length)
    await this.open.promise
    await super.apply(sets)
  }
}

test('what comes while the store is being written goes into it together: a transition waits for two commits at most, however many are under way', async t => {
  const store = new SlowStore()
  const { boundary, link } = await start(t, store)
  const keys = await Promise.all(Array.from({ length: 20 }, () => newKey(boundary.use)))
  // Answered behind the write sets of all of them.
  await link.boundary.status()
  assert.equal(store.commits.length, 1)
  store.open.resolve()
  const own = await newKey(link.boundary)
  assert.ok(store.commits.length <= 3, `commits of ${store.commits} write sets`)
  for (const { id } of [...keys, own]) assert.ok(store.rows.has(`key ${id}`), id)
})

test('a write set that the store does not take ends the connection; what came after it is there with the next', async t => {
  const store = new MemoryStore()
  const states: boolean[] = []
  const { boundary, link } = await start(t, store, ({ replica }) => {
    states.push(replica.ready)
  })
  store.broken = new Error('no room')
  const made = await Promise.allSettled(Array.from({ length: 5 }, () => newKey(link.boundary)))
  assert.ok(made.every(({ status }) => status === 'rejected'))
  store.broken = undefined
  const { lastWriteSet } = await boundary.use.status()
  while (states.at(-1) !== true || store.applied < lastWriteSet) await new Promise(resolve => setImmediate(resolve))
  assert.equal((await boundary.use.status()).keys, 5)
  assert.equal([...store.rows.keys()].filter(name => name.startsWith('key ')).length, 5)
})

test('a store that has to be opened anew is told of; one for which there is no room is not', async t => {
  const store = new MemoryStore()
  const failed = Promise.withResolvers<StoreError>()
  const states: boolean[] = []
  const { link } = await start(
    t,
    store,
    ({ replica }) => {
      states.push(replica.ready)
    },
    failed.resolve,
  )
  store.broken = new StoreError('Full')
  await assert.rejects(newKey(link.boundary))
  while (link.replica.failure === '') await new Promise(resolve => setImmediate(resolve))
  store.broken = undefined
  while (states.at(-1) !== true) await new Promise(resolve => setImmediate(resolve))
  store.broken = new StoreError('Failed', 'disk I/O error')
  await assert.rejects(newKey(link.boundary))
  assert.equal((await failed.promise).detail, 'disk I/O error')
})
