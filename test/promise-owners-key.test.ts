/**
 * Hold your own key, against both real sides: neither decrypts alone, the owner's revocation holds under load, a lost answer of the owner costs nothing, and
 * an owner who does not answer slows nobody else.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { encodeContext } from '../src/boundary/crypto/context.ts'
import { externalAad, parseEnvelope } from '../src/boundary/crypto/envelope.ts'
import { decryptExternal } from '../src/boundary/crypto/external.ts'
import { decryptMessage, MessageKey } from '../src/boundary/crypto/message.ts'
import { BoundaryError } from '../src/boundary/words.ts'
import { openFromDisk } from './support/from-disk.ts'
import { readRecords } from './support/journal.ts'
import { type Answer, ApiClient, REGION } from './support/kms.ts'
import { CUSTOMER, connected, connectOwner, type OwnedStore, type Pair, startPair } from './support/pair.ts'

const SECRET = Buffer.from('what neither side may read alone')
const CONTEXT = { purpose: 'custody' }

const folder = mkdtempSync(join(tmpdir(), 'holdfast-pair-'))
let pair: Pair
let one: OwnedStore
let other: OwnedStore
let local: string

before(async () => {
  pair = await startPair(folder, ['one', 'other'])
  one = await connectOwner(pair, 'one')
  other = await connectOwner(pair, 'other')
  local = (await pair.client.ok('CreateKey', {})).KeyMetadata.KeyId
})
after(async () => {
  await pair?.stop()
  rmSync(folder, { recursive: true, force: true })
})

test('promise 9: the provider’s root with the blob does not open it, nor does the owner’s key; both together do', async () => {
  const { CiphertextBlob } = await pair.client.ok('Encrypt', {
    KeyId: one.KeyId,
    Plaintext: SECRET.toString('base64'),
    EncryptionContext: CONTEXT,
  })
  const blob = Buffer.from(CiphertextBlob, 'base64')
  const envelope = parseEnvelope(blob)
  const context = encodeContext(Object.entries(CONTEXT))
  const { keyId, materialId } = envelope
  const sealed = { ...envelope, integrityValue: undefined }
  const aad = externalAad({ account: CUSTOMER, keyId, materialId, context })
  const refused = (error: unknown): boolean => error instanceof BoundaryError && error.code === 'InvalidCiphertext'

  const provider = await openFromDisk(pair.providerData, `${REGION}/${keyId}`)
  const material = provider.materials.get(materialId)
  assert.ok(material)
  const inner = new MessageKey({ account: CUSTOMER, keyId, materialId, material })
  for (const bytes of [blob, envelope.ciphertext, Buffer.concat([envelope.ciphertext, envelope.tag])]) {
    assert.throws(() => decryptMessage(inner, bytes, context), refused)
  }
  assert.throws(() => decryptExternal(material, sealed, aad), refused)

  const owner = await openFromDisk(pair.ownerData, 'one/vault')
  const [vault] = owner.materials.values()
  assert.ok(vault)
  const opened = decryptExternal(vault, sealed, aad)
  assert.ok(!opened.includes(SECRET), 'what the owner opens is not what the customer encrypted')
  assert.throws(
    () => decryptMessage(new MessageKey({ account: CUSTOMER, keyId, materialId, material: vault }), opened, context),
    refused,
  )
  assert.throws(() => decryptExternal(vault, { ...sealed, ciphertext: opened }, aad), refused)

  assert.ok(decryptMessage(inner, opened, context).equals(SECRET), 'both together open it')
})

test('promise 3 and promise 9: no use that starts after the owner’s revocation has answered succeeds, until it is undone', async () => {
  const encrypt = { KeyId: one.KeyId, Plaintext: 'AA==' }
  const { CiphertextBlob } = await pair.client.ok('Encrypt', encrypt)
  const uses: readonly (readonly [string, object])[] = [
    ['Decrypt', { CiphertextBlob }],
    ['Encrypt', encrypt],
    ['GenerateDataKey', { KeyId: one.KeyId, NumberOfBytes: 32 }],
  ]
  const control = pair.ownerControl()
  for (const target of [{ key: 'one/vault' }, { tenant: 'one' }, { all: true }] as const) {
    let succeeded = 0
    let revoked = false
    let afterwards = 0
    const late: string[] = []
    const work = async (n: number): Promise<void> => {
      const client = new ApiClient(pair.endpoint, pair.administrator)
      for (let i = n; afterwards < 100; i++) {
        const [operation, input] = uses[i % uses.length] ?? ['', {}]
        const startedAfter = revoked
        if (startedAfter) afterwards++
        const { status, json } = await client.call(operation, input)
        if (status === 200) {
          succeeded++
          if (startedAfter) late.push(operation)
        } else if (startedAfter) assert.equal(json.__type, 'KMSInvalidStateException')
      }
      client.close()
    }
    const working = Promise.all(Array.from({ length: 8 }, (_, n) => work(n)))
    while (succeeded < 30) await Promise.race([working, new Promise(done => setImmediate(done))])
    await control.revoke(target, { operation: 'revoke', principal: 'owner' })
    revoked = true
    await working
    assert.deepEqual(late, [], 'started after the answer, and succeeded')
    assert.equal((await pair.client.call('Decrypt', { CiphertextBlob: await localBlob() })).status, 200)
    await control.restore(target, { operation: 'restore', principal: 'owner' })
    await pair.client.ok('Decrypt', { CiphertextBlob })
  }
  control.close()
})

const localBlob = async (): Promise<string> =>
  (await pair.client.ok('Encrypt', { KeyId: local, Plaintext: 'AA==' })).CiphertextBlob

test('the owner’s first answer is lost, and the retry succeeds, with one record for each of the two at the owner’s side', async () => {
  const relay = pair.relays.one
  assert.ok(relay)
  const { CiphertextBlob } = await pair.client.ok('Encrypt', { KeyId: one.KeyId, Plaintext: SECRET.toString('base64') })
  for (const [operation, input] of [
    ['Encrypt', { KeyId: one.KeyId, Plaintext: 'AA==' }],
    ['Decrypt', { CiphertextBlob }],
    ['GenerateDataKey', { KeyId: one.KeyId, NumberOfBytes: 32 }],
  ] as const) {
    const lost: number = relay.lost
    relay.loseNextAnswer()
    const { status, text, json, requestId } = await pair.client.call(operation, input)
    assert.equal(status, 200, text)
    assert.ok(relay.lost > lost, 'an answer was lost')
    if (operation === 'Decrypt') assert.ok(Buffer.from(json.Plaintext, 'base64').equals(SECRET))
    const answered = readRecords(pair.ownerData).filter(({ record }) => record.asserted.claimedRequestId === requestId)
    assert.deepEqual(
      answered.map(({ record }) => record.outcome),
      ['allowed', 'allowed'],
      'the lost answer and the repeated one',
    )
  }
})

interface Beside {
  /** Of the silent owner's requests. */
  readonly answers: readonly Answer[]
  /** How many of them had ended when all others were answered. */
  readonly endedMeanwhile: number
}

