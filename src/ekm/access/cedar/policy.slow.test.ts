import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { readKeyHeader } from '../../../boundary/crypto/sealed.ts'
import { BoundaryError, type KeyHeader } from '../../../boundary/words.ts'
import type { Call } from '../../core.ts'
import { factsOf } from '../../facts.ts'
import { FakeOwner } from '../../testing.ts'
import { verified } from '../caller.ts'
import type { Claims } from '../claims.ts'
import type { Decision } from '../policy.ts'
import { SERVICE_POLICY, starterPolicy } from './names.ts'
import { CedarPolicy } from './policy.ts'

const ERROR_NAMES = {} as Call['errorNames']
const TENANTS = ['a', 'b', 'a/b', '/'] as const

function setup() {
  const owner = new FakeOwner()
  const defects: unknown[] = []
  const reads = { peeked: true }
  const replica = {
    get: owner.replica.get,
    peek: ((kind, id) => (reads.peeked ? owner.replica.peek(kind, id) : undefined)) as typeof owner.replica.peek,
  }
  const policy = new CedarPolicy({ replica, now: () => 0, onDefect: error => defects.push(error) })
  const headers = new Map<string, KeyHeader>()
  for (const tenant of TENANTS) {
    owner.key(tenant, 'k')
    const body = owner.rows.get(`key ${tenant}/k`)?.body
    headers.set(tenant, readKeyHeader(body ?? Buffer.alloc(0)))
  }
  const set = (name: string, text: string | null) =>
    owner.put('owner-policy', name, name, text === null ? null : Buffer.from(text))
  const decide = async (
    tenant: string,
    keyOf = tenant,
    claims: Claims = {},
    operation = 'encrypt',
  ): Promise<Decision> =>
    policy.decide(
      callOf(tenant, claims, operation),
      operation === 'decrypt' ? 'unwrap' : 'wrap',
      headers.get(keyOf) as KeyHeader,
    )
  return { owner, policy, set, decide, defects, reads }
}

function callOf(tenant: string, claims: Claims, operation: string): Call {
  const caller = verified({
    protocol: 'xks',
    tenant,
    principal: 'PEER',
    credentialId: 'PEER',
    region: '',
    sourceIp: '192.0.2.7',
    peerName: '',
    userAgent: '',
  })
  return { caller, claims, operation, keyId: 'k', requestId: '1', errorNames: ERROR_NAMES }
}

const ALL = 'permit (principal, action, resource);'

test('a tenant without a policy, or with an empty one, can do nothing', async () => {
  const { decide, set } = setup()
  assert.deepEqual(await decide('a'), { allowed: false, policies: [] })
  set('a', '')
  assert.deepEqual(await decide('a'), { allowed: false, policies: [] })
  set('b', ALL)
  assert.equal((await decide('a/b')).allowed, false, 'another tenant’s policy does not help')
  set(SERVICE_POLICY, ALL)
  await assert.rejects(decide('a'), { code: 'Unavailable' }, 'the service’s policy only forbids')
})

test('every change is in force at once: of the tenant’s policy, of the service’s, and a deletion', async () => {
  const { decide, set, policy } = setup()
  set('a', starterPolicy('a'))
  assert.deepEqual(await decide('a'), { allowed: true, policies: ['own-callers'] })
  assert.equal(policy.cached, 1)
  set('a', `${starterPolicy('a')} @id("no") forbid (principal, action, resource);`)
  assert.deepEqual(await decide('a'), { allowed: false, policies: ['no'] })
  set('a', starterPolicy('a'))
  set(SERVICE_POLICY, '@id("stop") forbid (principal, action, resource);')
  assert.deepEqual(await decide('a'), { allowed: false, policies: ['service:stop'] })
  set(SERVICE_POLICY, null)
  assert.equal((await decide('a')).allowed, true)
  set('a', null)
  assert.equal((await decide('a')).allowed, false)
})

