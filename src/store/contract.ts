/**
 * The contract that every database behind `Store` must pass, as a suite of node:test. A database's own tests call it and add what is particular to it.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import type { Row, RowKind, WriteSet } from '../boundary/words.ts'
import { StoreError, type StoreErrorCode } from './errors.ts'
import type { Store } from './types.ts'

/** One store under test: `open` twice in a row, with a close between, must give the same data. */
export interface ContractSubject {
  open(): Promise<Store>
  /** Removes what `open` made. */
  destroy(): Promise<void>
}

/** A row for tests, with a tag that is made of the rest. */
export function testRow(kind: RowKind, id: string, revision: number, more: Partial<Row> = {}): Row {
  const body = Buffer.from(`${kind} ${id} ${revision}`)
  const row = { kind, id, scope: 'scope', link: '', revision, body, ...more }
  return { ...row, tag: createHash('sha256').update(JSON.stringify(row)).digest() }
}

/** Runs the contract. `make` gives a new, empty subject each time. */
export function storeContract(name: string, make: () => Promise<ContractSubject>): void {
  describe(`${name} keeps the contract of the store`, () => {
    let subject: ContractSubject
    let store: Store
    let last = 0
    before(async () => {
      subject = await make()
      store = await subject.open()
    })
    after(async () => {
      await store.close()
      await subject.destroy()
    })
    const set = (...rows: Row[]): WriteSet => ({ number: ++last, rows })
    const apply = async (...rows: Row[]) => store.apply([set(...rows)])
    const reopen = async () => {
      await store.close()
      store = await subject.open()
    }
    const refused = async (promise: Promise<unknown>, code: StoreErrorCode) =>
      assert.rejects(promise, error => error instanceof StoreError && error.code === code)
    const ids = (rows: readonly Row[]) => rows.map(row => row.id)

    it('is empty at first', async () => {
      assert.equal(await store.appliedUpTo(), 0)
      assert.equal(await store.get('key', 'a'), undefined)
      assert.deepEqual(await store.listAll('key', { after: '', limit: 10 }), [])
    })

    it('gives rows back byte for byte, and after reopening too', async () => {
      const rows = [
        testRow('key', 'r/1', 1, { body: Buffer.from(Array.from({ length: 256 }, (_, i) => i)) }),
        testRow('policy', 'r/1', 7, { scope: '', body: Buffer.alloc(0) }),
        testRow('alias', '1/é€😀 %_\\"\'', 1, { link: 'r/1', scope: 'ßcope' }),
        testRow('counter', 'x'.repeat(512), Number.MAX_SAFE_INTEGER, { body: Buffer.alloc(100_000, 7) }),
      ]
      await apply(...rows)
      for (const round of ['at once', 'after reopening']) {
        for (const row of rows) assert.deepEqual(await store.get(row.kind, row.id), row, round)
        assert.equal(await store.get('alias', 'r/1'), undefined)
        await reopen()
      }
      assert.equal(await store.appliedUpTo(), last)
    })

    it('promise 4: applies in order and passes over what it has', async () => {
      const sets = [set(testRow('key', 'order', 1)), set(testRow('key', 'order', 2)), set(testRow('key', 'order', 3))]
      await store.apply(sets)
      await store.apply(sets)
      await store.apply(sets.slice(1, 2))
      assert.equal((await store.get('key', 'order'))?.revision, 3)
      assert.equal(await store.appliedUpTo(), last)
      await store.apply([])
      assert.equal(await store.appliedUpTo(), last)
    })

    it('refuses a gap, and takes nothing of that call', async () => {
      const row = testRow('key', 'gap', 1)
      await refused(store.apply([{ number: last + 2, rows: [row] }]), 'Gap')
      await refused(
        store.apply([
          { number: last + 1, rows: [row] },
          { number: last + 3, rows: [] },
        ]),
        'Gap',
      )
      assert.equal(await store.get('key', 'gap'), undefined)
      assert.equal(await store.appliedUpTo(), last)
    })

    it('promise 12: refuses a revision that is not above the stored one, and takes nothing of that call', async () => {
      await apply(testRow('key', 'cas', 5))
      for (const revision of [5, 4, 1]) {
        const call = store.apply([
          { number: last + 1, rows: [testRow('key', 'cas-other', 1)] },
          { number: last + 2, rows: [testRow('key', 'cas', revision, { body: Buffer.from('rolled back') })] },
        ])
        await refused(call, 'Conflict')
      }
      assert.equal(await store.get('key', 'cas-other'), undefined)
      assert.deepEqual(await store.get('key', 'cas'), testRow('key', 'cas', 5))
      assert.equal(await store.appliedUpTo(), last)
      await apply(testRow('key', 'cas', 7))
      assert.equal((await store.get('key', 'cas'))?.revision, 7)
    })

    it('keeps tombstones, out of every list, and their revisions count', async () => {
      await apply(testRow('alias', 'dead', 1, { scope: 'graves', link: 'target' }))
      const tombstone = testRow('alias', 'dead', 2, { scope: 'graves', link: 'target', body: null })
      await apply(tombstone)
      assert.deepEqual(await store.get('alias', 'dead'), tombstone)
      const page = { after: '', limit: 10 }
      assert.deepEqual(await store.list('alias', 'graves', page), [])
      assert.deepEqual(await store.listLinked('alias', 'target', page), [])
      assert.ok(!ids(await store.listAll('alias', page)).includes('dead'))
      await refused(store.apply([{ number: last + 1, rows: [testRow('alias', 'dead', 2)] }]), 'Conflict')
      await apply(testRow('alias', 'dead', 3, { scope: 'graves', link: 'target' }))
      assert.deepEqual(ids(await store.list('alias', 'graves', page)), ['dead'])
    })

    it('keeps nothing of a deleted grant, whose id may come again', async () => {
      const grant = (id: string, revision: number, more: Partial<Row> = {}) =>
        testRow('grant', id, revision, { scope: 'graves', link: 'target', ...more })
      await apply(grant('k#1', 1), grant('k#2', 1))
      await refused(store.apply([{ number: last + 1, rows: [grant('k#1', 1, { body: null })] }]), 'Conflict')
      await apply(grant('k#1', 2, { body: null }))
      await apply(grant('k#3', 1), grant('k#3', 2, { body: null }))
      await apply(grant('k#never', 2, { body: null }))
      for (const id of ['k#1', 'k#3', 'k#never']) assert.equal(await store.get('grant', id), undefined, id)
      assert.deepEqual(ids(await store.listPrefixed('grant', 'k#', { after: '', limit: 10 })), ['k#2'])
      await apply(grant('k#1', 1, { body: Buffer.from('again') }))
      await reopen()
      assert.deepEqual(await store.get('grant', 'k#1'), grant('k#1', 1, { body: Buffer.from('again') }))
      assert.deepEqual(ids(await store.listLinked('grant', 'target', { after: '', limit: 10 })), ['k#1', 'k#2'])
    })

    it('lists in order of bytes, whatever the letters', async () => {
      const names = ['z', 'Z', 'a', 'é', 'ä', '~', '-', 'a-', 'a/b', 'aa', '\uffee', '😀', '\u{10ffff}', '0', '10', '9']
      await apply(...names.map(name => testRow('tenant', name, 1, { scope: 'sorted', link: 'sorted' })))
      const sorted = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      const page = { after: '', limit: 100 }
      assert.deepEqual(ids(await store.list('tenant', 'sorted', page)), sorted)
      assert.deepEqual(ids(await store.listLinked('tenant', 'sorted', page)), sorted)
      assert.deepEqual(ids(await store.listAll('tenant', page)), sorted)
      for (let i = 0; i < sorted.length; i++) {
        const after = sorted[i] ?? ''
        assert.deepEqual(ids(await store.list('tenant', 'sorted', { after, limit: 2 })), sorted.slice(i + 1, i + 3))
      }
    })

    it('pages through what changes underneath without repeating or missing what stays', async () => {
      const name = (i: number) => `page-${String(i).padStart(3, '0')}`
      await apply(...Array.from({ length: 50 }, (_, i) => testRow('keystore', name(2 * i), 1, { scope: 'pages' })))
      const seen: string[] = []
      for (let after = ''; ; ) {
        const page = await store.list('keystore', 'pages', { after, limit: 7 })
        seen.push(...ids(page))
        after = page.at(-1)?.id ?? ''
        if (page.length < 7) break
        const number = Number(after.slice(5))
        const next = testRow('keystore', name(number + 2), 2, { scope: 'pages', body: null })
        await apply(
          next,
          testRow('keystore', name(number + 3), 1, { scope: 'pages' }),
          testRow('keystore', name(1 + seen.length), 9, { scope: 'elsewhere' }),
        )
      }
      assert.deepEqual(seen, [...new Set(seen)].sort(), 'in order and once')
      assert.ok(seen.length >= 44)
    })

    it('finds rows by scope and link as they are now', async () => {
      const page = { after: '', limit: 10 }
      await apply(testRow('credential', 'moves', 1, { scope: 'from', link: 'alice' }))
      await apply(testRow('credential', 'moves', 2, { scope: 'to', link: 'bob' }))
      assert.deepEqual(await store.list('credential', 'from', page), [])
      assert.deepEqual(await store.listLinked('credential', 'alice', page), [])
      assert.deepEqual(ids(await store.list('credential', 'to', page)), ['moves'])
      assert.deepEqual(ids(await store.listLinked('credential', 'bob', page)), ['moves'])
      assert.deepEqual(await store.listLinked('principal', 'bob', page), [])
      await apply(testRow('credential', 'loose', 1, { link: '' }))
      assert.deepEqual(await store.listLinked('credential', '', page), [])
    })

    it('finds rows by how their ids begin, and no others', async () => {
      const names = ['p#', 'p#a', 'p#b', 'p#é', 'p#\u{10ffff}', 'p$', 'p', 'q#a', 'P#a']
      await apply(...names.map(name => testRow('grant', name, 1)))
      await apply(testRow('grant', 'p#c', 1), testRow('alias', 'p#d', 1))
      await apply(testRow('grant', 'p#c', 2, { body: null }))
      const found = ['p#a', 'p#b', 'p#é', 'p#\u{10ffff}']
      assert.deepEqual(ids(await store.listPrefixed('grant', 'p#', { after: '', limit: 10 })), found)
      assert.deepEqual(ids(await store.listPrefixed('grant', 'p#', { after: 'p#a', limit: 2 })), found.slice(1, 3))
      assert.deepEqual(ids(await store.listPrefixed('grant', 'p#', { after: 'p#\u{10ffff}', limit: 2 })), [])
      await refused(store.listPrefixed('grant', '', { after: '', limit: 1 }), 'Invalid')
    })

    it('takes concurrent calls, each by itself, in the order in which they came', async () => {
      const start = last
      const sets = Array.from({ length: 40 }, (_, i) =>
        set(testRow('attributes', 'hot', i + 1), testRow('attributes', `c-${i}`, 1)),
      )
      const wrong = { number: start + 1000, rows: [testRow('attributes', 'never', 1)] }
      const calls = sets.flatMap((one, i) =>
        i % 10 === 5 ? [store.apply([one]), refused(store.apply([wrong]), 'Gap')] : [store.apply([one])],
      )
      await Promise.all(calls)
      assert.equal(await store.appliedUpTo(), last)
      assert.equal((await store.get('attributes', 'hot'))?.revision, 40)
      assert.equal(await store.get('attributes', 'never'), undefined)
    })

    it('takes big sets whole', async () => {
      const rows = Array.from({ length: 5000 }, (_, i) =>
        testRow('key', `big/${String(i).padStart(5, '0')}`, 1, { scope: 'big' }),
      )
      await apply(...rows)
      const listed: Row[] = []
      for (let after = ''; ; after = listed.at(-1)?.id ?? '') {
        const page = await store.list('key', 'big', { after, limit: 999 })
        listed.push(...page)
        if (page.length < 999) break
      }
      assert.equal(listed.length, rows.length)
      assert.deepEqual(listed[4321], rows[4321])
      await reopen()
      assert.deepEqual(await store.get('key', 'big/04999'), rows[4999])
    })

    it('promise 11: refuses rows and pages that it could not keep', async () => {
      const bad = [
        testRow('key', '', 1),
        testRow('key', 'x'.repeat(513), 1),
        testRow('key', 'nul\0', 1),
        testRow('key', 'half \ud800', 1),
        testRow('key', 'k', 1, { scope: '\0' }),
        testRow('key', 'k', 0),
        testRow('key', 'k', 1.5),
        { ...testRow('key', 'k', 1), tag: Buffer.alloc(31) },
      ]
      for (const row of bad) await refused(store.apply([{ number: last + 1, rows: [row] }]), 'Invalid')
      for (const limit of [0, -1, 10_001, 1.5]) await refused(store.listAll('key', { after: '', limit }), 'Invalid')
      assert.equal(await store.appliedUpTo(), last)
    })

    it('is emptied with the number from which it is to be filled anew, durably, and in the order of the calls', async () => {
      await apply(testRow('key', 'before', 9, { scope: 'reset', link: 'reset' }), testRow('alias', 'before', 1))
      const filled = store.apply([{ number: last + 1, rows: [testRow('key', 'never', 1)] }])
      const emptied = store.reset(last + 40)
      last += 40
      // Revisions begin anew with it: what was there before is not compared with.
      await Promise.all([filled, emptied, apply(testRow('key', 'before', 3))])
      for (const round of ['at once', 'after reopening']) {
        assert.equal(await store.appliedUpTo(), last, round)
        assert.deepEqual(ids(await store.listAll('key', { after: '', limit: 100 })), ['before'], round)
        assert.deepEqual(await store.get('key', 'before'), testRow('key', 'before', 3), round)
        assert.equal(await store.get('alias', 'before'), undefined, round)
        assert.deepEqual(await store.list('key', 'reset', { after: '', limit: 10 }), [], round)
        assert.deepEqual(await store.listLinked('key', 'reset', { after: '', limit: 10 }), [], round)
        await reopen()
      }
      await refused(
        store.apply([
          { number: last, rows: [] },
          { number: last + 2, rows: [] },
        ]),
        'Gap',
      )
      for (const to of [-1, 1.5, Number.NaN]) await refused(store.reset(to), 'Invalid')
    })

    it('is of no more use once it is closed', async () => {
      const pending = apply(testRow('key', 'last words', 1))
      await store.close()
      await pending
      await store.close()
      await refused(store.get('key', 'last words'), 'Closed')
      await refused(store.apply([]), 'Closed')
      store = await subject.open()
      assert.equal((await store.get('key', 'last words'))?.revision, 1)
    })
  })
}
