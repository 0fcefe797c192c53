import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RecordEntry } from '../../boundary/client/api.ts'
import { BoundaryError } from '../../boundary/words.ts'
import type { LogFields } from '../../http/logging.ts'
import { LOAD_REASONS } from './admission.ts'
import { LoadLog } from './load-log.ts'

function setup() {
  const records: RecordEntry[] = []
  const lines: LogFields[] = []
  const state = { broken: false }
  const log = new LoadLog(
    async entry => {
      if (state.broken) throw new BoundaryError('Unavailable')
      records.push(entry)
    },
    (_level, _message, fields = {}) => lines.push(fields),
  )
  return { log, records, lines, state }
}

test('one record and one line for each tenant, protocol and reason, with how many', async () => {
  const { log, records, lines } = setup()
  for (let i = 0; i < 1000; i++) log.count({ tenant: 'acme', protocol: 'xks' }, 'rate')
  log.count({ tenant: 'acme', protocol: 'azure' }, 'rate')
  log.count({ tenant: 'x'.repeat(116), protocol: 'xks' }, 'late')
  await log.flush()
  await log.flush()
  const all = records.map(({ error, count, outcome, asserted }) => [outcome, error, count, asserted.operation])
  assert.deepEqual(all, [
    ['failed', 'RateExceeded', 1000, 'xks'],
    ['failed', 'RateExceeded', 1, 'azure'],
    ['failed', 'AnswersLate', 1, 'xks'],
  ])
  assert.equal(records[0]?.asserted.account, 'acme')
  assert.equal(records[2]?.asserted.account, 'x'.repeat(64))
  assert.deepEqual(lines[0], { tenant: 'acme', protocol: 'xks', reason: 'rate', count: 1000 })
  assert.equal(lines.length, 3)
})

test('what cannot be recorded is recorded later, and said once', async () => {
  const { log, records, lines, state } = setup()
  const who = { tenant: 'acme', protocol: 'xks' }
  state.broken = true
  log.count(who, 'away')
  await log.flush()
  log.count(who, 'away')
  await log.flush()
  assert.deepEqual(
    lines.map(line => line.count),
    [1, 1],
  )
  state.broken = false
  await log.stop()
  assert.deepEqual(
    records.map(({ count, error }) => [count, error]),
    [[2, 'NoAnswers']],
  )
  assert.equal(lines.length, 2)
})

test('every reason but the deadline, whose requests have records of their own, has its record', async () => {
  const { log, records, lines } = setup()
  for (const reason of LOAD_REASONS) log.count({ tenant: 'acme', protocol: 'xks' }, reason)
  await log.flush()
  assert.equal(lines.length, LOAD_REASONS.length)
  assert.equal(new Set(records.map(({ error }) => error)).size, LOAD_REASONS.length - 1)
})
