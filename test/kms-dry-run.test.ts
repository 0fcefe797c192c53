/**
 * DryRun of Decrypt and ReEncrypt against both real sides: what would be refused in earnest is refused in the same words, what would succeed is
 * DryRunOperationException, no answer holds the plaintext, the log says what was tried, and the owner of an external key is not asked.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { readRecords, recordsByRequest } from './support/journal.ts'
import type { Answer } from './support/kms.ts'
import { connectOwner, type OwnedStore, type Pair, startPair } from './support/pair.ts'

const PLAINTEXT = Buffer.from('what a dry run tells nobody')
const Plaintext = PLAINTEXT.toString('base64')
const folder = mkdtempSync(join(tmpdir(), 'holdfast-dry-run-'))

let pair: Pair
let store: OwnedStore
before(async () => {
  pair = await startPair(folder, ['one'])
  store = await connectOwner(pair, 'one')
})
after(async () => {
  await pair?.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function newKey(input: object = {}): Promise<string> {
  return (await pair.client.ok('CreateKey', input)).KeyMetadata.KeyId
}
const rsaKey = (): Promise<string> => newKey({ KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' })

interface Variant {
  readonly name: string
  readonly input: object
}

/** The request as it is, with one bit of each byte of its ciphertext changed, and with the ciphertext cut and extended. */
function variantsOf({ CiphertextBlob, ...rest }: { readonly CiphertextBlob: string }): Variant[] {
  const whole = Buffer.from(CiphertextBlob, 'base64')
  const variant = (name: string, blob: Buffer): Variant => ({
    name,
    input: { ...rest, CiphertextBlob: blob.toString('base64') },
  })
  const flipped = Array.from(whole, (byte, at) => {
    const blob = Buffer.from(whole)
    blob[at] = byte ^ 1
    return variant(`byte ${at} changed`, blob)
  })
  return [
    variant('as it was', whole),
    variant('cut', whole.subarray(0, -1)),
    variant('extended', Buffer.concat([whole, Buffer.of(0)])),
    ...flipped,
  ]
}

/** The refusal of each request in a dry run, which must be that in earnest, and DryRunOperationException where there was none. */
async function sameAsInEarnest(operation: string, variants: readonly Variant[]): Promise<Map<string, number>> {
  const seen = new Map<string, number>()
  for (const { name, input } of variants) {
    const earnest = await pair.client.call(operation, input)
    const dry = await pair.client.call(operation, { ...input, DryRun: true })
    assert.equal(dry.status, 400, name)
    const { __type: refusal } = dry.json
    if (earnest.status === 200) {
      assert.deepEqual(dry.json, {
        __type: 'DryRunOperationException',
        message: 'The request would have succeeded, but the DryRun option is set.',
      })
    } else assert.deepEqual(dry.json, earnest.json, name)
    seen.set(refusal, (seen.get(refusal) ?? 0) + 1)
  }
  return seen
}

/** The records of a request, as what they say of it. */
function recorded({ requestId }: Answer) {
  const records = recordsByRequest(pair.providerData).get(requestId) ?? []
  return records.map(({ boundaryOperation, outcome, error, size }) => [boundaryOperation, outcome, error, size])
}

/** How often the owner has been asked to encrypt or decrypt, whatever the answer was. */
function ownerAsked(): number {
  const asked = readRecords(pair.ownerData).map(({ record }) => record.asserted.operation ?? '')
  return asked.filter(operation => /^xks:(en|de)crypt$/.test(operation)).length
}

for (const [kind, make] of Object.entries({
  'a symmetric key': async () => ({ KeyId: await newKey(), EncryptionContext: { a: 'b' } }),
  'a multi-Region key': async () => ({ KeyId: await newKey({ MultiRegion: true }) }),
  'an RSA key with SHA-1': async () => ({ KeyId: await rsaKey(), EncryptionAlgorithm: 'RSAES_OAEP_SHA_1' }),
  'an RSA key with SHA-256': async () => ({ KeyId: await rsaKey(), EncryptionAlgorithm: 'RSAES_OAEP_SHA_256' }),
})) {
  test(`Decrypt with ${kind}: a dry run refuses what would be refused, byte for byte`, async () => {
    const key = await make()
    const { CiphertextBlob } = await pair.client.ok('Encrypt', { ...key, Plaintext })
    const seen = await sameAsInEarnest('Decrypt', variantsOf({ ...key, CiphertextBlob }))
    assert.equal(seen.get('DryRunOperationException'), 1)
    assert.ok((seen.get('InvalidCiphertextException') ?? 0) > 100, JSON.stringify([...seen]))
  })
}

