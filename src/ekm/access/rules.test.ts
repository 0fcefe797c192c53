import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Call } from '../core.ts'
import { verified } from './caller.ts'
import type { Claims } from './claims.ts'
import { type Rule, Rules } from './rules.ts'

const call = (keyId: string, principal = 'AKID', claims: Claims = {}): Call => ({
  caller: verified({
    ...{ protocol: 'xks', tenant: 'acme', principal, credentialId: principal, region: '', sourceIp: '', peerName: '' },
    userAgent: '',
  }),
  claims,
  operation: 'decrypt',
  keyId,
  requestId: '1',
  errorNames: {} as Call['errorNames'],
})

const rate = (more: Partial<Extract<Rule, { kind: 'unwrap-rate' }>> = {}): Rule => ({
  ...{ kind: 'unwrap-rate', name: 'burst', per: 'key', windowSeconds: 10, atLeast: 5, factor: 3, revoke: 'key' },
  ...more,
})

function timed(rules: readonly Rule[]) {
  const clock = { now: 0 }
  const all = new Rules(rules, () => clock.now)
  const unwraps = (keyId: string, count: number, principal?: string) => {
    for (let i = 1; i <= count; i++) {
      const trip = all.observe(call(keyId, principal), 'unwrap')
      if (trip !== undefined) return { at: i, ...trip }
    }
    return undefined
  }
  return { clock, all, unwraps }
}

test('a rate trips above its least, for the one key, and again in the same window', () => {
  const { unwraps } = timed([rate()])
  assert.equal(unwraps('a', 5), undefined)
  assert.equal(unwraps('b', 5), undefined, 'another key has a count of its own')
  assert.deepEqual(unwraps('a', 1), {
    at: 1,
    rule: 'burst',
    target: { key: 'acme/a' },
    evidence: '6 unwraps per key in 10 s, where 0.0 were usual',
  })
  assert.ok(unwraps('a', 1))
})

test('what is usual follows the load, so that a busy key may be busy and a quiet one may not', () => {
  const { clock, unwraps } = timed([rate()])
  for (let window = 0; window < 80; window++) {
    clock.now = window * 10_000
    // A twelfth more from one window to the next.
    assert.equal(unwraps('busy', Math.min(100, Math.floor(5 * 1.08 ** window))), undefined, `window ${window}`)
  }
  clock.now = 80 * 10_000
  const burst = unwraps('busy', 1000)
  assert.ok(burst && burst.at > 250 && burst.at <= 301, `at ${burst?.at}`)
  clock.now = 400 * 10_000
  assert.equal(unwraps('busy', 1000)?.at, 6, 'an hour of rest, and it is a quiet one')
})

test('a rate per principal counts over keys; only unwraps count', () => {
  const { all, unwraps } = timed([rate({ per: 'principal', revoke: 'principal' })])
  for (let i = 0; i < 20; i++) assert.equal(all.observe(call('a'), 'wrap'), undefined)
  assert.equal(unwraps('a', 3), undefined)
  assert.deepEqual(unwraps('b', 3)?.target, { principal: 'acme:AKID' })
  assert.equal(unwraps('a', 3, 'OTHER'), undefined)
})

test('an unknown account trips at its first use, one that nobody names does not', () => {
  const rule: Rule = { kind: 'unknown-account', name: 'ours', known: ['111'], tenants: ['acme'], revoke: 'tenant' }
  const rules = new Rules([rule])
  assert.equal(rules.observe(call('a', 'AKID', { account: '111' }), 'wrap'), undefined)
  assert.equal(rules.observe(call('a'), 'wrap'), undefined)
  assert.deepEqual(rules.observe(call('a', 'AKID', { account: '222' }), 'wrap'), {
    rule: 'ours',
    target: { tenant: 'acme' },
    evidence: 'a use for the account 222, which is not a known one',
  })
  const elsewhere = new Rules([{ ...rule, tenants: ['other'] }])
  assert.equal(elsewhere.observe(call('a', 'AKID', { account: '222' }), 'wrap'), undefined)
})

test('counting many subjects forgets the one that was seen longest ago', () => {
  const { unwraps } = timed([rate()])
  assert.equal(unwraps('first', 5), undefined)
  for (let i = 0; i < 10_000; i++) unwraps(`k${i}`, 1)
  assert.equal(unwraps('first', 5), undefined, 'it began anew')
})
