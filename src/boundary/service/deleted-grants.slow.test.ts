/** Grants that come and go: what the boundary keeps of them does not grow, and none of them comes back, whatever the boundary was started from. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import type { PutRow } from '../client/api.ts'
import type { Row } from '../words.ts'
import { type InProcess, inProcess, newKey, SCOPE } from './testing/in-process.ts'

const AT_ONCE = 100
const asserted = { operation: 'CreateGrant' }
let made = 0

const grantOf = (keyId: string, n: number, more: Partial<PutRow> = {}): PutRow => ({
  kind: 'grant',
  id: `${keyId}#${n.toString(16).padStart(64, '0')}`,
  scope: SCOPE,
  link: `${keyId}#grantee`,
  expected: 0,
  body: Buffer.from(`{"n":${n}}`),
  ...more,
})

const makeGrants = (boundary: InProcess, keyId: string): Promise<readonly Row[]> =>
  boundary.use.putRows(
    Array.from({ length: AT_ONCE }, () => grantOf(keyId, ++made)),
    asserted,
  )

const deleteGrants = (boundary: InProcess, rows: readonly Row[]): Promise<readonly Row[]> =>
  boundary.use.putRows(
    rows.map(({ kind, id, scope, link, revision }) => ({ kind, id, scope, link, expected: revision, body: null })),
    asserted,
  )

const snapshots = (folder: string): string => path.join(folder, 'b', 'snapshot')
const newestSnapshot = (folder: string): number => {
  const newest = fs.readdirSync(snapshots(folder)).sort().at(-1) ?? ''
  return fs.statSync(path.join(snapshots(folder), newest)).size
}

let boundary = await inProcess()
const { folder } = boundary
after(async () => {
  await boundary.stop()
  boundary.remove()
})

async function restart(prepare: () => void = () => {}): Promise<void> {
  await boundary.stop()
  prepare()
  boundary = await inProcess({ folder })
}

test('promise 12: thousands of grants made and deleted leave an index of those that were there at once, and none comes back', async () => {
  const { id: keyId } = await newKey(boundary.use)
  const kept = await makeGrants(boundary, keyId)
  const gone: Row[] = []
  const tombstones: Row[] = []
  const churn = async (rounds: number): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      const rows = await makeGrants(boundary, keyId)
      gone.push(...rows)
      tombstones.push(...(await deleteGrants(boundary, rows)))
    }
  }
  /** The kept ones are current; of the others neither the row nor its tombstone stands for anything. */
  const nothingComesBack = async (): Promise<void> => {
    const answers = await boundary.use.checkRows(kept)
    assert.ok(answers.every(answer => answer === 'ok'))
    const resurrected = await boundary.use.checkRows(gone)
    assert.ok(resurrected.every(answer => answer === undefined))
    for (const { scope, link, id, revision } of [gone[0], gone.at(-1)] as Row[])
      await assert.rejects(
        boundary.use.putRows(
          [{ kind: 'grant', id, scope, link, expected: revision, body: Buffer.from('{}') }],
          asserted,
        ),
        { code: 'Conflict' },
      )
  }
  await churn(2)
  await nothingComesBack()
  await restart()
  const before = newestSnapshot(folder)
  await nothingComesBack()
  await churn(20)
  await nothingComesBack()
  await restart()
  // Of 2000 deleted grants the tombstones would be 400,000 bytes.
  assert.ok(newestSnapshot(folder) < before + 10_000, `${newestSnapshot(folder)} bytes, ${before} before`)
  await nothingComesBack()
  await restart(() => fs.rmSync(snapshots(folder), { recursive: true }))
  await nothingComesBack()
  await churn(1)
  await nothingComesBack()
  assert.equal(tombstones.length, 2300)
})

test('promise 12: an id that comes again is the new grant alone', async () => {
  const { id: keyId } = await newKey(boundary.use)
  const [first] = await boundary.use.putRows([grantOf(keyId, ++made)], asserted)
  assert.ok(first)
  await deleteGrants(boundary, [first])
  await makeGrants(boundary, keyId)
  const n = made - AT_ONCE
  const [again] = await boundary.use.putRows([grantOf(keyId, n, { body: Buffer.from('{"other":1}') })], asserted)
  assert.equal(again?.id, first.id)
  assert.deepEqual(await boundary.use.checkRows([again, first]), ['ok', again])
})
