/** What the boundary signs, encrypts, agrees on and authenticates, checked by the openssl command: another build, another version, another program. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { type SigningAlgorithm, SPECS } from '../src/boundary/algorithms.ts'
import type { KeyRow } from '../src/boundary/client/api.ts'
import { wrapForImport } from '../src/boundary/crypto/import-token.ts'
import { headerOfRow, type InProcess, inProcess, newKey } from '../src/boundary/service/testing/in-process.ts'
import { KEY_SPECS, type KeySpec } from '../src/boundary/words.ts'

let made: InProcess
let folder: string
before(async () => {
  made = await inProcess()
  folder = mkdtempSync(path.join(tmpdir(), 'holdfast-openssl-'))
})
after(async () => {
  await made.stop()
  made.remove()
  rmSync(folder, { recursive: true, force: true })
})

const A = { operation: 'Test' }
const openssl = (...args: string[]): Buffer =>
  execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
/** A file in the test's folder, by its name. */
const file = (name: string, bytes: Buffer): string => {
  writeFileSync(path.join(folder, name), bytes)
  return name
}
const publicKeyFile = (row: KeyRow): string => file('public.der', headerOfRow(row).publicKey)

/** Without ML-DSA, which the openssl of a stable distribution does not have. */
const signing = (Object.keys(KEY_SPECS) as KeySpec[]).filter(
  spec => SPECS[spec].usages.SIGN_VERIFY !== undefined && !spec.startsWith('ML_DSA'),
)

for (const spec of signing) {
  test(`openssl verifies what ${spec} signs, messages and digests`, async () => {
    const row = await newKey(made.use, { spec, usage: 'SIGN_VERIFY' })
    const message = randomBytes(200)
    const raw = file('message', message)
    const key = ['-pubin', '-inkey', publicKeyFile(row), '-keyform', 'DER', '-sigfile', 'signature']
    let verified = 0
    for (const algorithm of SPECS[spec].usages.SIGN_VERIFY as readonly SigningAlgorithm[]) {
      // Ed25519ph is younger than the openssl of a stable distribution.
      if (algorithm === 'ED25519_PH_SHA_512') continue
      const { signature } = await made.use.sign(row, { algorithm, messageType: 'RAW', message }, A)
      file('signature', signature)
      if (algorithm === 'ED25519_SHA_512') {
        assert.match(String(openssl('pkeyutl', '-verify', '-rawin', '-in', raw, ...key)), /Verified Successfully/)
        verified++
        continue
      }
      const hash = `sha${algorithm.slice(-3)}`
      const digest = createHash(hash).update(message).digest()
      const signed = await made.use.sign(row, { algorithm, messageType: 'DIGEST', message: digest }, A)
      const options = ['-pkeyopt', `digest:${hash}`]
      if (algorithm.includes('PSS'))
        options.push('-pkeyopt', 'rsa_padding_mode:pss', '-pkeyopt', 'rsa_pss_saltlen:digest')
      for (const each of [signature, signed.signature]) {
        file('signature', each)
        const answer = openssl('pkeyutl', '-verify', '-in', file('digest', digest), ...options, ...key)
        assert.match(String(answer), /Verified Successfully/)
        verified++
      }
    }
    assert.ok(verified > 0)
  })
}

test('openssl opens what an imported RSA key encrypted, and the key opens what openssl encrypts', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' })
  const { id } = await newKey(made.use, { spec: 'RSA_2048', usage: 'ENCRYPT_DECRYPT', origin: 'EXTERNAL' })
  const wrapping = 'RSA_AES_KEY_WRAP_SHA_256'
  const { token, publicKey } = await made.use.importParameters(id, wrapping, 2048, A)
  const { row } = await made.use.importKeyMaterial(
    id,
    {
      token,
      wrapped: wrapForImport(publicKey, wrapping, pkcs8),
      expirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
      validTo: 0,
      importType: '',
      description: '',
      materialId: '',
    },
    A,
  )
  for (const [algorithm, hash] of [
    ['RSAES_OAEP_SHA_1', 'sha1'],
    ['RSAES_OAEP_SHA_256', 'sha256'],
  ] as const) {
    const options = ['rsa_padding_mode:oaep', `rsa_oaep_md:${hash}`, `rsa_mgf1_md:${hash}`].flatMap(option => [
      '-pkeyopt',
      option,
    ])
    const { ciphertext } = await made.use.asymmetricEncrypt(row, algorithm, Buffer.from('for openssl'), A)
    const inkey = ['-inkey', file('private.der', pkcs8), '-keyform', 'DER']
    const opened = openssl('pkeyutl', '-decrypt', ...inkey, '-in', file('ciphertext', ciphertext), ...options)
    assert.equal(String(opened), 'for openssl')
    const to = ['-pubin', '-inkey', publicKeyFile(row), '-keyform', 'DER']
    const theirs = openssl('pkeyutl', '-encrypt', ...to, '-in', file('clear', Buffer.from('from openssl')), ...options)
    assert.equal(String((await made.use.asymmetricDecrypt(row, algorithm, theirs, A)).plaintext), 'from openssl')
  }
})

for (const [spec, curve] of [
  ['ECC_NIST_P256', 'P-256'],
  ['ECC_NIST_P384', 'P-384'],
  ['ECC_NIST_P521', 'P-521'],
] as const) {
  test(`openssl derives the same secret as ${spec}`, async () => {
    const row = await newKey(made.use, { spec, usage: 'KEY_AGREEMENT' })
    const peer = generateKeyPairSync('ec', { namedCurve: curve })
    const { sharedSecret } = await made.use.deriveSharedSecret(
      row,
      peer.publicKey.export({ format: 'der', type: 'spki' }),
      A,
    )
    const own = ['-inkey', file('peer.pem', Buffer.from(peer.privateKey.export({ format: 'pem', type: 'pkcs8' })))]
    assert.deepEqual(
      openssl('pkeyutl', '-derive', ...own, '-peerkey', publicKeyFile(row), '-peerform', 'DER'),
      sharedSecret,
    )
  })
}

test('openssl unwraps what the owner’s half wraps', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 3072 })
  const material = randomBytes(32)
  const spki = publicKey.export({ format: 'der', type: 'spki' })
  const wrapped = wrapForImport(spki, 'RSA_AES_KEY_WRAP_SHA_256', material)
  const inkey = ['-inkey', file('import.der', privateKey.export({ format: 'der', type: 'pkcs8' })), '-keyform', 'DER']
  const options = ['rsa_padding_mode:oaep', 'rsa_oaep_md:sha256', 'rsa_mgf1_md:sha256'].flatMap(option => [
    '-pkeyopt',
    option,
  ])
  const key = openssl('pkeyutl', '-decrypt', ...inkey, '-in', file('first', wrapped.subarray(0, 384)), ...options)
  const unwrap = ['enc', '-d', '-id-aes256-wrap-pad', '-K', key.toString('hex'), '-iv', 'a65959a6']
  assert.deepEqual(openssl(...unwrap, '-in', file('second', wrapped.subarray(384))), material)
})
