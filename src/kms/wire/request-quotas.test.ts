import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { KeySpec } from '../../boundary/words.ts'
import { quotas, type RequestQuotas } from '../../config/quotas.ts'
import { ACCOUNT, OTHER, REGION, startTestKms } from '../testing.ts'
import { OPERATION_INPUTS } from './model/model.ts'
import { GATES, QUOTA_CLASSES, type QuotaClass, RequestLimits } from './request-quotas.ts'

const DEFAULTS = quotas.parse({}).requests
const REGIONS = [REGION, 'eu-west-1']

interface Use {
  readonly keyStoreId?: string
  readonly pairSpec?: string
  readonly account?: string
}

/** Limits over a clock that the test moves. */
function limitsOf(changes: Partial<RequestQuotas> = {}) {
  let now = 1000
  const limits = new RequestLimits({ ...DEFAULTS, ...changes }, REGIONS, () => now)
  return {
    take: (operation: string, account = ACCOUNT, region = REGION) => limits.take(account, region, operation),
    /** Both counts of a request, as the runner makes them. */
    use: (operation: string, spec: KeySpec, { keyStoreId = '', pairSpec, account = ACCOUNT }: Use = {}) =>
      limits.take(account, REGION, operation) &&
      limits.takeByKey(account, REGION, operation, spec, keyStoreId, pairSpec),
    pass: (milliseconds: number) => {
      now += milliseconds
    },
  }
}

/** How many of an operation pass at once. */
function burst(take: () => boolean, most = 20_000): number {
  let count = 0
  while (count < most && take()) count++
  return count
}

/** Classes that only a key leads to, and those that stand before them. */
const BY_KEY: readonly string[] = ['keyStore', ...Object.values(GATES).flat()]

test('every class of the settings is in the table or follows from a key, and every operation of the table is one of the API', () => {
  const { enforced: _, ...rates } = DEFAULTS
  const settings = Object.keys(rates).filter(name => !BY_KEY.includes(name))
  assert.deepEqual(Object.keys(QUOTA_CLASSES).sort(), [...settings, ...Object.keys(GATES)].sort())
  for (const name of BY_KEY) assert.ok(name in rates, name)
  const all = Object.values(QUOTA_CLASSES).flatMap(({ operations }) => operations)
  assert.equal(new Set(all).size, all.length)
  for (const operation of all) assert.ok(OPERATION_INPUTS.has(operation), operation)
})

/** Each of the five curves has a bucket of its own. */
const CURVES = 5
const gateOf = (name: keyof typeof GATES): number =>
  GATES[name].reduce((sum, each) => sum + DEFAULTS[each] * (each === 'dataKeyPairsEcc' ? CURVES : 1), 0)

for (const operation of OPERATION_INPUTS.keys()) {
  test(`${operation} is limited at the rate of its class`, () => {
    const name = (Object.entries(QUOTA_CLASSES).find(([, { operations }]) => operations.includes(operation))?.[0] ??
      'rareChanges') as QuotaClass
    const rate = name === 'asymmetric' || name === 'dataKeyPairs' ? gateOf(name) : DEFAULTS[name]
    const { take, pass } = limitsOf()
    assert.equal(
      burst(() => take(operation)),
      Math.max(1, Math.floor(rate)),
    )
    // A hair more than one takes, for what rounding loses.
    pass(1000.001 / rate)
    assert.equal(
      burst(() => take(operation)),
      1,
    )
    pass(3_600_000)
    assert.equal(
      burst(() => take(operation)),
      Math.max(1, Math.floor(rate)),
    )
  })
}

test('the operations of a shared class take from one bucket, all others from their own', () => {
  const { take } = limitsOf({ cryptographic: 2, lists: 1 })
  assert.ok(take('Encrypt') && take('GenerateMac'))
  assert.ok(!take('Decrypt') && !take('GenerateRandom'))
  assert.ok(take('ListKeys') && take('ListAliases'))
  assert.ok(!take('ListKeys') && !take('ListAliases'))
  assert.ok(take('CreateKey') && take('Sign'))
})

test('a use counts once, in the class of its key: symmetric and HMAC, RSA, curves, post-quantum, each pair spec, each key store', () => {
  const one = { cryptographic: 1, rsa: 1, ecc: 1, postQuantum: 1, keyStore: 1 }
  const pairs = { dataKeyPairsRsa2048: 1, dataKeyPairsRsa3072: 1, dataKeyPairsRsa4096: 1, dataKeyPairsEcc: 1 }
  const { use } = limitsOf({ ...one, ...pairs })
  assert.ok(use('Encrypt', 'RSA_2048'))
  assert.ok(!use('Decrypt', 'RSA_4096') && !use('Sign', 'RSA_3072'), 'RSA is one class')
  assert.ok(use('Sign', 'ECC_NIST_P256') && !use('DeriveSharedSecret', 'ECC_NIST_P521'))
  assert.ok(use('Verify', 'ML_DSA_44') && !use('Decapsulate', 'ML_KEM_512'))
  assert.ok(use('Encrypt', 'SYMMETRIC_DEFAULT'), 'what RSA keys took was given back')
  assert.ok(!use('GenerateMac', 'HMAC_256'))
  const pair = (pairSpec: string) => use('GenerateDataKeyPair', 'SYMMETRIC_DEFAULT', { pairSpec })
  for (const spec of ['RSA_2048', 'RSA_3072', 'RSA_4096', 'ECC_NIST_P256', 'ECC_NIST_P384'])
    assert.ok(pair(spec) && !pair(spec), spec)
  const { use: inStores } = limitsOf({ ...one, cryptographic: 10 })
  const inStore = (keyStoreId: string, account = ACCOUNT) =>
    inStores('Encrypt', 'SYMMETRIC_DEFAULT', { keyStoreId, account })
  assert.ok(inStore('store 1') && !inStore('store 1', OTHER), 'whoever asks')
  assert.ok(inStore('store 2'))
})