/** Sends requests for keys of a silent owner, and others meanwhile, which must be answered. */
async function beside(hanging: number, others: readonly (readonly [string, object])[]): Promise<Beside> {
  let ended = 0
  const client = new ApiClient(pair.endpoint, pair.administrator)
  const waiting = Array.from({ length: hanging }, () =>
    client.call('Encrypt', { KeyId: one.KeyId, Plaintext: 'AA==' }).finally(() => ended++),
  )
  const answered = await Promise.all(others.map(([operation, input]) => pair.client.call(operation, input)))
  const endedMeanwhile = ended
  const answers = await Promise.all(waiting)
  client.close()
  for (const { status, text } of answered) assert.equal(status, 200, text)
  return { answers, endedMeanwhile }
}

/** A machine that is starved for a quarter of a second reaches the owner's deadline first; requests that wait for the silent owner do so every time. */
const ATTEMPTS = 8

test('a slow or dead store never slows keys that do not use it', async t => {
  const relay = pair.relays.one
  assert.ok(relay)
  t.after(() => relay.heal())
  const comeBack = async (): Promise<void> => {
    relay.heal()
    await pair.client.ok('DisconnectCustomKeyStore', { CustomKeyStoreId: one.CustomKeyStoreId })
    await connected(pair.client, one.CustomKeyStoreId)
    await pair.client.ok('Encrypt', { KeyId: one.KeyId, Plaintext: 'AA==' })
  }
  const others: (readonly [string, object])[] = []
  for (let i = 0; i < 8; i++) {
    others.push(
      ['Encrypt', { KeyId: local, Plaintext: 'AA==' }],
      ['GenerateDataKey', { KeyId: local, NumberOfBytes: 32 }],
    )
  }
  others.push(['Encrypt', { KeyId: other.KeyId, Plaintext: 'AA==' }], ['DescribeKey', { KeyId: one.KeyId }])
  for (const [operation, input] of others) await pair.client.ok(operation, input)
  for (let attempt = 1; ; attempt++) {
    relay.silence()
    const { answers, endedMeanwhile } = await beside(64, others)
    for (const { status, json } of answers) {
      assert.equal(status, 400)
      assert.equal(json.__type, 'KMSInvalidStateException')
    }
    if (endedMeanwhile === 0) break
    assert.ok(attempt < ATTEMPTS, 'some of the others were answered only after requests of the silent owner had ended')
    await comeBack()
  }
  // The breaker is open now: nobody waits, for however many requests.
  const refused = await Promise.all(
    Array.from({ length: 300 }, () => pair.client.call('Encrypt', { KeyId: one.KeyId, Plaintext: 'AA==' })),
  )
  for (const { status, json } of refused) {
    assert.equal(status, 400)
    assert.ok(['KMSInvalidStateException', 'ThrottlingException'].includes(json.__type), json.__type)
  }
  for (const [operation, input] of others) await pair.client.ok(operation, input)
  await comeBack()
})
