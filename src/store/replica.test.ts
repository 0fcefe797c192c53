import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { BoundaryError, type BoundaryErrorCode, type Row } from '../boundary/words.ts'
import { storeContract } from './contract.ts'
import { openReplica } from './replica.ts'
import { MemoryStore, startReplica as start, TestBoundary, tagged } from './testing.ts'

storeContract('the store of the tests', async () => {
  const store = new MemoryStore()
  return {
    open: async () => {
      store.closed = false
      return store
    },
    destroy: async () => {},
  }
})

const text = (row: Row | null | undefined) => (row ? row.body?.toString() : row)
const refused = (promise: Promise<unknown>, code: BoundaryErrorCode) =>
  assert.rejects(promise, error => error instanceof BoundaryError && error.code === code)
const turn = () => new Promise(resolve => setImmediate(resolve))

describe('promise 12: the database is not trusted', () => {
  const stranger = { kind: 'policy', id: 'k', scope: 's', link: '', revision: 9, body: Buffer.from('forged') } as const

  it('— a forged, edited, rolled back or resurrected row is replaced by the current one', async () => {
    for (const cached of [false, true]) {
      const { store, boundary, replica, write } = await start()
      await write({ kind: 'policy', id: 'k', body: 'deny' })
      const [old] = boundary.sets[0]?.rows ?? []
      await write({ kind: 'policy', id: 'k', body: 'deny more' }, { kind: 'alias', id: 'a', body: 'x' })
      await write({ kind: 'alias', id: 'a', body: null })
      const [alias] = boundary.sets[1]?.rows.slice(1) ?? []
      if (cached) await replica.get('policy', 'k')
      assert.ok(old && alias)
      const current = boundary.current.get('policy k') as Row
      const forgeries = [
        old,
        { ...stranger, tag: Buffer.alloc(32, 1) },
        tagged(stranger),
        { ...current, body: Buffer.from('allow') },
        { ...current, scope: 'other' },
        { ...current, link: 'other' },
        { ...current, tag: Buffer.alloc(3) },
        { ...current, revision: Number.NaN },
        { ...current, id: 'another' },
        { ...current, body: null },
      ]
      for (const forgery of forgeries) {
        store.rows.set('policy k', forgery as Row)
        assert.equal(text(await replica.get('policy', 'k')), 'deny more', inspect(forgery))
        replica.refresh((await replica.get('policy', 'k')) as Row, undefined)
      }
      store.forge(alias)
      assert.equal(await replica.get('alias', 'a'), undefined)
      assert.equal(replica.peek('alias', 'a'), null)
    }
  })

  it('— a row that is missing is missed: that it is not there proves nothing', async () => {
    const { store, replica, write } = await start()
    await write({ kind: 'policy', id: 'k', body: 'deny' })
    store.remove('policy', 'k')
    assert.equal(text(await replica.get('policy', 'k')), 'deny')
    assert.equal(await replica.get('policy', 'never'), undefined)
  })

  it('— lists hold current rows of theirs and no others, whatever the store lists', async () => {
    const { store, boundary, replica, write } = await start()
    for (const id of ['a', 'b', 'c', 'd', 'e']) await write({ kind: 'key', id, body: id, scope: 'one', link: 'l' })
    await write({ kind: 'key', id: 'f', body: 'f', scope: 'two' })
    const old = boundary.current.get('key b') as Row
    await write(
      { kind: 'key', id: 'b', body: 'b2', scope: 'one', link: 'l' },
      { kind: 'key', id: 'c', body: null, scope: 'one' },
    )
    store.forge(old)
    store.forge(boundary.sets[2]?.rows[0] as Row)
    store.forge({ ...(boundary.current.get('key f') as Row), scope: 'one', link: 'l' })
    store.forge({ ...old, id: 'zz' })
    const page = { after: '', limit: 10 }
    const expected = ['a', 'b2', 'd', 'e']
    assert.deepEqual((await replica.list('key', 'one', page)).map(text), expected)
    assert.deepEqual((await replica.listLinked('key', 'l', page)).map(text), expected)
    assert.deepEqual((await replica.listAll('key', page)).map(text), [...expected, 'f'])
    const paged: (string | null | undefined)[] = []
    for (let after = ''; ; ) {
      const rows = await replica.list('key', 'one', { after, limit: 2 })
      paged.push(...rows.map(text))
      after = rows.at(-1)?.id ?? ''
      if (rows.length < 2) break
    }
    assert.deepEqual(paged, expected)
    store.list = async () => [old, old]
    await assert.rejects(replica.list('key', 'one', page), /out of order/)
  })

  it('— a number that it made up hides no change', async () => {
    const { store, boundary, replica, write } = await start()
    await write({ kind: 'policy', id: 'k', body: 'allow' })
    assert.equal(text(await replica.get('policy', 'k')), 'allow')
    replica.suspend()
    boundary.write({ kind: 'policy', id: 'k', body: 'deny' })
    store.applied = 2
    await replica.catchUp()
    assert.equal(text(await replica.get('policy', 'k')), 'deny')
  })

  it('— one that lacks what is not to be had any more is emptied and filled anew, and nothing that was known before is served', async () => {
    const { store, boundary, replica, write } = await start()
    await write({ kind: 'policy', id: 'k', body: 'allow' }, { kind: 'alias', id: 'gone', body: 'x' })
    await write({ kind: 'grant', id: 'k#1', body: 'g' }, { kind: 'credential', id: 'c', body: 'secret' })
    assert.equal(text(await replica.get('policy', 'k')), 'allow')
    assert.equal(text(await replica.get('grant', 'k#1')), 'g')
    assert.ok(await replica.secret('credential', 'c'))
    let forgotten = 0
    replica.onForget(() => forgotten++)
    replica.suspend()
    boundary.write({ kind: 'grant', id: 'k#1', body: null })
    boundary.current.delete('grant k#1')
    boundary.write({ kind: 'policy', id: 'k', body: 'deny' })
    // What a rotation of the root leaves: all that is in force in the sets behind the horizon, tombstones too, and of a deleted grant nothing.
    boundary.horizon = boundary.sets.length
    boundary.write({ kind: 'policy', id: 'k', body: 'deny' }, { kind: 'alias', id: 'gone', body: null })
    boundary.write({ kind: 'credential', id: 'c', body: 'secret' })
    await replica.catchUp()
    assert.equal(forgotten, 1)
    assert.equal(text(await replica.get('policy', 'k')), 'deny')
    assert.equal(await replica.get('grant', 'k#1'), undefined)
    assert.equal(await replica.get('alias', 'gone'), undefined)
    assert.equal(store.rows.has('grant k#1'), false)
    assert.equal(store.applied, boundary.sets.length)
    await write({ kind: 'grant', id: 'k#2', body: 'next' })
    assert.equal(text(await replica.get('grant', 'k#2')), 'next')
  })

  it('— one that is ahead of the boundary stops the start', async () => {
    const store = new MemoryStore()
    store.applied = 5
    const replica = await openReplica({ store, boundary: new TestBoundary() })
    await refused(replica.catchUp(), 'InvalidState')
    assert.equal(replica.ready, false)
  })

  it('— a secret row put back opens nothing', async () => {
    const { store, boundary, replica, write } = await start()
    await write({ kind: 'credential', id: 'AK', body: 'dlo' })
    const old = boundary.current.get('credential AK') as Row
    await write({ kind: 'credential', id: 'AK', body: 'wen' })
    store.forge(old)
    const secret = await replica.secret('credential', 'AK')
    assert.equal(secret?.reveal(String), 'new')
    await write({ kind: 'credential', id: 'AK', body: null })
    store.forge(old)
    assert.equal(replica.peekSecret('credential', 'AK') ?? undefined, undefined)
    assert.equal(await replica.secret('credential', 'AK'), undefined)
  })
})

