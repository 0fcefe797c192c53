import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { BlockList } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { pathToFileURL } from 'node:url'
import { type FoundKey, KeySet, type KeySource, readKeys } from './jwks.ts'
import { Issuer } from './testing.ts'

const OPTIONS = { refreshMs: 1000, staleMs: 10_000, attemptMs: 100, deadlineMs: 2000 }

async function setup(t: TestContext, source?: Partial<KeySource>) {
  const issuer = await Issuer.start('https://one.example/')
  t.after(() => issuer.stop())
  const time = { now: 5000 }
  const problems: string[] = []
  const wiring = { monotonic: () => time.now, onProblem: (_url: string, reason: string) => void problems.push(reason) }
  const keys = new KeySet({ url: issuer.url, ...source }, wiring, OPTIONS)
  return { issuer, time, problems, keys }
}

const kind = (found: FoundKey): string => (typeof found === 'string' ? found : 'key')

test('keys are fetched once, when they are first needed, however many need them', async t => {
  const { issuer, keys, problems } = await setup(t)
  const { kid } = issuer.current
  assert.equal(issuer.asked, 0)
  const found = await Promise.all([keys.find(kid), keys.find(kid), keys.find('stranger')])
  assert.deepEqual(found.map(kind), ['key', 'key', 'unknown'])
  assert.equal(issuer.asked, 1)
  assert.notEqual(keys.find(kid) instanceof Promise, true)
  assert.deepEqual(problems, [])
})

test('a new key is found as soon as a token names it, and unknown kids cost one fetch an interval', async t => {
  const { issuer, keys, time } = await setup(t)
  const old = issuer.current.kid
  await keys.find(old)
  issuer.rotate()
  for (let i = 0; i < 5; i++) assert.equal(await keys.find(issuer.current.kid), 'unknown')
  assert.equal(issuer.asked, 1)
  time.now += OPTIONS.attemptMs
  assert.equal(kind(await keys.find(issuer.current.kid)), 'key')
  for (let i = 0; i < 5; i++) assert.equal(await keys.find(`stranger-${i}`), 'unknown')
  assert.equal(issuer.asked, 2)
  assert.equal(kind(await keys.find(old)), 'key')
})

test('a key that its issuer has withdrawn is not used once the keys were fetched again', async t => {
  const { issuer, keys, time } = await setup(t)
  const old = issuer.current.kid
  await keys.find(old)
  issuer.rotate({ forget: true })
  time.now += OPTIONS.refreshMs + 1
  // Still answered with what is there, while the new ones are fetched.
  assert.equal(kind(await keys.find(old)), 'key')
  assert.equal(kind(await keys.find(issuer.current.kid)), 'key')
  assert.equal(await keys.find(old), 'unknown')
})

test('while the host is away the last keys stand, and not for ever', async t => {
  const { issuer, keys, time, problems } = await setup(t)
  const { kid } = issuer.current
  await keys.find(kid)
  issuer.goAway()
  time.now += OPTIONS.staleMs
  assert.equal(kind(await keys.find(kid)), 'key')
  // Waits for the attempt that the last one began.
  assert.equal(await keys.find('stranger'), 'unknown')
  time.now += 1 + OPTIONS.attemptMs
  assert.equal(await keys.find(kid), 'unavailable')
  assert.match(problems.at(-1) ?? '', /^cannot be reached/)
  const { asked } = issuer
  assert.equal(await keys.find(kid), 'unavailable')
  assert.equal(issuer.asked, asked)
  issuer.comeBack()
  time.now += OPTIONS.attemptMs
  assert.equal(kind(await keys.find(kid)), 'key')
})

test('an answer that is no key set leaves the old one', async t => {
  const { issuer, keys, time, problems } = await setup(t)
  const { kid } = issuer.current
  await keys.find(kid)
  const jwk = JSON.parse(issuer.jwks()).keys[0] as object
  const table: readonly (readonly [string, RegExp])[] = [
    ['<html>', /is not JSON/],
    ['{"keys":{}}', /is not a JWK set/],
    [JSON.stringify({ keys: Array(101).fill({}) }), /more than 100 keys/],
    [JSON.stringify({ keys: [jwk, jwk] }), /two keys of one kid/],
    [`"${'x'.repeat(256 * 1024)}"`, /more than 262144 bytes/],
  ]
  for (const [document, reason] of table) {
    issuer.document = document
    time.now += OPTIONS.attemptMs
    assert.equal(await keys.find('new'), 'unknown')
    assert.match(problems.at(-1) ?? '', reason)
    assert.equal(kind(await keys.find(kid)), 'key')
  }
})

test('keys that are no RSA signing keys of 2048 to 8192 bits with a kid are passed over', () => {
  const jwk = (bits: number) => generateKeyPairSync('rsa', { modulusLength: bits }).publicKey.export({ format: 'jwk' })
  const good = jwk(2048)
  const keys = [
    { ...good, kid: 'good' },
    { ...good, kid: 'encryption', use: 'enc' },
    { ...good, kid: 'other-algorithm', alg: 'RS512' },
    { ...good, kid: '' },
    { ...good },
    { ...jwk(1024), kid: 'short' },
    { kty: 'RSA', n: '!', e: 'AQAB', kid: 'broken' },
    { ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }), kid: 'curve' },
    { kty: 'oct', k: 'AAAA', kid: 'secret' },
    null,
  ]
  assert.deepEqual([...readKeys(Buffer.from(JSON.stringify({ keys }))).keys()], ['good'])
})

test('keys are read from a file too', async t => {
  const { issuer } = await setup(t)
  const folder = mkdtempSync(join(tmpdir(), 'jwks-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'keys.json')
  const problems: string[] = []
  const wiring = { monotonic: () => 0, onProblem: (_url: string, reason: string) => void problems.push(reason) }
  const keys = new KeySet({ url: pathToFileURL(file).href }, wiring, { attemptMs: 0 })
  assert.equal(await keys.find(issuer.current.kid), 'unavailable')
  assert.deepEqual(problems, ['cannot be read (ENOENT)'])
  writeFileSync(file, issuer.jwks())
  assert.equal(kind(await keys.find(issuer.current.kid)), 'key')
  assert.equal(issuer.asked, 0)
})

test('an address that is not among those named is never connected to', async t => {
  const addresses = new BlockList()
  addresses.addSubnet('192.0.2.0', 24)
  const { issuer, keys, problems } = await setup(t, { addresses })
  assert.equal(await keys.find(issuer.current.kid), 'unavailable')
  assert.deepEqual([problems, issuer.asked], [['is at an address that is not allowed'], 0])
  const byName = await setup(t, { addresses })
  const named = new KeySet(
    { url: byName.issuer.url.replace('127.0.0.1', 'localhost'), addresses },
    { monotonic: () => 0, onProblem: (_url, reason) => void problems.push(reason) },
  )
  assert.equal(await named.find('kid'), 'unavailable')
  assert.deepEqual([problems.at(-1), byName.issuer.asked], ['resolves to an address that is not allowed', 0])
})
