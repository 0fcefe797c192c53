import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { REASONS, type ReasonCode, reasonCode } from './reasons.ts'

test('Google’s numbers and names are one and the same code, and nothing is an error', () => {
  for (const [code, { number }] of Object.entries(REASONS)) {
    assert.equal(reasonCode(code), code)
    if (number !== undefined) assert.equal(reasonCode(number), code)
  }
  const numbers = Object.values(REASONS).flatMap(({ number }) => (number === undefined ? [] : [number]))
  assert.deepEqual(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
  assert.equal(reasonCode(3), 'THIRD_PARTY_DATA_REQUEST' satisfies ReasonCode)
  for (const none of [undefined, '']) assert.equal(reasonCode(none), 'REASON_UNSPECIFIED')
  for (const unknown of [12, -1, 0.5, Number.NaN, '3', 'toString', 'third_party_data_request'])
    assert.equal(reasonCode(unknown), 'REASON_UNKNOWN')
})

test('the table of docs/policy.md is that of the code', () => {
  const text = readFileSync(join(import.meta.dirname, '..', '..', '..', 'docs', 'policy.md'), 'utf8')
  for (const [code, { number, about }] of Object.entries(REASONS))
    assert.ok(text.includes(`| ${number ?? ''} | \`${code}\` | ${about} |`), code)
})