test('ReEncrypt between keys of both kinds: the same, and what the destination cannot take is seen as well', async () => {
  const RSA = 'RSAES_OAEP_SHA_256'
  const [symmetric, other, rsa] = [await newKey(), await newKey(), await rsaKey()]
  const encrypt = async (input: object): Promise<string> => (await pair.client.ok('Encrypt', input)).CiphertextBlob
  const fromSymmetric = await encrypt({ KeyId: symmetric, Plaintext })
  const intoRsa = { DestinationKeyId: rsa, DestinationEncryptionAlgorithm: RSA }
  for (const request of [
    { CiphertextBlob: fromSymmetric, DestinationKeyId: other },
    { CiphertextBlob: fromSymmetric, ...intoRsa },
    {
      CiphertextBlob: await encrypt({ KeyId: rsa, Plaintext, EncryptionAlgorithm: RSA }),
      SourceKeyId: rsa,
      SourceEncryptionAlgorithm: RSA,
      DestinationKeyId: other,
    },
  ]) {
    const seen = await sameAsInEarnest('ReEncrypt', variantsOf(request))
    assert.equal(seen.get('DryRunOperationException'), 1)
    assert.ok((seen.get('InvalidCiphertextException') ?? 0) > 100, JSON.stringify([...seen]))
  }
  const long = await encrypt({ KeyId: symmetric, Plaintext: Buffer.alloc(191).toString('base64') })
  const tooLong = { name: 'too long', input: { CiphertextBlob: long, ...intoRsa } }
  assert.deepEqual([...(await sameAsInEarnest('ReEncrypt', [tooLong])).keys()], ['ValidationException'])
})

test('the log says what was tried, once, and it is no use of the key; no answer holds the plaintext', async () => {
  const { client } = pair
  const [KeyId, other] = [await newKey(), await newKey()]
  const { CiphertextBlob } = await client.ok('Encrypt', { KeyId, Plaintext })
  const usageOf = async (key: string) => (await client.ok('GetKeyLastUsage', { KeyId: key })).KeyLastUsage
  const before = await usageOf(KeyId)
  const decrypted = await client.call('Decrypt', { CiphertextBlob, DryRun: true })
  assert.deepEqual(recorded(decrypted), [['decrypt', 'failed', 'DryRun', PLAINTEXT.length]])
  const moved = await client.call('ReEncrypt', { CiphertextBlob, DestinationKeyId: other, DryRun: true })
  assert.deepEqual(recorded(moved), [['reEncrypt', 'failed', 'DryRun', PLAINTEXT.length]])
  const EncryptionContext = { wrong: 'context' }
  const wrong = await client.call('Decrypt', { CiphertextBlob, EncryptionContext, DryRun: true })
  assert.equal(wrong.json.__type, 'InvalidCiphertextException')
  assert.deepEqual(recorded(wrong), [['decrypt', 'failed', 'InvalidCiphertext', undefined]])
  for (const { text } of [decrypted, moved, wrong])
    for (const encoding of ['utf8', 'base64', 'hex'] as const)
      assert.ok(!text.includes(PLAINTEXT.toString(encoding)), text)
  assert.deepEqual(await usageOf(KeyId), before)
  assert.deepEqual(await usageOf(other), {})
  // Without a ciphertext there is nothing to open: the permission alone is asked.
  const ignoring = { KeyId, DryRun: true, DryRunModifiers: ['IGNORE_CIPHERTEXT'] }
  const ignored = await client.call('Decrypt', { ...ignoring, CiphertextBlob: 'AA==' })
  assert.equal(ignored.json.__type, 'DryRunOperationException')
  assert.deepEqual(recorded(ignored), [['record', 'failed', 'DryRunOperationException', undefined]])
})

test('the owner of an external key is not asked, whatever it would say; what is not theirs to open is opened', async () => {
  const { client } = pair
  const KeyId = await newKey()
  const external = await client.ok('Encrypt', { KeyId: store.KeyId, Plaintext })
  const local = await client.ok('Encrypt', { KeyId, Plaintext })
  const changed = Buffer.from(external.CiphertextBlob, 'base64')
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
  const owner = pair.ownerControl()
  const revoked = { key: 'one/vault' }
  const dry = async (operation: string, input: object): Promise<string> =>
    (await client.call(operation, { ...input, DryRun: true })).json.__type
  for (const withdrawn of [false, true]) {
    if (withdrawn) await owner.revoke(revoked, { operation: 'revoke' })
    const before = ownerAsked()
    for (const CiphertextBlob of [external.CiphertextBlob, changed.toString('base64')]) {
      const answer = await client.call('Decrypt', { CiphertextBlob, DryRun: true })
      assert.equal(answer.json.__type, 'DryRunOperationException')
      assert.deepEqual(recorded(answer), [['record', 'failed', 'DryRunOperationException', undefined]])
      assert.equal(await dry('ReEncrypt', { CiphertextBlob, DestinationKeyId: KeyId }), 'DryRunOperationException')
    }
    const into = { DestinationKeyId: store.KeyId }
    const seen = await client.call('ReEncrypt', { CiphertextBlob: local.CiphertextBlob, ...into, DryRun: true })
    assert.deepEqual(recorded(seen), [['reEncrypt', 'failed', 'DryRun', PLAINTEXT.length]])
    const cut = Buffer.from(local.CiphertextBlob, 'base64').subarray(0, -1).toString('base64')
    assert.equal(await dry('ReEncrypt', { CiphertextBlob: cut, ...into }), 'InvalidCiphertextException')
    assert.equal(ownerAsked(), before)
    const { status } = await client.call('Decrypt', { CiphertextBlob: external.CiphertextBlob })
    assert.equal(status, withdrawn ? 400 : 200, 'in earnest the owner decides')
    assert.equal(ownerAsked(), before + 1)
  }
  await owner.restore(revoked, { operation: 'restore' })
  owner.close()
})
