/** Signatures against Wycheproof and NIST's ACVP vectors, through the very functions that the boundary signs and verifies with. */
import assert from 'node:assert/strict'
import { createHash, createPublicKey } from 'node:crypto'
import { test } from 'node:test'
import type { MessageType, SigningAlgorithm } from '../src/boundary/algorithms.ts'
import { readMaterial } from '../src/boundary/crypto/imported.ts'
import { Pair, PublicHalf } from '../src/boundary/crypto/pairs.ts'
import { sign, verify } from '../src/boundary/crypto/signing.ts'
import { fails } from '../src/boundary/service/testing/in-process.ts'
import { threads } from '../src/boundary/service/threads/threads.ts'
import { wycheproof } from './support/go-modules.ts'

const bytes = (hex: unknown): Buffer => Buffer.from(String(hex), 'hex')
const publicHalf = (der: Buffer): PublicHalf =>
  new PublicHalf(createPublicKey({ key: der, format: 'der', type: 'spki' }))

interface Group {
  readonly publicKeyDer: string
  readonly sha?: string
}
interface Verification {
  readonly msg: string
  readonly sig: string
  readonly ctx?: string
}

/** Of the algorithm's own hash, or undefined where it takes no digests. */
const digestOf = (algorithm: SigningAlgorithm, message: Buffer): Buffer | undefined =>
  /^(RSA|ECDSA)/.test(algorithm)
    ? createHash(`sha${algorithm.slice(-3)}`)
        .update(message)
        .digest()
    : undefined

/** All four ways that a signature is verified in say the same. */
async function verdict(
  half: PublicHalf,
  algorithm: SigningAlgorithm,
  message: Buffer,
  signature: Buffer,
): Promise<boolean> {
  const forms: [MessageType, Buffer][] = [['RAW', message]]
  const digest = digestOf(algorithm, message)
  if (digest !== undefined) forms.push(['DIGEST', digest])
  const said = new Set<boolean>()
  for (const [type, input] of forms) {
    said.add(verify(half, algorithm, type, input, signature))
    said.add(await threads.verify(half, algorithm, type, input, signature))
  }
  assert.equal(said.size, 1, 'the ways of verifying disagree')
  return said.has(true)
}

/** `tests`: how many of the file the API can be asked for. */
const FILES: readonly (readonly [file: string, algorithm: SigningAlgorithm, tests: number])[] = [
  ['rsa_signature_2048_sha256', 'RSASSA_PKCS1_V1_5_SHA_256', 259],
  ['rsa_signature_2048_sha384', 'RSASSA_PKCS1_V1_5_SHA_384', 258],
  ['rsa_signature_2048_sha512', 'RSASSA_PKCS1_V1_5_SHA_512', 259],
  ['rsa_signature_3072_sha256', 'RSASSA_PKCS1_V1_5_SHA_256', 259],
  ['rsa_signature_3072_sha384', 'RSASSA_PKCS1_V1_5_SHA_384', 259],
  ['rsa_signature_3072_sha512', 'RSASSA_PKCS1_V1_5_SHA_512', 260],
  ['rsa_signature_4096_sha256', 'RSASSA_PKCS1_V1_5_SHA_256', 258],
  ['rsa_signature_4096_sha384', 'RSASSA_PKCS1_V1_5_SHA_384', 259],
  ['rsa_signature_4096_sha512', 'RSASSA_PKCS1_V1_5_SHA_512', 259],
  ['rsa_pss_2048_sha256_mgf1_32', 'RSASSA_PSS_SHA_256', 108],
  ['rsa_pss_3072_sha256_mgf1_32', 'RSASSA_PSS_SHA_256', 108],
  ['rsa_pss_4096_sha256_mgf1_32', 'RSASSA_PSS_SHA_256', 108],
  ['rsa_pss_2048_sha384_mgf1_48', 'RSASSA_PSS_SHA_384', 141],
  ['rsa_pss_4096_sha384_mgf1_48', 'RSASSA_PSS_SHA_384', 141],
  ['rsa_pss_4096_sha512_mgf1_64', 'RSASSA_PSS_SHA_512', 179],
  ['ecdsa_secp256r1_sha256', 'ECDSA_SHA_256', 484],
  ['ecdsa_secp384r1_sha384', 'ECDSA_SHA_384', 504],
  ['ecdsa_secp521r1_sha512', 'ECDSA_SHA_512', 542],
  ['ecdsa_secp256k1_sha256', 'ECDSA_SHA_256', 476],
  ['ed25519', 'ED25519_SHA_512', 151],
  ['mldsa_44_verify', 'ML_DSA_SHAKE_256', 173],
  ['mldsa_65_verify', 'ML_DSA_SHAKE_256', 203],
  ['mldsa_87_verify', 'ML_DSA_SHAKE_256', 234],
]

for (const [file, algorithm, tests] of FILES) {
  test(`Wycheproof ${file}: ${algorithm}`, async () => {
    const { testGroups, numberOfTests } = wycheproof<Group, Verification>(file)
    let done = 0
    let otherContext = 0
    let accepted = 0
    for (const group of testGroups) {
      let half: PublicHalf | undefined
      try {
        half = publicHalf(bytes(group.publicKeyDer))
      } catch {
        assert.ok(
          group.tests.every(each => each.result === 'invalid'),
          'a valid public key was refused',
        )
      }
      for (const each of group.tests) {
        // The API has no context of ML-DSA.
        if ((each.ctx ?? '') !== '') {
          otherContext++
          continue
        }
        done++
        const valid = half !== undefined && (await verdict(half, algorithm, bytes(each.msg), bytes(each.sig)))
        if (valid) accepted++
        if (each.result !== 'acceptable') assert.equal(valid, each.result === 'valid', `${each.tcId} ${each.comment}`)
      }
    }
    assert.equal(done + otherContext, numberOfTests)
    assert.equal(done, tests)
    assert.ok(accepted > 0)
  })
}

interface Generation {
  readonly privateKeyPkcs8: string
  readonly privateKey: { readonly publicExponent: string }
  readonly sha: string
}

test('Wycheproof RSA PKCS #1 v1.5: an imported key makes the very signatures', async () => {
  let done = 0
  let small = 0
  for (const bits of [2048, 3072, 4096] as const) {
    for (const group of wycheproof<Generation, Verification>(`rsa_pkcs1_${bits}_sig_gen`).testGroups) {
      const hash = /^SHA-(256|384|512)$/.exec(group.sha)?.[1]
      if (hash === undefined) continue
      const read = readMaterial(`RSA_${bits}`, bytes(group.privateKeyPkcs8))
      if (group.privateKey.publicExponent === '03') {
        await assert.rejects(read, fails('IncorrectKeyMaterial'))
        small++
        continue
      }
      const pair = new Pair((await read).material)
      const algorithm = `RSASSA_PKCS1_V1_5_SHA_${hash}` as SigningAlgorithm
      for (const { msg, sig } of group.tests) {
        const message = bytes(msg)
        const digest = digestOf(algorithm, message) as Buffer
        assert.deepEqual(sign(pair, algorithm, 'RAW', message), bytes(sig))
        assert.deepEqual(await threads.sign(pair, algorithm, 'RAW', message), bytes(sig))
        assert.deepEqual(sign(pair, algorithm, 'DIGEST', digest), bytes(sig))
        assert.deepEqual(await threads.sign(pair, algorithm, 'DIGEST', digest), bytes(sig))
        done++
      }
    }
  }
  assert.deepEqual([done, small], [72, 5])
})