describe('promise 3: revoked means revoked, cache or no cache', () => {
  it('a change is in the cache as soon as it arrives, before the store has it', async () => {
    const { boundary, replica, write } = await start()
    await write({ kind: 'key', id: 'k', body: 'enabled' })
    await replica.get('key', 'k')
    const stored = replica.onWriteSet(boundary.write({ kind: 'key', id: 'k', body: 'disabled' }))
    assert.equal(text(replica.peek('key', 'k')), 'disabled')
    await stored
  })

  it('a load that a change overtook never reaches the cache', async () => {
    const { boundary, replica, write } = await start()
    await write({ kind: 'key', id: 'k', body: 'enabled' })
    const gate = Promise.withResolvers<void>()
    boundary.gate = gate.promise
    const loading = replica.get('key', 'k')
    await turn()
    await turn()
    assert.deepEqual(boundary.checks, [1], 'the boundary has answered "enabled", and the answer is on its way')
    boundary.gate = undefined
    await write({ kind: 'key', id: 'k', body: 'disabled' })
    gate.resolve()
    assert.equal(text(await loading), 'disabled')
    assert.equal(text(replica.peek('key', 'k')), 'disabled')
  })

  it('nor does one that a deletion overtook, even with another load on its heels', async () => {
    const { boundary, replica, write } = await start()
    await write({ kind: 'alias', id: 'a', body: 'target' })
    const gate = Promise.withResolvers<void>()
    boundary.gate = gate.promise
    const first = replica.get('alias', 'a')
    await turn()
    await turn()
    boundary.gate = undefined
    await write({ kind: 'alias', id: 'a', body: null })
    const second = replica.get('alias', 'a')
    gate.resolve()
    assert.deepEqual(await Promise.all([first, second]), [undefined, undefined])
    assert.equal(replica.peek('alias', 'a'), null)
  })

  it('a change that arrives after a newer answer does not set the row back', async () => {
    const { boundary, replica } = await start()
    await replica.onWriteSet(boundary.write({ kind: 'alias', id: 'a', body: '1' }))
    const late = [
      boundary.write({ kind: 'alias', id: 'a', body: '2' }, { kind: 'key', id: 'k', body: '1' }),
      boundary.write({ kind: 'alias', id: 'a', body: null }, { kind: 'key', id: 'k', body: '2' }),
    ]
    assert.equal(await replica.get('alias', 'a'), undefined)
    assert.equal(text(await replica.get('key', 'k')), '2')
    for (const set of late) {
      await replica.onWriteSet(set)
      assert.equal(replica.peek('alias', 'a'), null)
      assert.equal(text(replica.peek('key', 'k')), '2')
    }
  })

  it('a secret whose opening a change overtook is opened anew', async () => {
    const { boundary, replica, write } = await start()
    await write({ kind: 'credential', id: 'AK', body: 'dlo' })
    await replica.get('credential', 'AK')
    const gate = Promise.withResolvers<void>()
    boundary.gate = gate.promise
    const opening = replica.secret('credential', 'AK')
    await turn()
    boundary.gate = undefined
    await write({ kind: 'credential', id: 'AK', body: 'wen' })
    gate.resolve()
    assert.equal((await opening)?.reveal(String), 'new')
    assert.equal(replica.peekSecret('credential', 'AK'), await replica.secret('credential', 'AK'))
    assert.ok(!inspect(await opening).includes('new'))
  })

  it('without its boundary it serves nothing, and nothing stale afterwards', async () => {
    const { boundary, replica, write } = await start()
    await write({ kind: 'policy', id: 'k', body: 'allow' }, { kind: 'credential', id: 'AK', body: 's' })
    await replica.get('policy', 'k')
    await replica.secret('credential', 'AK')
    replica.suspend()
    boundary.connected = false
    assert.equal(replica.peek('policy', 'k'), undefined)
    assert.equal(replica.peekSecret('credential', 'AK'), undefined)
    await refused(replica.get('policy', 'k'), 'Unavailable')
    await refused(replica.secret('credential', 'AK'), 'Unavailable')
    await refused(replica.list('policy', 's', { after: '', limit: 1 }), 'Unavailable')
    await refused(replica.catchUp(), 'Unavailable')
    boundary.connected = true
    boundary.write({ kind: 'policy', id: 'k', body: 'deny' }, { kind: 'credential', id: 'AK', body: null })
    await replica.catchUp()
    assert.equal(text(replica.peek('policy', 'k')), 'deny')
    assert.equal(await replica.secret('credential', 'AK'), undefined)
  })

  it('a connection that is lost during the catch-up does not count as caught up', async () => {
    const { replica } = await start()
    replica.suspend()
    const catching = replica.catchUp()
    replica.suspend()
    await catching
    assert.equal(replica.ready, false)
  })
})

