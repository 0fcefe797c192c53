import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { verified } from '../access/caller.ts'
import { ownTenantOnly } from '../access/policy.ts'
import { Rules } from '../access/rules.ts'
import { type Call, Core } from '../core.ts'
import { HealthMonitor } from '../health.ts'
import { Admission } from '../load/admission.ts'
import { FakeOwner } from '../testing.ts'
import { answer } from './answer.ts'
import { ProtocolError } from './error.ts'
import { ERROR_NAMES } from './xks/handler.ts'

const CALLER = verified({
  protocol: 'xks',
  tenant: 'acme',
  principal: 'id',
  credentialId: 'id',
  region: '',
  sourceIp: '',
  peerName: '',
  userAgent: '',
})
const PLAINTEXT = Buffer.from('plain')
const TURNS = 1

function setup(t: TestContext, perSecond = 1000) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let now = 0
  const owner = new FakeOwner()
  owner.tenant('acme')
  owner.key('acme', 'k')
  const counted: string[] = []
  const defects: unknown[] = []
  const onDefect = (error: unknown) => defects.push(error)
  const quota = { perSecond, inFlight: 10 }
  const admission = new Admission({ quotaOf: () => quota, inFlight: 100, turns: TURNS, now: () => now })
  const core = new Core({
    ...owner,
    policy: ownTenantOnly,
    rules: new Rules([]),
    health: new HealthMonitor(owner.boundary),
    admission,
    onAnswered: ({ tenant }, key, outcome) => counted.push(`${tenant} ${key} ${outcome}`),
    onDefect,
  })
  const ask = (
    run: (call: Call) => Promise<unknown> = call => core.encrypt(call, PLAINTEXT, PLAINTEXT, false),
    keyId = 'k',
  ) =>
    answer({
      core,
      busy: false,
      onDefect,
      call: claims => ({
        caller: CALLER,
        claims,
        operation: 'encrypt',
        keyId,
        requestId: 'r',
        errorNames: ERROR_NAMES,
      }),
      run: async told => {
        await run(told({ principal: 'alice' }))
        return 'done'
      },
      refusal: name => name,
    })
  /** The boundary stops answering, until the returned function is called. */
  const hang = () => {
    const resume = Promise.withResolvers<void>()
    const { externalEncrypt, record } = owner.boundary
    Object.assign(owner.boundary, {
      externalEncrypt: async (...args: Parameters<typeof externalEncrypt>) => {
        await resume.promise
        return externalEncrypt(...args)
      },
      record: async (...args: Parameters<typeof record>) => {
        await resume.promise
        return record(...args)
      },
    })
    return resume.resolve
  }
  const pass = async (milliseconds: number) => {
    for (let i = 0; i < milliseconds; i++) {
      now++
      t.mock.timers.tick(1)
    }
    await new Promise(setImmediate)
  }
  const underWay = () => Object.fromEntries(admission.underWay())
  return { owner, core, ask, hang, pass, counted, defects, underWay }
}

test('an answer is counted by tenant, key and outcome; a name that no key has is not', async t => {
  const { ask, counted, underWay } = setup(t)
  assert.deepEqual(await ask(), { outcome: 'ok', reply: 'done' })
  assert.equal((await ask(undefined, 'none')).outcome, 'KeyNotFoundException')
  const wrong = async () => Promise.reject(new ProtocolError('ValidationException', 'why'))
  assert.equal((await ask(wrong)).outcome, 'ValidationException')
  assert.equal((await ask(wrong, 'none')).outcome, 'ValidationException')
  assert.deepEqual(counted, [
    'acme k ok',
    'acme  KeyNotFoundException',
    'acme k ValidationException',
    'acme  ValidationException',
  ])
  assert.deepEqual(underWay(), { acme: 0 })
})

