import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import type { Claims } from '../claims.ts'
import { actionOf, allOperations } from '../operations.ts'
import type { Action } from '../policy.ts'
import { CacheSpace } from './cache.ts'
import { CompiledPolicies, type PolicyTexts } from './compiled.ts'
import { PolicySet } from './engine.ts'
import { type Asked, CONTEXT_FIELDS, contextOf, type KeyFacts } from './input.ts'
import { starterPolicy } from './names.ts'
import { scan } from './scan.ts'

const TENANT = 'acme'
const NOON = Date.UTC(2026, 10, 28, 12)
const KEY: KeyFacts = {
  id: `${TENANT}/files`,
  account: TENANT,
  spec: 'EXTERNAL_AES_256',
  backing: 'SEALED',
  mayEncrypt: true,
  mayDecrypt: true,
}

const compile = (texts: Partial<PolicyTexts>) =>
  new CompiledPolicies({ tenant: undefined, service: undefined, ...texts }, new CacheSpace(1 << 20))

function ask(claims: Claims = {}, operation = 'xks:encrypt', caller: Partial<Asked['caller']> = {}): [Asked, Action] {
  const [protocol = '', name = ''] = operation.split(':')
  const own = {
    protocol,
    tenant: TENANT,
    principal: 'PEER',
    credentialId: 'PEER',
    region: 'eu-central-1',
    sourceIp: '192.0.2.7',
    peerName: '',
  }
  return [{ operation: name, caller: { ...own, ...caller }, claims }, actionOf(protocol, name) ?? 'wrap']
}

test('the starter policy lets the callers of its tenant do everything with its keys', () => {
  const policies = compile({ tenant: starterPolicy(TENANT) })
  for (const { operation, action } of allOperations())
    assert.deepEqual(policies.decide(ask({}, operation)[0], action, KEY, NOON), {
      allowed: true,
      policies: ['own-callers'],
    })
  policies.release()
})

/** What an owner writes; each line: the condition of a forbid, a call that it hits, and one that it does not. */
const CONDITIONS: readonly (readonly [string, Parameters<typeof ask>, Parameters<typeof ask>, number?])[] = [
  ['action in Action::"unwrap"', [{}, 'xks:decrypt'], [{}, 'xks:encrypt']],
  ['action == Action::"kacls:digest"', [{}, 'kacls:digest'], [{}, 'kacls:unwrap']],
  ['principal == Peer::"xks:PEER"', [], [{}, 'azure:wrapkey']],
  ['principal in Protocol::"xks"', [], [{}, 'google:wrap']],
  ['principal in Tenant::"acme"', [], [{}, 'xks:encrypt', { tenant: 'other' }]],
  ['principal.certificate == ""', [], [{}, 'xks:encrypt', { peerName: 'cks.kms.eu-central-1.amazonaws.com' }]],
  ['principal.credential like "P*"', [], [{}, 'xks:encrypt', { credentialId: 'Q' }]],
  ['resource == Key::"acme/files" && resource.spec == "AES_256" && resource.usage == "both"', [], [], NOON],
  [
    'context.reason == "THIRD_PARTY_DATA_REQUEST"',
    [{ reason: 'THIRD_PARTY_DATA_REQUEST' }],
    [{ reason: 'REASON_NOT_EXPECTED' }],
  ],
  ['context.reason == "REASON_UNSPECIFIED"', [], [{ reason: 'CUSTOMER_INITIATED_ACCESS' }]],
  ['context.reason == "REASON_UNKNOWN"', [{ reason: 'A_NEW_ONE' }], []],
  [
    'context.claimedPrincipal like "arn:aws:iam::1111:*"',
    [{ principal: 'arn:aws:iam::1111:user/a' }],
    [{ principal: 'arn:aws:iam::2222:user/a' }],
  ],
  ['context.claimedAccount == "1111"', [{ account: '1111' }], [{ account: '2222' }]],
  ['context.claimedViaService == ""', [], [{ viaService: 'ebs' }]],
  ['context.claimedEmail == "eve@example.com"', [{ email: 'eve@example.com' }], [{ email: 'alice@example.com' }]],
  ['context.claimedPool == "p"', [{ pool: 'p' }], [{ pool: 'q' }]],
  [
    'context.claimedResource == "doc" && context.claimedPerimeter == ""',
    [{ resource: 'doc' }],
    [{ resource: 'doc', perimeter: 'x' }],
  ],
  ['context.region != "eu-central-1"', [{}, 'xks:encrypt', { region: 'us-east-1' }], []],
  [
    'context has sourceIp && context.sourceIp.isInRange(ip("192.0.2.0/24"))',
    [],
    [{}, 'xks:encrypt', { sourceIp: '198.51.100.1' }],
  ],
  ['!(context has sourceIp)', [{}, 'xks:encrypt', { sourceIp: '' }], []],
  [
    'context has sourceIp && context.sourceIp.isInRange(ip("10.0.0.0/8"))',
    [{}, 'xks:encrypt', { sourceIp: '::ffff:10.1.2.3' }],
    [],
  ],
  ['context has sourceIp && context.sourceIp.isIpv6()', [{}, 'xks:encrypt', { sourceIp: 'fe80::1%eth0' }], []],
]

