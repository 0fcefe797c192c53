import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { quotas, type RequestQuotas } from '../../config/quotas.ts'
import { ACCOUNT, OTHER, REGION, startTestKms } from '../testing.ts'
import { OPERATION_INPUTS } from './model/model.ts'
import { QUOTA_CLASSES, type QuotaClass, RequestLimits } from './request-quotas.ts'

const DEFAULTS = quotas.parse({}).requests
const REGIONS = [REGION, 'eu-west-1']

/** Limits over a clock that the test moves. */
function limitsOf(changes: Partial<RequestQuotas> = {}) {
  let now = 1000
  const limits = new RequestLimits({ ...DEFAULTS, ...changes }, REGIONS, () => now)
  return {
    take: (operation: string, account = ACCOUNT, region = REGION) => limits.take(account, region, operation),
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

test('every class of the settings is in the table, and every operation of the table is one of the API', () => {
  const { enforced: _, ...rates } = DEFAULTS
  assert.deepEqual(Object.keys(QUOTA_CLASSES).sort(), Object.keys(rates).sort())
  const all = Object.values(QUOTA_CLASSES).flatMap(({ operations }) => operations)
  assert.equal(new Set(all).size, all.length)
  for (const operation of all) assert.ok(OPERATION_INPUTS.has(operation), operation)
})

for (const operation of OPERATION_INPUTS.keys()) {
  test(`${operation} is limited at the rate of its class`, () => {
    const name = (Object.entries(QUOTA_CLASSES).find(([, { operations }]) => operations.includes(operation))?.[0] ??
      'rareChanges') as QuotaClass
    const rate = DEFAULTS[name]
    const { take, pass } = limitsOf()
    assert.equal(
      burst(() => take(operation)),
      Math.max(1, rate),
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
      Math.max(1, rate),
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
