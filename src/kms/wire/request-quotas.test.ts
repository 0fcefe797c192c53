import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { KEY_SPECS, type KeySpec } from '../../boundary/words.ts'
import { quotas, type RequestQuotas } from '../../config/quotas.ts'
import { ACCOUNT, OTHER, REGION, REGIONS, startTestKms } from '../testing.ts'
import { OPERATION_INPUTS } from './model/model.ts'
import { BY_KEY, BY_OPERATION, CLASS_OF_PAIR, CLASS_OF_SPEC, OF_KEY_STORES, type QuotaClass } from './quota-classes.ts'
import { RequestLimits } from './request-quotas.ts'

const DEFAULTS = quotas.parse({}).requests
const SYMMETRIC = 'SYMMETRIC_DEFAULT'

interface Use {
  readonly pairSpec?: string
  readonly account?: string
}

/** Limits over a clock that the test moves. */
function limitsOf(changes: Partial<RequestQuotas> = {}) {
  let now = 1000
  const limits = new RequestLimits({ ...DEFAULTS, ...changes }, REGIONS, () => now)
  return {
    take: (operation: string, account = ACCOUNT, region: string = REGION) => limits.take(account, region, operation),
    /** A request that finds its key, as the runner counts it. */
    use: (operation: string, spec: KeySpec, { pairSpec, account = ACCOUNT }: Use = {}) =>
      limits.take(account, REGION, operation) && limits.takeByKey(account, REGION, operation, spec, pairSpec),
    store: (operation: string, store: string) => limits.takeOfStore(operation, store),
    pass: (milliseconds: number) => {
      now += milliseconds
    },
  }
}

/** How many of an operation pass at once. */
function burst(take: () => boolean, most = 25_000): number {
  let count = 0
  while (count < most && take()) count++
  return count
}

/** What passes at once at a rate, after a rest, and after as long as one request takes. */
function hasRate(rate: number, take: () => boolean, pass: (milliseconds: number) => void): void {
  const full = Math.max(1, Math.floor(rate))
  assert.equal(burst(take), full)
  // A hair more than one takes, for what rounding loses.
  pass(1000.001 / rate)
  assert.equal(burst(take), 1)
  pass(3_600_000)
  assert.equal(burst(take), full)
}

/** One class with the smallest of rates, all others with plenty. */
function onlyOneOf(name: QuotaClass): Partial<RequestQuotas> {
  const { enforced: _, ...rates } = DEFAULTS
  return { ...Object.fromEntries(Object.keys(rates).map(each => [each, 1000])), [name]: 1 }
}

test('every class of the settings counts something, and every operation of the tables is one of the API and in one of them', () => {
  const { enforced: _, ...rates } = DEFAULTS
  const used = [
    ...Object.keys(BY_OPERATION),
    ...Object.values(CLASS_OF_SPEC),
    ...Object.values(CLASS_OF_PAIR),
    'keyStore',
    'rareChanges',
  ]
  assert.deepEqual([...new Set(used)].sort(), Object.keys(rates).sort())
  const all = [...Object.values(BY_OPERATION), ...BY_KEY].flatMap(({ operations }) => operations)
  assert.equal(new Set(all).size, all.length)
  for (const operation of [...all, ...OF_KEY_STORES]) assert.ok(OPERATION_INPUTS.has(operation), operation)
})

for (const operation of OPERATION_INPUTS.keys()) {
  if (BY_KEY.some(({ operations }) => operations.includes(operation))) continue
  test(`${operation} is limited at the rate of its class`, () => {
    const name = (Object.entries(BY_OPERATION).find(([, { operations }]) => operations.includes(operation))?.[0] ??
      'rareChanges') as QuotaClass
    const { take, pass } = limitsOf()
    hasRate(DEFAULTS[name], () => take(operation), pass)
  })
}