for (const [condition, hit, other, same] of CONDITIONS) {
  test(`forbid when ${condition}`, () => {
    const policies = compile({
      tenant: `${starterPolicy(TENANT)}\npermit (principal, action, resource);\n@id("no") forbid (principal, action, resource) when { ${condition} };`,
    })
    const decide = (call: Parameters<typeof ask>) => {
      const [asked, action] = ask(...call)
      return policies.decide(asked, action, KEY, NOON)
    }
    assert.deepEqual(decide(hit), { allowed: false, policies: ['no'] })
    if (same === undefined) assert.equal(decide(other).allowed, true)
    policies.release()
  })
}

test('time: hours, weekdays and dates are those of UTC, now, although decisions are cached', () => {
  const policies = compile({
    tenant: `permit (principal, action, resource) when {
      context.hour >= 8 && context.hour < 18 && context.weekday != "Saturday" && context.weekday != "Sunday"
        && context.time < datetime("2027-01-01") };`,
  })
  const at = (time: string) => policies.decide(...ask(), KEY, Date.parse(time)).allowed
  for (let again = 0; again < 2; again++) {
    assert.equal(at('2026-11-27T08:00:00Z'), true, 'a Friday')
    assert.equal(at('2026-11-27T07:59:59Z'), false)
    assert.equal(at('2026-11-27T18:00:00Z'), false)
    assert.equal(at('2026-11-28T12:00:00Z'), false, 'a Saturday')
    assert.equal(at('2026-12-31T17:59:59Z'), true)
    assert.equal(at('2027-01-01T08:00:00Z'), false)
  }
  policies.release()
})

test('a policy that does not ask for the time, or for claims, decides once for all of them', () => {
  const policies = compile({ tenant: starterPolicy(TENANT) })
  for (let i = 0; i < 100; i++)
    policies.decide(...ask({ principal: `session-${i}`, requestId: String(i) }), KEY, NOON + i)
  assert.equal(policies.cached, 1)
  policies.release()
})

test('the service’s forbids come before what a tenant permits, and its decision names them', () => {
  const service = '@id("never") forbid (principal, action in Action::"unwrap", resource);'
  const policies = compile({ tenant: starterPolicy(TENANT), service })
  assert.deepEqual(policies.decide(...ask({}, 'xks:decrypt'), KEY, NOON), {
    allowed: false,
    policies: ['service:never'],
  })
  assert.equal(policies.decide(...ask(), KEY, NOON).allowed, true)
  policies.release()
})

test('a policy that cannot be evaluated denies: it might have forbidden', () => {
  const overflow = '@id("sum") forbid (principal, action, resource) when { context.hour + 9223372036854775807 < 0 };'
  const policies = compile({ tenant: starterPolicy(TENANT) + overflow })
  assert.deepEqual(policies.decide(...ask(), KEY, NOON), { allowed: false, policies: ['error:sum'] })
  policies.release()
})

test('policies without an id are numbered by their place', () => {
  const policies = compile({
    tenant: 'permit (principal, action, resource);\nforbid (principal, action in Action::"sign", resource);',
  })
  assert.deepEqual(policies.decide(...ask(), KEY, NOON).policies, ['policy1'])
  assert.deepEqual(policies.decide(...ask({}, 'kacls:privatekeysign'), KEY, NOON).policies, ['policy2'])
  policies.release()
})

test('an order to revoke comes with the denial of its own policy, the largest one where there are several', () => {
  const tenant = `${starterPolicy(TENANT)}
    @id("a") @revoke("key") forbid (principal, action, resource) when { context.reason == "THIRD_PARTY_DATA_REQUEST" };
    @id("b") @revoke("tenant") forbid (principal, action, resource) when { context.claimedAccount == "666" };
    @id("c") forbid (principal, action, resource) when { context.claimedPool == "p" };`
  const policies = compile({
    tenant,
    service: '@id("d") @revoke("protocol") forbid (principal, action, resource) when { context.claimedEmail == "e" };',
  })
  const revoke = (claims: Claims) => policies.decide(...ask(claims), KEY, NOON).revoke
  const reason = 'THIRD_PARTY_DATA_REQUEST'
  assert.deepEqual(revoke({ reason }), { scope: 'key', policy: 'a' })
  assert.deepEqual(revoke({ reason, account: '666' }), { scope: 'tenant', policy: 'b' })
  assert.deepEqual(revoke({ reason, email: 'e' }), { scope: 'protocol', policy: 'service:d' })
  assert.equal(revoke({ pool: 'p' }), undefined)
  const overreaching = compile({ tenant: '@revoke("protocol") forbid (principal, action, resource);' })
  assert.deepEqual(overreaching.decide(...ask(), KEY, NOON), { allowed: false, policies: ['policy1'] })
  overreaching.release()
  assert.equal(revoke({}), undefined)
  policies.release()
})