test('a policy that is not in memory is read, and one that cannot be read allows nothing', async () => {
  const { decide, set, owner, reads } = setup()
  set('a', starterPolicy('a'))
  reads.peeked = false
  assert.equal((await decide('a')).allowed, true)
  owner.broken = new BoundaryError('Unavailable')
  await assert.rejects(decide('a'), { name: 'BoundaryError', code: 'Unavailable' })
})

test('a policy that this version cannot parse allows nothing, and the operator is told once', async () => {
  const { decide, set, defects } = setup()
  set('a', 'permit (principal, action, resource) whenever { it suits };')
  for (let i = 0; i < 3; i++) await assert.rejects(decide('a'), { name: 'BoundaryError', code: 'Unavailable' })
  assert.equal(defects.length, 1)
  set('b', starterPolicy('b'))
  assert.equal((await decide('b')).allowed, true, 'the others are served')
  set('b', '@id("x") permit (principal, action, resource); @id("x") forbid (principal, action, resource);')
  await assert.rejects(decide('b'), { code: 'Unavailable' })
  set('a', starterPolicy('a'))
  assert.equal((await decide('a')).allowed, true)
})

test('promise 5: an operation that nobody has declared, or that asks for another action than it declares, is refused', async () => {
  const { decide, set, policy, owner } = setup()
  set('a', ALL)
  await assert.rejects(decide('a', 'a', {}, 'export'), { name: 'BoundaryError', code: 'Internal' })
  const header = readKeyHeader(owner.rows.get('key a/k')?.body ?? Buffer.alloc(0))
  assert.throws(() => policy.decide(callOf('a', {}, 'decrypt'), 'wrap', header), { code: 'Internal' })
})

test('more tenants than are held ready: each is decided by its own policy', async () => {
  const { owner, policy } = setup()
  const header = readKeyHeader(owner.rows.get('key a/k')?.body ?? Buffer.alloc(0))
  for (let round = 0; round < 2; round++) {
    for (let n = 0; n < 1100; n++) {
      const tenant = `t${n}`
      if (round === 0) owner.put('owner-policy', tenant, tenant, Buffer.from(n % 2 === 0 ? `@id("p${n}") ${ALL}` : ''))
      const decision = await policy.decide(callOf(tenant, {}, 'encrypt'), 'wrap', { ...header, account: tenant })
      assert.deepEqual(
        decision,
        n % 2 === 0 ? { allowed: true, policies: [`p${n}`] } : { allowed: false, policies: [] },
      )
    }
  }
})

const broad = fc.constantFrom(
  ALL,
  'permit (principal in Tenant::"a", action, resource in Tenant::"b");',
  'permit (principal, action, resource in Tenant::"a/b");',
  'permit (principal == Peer::"xks:PEER", action, resource == Key::"b/k");',
  'permit (principal, action, resource) unless { resource in Tenant::"/" };',
  '',
)

test('property: whatever policies say, no tenant’s policy allows anything on another tenant, nor to its callers', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(broad, { minLength: TENANTS.length, maxLength: TENANTS.length }),
      fc.constantFrom(...TENANTS),
      fc.constantFrom(...TENANTS),
      async (texts, caller, keyOf) => {
        const { decide, set } = setup()
        for (const [n, tenant] of TENANTS.entries()) if (texts[n] !== '') set(tenant, texts[n] ?? '')
        const { allowed } = await decide(caller, keyOf)
        if (caller !== keyOf) assert.equal(allowed, false)
        if (texts[TENANTS.indexOf(caller)] === '') assert.equal(allowed, false)
        if (caller === keyOf && texts[TENANTS.indexOf(caller)] === ALL) assert.equal(allowed, true)
      },
    ),
    { numRuns: 60 },
  )
})

test('records say which policies decided', async () => {
  const { decide, set } = setup()
  set(
    'a',
    `${starterPolicy('a')} @id("one") forbid (principal, action, resource); @id("two") forbid (principal, action, resource);`,
  )
  const decision = await decide('a')
  assert.deepEqual(
    factsOf(callOf('a', {}, 'encrypt'), decision)
      .policy?.split(',')
      .sort(),
    ['one', 'two'],
  )
  assert.equal(factsOf(callOf('a', {}, 'encrypt')).policy, undefined)
})
