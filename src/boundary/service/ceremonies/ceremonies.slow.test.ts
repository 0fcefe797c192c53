import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { after, afterEach, beforeEach, describe, test } from 'node:test'
import type { ControlConnection } from '../../client/control.ts'
import { HEADER_BYTES, parseFrame, parseHeader } from '../../journal/frame.ts'
import { isSegmentName } from '../../journal/segments.ts'
import { decodeRecord } from '../../record.ts'
import type { BoundaryError } from '../../words.ts'
import { fails, type InProcess, inProcess, newKey } from '../testing/in-process.ts'
import { PATIENCE, type Stopwatch } from './ceremony.ts'

/** Time that stands still until it is moved. */
class Moved implements Stopwatch {
  #now = 0
  #alarms = new Map<() => void, number>()
  now(): number {
    return this.#now
  }
  after(milliseconds: number, call: () => void): () => void {
    this.#alarms.set(call, this.#now + milliseconds)
    return () => this.#alarms.delete(call)
  }
  /** The time is there before the alarm is. */
  late(milliseconds: number): void {
    this.#now += milliseconds
  }
  advance(milliseconds: number): void {
    this.late(milliseconds)
    for (const [call, at] of this.#alarms) {
      if (at > this.#now) continue
      this.#alarms.delete(call)
      call()
    }
  }
  get waiting(): number {
    return this.#alarms.size
  }
}

const SHARES = { root: { kind: 'shares' } } as const
const says = (code: Parameters<typeof fails>[0], text: RegExp) => (error: unknown) =>
  fails(code)(error) && text.test((error as BoundaryError).detail)

let watch: Moved
let open: InProcess[] = []
const folders: InProcess[] = []
beforeEach(() => {
  watch = new Moved()
})
afterEach(async () => {
  for (const one of open) await one.stop()
  open = []
})
after(() => {
  for (const one of folders) one.remove()
})

async function start(options: Parameters<typeof inProcess>[0] = {}): Promise<InProcess> {
  const made = await inProcess({ watch, ...options })
  open.push(made)
  if (options.folder === undefined) folders.push(made)
  return made
}

async function stop(one: InProcess): Promise<void> {
  open = open.filter(other => other !== one)
  await one.stop()
}

/** The lines of all shares, as so many holders were given them. */
async function take(control: ControlConnection, threshold: number, count: number) {
  const first = await control.splitRoot(threshold, count)
  const lines = [first.share.toString('latin1')]
  for (let n = 1; n < count; n++) lines.push((await control.takeShare(first.ceremony)).share.toString('latin1'))
  return { code: first.ceremony, lines }
}

/** Resolves when the rotation that came with the last change of the root of trust has ended. */
async function rotated(control: ControlConnection): Promise<void> {
  while ((await control.rootStatus()).generations.length > 1) await new Promise(resolve => setImmediate(resolve))
}

/** A boundary whose root is of shares, and locked. */
async function locked(threshold = 2, count = 3): Promise<{ at: InProcess; lines: string[] }> {
  const before = await start()
  const { code, lines } = await take(before.control, threshold, count)
  for (const line of lines.slice(0, threshold)) await before.control.confirmShare(code, Buffer.from(line))
  await stop(before)
  return { at: await start({ folder: before.folder, config: SHARES }), lines }
}

/** What the log says of ceremonies: operation, source, outcome or error, and what changed. */
function records(at: InProcess): string[] {
  const folder = path.join(at.folder, 'b', 'journal')
  const said: string[] = []
  for (const name of fs.readdirSync(folder).filter(isSegmentName).sort()) {
    const bytes = fs.readFileSync(path.join(folder, name))
    // A segment that is just being begun.
    if (bytes.length < HEADER_BYTES) continue
    const { crc } = parseHeader(bytes)
    for (let offset = HEADER_BYTES; offset < bytes.length; ) {
      const frame = parseFrame(bytes, offset, crc)
      if (typeof frame === 'string') break
      offset += frame.length
      const { boundaryOperation, outcome, error, transition, source } = decodeRecord(frame.record)
      if (/split|cancel|unlock/i.test(boundaryOperation ?? ''))
        said.push([boundaryOperation, source, error ?? outcome, transition].filter(Boolean).join(' '))
    }
  }
  return said
}

const give = (control: ControlConnection, ceremony: string, line: string | undefined) =>
  control.giveShare(ceremony, Buffer.from(line ?? ''))
const confirm = (control: ControlConnection, ceremony: string, line: string | undefined) =>
  control.confirmShare(ceremony, Buffer.from(line ?? ''))
/** The line with one letter of the values changed, and a checksum that is right for it. */
function forged(line: string): string {
  const [label = '', letters = ''] = line.split(' ')
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  const bits = [...letters.replaceAll('-', '')].map(one => alphabet.indexOf(one).toString(2).padStart(5, '0')).join('')
  const bytes = Buffer.from((bits.match(/.{8}/g) ?? []).map(one => Number.parseInt(one, 2)))
  bytes[40] = (bytes[40] ?? 0) ^ 1
  createHash('sha256').update(label).update(bytes.subarray(0, 59)).digest().copy(bytes, 59, 0, 4)
  const again = [...bytes]
    .map(byte => byte.toString(2).padStart(8, '0'))
    .join('')
    .padEnd(505, '0')
  return `${label} ${(again.match(/.{5}/g) ?? []).map(one => alphabet[Number.parseInt(one, 2)]).join('')}`
}

describe('unlocking', () => {
  test('it starts locked, and any two of three holders open it, with the code that the first was told', async () => {
    const { at, lines } = await locked()
    await assert.rejects(at.use.generateRandom(8, {}), fails('Locked'))
    assert.deepEqual([(await at.control.status()).locked, (await at.control.status()).rootKind], [true, 'shares'])
    assert.equal(await at.control.ceremony(), undefined)
    const first = await give(at.control, '', lines[2])
    assert.match(first.ceremony, /^[A-Z2-9]{4}-[A-Z2-9]{4}$/)
    assert.deepEqual([first.given, first.needed, first.done], [1, 2, false])
    assert.deepEqual(await at.control.ceremony(), {
      kind: 'unlock',
      handedOut: 0,
      given: 1,
      needed: 2,
      shares: 3,
      secondsLeft: PATIENCE / 1000,
    })
    // As it may be typed.
    const second = await give(at.control, first.ceremony.toLowerCase().replace('-', ' '), lines[0]?.toLowerCase())
    assert.deepEqual([second.given, second.needed, second.done], [2, 2, true])
    assert.equal((await at.control.status()).locked, false)
    assert.equal(await at.control.ceremony(), undefined)
    assert.equal(watch.waiting, 0)
    await assert.rejects(give(at.control, '', lines[0]), fails('InvalidState'))
    assert.deepEqual(records(at).at(-1), 'unlock control allowed')
  })

  test('nobody joins, or cancels, without the code', async () => {
    const { at, lines } = await locked()
    await assert.rejects(give(at.control, 'AAAA-AAAA', lines[0]), fails('NotPermitted'))
    const { ceremony } = await give(at.control, '', lines[0])
    for (const code of ['AAAA-AAAA', '-', ceremony.slice(0, 8), `${ceremony}A`]) {
      await assert.rejects(give(at.control, code, lines[1]), fails('NotPermitted'))
      await assert.rejects(at.control.cancelCeremony(code), fails('NotPermitted'))
    }
    await assert.rejects(at.control.cancelCeremony(''), fails('NotPermitted'))
    // Beginning another one is no way around it.
    await assert.rejects(give(at.control, '', lines[1]), says('InvalidState', /under way/))
    await assert.rejects(at.control.takeShare(ceremony), fails('Locked'))
    assert.equal((await at.control.ceremony())?.given, 1)
    await at.control.cancelCeremony(ceremony)
    assert.equal(await at.control.ceremony(), undefined)
    await assert.rejects(give(at.control, ceremony, lines[1]), fails('NotPermitted'))
    assert.equal((await at.control.status()).locked, true)
  })

  test('a repeated share, a foreign one and a mistyped one are told apart at once, and change nothing', async () => {
    const { at, lines } = await locked(3, 3)
    const other = await locked()
    for (const line of ['', lines[0]?.slice(0, -1), other.lines[0], 'correct horse battery staple'])
      await assert.rejects(give(at.control, '', line), fails('InvalidRequest'))
    assert.equal(await at.control.ceremony(), undefined)
    const { ceremony } = await give(at.control, '', lines[0])
    await assert.rejects(give(at.control, ceremony, lines[0]), fails('AlreadyExists'))
    await assert.rejects(give(at.control, ceremony, forged(lines[0] ?? '')), fails('AlreadyExists'))
    await assert.rejects(give(at.control, ceremony, other.lines[0]), says('InvalidRequest', /another boundary/))
    await assert.rejects(give(at.control, ceremony, lines[1]?.slice(0, -1)), says('InvalidRequest', /letter/))
    assert.equal((await at.control.ceremony())?.given, 1)
    await give(at.control, ceremony, lines[1])
    assert.equal((await give(at.control, ceremony, lines[2])).done, true)
  })

  test('enough shares of which one is wrong: all are forgotten, it is not said which, and the next attempt must wait', async () => {
    const { at, lines } = await locked()
    const { ceremony } = await give(at.control, '', lines[0])
    const wrong = give(at.control, ceremony, forged(lines[1] ?? ''))
    await assert.rejects(wrong, says('WrongShares', /^one or more of the shares are wrong: begin anew$/))
    assert.equal(await at.control.ceremony(), undefined)
    await assert.rejects(give(at.control, ceremony, lines[2]), says('LimitExceeded', /^wait \d+ s$/))
    await assert.rejects(give(at.control, '', lines[0]), says('LimitExceeded', /^wait \d+ s$/))
    assert.equal((await at.control.status()).locked, true)
  })

  test('after a quarter of an hour without a share it is over; each share begins the time anew', async () => {
    const { at, lines } = await locked(3, 4)
    const { ceremony } = await give(at.control, '', lines[0])
    watch.advance(PATIENCE - 1)
    assert.equal((await at.control.ceremony())?.secondsLeft, 1)
    // What is no share of it does not.
    await assert.rejects(give(at.control, ceremony, lines[0]), fails('AlreadyExists'))
    assert.equal((await at.control.ceremony())?.secondsLeft, 1)
    await give(at.control, ceremony, lines[1])
    watch.advance(PATIENCE - 1)
    assert.equal((await at.control.ceremony())?.given, 2)
    watch.advance(1)
    assert.equal(await at.control.ceremony(), undefined)
    await assert.rejects(give(at.control, ceremony, lines[2]), fails('NotPermitted'))
    const again = await give(at.control, '', lines[2])
    assert.notEqual(again.ceremony, ceremony)
    assert.equal(again.given, 1)
    watch.late(PATIENCE)
    await assert.rejects(give(at.control, again.ceremony, lines[1]), fails('NotPermitted'))
  })

  test('a passphrase does not open it, and shares open nothing else', async () => {
    const { at } = await locked()
    await assert.rejects(at.control.unlock(Buffer.from('correct horse battery staple')), fails('InvalidState'))
    const own = await start({ config: { root: { kind: 'passphrase' } } })
    await assert.rejects(give(own.control, '', 'holdfast-share-1 AAAAAA'), says('InvalidState', /no shares/))
    await assert.rejects(own.control.splitRoot(2, 3), fails('Locked'))
  })
})

describe('new shares', () => {
  test('each is handed out once; in force after trial, and not before', async () => {
    const at = await start()
    const key = await newKey(at.use)
    const first = await at.control.splitRoot(2, 3)
    const code = first.ceremony
    assert.deepEqual([first.handedOut, first.shares], [1, 3])
    const lines = [first.share.toString('latin1')]
    await assert.rejects(confirm(at.control, code, lines[0]), says('InvalidState', /2 of 3 shares have not been taken/))
    for (const handedOut of [2, 3]) {
      const taken = await at.control.takeShare(code)
      assert.equal(taken.handedOut, handedOut)
      lines.push(taken.share.toString('latin1'))
    }
    assert.equal(new Set(lines).size, 3)
    await assert.rejects(at.control.takeShare(code), says('InvalidState', /every share/))
    assert.equal((await confirm(at.control, code, lines[1])).done, false)
    assert.equal((await at.control.ceremony())?.given, 1)
    assert.equal((await at.control.status()).rootKind, 'keyfile')
    assert.deepEqual(await confirm(at.control, code, lines[2]), { given: 2, needed: 2, done: true })
    assert.equal((await at.control.status()).rootKind, 'shares')
    assert.equal(watch.waiting, 0)
    assert.deepEqual(records(at), ['splitRoot control allowed keyfile>shares 2 of 3'])
    await rotated(at.control)
    await at.use.encrypt(await at.key(key.id), Buffer.from('still at work'), [], {})
    await stop(at)
    await assert.rejects(
      start({ folder: at.folder }),
      /of kind shares, not keyfile: set boundary.root to \{ kind: shares \}/,
    )
    const again = await start({ folder: at.folder, config: SHARES })
    const { ceremony } = await give(again.control, '', lines[0])
    assert.equal((await give(again.control, ceremony, lines[2])).done, true)
    assert.equal((await again.key(key.id)).id, key.id)
  })

  test('a wrong share on trial: all are forgotten, the ceremony goes on, and the old root stays in force', async () => {
    const at = await start()
    const { code, lines } = await take(at.control, 3, 3)
    await confirm(at.control, code, lines[0])
    await assert.rejects(confirm(at.control, code, lines[0]), fails('AlreadyExists'))
    await confirm(at.control, code, lines[1])
    await assert.rejects(confirm(at.control, code, forged(lines[2] ?? '')), fails('WrongShares'))
    assert.equal((await at.control.ceremony())?.given, 0)
    assert.deepEqual(records(at), ['splitRoot control WrongShares keyfile>shares 3 of 3'])
    assert.equal((await at.control.status()).rootKind, 'keyfile')
    for (const line of lines) await confirm(at.control, code, line)
    assert.equal((await at.control.status()).rootKind, 'shares')
  })

  test('another M of N is a new split; the old shares open nothing then', async () => {
    const { at, lines } = await locked()
    const { ceremony } = await give(at.control, '', lines[0])
    await give(at.control, ceremony, lines[1])
    await rotated(at.control)
    const { code, lines: next } = await take(at.control, 3, 5)
    await assert.rejects(confirm(at.control, code, lines[0]), says('InvalidRequest', /made before/))
    for (const line of next.slice(2)) await confirm(at.control, code, line)
    assert.equal(records(at).at(-1), 'splitRoot control allowed shares>shares 3 of 5')
    await stop(at)
    const again = await start({ folder: at.folder, config: SHARES })
    await assert.rejects(give(again.control, '', lines[0]), says('InvalidRequest', /made before/))
    const { ceremony: second } = await give(again.control, '', next[0])
    await give(again.control, second, next[4])
    assert.equal((await give(again.control, second, next[1])).done, true)
  })

  test('the root under shares is rotated without their holders, and changed to a key file; each start wants what is in force', async () => {
    const { at, lines } = await locked()
    const unlock = async (one: InProcess) => {
      const { ceremony } = await give(one.control, '', lines[1])
      assert.equal((await give(one.control, ceremony, lines[2])).done, true)
    }
    await unlock(at)
    await rotated(at.control)
    await at.control.rotateRoot(undefined)
    await rotated(at.control)
    await stop(at)
    const states: boolean[] = []
    const again = await start({
      folder: at.folder,
      config: SHARES,
      onConnected: ({ locked }) => states.push(locked),
    })
    await unlock(again)
    assert.equal((await again.control.rootStatus()).kind, 'shares')
    // The front end's connection was ended, and comes again.
    while (states.at(-1) !== false) await new Promise(resolve => setImmediate(resolve))
    const key = await newKey(again.use)
    await again.control.rotateRoot({ kind: 'keyfile', file: path.join(at.folder, 'another.key') })
    await rotated(again.control)
    await stop(again)
    await assert.rejects(start({ folder: at.folder, config: SHARES }), /of kind keyfile, not shares/)
    const root = { kind: 'keyfile', file: path.join(at.folder, 'another.key') } as const
    const last = await start({ folder: at.folder, config: { root } })
    assert.equal((await last.key(key.id)).id, key.id)
    await assert.rejects(give(last.control, '', lines[0]), fails('InvalidState'))
  })

  test('cancelled with the code only, and expired: recorded, and nothing has changed', async () => {
    const at = await start()
    const { code, lines } = await take(at.control, 2, 2)
    await confirm(at.control, code, lines[0])
    await assert.rejects(at.control.cancelCeremony('AAAA-AAAA'), fails('NotPermitted'))
    await assert.rejects(at.control.splitRoot(2, 3), says('InvalidState', /under way/))
    await at.control.cancelCeremony(code)
    await assert.rejects(confirm(at.control, code, lines[1]), fails('NotPermitted'))
    const second = await at.control.splitRoot(2, 16)
    watch.advance(PATIENCE)
    await assert.rejects(at.control.takeShare(second.ceremony), fails('NotPermitted'))
    assert.equal(await at.control.ceremony(), undefined)
    await newKey(at.use)
    assert.deepEqual(records(at), [
      'cancelCeremony control allowed split 2 of 2>cancelled',
      'cancelCeremony boundary allowed split 2 of 16>expired',
    ])
    await stop(at)
    assert.equal((await (await start({ folder: at.folder })).control.status()).locked, false)
  })

  test('numbers that make no sense are refused', async () => {
    const at = await start()
    for (const [threshold, shares] of [
      [1, 1],
      [1, 3],
      [3, 2],
      [2, 17],
      [0, 0],
    ] as const)
      await assert.rejects(at.control.splitRoot(threshold, shares), says('InvalidRequest', /at least 2 of at most 16/))
    assert.equal(await at.control.ceremony(), undefined)
    await assert.rejects(start({ config: SHARES }), /is new, and shares are made for a boundary that is there/)
  })
})