test('what is refused by its key leaves the first class as it was, and what never finds its key stays counted there', () => {
  const { use, take } = limitsOf({ rsa: 1, ecc: 1, postQuantum: 1 })
  assert.ok(use('Sign', 'RSA_2048'))
  for (let i = 0; i < 100; i++) assert.ok(!use('Sign', 'RSA_2048'))
  assert.ok(use('Sign', 'ECC_NIST_P256'))
  assert.equal(
    burst(() => take('Sign')),
    3,
  )
  assert.ok(!use('Verify', 'ML_DSA_65'))
})

test('no account takes from another, and no Region from another', () => {
  const { take } = limitsOf({ lists: 1 })
  assert.ok(take('ListKeys') && !take('ListKeys'))
  assert.ok(take('ListKeys', OTHER) && take('ListKeys', ACCOUNT, 'eu-west-1'))
  assert.ok(!take('ListKeys', OTHER) && !take('ListKeys', ACCOUNT, 'eu-west-1'))
})

test('what is no operation is not limited', () => {
  const { take } = limitsOf()
  for (const name of ['', 'toString', 'GetCallerIdentity'])
    assert.equal(
      burst(() => take(name), 1000),
      1000,
    )
})

test('over any while no more pass than the rate and one burst', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.5, max: 50, noNaN: true }),
      fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 300 }),
      (rate, waits) => {
        const { take, pass } = limitsOf({ lists: rate })
        let passed = 0
        let time = 0
        for (const wait of waits) {
          pass(wait)
          time += wait
          if (take('ListKeys')) passed++
        }
        assert.ok(passed <= Math.max(1, rate) + (time * rate) / 1000 + 1e-6)
        // Whoever asks slower than the rate is never refused.
        if (waits.every(wait => wait >= 1000 / rate)) assert.equal(passed, waits.length)
      },
    ),
  )
})

test('an account that was forgotten comes back with full buckets', () => {
  const { take } = limitsOf({ lists: 1 })
  assert.ok(take('ListKeys', 'first') && !take('ListKeys', 'first'))
  for (let i = 0; i < 10_000; i++) take('ListKeys', `account ${i}`)
  assert.ok(take('ListKeys', 'first'))
})

test('a request that is too fast is refused in AWS’s words, before it is looked at, and has one record', async () => {
  const limits = new RequestLimits({ ...DEFAULTS, lists: 1, rareChanges: 0.001 }, [REGION])
  const kms = await startTestKms({}, { limits })
  try {
    await kms.ok('ListKeys')
    const before = await kms.records()
    for (const input of [{}, { Limit: 'no number' }]) {
      const { status, body } = await kms.call('ListKeys', input)
      assert.equal(status, 400)
      assert.deepEqual(body, {
        __type: 'ThrottlingException',
        message: 'You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.',
      })
    }
    assert.equal(await kms.records(), before + 2)
    await kms.ok('CreateKey')
    assert.equal((await kms.call('CreateKey')).body.__type, 'ThrottlingException')
    await kms.ok('GenerateRandom', { NumberOfBytes: 1 })
  } finally {
    await kms.stop()
  }
})

test('a use that is too fast for its key is refused before its key is used, and has one record', async () => {
  const limits = new RequestLimits({ ...DEFAULTS, ecc: 0.001 }, [REGION])
  const kms = await startTestKms({}, { limits })
  try {
    const made = async (input: object) => (await kms.ok('CreateKey', input)).KeyMetadata.KeyId
    const curve = await made({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' })
    const symmetric = await made({})
    const sign = { KeyId: curve, Message: 'AA==', SigningAlgorithm: 'ECDSA_SHA_256' }
    await kms.ok('Sign', sign)
    const before = await kms.records()
    assert.equal((await kms.call('Sign', sign)).body.__type, 'ThrottlingException')
    assert.equal((await kms.call('Verify', { ...sign, Signature: 'AA==' })).body.__type, 'ThrottlingException')
    assert.equal(await kms.records(), before + 2)
    await kms.ok('Encrypt', { KeyId: symmetric, Plaintext: 'AA==' })
  } finally {
    await kms.stop()
  }
})
