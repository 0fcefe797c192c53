/** Every record of the vectors is shown as it was when its vector was made: what records have gained since does not change those that are there. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { entryJson, entryLine, shown } from './log-entry.ts'

const file = join(import.meta.dirname, '../../test/vectors/record.json')
const { vectors } = JSON.parse(readFileSync(file, 'utf8')) as {
  vectors: { fields: Record<string, unknown>; encoded: string }[]
}
const TIME = Date.UTC(2026, 0, 2, 3, 4, 5)
const WHEN = '2026-01-02T03:04:05.000Z'
const KEY = 'eu-central-1/1234abcd-12ab-34cd-56ef-1234567890ab'
const REGISTER_0 = 'e7f098919e966c4cdd8fd45db96b0c5052f6469e80e716b9c908ae0bcdf3d3736a840f0ea0e5b9fda01014ac8b9511b9'
const REGISTER_8 = '6dc5b6d25df07ed23e9cc4b6226038d792d55afc8e49799067ac5885d572aa254656dace8c92ef4274fc0e560f192c78'
const LINES = [
  `       0  ${WHEN}  denied   Decrypt  AccessDeniedException`,
  `       1  ${WHEN}  allowed  ReEncrypt  ${KEY}  to eu-central-1/mrk-1234abcd12ab34cd56ef1234567890ab  arn:aws:iam::111122223333:user/été  {a=1, b=2}`,
  `       2  ${WHEN}  allowed  deleteKey  ${KEY}  PendingDeletion>deleted`,
  `       3  ${WHEN}  allowed  Decrypt  ${KEY}  attested i-0123456789abcdef0-enc0123456789abcdef PCR0=${REGISTER_0},PCR1=0,PCR8=${REGISTER_8}`,
]

const entries = vectors.map(({ encoded }, at) => shown(at, TIME, Buffer.from(encoded, 'hex')))

test('as a line', () => {
  assert.deepEqual(entries.map(entryLine), LINES)
})

test('as JSON, with every field of the record', () => {
  for (const [at, { fields }] of vectors.entries()) {
    const { context, destinationContext, ...rest } = fields
    const json = JSON.parse(JSON.stringify(entryJson(entries[at] ?? assert.fail()))) as Record<string, unknown>
    assert.deepEqual([json.entry, json.time], [at, WHEN])
    for (const [name, value] of Object.entries(rest)) assert.deepEqual(json[name], value, name)
    assert.equal(json.context !== undefined, context !== undefined)
    assert.equal(json.destinationContext !== undefined, destinationContext !== undefined)
  }
})
