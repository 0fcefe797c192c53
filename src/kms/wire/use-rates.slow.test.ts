/** Rates of uses over a real boundary: which requests are refused, before what, and how often each is counted. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { quotas, type RequestQuotas } from '../../config/quotas.ts'
import { externalKey } from '../operations/testing/external-key.ts'
import { OTHER, REGION, REGIONS, startTestKms, user } from '../testing.ts'
import { RequestLimits } from './request-quotas.ts'

const DEFAULTS = quotas.parse({}).requests

/** A KMS with rates that last for the test: what was taken does not come back meanwhile. */
async function slowKms(changes: Partial<RequestQuotas>, stores: Parameters<typeof startTestKms>[0] = {}) {
  const plenty = Object.fromEntries(Object.keys(DEFAULTS).map(name => [name, 1000]))
  const limits = new RequestLimits({ ...DEFAULTS, ...plenty, ...changes, enforced: true }, REGIONS, () => 0)
  const kms = await startTestKms(stores, { limits })
  return {
    kms,
    made: async (input: object = {}): Promise<{ KeyId: string; Arn: string }> =>
      (await kms.ok('CreateKey', input)).KeyMetadata,
    throttled: async (operation: string, input: object, caller = user('u')): Promise<void> => {
      const before = await kms.records()
      assert.equal((await kms.call(operation, input, caller)).body.__type, 'ThrottlingException', operation)
      assert.equal(await kms.records(), before + 1)
    },
  }
}

