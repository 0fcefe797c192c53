import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import test from 'node:test'
import fc from 'fast-check'
import { DEFAULT_REPLAY_LIMITS, ReplayMemory, type ReplayVerdict, SKEW_MS } from './replay.ts'

const signature = (name: string | number) => createHash('sha256').update(String(name)).digest('hex')
const START = Date.UTC(2026, 0, 1, 12, 0, 30)

function setup(limits?: { perCredential: number; total: number }) {
  const time = { now: START, monotonic: 5000 }
  const clock = { now: () => time.now, monotonic: () => time.monotonic }
  const memory = new ReplayMemory(clock, { ...DEFAULT_REPLAY_LIMITS, ...limits }, START - SKEW_MS)
  const judge = (name: string | number, o: { peer?: string; at?: number; key?: string } = {}): ReplayVerdict =>
    memory.judge({
      accessKeyId: o.key ?? 'AKID',
      signature: signature(name),
      signedAt: o.at ?? START,
      credentialCreated: 0,
      peer: o.peer ?? '192.0.2.1',
    })
  const pass = (ms: number) => {
    time.now += ms
    time.monotonic += ms
  }
  return { time, memory, judge, pass }
}

test('the same request is answered once more within 2 s, and never a third time', () => {
  const { judge, pass } = setup()
  assert.equal(judge('a'), 'first')
  pass(1999)
  assert.equal(judge('a'), 'repeated')
  assert.equal(judge('a'), 'replayed')
})

test('after 2 s the same request is refused, and a lost answer cannot be asked for later', () => {
  const { judge, pass } = setup()
  judge('a')
  pass(2001)
  assert.equal(judge('a'), 'replayed')
  pass(60_000)
  assert.equal(judge('a'), 'replayed')
})

test('only the same peer is answered once more', () => {
  const { judge } = setup()
  judge('a', { peer: 'fingerprint-1' })
  assert.equal(judge('a', { peer: 'fingerprint-2' }), 'replayed')
  assert.equal(judge('a', { peer: 'fingerprint-1' }), 'repeated')
})

test('a wall clock that is set back brings no old request to life', () => {
  const { judge, time, pass } = setup()
  judge('a')
  pass(SKEW_MS + 120_000)
  assert.equal(judge('b', { at: time.now }), 'first', 'sweeps the minute of a')
  time.now = START
  assert.equal(judge('a'), 'replayed', 'its minute was forgotten, so no date of it is accepted')
  assert.equal(judge('never seen, same minute'), 'replayed')
})

test('what cannot be forgotten yet is kept, and a full memory refuses what is new', () => {
  const { judge, pass, time, memory } = setup({ perCredential: 3, total: 4 })
  for (const name of ['a', 'b', 'c']) assert.equal(judge(name), 'first')
  assert.equal(judge('d'), 'full')
  assert.equal(judge('a'), 'repeated', 'what is known is still known')
  assert.equal(judge('e', { key: 'OTHER' }), 'first', 'one credential does not fill the memory of another')
  assert.equal(judge('f', { key: 'OTHER' }), 'full', 'but all of them together are bounded')
  pass(SKEW_MS)
  assert.equal(judge('d'), 'full')
  pass(60_000)
  assert.equal(judge('g', { at: time.now }), 'first')
  assert.equal(memory.size, 1)
})

test('a date in the future is remembered until it is past the window', () => {
  const { judge, pass } = setup()
  const at = START + SKEW_MS
  assert.equal(judge('a', { at }), 'first')
  for (let minute = 0; minute < 10; minute++) {
    pass(60_000)
    assert.equal(judge('a', { at }), 'replayed')
  }
})

test('property: no signature is answered more than twice, and every new one once, for any number of them', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(400), fc.nat(1500)), { maxLength: 2000 }), steps => {
      const { judge, pass } = setup()
      const answered = new Map<number, number>()
      for (const [name, wait] of steps) {
        pass(wait / 100)
        const verdict = judge(name, { at: START + (name % 7) * 60_000 })
        const before = answered.get(name) ?? 0
        assert.equal(verdict === 'first', before === 0)
        if (verdict === 'first' || verdict === 'repeated') answered.set(name, before + 1)
        assert.ok((answered.get(name) ?? 0) <= 2)
      }
    }),
    { numRuns: 30 },
  )
})

test('what was signed before this memory began is never answered: whether another process answered it, nobody knows', () => {
  const clock = { now: () => START + 400, monotonic: () => 0 }
  const memory = new ReplayMemory(clock, DEFAULT_REPLAY_LIMITS, START + 400)
  const judge = (signedAt: number, credentialCreated = 0) =>
    memory.judge({
      accessKeyId: 'AKID',
      signature: signature(signedAt),
      signedAt,
      credentialCreated,
      peer: '192.0.2.1',
    })
  assert.equal(judge(START - 1000), 'early')
  assert.equal(judge(START - 1000, START + 399), 'early', 'in the second of the start, and before it')
  assert.equal(judge(START - SKEW_MS), 'early')
  assert.equal(judge(START), 'first', 'dates have whole seconds')
  assert.equal(memory.size, 1)
  assert.equal(
    judge(START - 1000, START + 400),
    'first',
    'a credential that is younger was never used with another process',
  )
})

test('a hundred thousand signatures are all found again', () => {
  const { judge } = setup()
  for (let i = 0; i < 100_000; i++) assert.equal(judge(i), 'first')
  for (let i = 0; i < 100_000; i += 997) assert.equal(judge(i), 'repeated')
})