for (const { operations, classes } of BY_KEY.filter(({ operations: [first] }) => first !== 'GenerateDataKeyPair')) {
  for (const spec of Object.keys(KEY_SPECS) as KeySpec[]) {
    const name = CLASS_OF_SPEC[spec]
    test(`${operations.join(', ')} with a key of ${spec} are limited together at the rate ${name}, and take from no other`, () => {
      let next = 0
      const one = (use: ReturnType<typeof limitsOf>['use']) => use(operations[next++ % operations.length] ?? '', spec)
      // Other than the defaults, of which several are the same.
      const { use, pass } = limitsOf({ [name]: 17 })
      hasRate(17, () => one(use), pass)
      for (const other of classes.filter(each => each !== name)) {
        const free = limitsOf(onlyOneOf(other))
        assert.ok(burst(() => one(free.use)) >= 1000, `${other} is not asked`)
        const [witness] = Object.entries(CLASS_OF_SPEC).find(([, each]) => each === other) ?? []
        assert.ok(free.use(operations[0] ?? '', witness as KeySpec), `nothing was taken from ${other}`)
      }
    })
  }
}

for (const [pairSpec, name] of Object.entries(CLASS_OF_PAIR)) {
  test(`data key pairs of ${pairSpec} are limited at the rate ${name}, with and without the private key`, () => {
    let next = 0
    const { use, pass } = limitsOf({ cryptographic: 1 })
    const one = () =>
      use(next++ % 2 === 0 ? 'GenerateDataKeyPair' : 'GenerateDataKeyPairWithoutPlaintext', SYMMETRIC, { pairSpec })
    hasRate(DEFAULTS[name], one, pass)
    for (const other of Object.keys(CLASS_OF_PAIR).filter(each => each !== pairSpec))
      assert.ok(use('GenerateDataKeyPair', SYMMETRIC, { pairSpec: other }), `${other} has a bucket of its own`)
    assert.ok(use('Encrypt', SYMMETRIC), 'and pairs are not counted with other uses')
  })
}

test('the operations of a shared class take from one bucket, all others from their own', () => {
  const { take, use } = limitsOf({ cryptographic: 2, lists: 1, ecc: 2 })
  assert.ok(use('Encrypt', SYMMETRIC) && take('GenerateMac'))
  assert.ok(!use('Decrypt', SYMMETRIC) && !take('GenerateRandom'))
  assert.ok(use('Sign', 'ECC_NIST_P256') && take('DeriveSharedSecret') && !use('Verify', 'ECC_NIST_P521'))
  assert.ok(take('ListKeys') && take('ListAliases'))
  assert.ok(!take('ListKeys') && !take('ListAliases'))
  assert.ok(take('CreateKey'))
})

test('what names no key stays held, up to as much as all classes have, and what is refused by its class is not held', () => {
  const { use, take } = limitsOf({ rsa: 1, ecc: 2, mlDsa: 3 })
  assert.ok(use('Sign', 'RSA_2048'))
  for (let i = 0; i < 100; i++) assert.ok(!use('Sign', 'RSA_2048'))
  for (let i = 0; i < 2; i++) assert.ok(use('Sign', 'ECC_NIST_P256'))
  assert.equal(
    burst(() => take('Sign')),
    6,
  )
  assert.ok(!use('Verify', 'ML_DSA_65'))
  assert.ok(use('Encrypt', SYMMETRIC), 'other operations are none the worse for it')
})

test('each key store has a rate of its own, whoever asks, for the operations that AWS names', () => {
  const { store, take } = limitsOf({ keyStore: 2 })
  assert.ok(store('Encrypt', 'a/r/cks-1') && store('GenerateRandom', 'a/r/cks-1') && !store('Decrypt', 'a/r/cks-1'))
  assert.ok(store('Encrypt', 'a/r/cks-2'))
  assert.ok(store('DescribeKey', 'a/r/cks-1'), 'a look at a key is no use of its store')
  assert.ok(take('Decrypt'))
  for (let i = 0; i < 10_000; i++) store('Encrypt', `a/r/other-${i}`)
  assert.ok(store('Encrypt', 'a/r/cks-1'), 'one that was forgotten comes back with all of it')
})

test('no account takes from another, and no Region from another', () => {
  const { take } = limitsOf({ lists: 1 })
  assert.ok(take('ListKeys') && !take('ListKeys'))
  assert.ok(take('ListKeys', OTHER) && take('ListKeys', ACCOUNT, 'us-west-2'))
  assert.ok(!take('ListKeys', OTHER) && !take('ListKeys', ACCOUNT, 'us-west-2'))
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
