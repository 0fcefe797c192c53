/** An older state than the boundary has had: refused at a start, and accepted by one who names what is given up. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import type { KeyRow } from '../client/api.ts'
import { connectControl } from '../client/control.ts'
import { EXIT_CODES } from '../config.ts'
import { parseFrame, parseHeader } from '../journal/frame.ts'
import { decodeRecord } from '../record.ts'
import { StartRefused } from './lock.ts'
import { startBoundary } from './start.ts'
import { fails, headerOfRow, type InProcess, inProcess, newKey } from './testing/in-process.ts'

let folder: string
let key: KeyRow
let first: InProcess

/** A key is made, the folder copied, the key disabled, and the copy of journal and snapshots put back under the newer checkpoint. */
before(async () => {
  first = await inProcess()
  folder = first.folder
  key = await newKey(first.use)
  await first.stop()
  fs.cpSync(path.join(folder, 'b'), path.join(folder, 'copy'), {
    recursive: true,
    filter: name => !name.endsWith('.sock'),
  })
  const second = await inProcess({ folder })
  await second.use.disableKey(key.id, {})
  await second.stop()
  for (const each of ['journal', 'snapshot']) {
    fs.rmSync(path.join(folder, 'b', each), { recursive: true })
    fs.cpSync(path.join(folder, 'copy', each), path.join(folder, 'b', each), { recursive: true })
  }
})
after(() => first.remove())

const startAlone = (acceptOlderState: boolean) =>
  startBoundary({
    config: {
      service: 'kms',
      folder: path.join(folder, 'b'),
      dev: true,
      root: { kind: 'keyfile', file: path.join(folder, 'root.key') },
      logOrigin: 'test.example/log',
      acceptOlderState,
    },
    warnings: [],
    log: () => {},
    onFatal: error => assert.fail(error),
    onStop: () => {},
  })

const lastRecord = () => {
  const journal = path.join(folder, 'b', 'journal')
  const bytes = fs.readFileSync(path.join(journal, fs.readdirSync(journal).sort().at(-1) ?? ''))
  const seed = parseHeader(bytes).crc
  const records: Buffer[] = []
  for (let at = 108; at < bytes.length; ) {
    const frame = parseFrame(bytes, at, seed)
    if (typeof frame === 'string') assert.fail(frame)
    records.push(frame.record)
    at += frame.length
  }
  return decodeRecord(records.at(-1) ?? Buffer.alloc(0))
}

const sizeOf = (note: string): number => Number(note.split('\n')[1])
const checkpoint = () => fs.readFileSync(path.join(folder, 'b', 'checkpoint'), 'utf8')

test('a start is refused, and says what is missing and what there is to do', async () => {
  const seen = checkpoint()
  await assert.rejects(startAlone(false), (error: unknown) => {
    assert.ok(error instanceof StartRefused)
    assert.equal(error.exitCode, EXIT_CODES.damaged)
    assert.match(
      error.message,
      /holds an older state than this boundary has had: it has signed for \d+ records \(root [0-9a-f]{16}…\)/,
    )
    assert.match(error.message, /its journal holds \d+ \(root [0-9a-f]{16}…, the last of 20\d\d-\S+Z\)/)
    assert.match(error.message, new RegExp(`holdfast restore accept-older --data ${folder} --config FILE`))
    return true
  })
  assert.equal(checkpoint(), seen, 'a refused start signs nothing')
})

test('promise 7: the log only grows, and outsiders can check it — an older state goes on once the newer one is named, and the record has both', async () => {
  const seenSize = sizeOf(checkpoint())
  const running = await startAlone(true)
  const control = connectControl({ socket: running.controlSocket })
  assert.ok(!fs.existsSync(path.join(folder, 'b', 'use.sock')), 'it serves no front end')
  const { seen, held, note } = await control.acceptOlderState(undefined)
  assert.deepEqual([seen.size, note], [seenSize, ''])
  assert.ok(held.size < seen.size)
  await assert.rejects(control.putRows([], {}), fails('Locked', 'InvalidRequest'))
  await assert.rejects(control.checkpoint(), fails('Locked'))
  await assert.rejects(control.acceptOlderState({ ...seen, size: seen.size - 1 }), fails('Conflict'))
  await assert.rejects(control.acceptOlderState(held), fails('Conflict'))
  const accepted = await control.acceptOlderState({ size: seen.size, root: seen.root })
  assert.equal(sizeOf(accepted.note), held.size + 1)
  await assert.rejects(control.acceptOlderState(seen), fails('Locked'))
  control.close()
  await running.stop()
  assert.equal(checkpoint(), accepted.note)
  const record = lastRecord()
  assert.equal(record.boundaryOperation, 'acceptOlderState')
  assert.equal(record.count, seen.size - held.size)
  const root = (head: { size: number; root: Buffer }) => `${head.size} ${head.root.toString('hex')}`
  assert.equal(record.transition, `${root(seen)}>${root(held)}`)
})

test('it starts then, with the state that was accepted, and there is nothing more to accept', async () => {
  const again = await inProcess({ folder })
  const row = await again.key(key.id)
  assert.equal(headerOfRow(row).state, 'Enabled', 'what was disabled later is not')
  await again.use.encrypt(row, Buffer.from('x'), [], {})
  await assert.rejects(again.control.acceptOlderState(undefined), fails('InvalidState'))
  await again.stop()
  await assert.rejects(startAlone(true), (error: unknown) => {
    assert.ok(error instanceof StartRefused)
    assert.match(error.message, /holds all that this boundary is known to have had/)
    return true
  })
})