describe('write sets', () => {
  it('are fetched, in pages, from where the store ends, and those handed over meanwhile fit in', async () => {
    const { store, boundary, replica } = await start({}, made => {
      for (let i = 0; i < 600; i++) made.write({ kind: 'key', id: `${i % 7}`, body: `${i}` })
    })
    assert.equal(store.applied, 600)
    replica.suspend()
    boundary.write({ kind: 'key', id: 'x', body: '601' })
    const catching = replica.catchUp()
    const taking = [602, 603, 604].map(n => replica.onWriteSet(boundary.write({ kind: 'key', id: 'x', body: `${n}` })))
    await Promise.all([catching, ...taking])
    assert.equal(replica.appliedUpTo, 604)
    assert.equal(text(await store.get('key', 'x')), '604')
    boundary.write({ kind: 'key', id: 'x', body: '605' })
    await replica.onWriteSet(boundary.write({ kind: 'key', id: 'x', body: '606' }))
    assert.equal(store.applied, 606, 'the one that was not handed over was fetched')
    await replica.onWriteSet(boundary.sets[3] as (typeof boundary.sets)[0])
    assert.equal(store.applied, 606)
  })

  it('that the store could not take stay known, and are stored with the next one', async () => {
    const { store, boundary, replica, write } = await start()
    await write({ kind: 'key', id: 'k', body: '1' })
    await replica.get('key', 'k')
    store.broken = new Error('no space')
    await assert.rejects(write({ kind: 'key', id: 'k', body: '2' }), /no space/)
    assert.equal(text(replica.peek('key', 'k')), '2')
    assert.equal(replica.appliedUpTo, 1)
    store.broken = undefined
    await write({ kind: 'alias', id: 'a', body: 'x' })
    assert.equal(store.applied, boundary.sets.length)
    assert.equal(text(await store.get('key', 'k')), '2')
  })

  it('random changes, reads, evictions and lost connections never show an old row (model)', async () => {
    const id = fc.constantFrom('a', 'b', 'c', 'd')
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ do: fc.constant('write' as const), id, gone: fc.boolean(), told: fc.boolean() }),
      },
      { weight: 6, arbitrary: fc.record({ do: fc.constant('read' as const), id }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('forge' as const), id, set: fc.nat(50) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('reconnect' as const) }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
        const { store, boundary, replica } = await start({ bytes: 256 * 1024 + 700, absent: 2 })
        for (const one of steps) {
          if (one.do === 'write') {
            const set = boundary.write({ kind: 'key', id: one.id, body: one.gone ? null : `${boundary.sets.length}` })
            if (one.told) await replica.onWriteSet(set).catch(() => {})
          } else if (one.do === 'read') {
            // Sets that nobody told us of yet may be missing from the cache, as with a cut connection.
            replica.suspend()
            await replica.catchUp().catch(() => {})
            if (!replica.ready) continue
            const current = boundary.current.get(`key ${one.id}`)
            assert.equal(text(await replica.get('key', one.id)), current?.body?.toString() ?? undefined)
          } else if (one.do === 'forge') {
            const row = boundary.sets[one.set % Math.max(1, boundary.sets.length)]?.rows[0]
            const stored = row && store.rows.get(`key ${row.id}`)
            // An older row in place of a newer one; a newer revision than the truth would stop the store's own compare-and-set, and only service.
            if (row && stored && row.revision < stored.revision) store.forge(row)
          } else {
            replica.suspend()
            await replica.catchUp().catch(() => {})
          }
        }
      }),
      { numRuns: 150 },
    )
  })
})
