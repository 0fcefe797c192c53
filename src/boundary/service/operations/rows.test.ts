/** How long one change of rows may be: all that is allowed fits into its record, and one row more is refused before anything is written. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PutRow } from '../../client/api.ts'
import { connectUse } from '../../client/use.ts'
import { inProcess } from '../testing/in-process.ts'

test('a change of a hundred rows with the longest ids is made; one more is refused and the boundary goes on', async () => {
  const boundary = await inProcess()
  const connected = Promise.withResolvers<void>()
  const use = connectUse({
    socket: boundary.running.useSocket,
    onWriteSet: async () => {},
    onState: async state => {
      if (state.kind === 'connected') connected.resolve()
    },
  })
  try {
    await connected.promise
    const rows = Array.from(
      { length: 101 },
      (_, n): PutRow => ({
        kind: 'keystore',
        id: `${n}-`.padEnd(512, 'x'),
        scope: 's',
        link: '',
        expected: 0,
        body: Buffer.from('{}'),
      }),
    )
    const asserted = {
      operation: 'Test',
      requestId: 'r'.repeat(36),
      principal: 'p'.repeat(512),
      subject: 's'.repeat(512),
    }
    await assert.rejects(use.putRows(rows, asserted), { code: 'InvalidRequest' })
    assert.equal((await use.putRows(rows.slice(0, 100), asserted)).length, 100)
    await assert.rejects(use.putRows([], asserted), { code: 'InvalidRequest' })
  } finally {
    use.close()
    await boundary.stop()
    boundary.remove()
  }
})