test('a use that is too fast for its key is refused before the key is used, with one record; other keys are used', async () => {
  const { kms, made, throttled } = await slowKms({ rsa: 1, ecc: 1, cryptographic: 2 })
  try {
    const curve = await made({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' })
    const rsa = await made({ KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' })
    const { KeyId } = await made()
    const sign = { KeyId: curve.KeyId, Message: 'AA==', SigningAlgorithm: 'ECDSA_SHA_256' }
    await kms.ok('Sign', sign)
    await throttled('Sign', sign)
    await throttled('Verify', { ...sign, Signature: 'AA==' })
    const { CiphertextBlob } = await kms.ok('Encrypt', { KeyId, Plaintext: 'AA==' })
    await kms.ok('GenerateDataKey', { KeyId, NumberOfBytes: 1 })
    await throttled('Encrypt', { KeyId, Plaintext: 'AA==' })
    await throttled('GenerateRandom', { NumberOfBytes: 1 })
    await throttled('Decrypt', { CiphertextBlob })
    const byRsa = { KeyId: rsa.KeyId, Plaintext: 'AA==', EncryptionAlgorithm: 'RSAES_OAEP_SHA_256' }
    await kms.ok('Encrypt', byRsa)
    await throttled('Encrypt', byRsa)
    await kms.ok('DescribeKey', { KeyId })
  } finally {
    await kms.stop()
  }
})

test('a request is counted once, however often it is decided, and with two keys', async () => {
  const { kms, made, throttled } = await slowKms({ cryptographic: 5 })
  try {
    const [one, two] = [await made(), await made()]
    const { CiphertextBlob } = await kms.ok('Encrypt', { KeyId: one.KeyId, Plaintext: 'AA==' })
    await kms.ok('ReEncrypt', { CiphertextBlob, DestinationKeyId: two.KeyId })
    // What the policy asks for is not in memory: the request is decided once before it is loaded, and once after.
    const Condition = { 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': 'alias/mine' } }
    const byAlias = user('by-alias', [{ Effect: 'Allow', Action: 'kms:*', Resource: '*', Condition }])
    await kms.ok('CreateAlias', { AliasName: 'alias/mine', TargetKeyId: one.KeyId })
    await kms.ok('Decrypt', { CiphertextBlob }, byAlias)
    for (let i = 0; i < 2; i++) await kms.ok('Decrypt', { CiphertextBlob })
    await throttled('Decrypt', { CiphertextBlob })
  } finally {
    await kms.stop()
  }
})

test('a use of a key in a custom key store counts toward the store and the account, and with two keys each store once', async () => {
  /** An owner who keeps nothing from anybody: what counts is that the owner is asked. */
  let asked = 0
  const { kms, made, throttled } = await slowKms(
    { keyStore: 4, cryptographic: 6 },
    {
      checkKey: async () => {},
      encrypt: async (_store, _key, ciphertext) => {
        asked++
        const [iv, tag, metadata] = [12, 16, 0].map(length => Buffer.alloc(length)) as [Buffer, Buffer, Buffer]
        return { iv, tag, metadata, ciphertext, integrityValue: undefined }
      },
      decrypt: async (_store, _key, { ciphertext }) => {
        asked++
        return ciphertext
      },
    },
  )
  try {
    const KeyId = await externalKey(kms)
    const other = await made()
    const { CiphertextBlob } = await kms.ok('Encrypt', { KeyId, Plaintext: 'AA==' })
    await kms.ok('Decrypt', { CiphertextBlob })
    await kms.ok('ReEncrypt', { CiphertextBlob, DestinationKeyId: KeyId })
    assert.equal(asked, 4)
    const { CiphertextBlob: inner } = await kms.ok('Encrypt', { KeyId: other.KeyId, Plaintext: 'AA==' })
    await kms.ok('ReEncrypt', { CiphertextBlob: inner, DestinationKeyId: KeyId })
    await throttled('Decrypt', { CiphertextBlob })
    assert.equal(asked, 5)
    await kms.ok('DescribeKey', { KeyId })
    await throttled('Encrypt', { KeyId: other.KeyId, Plaintext: 'AA==' })
  } finally {
    await kms.stop()
  }
})

test('who may not use a key learns nothing of it: refusals come before rates, the same for keys that are not there', async () => {
  const { kms, made, throttled } = await slowKms({ rsa: 1 })
  try {
    const rsa = await made({ KeySpec: 'RSA_2048', KeyUsage: 'SIGN_VERIFY' })
    const stranger = user('stranger', undefined, OTHER)
    const own = (await kms.ok('CreateKey', { KeySpec: 'RSA_2048', KeyUsage: 'SIGN_VERIFY' }, stranger)).KeyMetadata
    const sign = { Message: 'AA==', SigningAlgorithm: 'RSASSA_PSS_SHA_256' }
    await kms.ok('Sign', { ...sign, KeyId: own.KeyId }, stranger)
    await throttled('Sign', { ...sign, KeyId: own.KeyId }, stranger)
    const nowhere = rsa.Arn.replace(/[0-9a-f]{12}$/, '0'.repeat(12))
    for (const KeyId of [rsa.Arn, nowhere]) {
      const { body } = await kms.call('Sign', { ...sign, KeyId }, stranger)
      assert.equal(body.__type, 'AccessDeniedException', KeyId)
    }
    await kms.ok('Sign', { ...sign, KeyId: rsa.KeyId })
  } finally {
    await kms.stop()
  }
})

test('a new replica counts as two keys made in its Region, a new primary in both of its Regions', async () => {
  const { kms, made } = await slowKms({ rareChanges: 4 })
  try {
    const { KeyId } = await made({ MultiRegion: true })
    await kms.ok('ReplicateKey', { KeyId, ReplicaRegion: 'us-west-2' })
    for (let i = 0; i < 2; i++) await kms.ok('CreateKey', {}, user('u'), 'us-west-2')
    assert.equal((await kms.call('CreateKey', {}, user('u'), 'us-west-2')).body.__type, 'ThrottlingException')
    const second = await made({ MultiRegion: true })
    const throttled = async (operation: string, input: object): Promise<void> =>
      assert.equal((await kms.call(operation, input)).body.__type, 'ThrottlingException', operation)
    await throttled('ReplicateKey', { KeyId: second.KeyId, ReplicaRegion: 'us-west-2' })
    for (let turn = 0; turn < 2; turn++)
      for (const [from, PrimaryRegion] of [
        [REGION, 'us-west-2'],
        ['us-west-2', REGION],
      ] as const)
        await kms.ok('UpdatePrimaryRegion', { KeyId, PrimaryRegion }, user('u'), from)
    await throttled('UpdatePrimaryRegion', { KeyId, PrimaryRegion: 'us-west-2' })
  } finally {
    await kms.stop()
  }
})
