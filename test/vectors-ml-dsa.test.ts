/** ML-DSA against Wycheproof and NIST's ACVP vectors, through the very functions that the boundary imports, signs and verifies with. */
import assert from 'node:assert/strict'
import { createHash, createPublicKey } from 'node:crypto'
import { test } from 'node:test'
import { readMaterial } from '../src/boundary/crypto/imported.ts'
import { Pair, PublicHalf } from '../src/boundary/crypto/pairs.ts'
import { sign, verify } from '../src/boundary/crypto/signing.ts'
import { threads } from '../src/boundary/service/threads/threads.ts'
import { acvp, wycheproof } from './support/go-modules.ts'

const ALGORITHM = 'ML_DSA_SHAKE_256'
const bytes = (hex: unknown): Buffer => Buffer.from(String(hex), 'hex')
const ML_DSA = { 44: '11', 65: '12', 87: '13' } as const
type Level = keyof typeof ML_DSA
/** DER around a key (RFC 9881). */
const tlv = (tag: number, ...contents: Buffer[]): Buffer => {
  const content = Buffer.concat(contents)
  return Buffer.concat([Buffer.from([tag, 0x82, content.length >> 8, content.length & 255]), content])
}
/** The same, where the content is short. */
const short = (tag: number, ...contents: Buffer[]): Buffer => {
  const content = Buffer.concat(contents)
  return Buffer.concat([Buffer.from([tag, content.length]), content])
}
const algorithmId = (level: Level): Buffer => short(0x30, short(6, bytes(`6086480165030403${ML_DSA[level]}`)))
const fromSeed = (level: Level, seed: Buffer): Buffer =>
  short(0x30, short(2, Buffer.from([0])), algorithmId(level), short(4, short(0x80, seed)))
const fromExpanded = (level: Level, key: Buffer): Buffer =>
  tlv(0x30, short(2, Buffer.from([0])), algorithmId(level), tlv(4, tlv(4, key)))
const spkiOf = (level: Level, key: Buffer): Buffer => tlv(0x30, algorithmId(level), tlv(3, Buffer.from([0]), key))

/** An imported key of ML-DSA, or undefined where the import is refused. */
async function mlDsa(level: Level, pkcs8: Buffer): Promise<Pair | undefined> {
  try {
    return new Pair((await readMaterial(`ML_DSA_${level}`, pkcs8)).material)
  } catch {
    return undefined
  }
}
const rawPublic = (pair: Pair): string =>
  pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(22).toString('hex')

interface MlDsaKey {
  readonly privateSeed?: string
  readonly privateKey?: string
  readonly publicKey: string
}
interface MlDsaTest {
  readonly msg?: string
  readonly mu?: string
  readonly sig: string
  readonly ctx?: string
}

const TESTS = { seed: { 44: 86, 65: 105, 87: 96 }, noseed: { 44: 73, 65: 78, 87: 69 } } as const

for (const level of [44, 65, 87] as const) {
  for (const form of ['seed', 'noseed'] as const) {
    test(`Wycheproof ML-DSA-${level}, keys as ${form}: imported, they verify and sign messages and mu`, async () => {
      let done = 0
      for (const group of wycheproof<MlDsaKey, MlDsaTest>(`mldsa_${level}_sign_${form}`).testGroups) {
        const { privateSeed, privateKey } = group
        const key =
          privateSeed === undefined ? fromExpanded(level, bytes(privateKey)) : fromSeed(level, bytes(privateSeed))
        const pair = await mlDsa(level, key)
        for (const each of group.tests) {
          done++
          if (pair === undefined || each.result === 'invalid') {
            // What is wrong is the key, or a context that the API does not have.
            assert.ok(each.result === 'invalid', `${each.tcId} ${each.comment}`)
            assert.ok(pair === undefined || (each.ctx ?? '') !== '', `${each.tcId} ${each.comment}`)
            continue
          }
          if (each.msg !== undefined && (each.ctx ?? '') === '') {
            const message = bytes(each.msg)
            assert.ok(verify(pair, ALGORITHM, 'RAW', message, bytes(each.sig)))
            const own = await threads.sign(pair, ALGORITHM, 'RAW', message)
            assert.ok(await threads.verify(pair, ALGORITHM, 'RAW', message, own))
          }
          if (each.mu !== undefined) {
            const mu = bytes(each.mu)
            assert.ok(verify(pair, ALGORITHM, 'EXTERNAL_MU', mu, bytes(each.sig)))
            const own = await threads.sign(pair, ALGORITHM, 'EXTERNAL_MU', mu)
            assert.ok(await threads.verify(pair, ALGORITHM, 'EXTERNAL_MU', mu, own))
          }
        }
      }
      assert.equal(done, TESTS[form][level])
    })
  }
}

const levelOf = (group: Readonly<Record<string, string>>): Level => Number(group.parameterSet?.slice(-2)) as Level

test('ACVP ML-DSA keyGen: a seed that is imported has the public key, and so has the expanded key', async () => {
  const tests = acvp('sign/mldsa', 'ML-DSA-keyGen-FIPS204')
  assert.equal(tests.length, 75)
  for (const { group, test: given, expected } of tests) {
    for (const pkcs8 of [
      fromSeed(levelOf(group), bytes(given.seed)),
      fromExpanded(levelOf(group), bytes(expected.sk)),
    ]) {
      const pair = await mlDsa(levelOf(group), pkcs8)
      assert.equal(pair === undefined ? '' : rawPublic(pair), String(expected.pk).toLowerCase())
    }
  }
})

/** mu of the internal functions of FIPS 204 (§6.2), whose message has no prefix. */
function muOf(publicKey: Buffer, message: Buffer): Buffer {
  const tr = createHash('shake256', { outputLength: 64 }).update(publicKey).digest()
  return createHash('shake256', { outputLength: 64 }).update(tr).update(message).digest()
}

test('ACVP ML-DSA sigGen: what their keys sign verifies under them imported', async () => {
  const tests = acvp('sign/mldsa', 'ML-DSA-sigGen-FIPS204')
  assert.equal(tests.length, 60)
  for (const { group, test: given, expected } of tests) {
    const pair = await mlDsa(levelOf(group), fromExpanded(levelOf(group), bytes(given.sk)))
    assert.ok(pair !== undefined)
    const mu = muOf(bytes(rawPublic(pair)), bytes(given.message))
    assert.ok(verify(pair, ALGORITHM, 'EXTERNAL_MU', mu, bytes(expected.signature)))
    const own = sign(pair, ALGORITHM, 'EXTERNAL_MU', mu)
    assert.ok(verify(pair, ALGORITHM, 'EXTERNAL_MU', mu, own))
  }
})

test('ACVP ML-DSA sigVer: valid is what NIST says is valid', () => {
  const tests = acvp('sign/mldsa', 'ML-DSA-sigVer-FIPS204')
  assert.equal(tests.length, 45)
  for (const { group, test: given, expected } of tests) {
    const half = new PublicHalf(
      createPublicKey({ key: spkiOf(levelOf(group), bytes(group.pk)), format: 'der', type: 'spki' }),
    )
    const mu = muOf(bytes(group.pk), bytes(given.message))
    const valid = verify(half, ALGORITHM, 'EXTERNAL_MU', mu, bytes(given.signature))
    assert.equal(valid, expected.testPassed, String(given.tcId))
  }
})
