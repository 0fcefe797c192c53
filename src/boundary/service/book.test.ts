/** The count that quotas of keys go by: exact at every moment, and asked for at every key that is made, so it must not grow dear with the keys under way. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { tagRow } from '../crypto/rows.ts'
import { sealKey } from '../crypto/sealed.ts'
import { openJournal } from '../journal/journal.ts'
import { SimDisk } from '../journal/simdisk.ts'
import { base } from '../journal/testing.ts'
import { Keyring } from '../root/keyring.ts'
import { Secret } from '../root/types.ts'
import type { KeyHeader, Row } from '../words.ts'
import { Book } from './book.ts'

const keyring = new Keyring(Buffer.alloc(16, 1), new Map([[1, new Secret(Buffer.alloc(32, 2))]]))
const header: KeyHeader = {
  ...{ id: '', account: '111122223333', revision: 1, rootGeneration: 1, fence: 1, createdAt: 0, mayEncrypt: true },
  ...{ spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT', origin: 'EXTERNAL', manager: 'CUSTOMER' },
  ...{ managerService: '', state: 'PendingImport', previousState: 'Enabled', deletionDate: 0, pendingWindowDays: 0 },
  ...{ policyDigest: Buffer.alloc(32), rotationEnabled: false, rotationPeriodDays: 0, nextRotationAt: 0 },
  ...{ onDemandRotations: 0, keyStoreId: '', xksKeyId: '', backing: 'SEALED', tokenObject: '', mayDecrypt: true },
  ...{ publicKey: Buffer.alloc(0), multiRegion: 'NONE', primaryRegion: '', replicaRegions: [], materials: [] },
}

const scopeOf = (id: string): string => `111122223333/${id.slice(0, id.indexOf('/'))}`

function keyRow(id: string, revision: number, manager: 'CUSTOMER' | 'AWS' | undefined): Row {
  const more = { id, revision, manager: manager ?? 'CUSTOMER', managerService: manager === 'AWS' ? 'objects' : '' }
  const body = manager === undefined ? null : sealKey(keyring, { ...header, ...more }, new Map())
  return tagRow(keyring, { kind: 'key', id, scope: scopeOf(id), link: '', revision, body })
}

async function open(disk: SimDisk): Promise<Book> {
  const book = new Book()
  const options = { ...base, dir: '/b', disk, segmentBytes: 1 << 20, onFatal: assert.fail }
  const state = { state: () => book.state(), restore: (bytes: Buffer) => book.restore(bytes) }
  book.attach(await openJournal({ ...options, ...state }, frame => book.replay(frame)))
  return book
}

async function newDisk(): Promise<SimDisk> {
  const disk = new SimDisk(1)
  await disk.mkdir('/b')
  await disk.syncDir('/')
  return disk
}

const FIELDS = { boundaryOperation: 'createKey', source: 'use', outcome: 'allowed' } as const

test('the keys of a customer are counted without a look at any that is not durable yet', async () => {
  const book = await open(await newDisk())
  let looks = 0
  const looked = (row: Row): Row => ({
    ...row,
    get body() {
      looks++
      return row.body
    },
  })
  const under = Array.from({ length: 50 }, (_, n) => book.commit(FIELDS, [looked(keyRow(`r/${n}`, 1, 'CUSTOMER'))]))
  const before = looks
  assert.ok(before > 0)
  assert.equal(book.customerKeys('111122223333/r'), 50)
  assert.equal(looks, before)
  await Promise.all(under)
  assert.equal(book.customerKeys('111122223333/r'), 50)
  await book.journal.close()
})

test('they are as many as are in force at every moment, durable or not, and after a restart', async () => {
  const ids = ['a/1', 'a/2', 'b/1']
  const act = fc.record({
    id: fc.constantFrom(...ids),
    to: fc.constantFrom('CUSTOMER', 'AWS', 'gone', 'settled'),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 30 }), async acts => {
      const disk = await newDisk()
      const book = await open(disk)
      const keys = new Map<string, { revision: number; manager: 'CUSTOMER' | 'AWS' | undefined }>()
      const isRight = (of: Book): void => {
        for (const scope of ['a', 'b']) {
          const there = ids.filter(id => id.startsWith(scope) && keys.get(id)?.manager === 'CUSTOMER')
          assert.equal(of.customerKeys(`111122223333/${scope}`), there.length)
        }
      }
      let last: Promise<unknown> = Promise.resolve()
      for (const { id, to } of acts) {
        const { revision = 0, manager } = keys.get(id) ?? {}
        if (to === 'settled') await last
        // A key never changes hands, and what the provider manages is never deleted.
        else if (manager === (to === 'gone' ? 'CUSTOMER' : undefined) || manager === to) {
          const next = { revision: revision + 1, manager: to === 'gone' ? undefined : to }
          keys.set(id, next)
          last = book.commit(FIELDS, [keyRow(id, next.revision, next.manager)])
        }
        isRight(book)
      }
      await last
      isRight(book)
      isRight(await open(disk.reboot()))
      await book.journal.close()
      isRight(await open(disk.reboot()))
    }),
    { numRuns: 50 },
  )
})