test('a boundary that hangs: its caller is told in time, and what it does later is in its records', async t => {
  const { ask, hang, pass, counted, owner, underWay } = setup(t)
  const resume = hang()
  const asked = ask()
  let settled = false
  void asked.finally(() => {
    settled = true
  })
  await pass(199)
  assert.equal(settled, false)
  await pass(1)
  assert.deepEqual(await asked, { outcome: 'DependencyTimeoutException', reply: 'DependencyTimeoutException' })
  assert.deepEqual(counted, ['acme k DependencyTimeoutException'])
  assert.deepEqual(underWay(), { acme: 1 })
  assert.equal(owner.records.length, 0)
  resume()
  await pass(1)
  assert.deepEqual(underWay(), { acme: 0 })
  assert.deepEqual(
    owner.records.map(({ outcome, keyId, use }) => [outcome, keyId, use]),
    [['allowed', 'acme/k', true]],
  )
  assert.equal(counted.length, 1)
  assert.equal((await ask()).outcome, 'ok')
})

test('a refusal that cannot be recorded is told in time too', async t => {
  const { ask, hang, pass } = setup(t)
  hang()
  const refused = ask(undefined, 'none')
  await pass(200)
  assert.equal((await refused).outcome, 'DependencyTimeoutException')
})

test('a use that has not been asked of the boundary when time is over is not asked any more', async t => {
  const { ask, pass, owner } = setup(t)
  const peek = owner.replica.peek
  const get = owner.replica.get
  const row = Promise.withResolvers<void>()
  owner.replica.peek = () => undefined
  owner.replica.get = async (kind, id) => {
    await row.promise
    return get(kind, id)
  }
  const asked = ask()
  await pass(200)
  assert.equal((await asked).outcome, 'DependencyTimeoutException')
  owner.replica.peek = peek
  row.resolve()
  await pass(1)
  assert.deepEqual(
    owner.records.map(({ outcome, error, use }) => [outcome, error, use]),
    [['failed', 'DependencyTimeoutException', false]],
  )
})

test('whoever is turned away is told at once, the boundary is not asked, and nothing of the request is read', async t => {
  const { ask, owner, counted } = setup(t, 1)
  let read = 0
  const run = async () => {
    read++
  }
  assert.equal((await ask(run)).outcome, 'ok')
  assert.deepEqual(await ask(run), { outcome: 'ThrottlingException', reply: 'ThrottlingException' })
  assert.equal(read, 1)
  assert.equal(owner.records.length, 0)
  assert.deepEqual(counted, ['acme k ok', 'acme k ThrottlingException'])
})

test('where nothing is answered any more the next are told so at once', async t => {
  const { ask, hang, pass } = setup(t)
  hang()
  const first = Array.from({ length: 9 }, () => ask())
  await pass(200)
  for (const each of first) assert.equal((await each).outcome, 'DependencyTimeoutException')
  assert.equal((await ask()).outcome, 'DependencyTimeoutException')
})

test('a defect is answered and leaves nothing under way', async t => {
  const { ask, defects, underWay } = setup(t)
  assert.equal((await ask(async () => Promise.reject(new Error('foreseen by nobody')))).outcome, 'InternalException')
  assert.equal(defects.length, 1)
  assert.deepEqual(underWay(), { acme: 0 })
})

test('long uses of a tenant, and no others, take turns at the boundary', async t => {
  const { ask, owner, core, underWay } = setup(t)
  owner.key('acme', 'pair', { spec: 'RSA_2048' })
  let most = 0
  let atOnce = 0
  let done = () => {}
  const { externalUnwrap } = owner.boundary
  owner.boundary.externalUnwrap = async (...args) => {
    most = Math.max(most, ++atOnce)
    await new Promise<void>(resolve => {
      done = resolve
    })
    atOnce--
    return externalUnwrap(...args)
  }
  let wrapped: Buffer = Buffer.alloc(0)
  const wrap = async (call: Call) => {
    wrapped = (await core.wrap(call, 'RSA-OAEP-256', PLAINTEXT)).wrapped
  }
  assert.equal((await ask(wrap, 'pair')).outcome, 'ok')
  const all = Array.from({ length: 9 }, () => ask(call => core.unwrap(call, 'RSA-OAEP-256', wrapped, 0), 'pair'))
  assert.equal((await ask()).outcome, 'ok')
  assert.equal(atOnce, TURNS)
  let left = all.length
  for (const each of all) void each.then(() => left--)
  while (left > 0) {
    done()
    await new Promise(setImmediate)
  }
  for (const each of all) assert.equal((await each).outcome, 'ok')
  assert.equal(most, TURNS)
  assert.deepEqual(underWay(), { acme: 0 })
})
