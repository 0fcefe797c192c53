/** A dry run does all of a use, hands out nothing, and is no use of the key: in the boundary itself, whoever asks. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { after, before, test } from 'node:test'
import { readRecords } from '../../../test/support/journal.ts'
import type { KeyRow, ReEncryptSide } from '../client/api.ts'
import type { DecodedRecord } from '../record-fields.ts'
import type { BoundaryErrorCode } from '../words.ts'
import { fails, type InProcess, inProcess, newKey } from './testing/in-process.ts'

const PLAINTEXT = Buffer.from('what nobody is to be told')
const CONTEXT = [['a', 'b']] as const
const spki = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'der', type: 'spki' })

let boundary: InProcess
before(async () => {
  boundary = await inProcess()
})
after(async () => {
  await boundary.stop()
  boundary.remove()
})

/** The record of what ends with this error. */
async function recordOf(tried: Promise<unknown>, error: BoundaryErrorCode): Promise<DecodedRecord> {
  const { logSize } = await boundary.use.status()
  await assert.rejects(tried, fails(error))
  assert.equal((await boundary.use.status()).logSize, logSize + 1, 'one record')
  const records = readRecords(boundary.folder, 'b')
  return records.at(-1)?.record ?? assert.fail('no record')
}

test('of a decryption: DryRun where the message opens, for a recipient too, and what is wrong where it does not', async () => {
  const { use } = boundary
  const key = await newKey(use)
  const { ciphertext, materialId } = await use.encrypt(key, Buffer.from(PLAINTEXT), CONTEXT, {})
  const operation = 'Decrypt'
  for (const recipient of [undefined, spki]) {
    const record = await recordOf(use.decrypt(key, ciphertext, CONTEXT, { operation }, recipient, true), 'DryRun')
    assert.deepEqual(
      [record.boundaryOperation, record.outcome, record.error, record.size, record.materialId],
      ['decrypt', 'failed', 'DryRun', PLAINTEXT.length, materialId],
    )
  }
  const changed = Buffer.from(ciphertext)
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
  for (const [message, context] of [
    [changed, CONTEXT],
    [ciphertext, []],
  ] as const) {
    const record = await recordOf(
      use.decrypt(key, message, context, { operation }, undefined, true),
      'InvalidCiphertext',
    )
    assert.deepEqual([record.outcome, record.size, record.materialId], ['failed', undefined, undefined])
  }
  await recordOf(use.decrypt(key, ciphertext, CONTEXT, { operation }, Buffer.from('no key'), true), 'InvalidPublicKey')
  const disabled = await use.disableKey(key.id, {})
  await recordOf(use.decrypt(disabled, ciphertext, CONTEXT, { operation }, undefined, true), 'KeyDisabled')
  assert.equal((await use.keyLastUsage(key.id)).use, undefined)
})

test('of a re-encryption: both keys are tried, and neither was used', async () => {
  const { use } = boundary
  const [source, destination] = [await newKey(use), await newKey(use)]
  const side = (key: KeyRow): ReEncryptSide => ({ key, algorithm: 'SYMMETRIC_DEFAULT', context: CONTEXT })
  const { ciphertext } = await use.encrypt(source, Buffer.from(PLAINTEXT), CONTEXT, {})
  const operation = 'ReEncrypt'
  const attempt = (message: Buffer, to: KeyRow) => use.reEncrypt(side(source), message, side(to), { operation }, true)
  const record = await recordOf(attempt(ciphertext, destination), 'DryRun')
  assert.deepEqual([record.boundaryOperation, record.outcome, record.size], ['reEncrypt', 'failed', PLAINTEXT.length])
  assert.ok(record.materialId !== undefined && record.destinationMaterialId !== undefined)
  await recordOf(attempt(ciphertext.subarray(1), destination), 'InvalidCiphertext')
  await recordOf(attempt(ciphertext, await use.disableKey(destination.id, {})), 'KeyDisabled')
  for (const { id } of [source, destination]) assert.equal((await use.keyLastUsage(id)).use, undefined)
})