/** Values that a cache might confuse: lengths and separators of its own, characters that no encoding has, and nothing. */
const tricky = fc.constantFrom(
  '',
  '1:',
  ':1',
  '0:',
  '1:a',
  'a',
  'ab',
  '2:ab',
  'b',
  ' ',
  '\0',
  '\ud800',
  '\ud801',
  '\ufffd',
  'x'.repeat(3000),
)
const call = fc.record({
  operation: fc.constantFrom(...allOperations().map(({ operation }) => operation)),
  principal: tricky,
  credentialId: tricky,
  peerName: tricky,
  region: tricky,
  sourceIp: fc.constantFrom('', '10.0.0.1', '192.0.2.7', '::1', 'none'),
  reason: fc.constantFrom('', 'THIRD_PARTY_DATA_REQUEST', 'CUSTOMER_INITIATED_ACCESS', 'NEW'),
  claim: tricky,
  account: tricky,
  pool: tricky,
  key: fc.nat(3),
  time: fc.constantFrom(NOON, NOON + 999, NOON + 1000, NOON + 3_600_000, NOON + 86_400_000),
})
const condition = fc.constantFrom(
  'context.reason == "THIRD_PARTY_DATA_REQUEST"',
  'context.claimedPrincipal == "a"',
  'context.claimedPrincipal like "*1*"',
  'context.claimedAccount == ""',
  'context . claimedPool != "ab"',
  'context has sourceIp && context.sourceIp.isLoopback()',
  'context["region"] == "1:a"',
  '{ all: context }.all.claimedPool == "b"',
  '(if context.hour == 12 then context else context).claimedRegion == ""',
  'context.hour == 13',
  'context.weekday == "Sunday"',
  'context.time > datetime("2026-11-28T12:00:00Z")',
  'principal.name == "b"',
  'principal.certificate == principal.credential',
  'resource.usage == "encrypt"',
  'resource.backing == "token"',
  'resource == Key::"acme/k1"',
  'action in [Action::"wrap", Action::"sign"]',
  'context.claimedPrincipal == context.claimedAccount',
  'context.hour + 9223372036854775795 > 0',
)
const policyText = fc
  .array(fc.tuple(fc.constantFrom('permit', 'forbid'), fc.constantFrom('when', 'unless'), condition), { maxLength: 5 })
  .map(all =>
    all.map(([effect, when, what]) => `${effect} (principal, action, resource) ${when} { ${what} };`).join('\n'),
  )

const USAGES = [
  [true, true],
  [true, false],
  [false, true],
  [false, false],
] as const
const keys = USAGES.map(([mayEncrypt, mayDecrypt], n): KeyFacts => {
  const backing = n % 2 === 0 ? 'SEALED' : 'TOKEN'
  return { ...KEY, id: `${TENANT}/k${n}`, backing, mayEncrypt, mayDecrypt }
})

type Arbitrary = typeof call extends fc.Arbitrary<infer T> ? T : never
function askedOf({
  operation,
  principal,
  credentialId,
  peerName,
  region,
  sourceIp,
  reason,
  claim,
  account,
  pool,
}: Arbitrary) {
  const claims = { principal: claim, account, pool, reason }
  return ask(claims, operation, { principal, credentialId, peerName, region, sourceIp })
}

test('property: what is cached is what an evaluation with everything that is known says, for any policies and any calls', () => {
  fc.assert(
    fc.property(policyText, fc.array(call, { minLength: 1, maxLength: 12 }), (text, calls) => {
      const policies = compile({ tenant: text })
      const fresh = new PolicySet(Object.fromEntries(scan(text).map(({ text: one }, n) => [`policy${n + 1}`, one])))
      // Twice, so that each answer is also given from memory.
      for (const one of [...calls, ...calls]) {
        const [asked, action] = askedOf(one)
        const key = keys[one.key] as KeyFacts
        const { allowed, decided, failed } = fresh.evaluate(
          asked,
          action,
          key,
          contextOf(asked, one.time, CONTEXT_FIELDS),
        )
        const decision = policies.decide(asked, action, key, one.time)
        assert.equal(decision.allowed, allowed && failed.length === 0)
        const expected = failed.length > 0 ? failed.map(id => `error:${id}`) : decided
        assert.deepEqual([...decision.policies].sort(), [...expected].sort())
      }
      policies.release()
      fresh.release()
    }),
    { numRuns: 150 },
  )
})

test('property: denied unless permitted: without a policy, and with any number of forbids, nothing is allowed', () => {
  fc.assert(
    fc.property(fc.option(policyText, { nil: undefined }), call, (text, one) => {
      const forbids = text?.replaceAll('permit', 'forbid')
      const policies = compile({ tenant: forbids, service: forbids })
      const [asked, action] = askedOf(one)
      assert.equal(policies.decide(asked, action, keys[one.key] as KeyFacts, one.time).allowed, false)
      policies.release()
    }),
    { numRuns: 100 },
  )
})
