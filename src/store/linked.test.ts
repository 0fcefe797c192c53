/** Lists by link: loaded once, whole, current after every write set, whatever the store says and however loads and write sets interleave; bounded. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BoundaryError, type Row } from '../boundary/words.ts'
import { LIST_BYTES, LinkedLists } from './linked.ts'
import { startReplica } from './testing.ts'

const ENTRY_BYTES = 100
const read = ({ id, revision, body }: Row) => ({ id, revision, bytes: ENTRY_BYTES, text: body?.toString() ?? '' })

async function start(maxBytes = 1 << 20) {
  const parts = await startReplica()
  const lists = new LinkedLists(parts.replica, { kind: 'grant', read, idOf: ({ id }) => id, maxBytes })
  const grant = (id: string, body: string | null, link = 'l') => ({ kind: 'grant' as const, id, body, link })
  const texts = (link = 'l') =>
    lists
      .peek(link)
      ?.map(({ id, text }) => `${id}=${text}`)
      .sort()
  return { ...parts, lists, grant, texts }
}

test('a list is loaded once and then follows the write sets, empty as it may be', async () => {
  const { lists, store, boundary, write, grant, texts } = await start()
  await write(grant('a', '1'), grant('b', '1'), grant('c', '1', 'other'))
  assert.equal(texts(), undefined)
  await Promise.all([lists.load('l'), lists.load('l'), lists.load('none')])
  assert.deepEqual(texts(), ['a=1', 'b=1'])
  assert.deepEqual(texts('none'), [])
  const asked = boundary.checks.length
  await write(grant('a', null), grant('d', '1'), grant('e', '1', 'none'))
  assert.deepEqual(texts(), ['b=1', 'd=1'])
  assert.deepEqual(texts('none'), ['e=1'])
  await write(grant('e', null, 'none'), grant('b', '2'))
  assert.deepEqual(texts('none'), [])
  assert.deepEqual(texts(), ['b=2', 'd=1'])
  assert.equal(boundary.checks.length, asked)
  assert.equal(store.rows.size, 3)
})

test('promise 12: what was edited, moved or put back in the store is not in a list', async () => {
  const { lists, store, write, grant, texts } = await start()
  await write(grant('deleted', '1'), grant('edited', '1'), grant('moved', '1', 'other'), grant('hidden', '1'))
  const [deleted, edited, moved] = ['deleted', 'edited', 'moved'].map(id => store.rows.get(`grant ${id}`))
  assert.ok(deleted && edited && moved)
  await write(grant('deleted', null), grant('edited', '2'))
  store.forge(deleted)
  store.forge(edited)
  store.forge({ ...moved, link: 'l' })
  store.forge({ ...deleted, id: 'invented' })
  store.remove('grant', 'hidden')
  await lists.load('l')
  assert.deepEqual(texts(), ['edited=2'])
})

test('a row whose write set is on its way into the store is in the list', async () => {
  const { lists, store, boundary, replica, grant, texts } = await start()
  const apply = store.apply.bind(store)
  const gate = Promise.withResolvers<void>()
  store.apply = async sets => {
    await gate.promise
    return apply(sets)
  }
  const written = replica.onWriteSet(boundary.write(grant('a', '1')))
  const loaded = lists.load('l')
  gate.resolve()
  await Promise.all([written, loaded])
  assert.deepEqual(texts(), ['a=1'])
  store.broken = new Error('no')
  await assert.rejects(replica.onWriteSet(boundary.write(grant('b', '1', 'm'))))
  await assert.rejects(lists.load('m'), error => error instanceof BoundaryError && error.code === 'Unavailable')
})

test('nothing is known while the boundary is away, and what was written meanwhile is known afterwards', async () => {
  const { lists, replica, boundary, grant, write, texts } = await start()
  await write(grant('a', '1'))
  await lists.load('l')
  replica.suspend()
  boundary.write(grant('a', null), grant('b', '1'))
  assert.equal(texts(), undefined)
  await assert.rejects(lists.load('l'))
  await replica.catchUp()
  assert.deepEqual(texts(), ['b=1'])
})

test('however loads and write sets interleave, a list is what the rows are', async () => {
  const step = fc.oneof(
    fc.record({ id: fc.constantFrom('a', 'b', 'c'), body: fc.constantFrom('1', '2', null) }),
    fc.constant('load' as const),
    fc.constant('turn' as const),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async steps => {
      const { lists, boundary, replica, grant, texts } = await start()
      const waiting: Promise<unknown>[] = []
      for (const each of steps) {
        if (each === 'load') waiting.push(lists.load('l'))
        else if (each === 'turn') await new Promise(done => setImmediate(done))
        else waiting.push(replica.onWriteSet(boundary.write(grant(each.id, each.body))))
      }
      await Promise.all(waiting)
      await lists.load('l')
      const live = [...boundary.current.values()].filter(({ body }) => body !== null)
      assert.deepEqual(texts(), live.map(({ id, body }) => `${id}=${body}`).sort())
      assert.equal(lists.bytes, LIST_BYTES + live.length * ENTRY_BYTES)
    }),
  )
})

test('promise 11: memory is bounded: what was not asked for lately goes first', async () => {
  const room = 10 * LIST_BYTES + 10 * ENTRY_BYTES
  const { lists, write, grant } = await start(room)
  for (let n = 0; n < 30; n++) await write(grant(`g${n}`, 'x', `l${n}`))
  for (let n = 0; n < 30; n++) {
    await lists.load(`l${n}`)
    assert.ok(lists.peek(`l${n}`), 'what was just loaded is there')
    assert.ok(n === 0 || lists.peek('l0'), 'and so is what is asked for all the time')
    assert.ok(lists.bytes <= room)
  }
  assert.equal(lists.peek('l5'), undefined)
  // One list may be larger than all the room: it is there, alone, until another one comes.
  await write(...Array.from({ length: 100 }, (_, n) => grant(`big${n}`, 'x', 'big')))
  await lists.load('big')
  assert.equal(lists.peek('big')?.length, 100)
  await lists.load('l7')
  assert.ok(lists.bytes <= room)
})
