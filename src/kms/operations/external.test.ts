/** An owner's side that answers, and not with what it was given: the provider's layer notices, and whose fault it is is said. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { ExternalCiphertext } from '../../boundary/client/api.ts'
import { FAILURES } from '../stores/failures.ts'
import { startTestKms, type TestKms } from '../testing.ts'
import { externalKey, STORE } from './testing/external-key.ts'

let kms: TestKms
let KeyId: string
let altered = false
const kept = new Map<string, Buffer>()

before(async () => {
  kms = await startTestKms({
    checkKey: async () => {},
    encrypt: async (_store, _key, plaintext): Promise<ExternalCiphertext> => {
      const iv = randomBytes(12)
      kept.set(iv.toString('hex'), Buffer.from(plaintext))
      return { iv, tag: randomBytes(16), metadata: Buffer.alloc(0), ciphertext: plaintext, integrityValue: undefined }
    },
    decrypt: async (_store, _key, { iv }) => {
      const message = Buffer.from(kept.get(iv.toString('hex')) ?? [])
      if (altered) message[message.length - 1] = (message.at(-1) ?? 0) ^ 1
      return message
    },
  })
  KeyId = await externalKey(kms)
})
after(async () => {
  await kms.stop()
  assert.deepEqual(kms.defects, [])
})

test('promise 9: what the owner returns is opened by the provider’s layer or by nothing, in two records either way', async () => {
  const { CiphertextBlob } = await kms.ok('Encrypt', { KeyId, Plaintext: 'AA==' })
  const before = await kms.records()
  assert.equal((await kms.ok('Decrypt', { CiphertextBlob })).Plaintext, 'AA==')
  assert.equal(await kms.records(), before + 2)
  altered = true
  const other = (await kms.ok('CreateKey', {})).KeyMetadata.KeyId
  for (const [operation, input] of [
    ['Decrypt', { CiphertextBlob }],
    ['ReEncrypt', { CiphertextBlob, DestinationKeyId: other }],
  ] as const) {
    const start = await kms.records()
    const { status, body } = await kms.call(operation, input)
    assert.equal(status, 400)
    assert.deepEqual(body, {
      __type: 'KMSInvalidStateException',
      message: FAILURES.invalidCiphertextReturned.message,
    })
    assert.equal(await kms.records(), start + 2, operation)
  }
  altered = false
})

test('an external key belongs to one key of its store, until that key is gone', async () => {
  const input = { Origin: 'EXTERNAL_KEY_STORE', CustomKeyStoreId: STORE, XksKeyId: 'vault' }
  const refusal = async () => (await kms.call('CreateKey', input)).body.__type
  assert.equal(await refusal(), 'XksKeyAlreadyInUseException')
  await kms.ok('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 })
  assert.equal(await refusal(), 'XksKeyAlreadyInUseException')
  await kms.advance(8 * 86_400_000)
  // The front end hears of it a moment later than who moved the clock.
  while ((await kms.call('DescribeKey', { KeyId })).status === 200) await setImmediate()
  const made = await kms.ok('CreateKey', input)
  assert.deepEqual(made.KeyMetadata.XksKeyConfiguration, { Id: 'vault' })
  assert.equal(made.KeyMetadata.CustomKeyStoreId, STORE)
  assert.equal(made.KeyMetadata.CurrentKeyMaterialId, undefined)
  assert.equal(made.KeyMetadata.Origin, 'EXTERNAL_KEY_STORE')
  const race = { ...input, XksKeyId: 'race' }
  const answers = await Promise.all([kms.call('CreateKey', race), kms.call('CreateKey', race)])
  assert.deepEqual(answers.map(({ body }) => body.__type ?? 'made').sort(), ['XksKeyAlreadyInUseException', 'made'])
})
