/** Keys of others, wrapped and unwrapped under an owner's external keys that are sealed. Keys in a token: test/boundary-token-wrapping.test.ts. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { readRecords } from '../../../test/support/journal.ts'
import { EXTERNAL_WRAP_ALGORITHMS, type ExternalSpec, type ExternalWrapAlgorithm } from '../algorithms.ts'
import type { KeyRow } from '../client/api.ts'
import { EXTERNAL_WRAPPINGS } from '../crypto/external-wrap.ts'
import { fails, headerOfRow, type InProcess, inProcess } from './testing/in-process.ts'

const AES = ['A256KW', 'A256KWP'] as const
const RSA = ['RSA-OAEP', 'RSA-OAEP-256'] as const
const ALL = Object.keys(EXTERNAL_WRAP_ALGORITHMS) as readonly ExternalWrapAlgorithm[]
const SPECS = ['RSA_2048', 'RSA_3072', 'RSA_4096'] as const
const LIMITS = { RSA_2048: 2048, RSA_3072: 3072, RSA_4096: 4096 } as const
const OVERHEAD = { 'RSA-OAEP': 42, 'RSA-OAEP-256': 66 } as const

const data = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-wrap-'))
let boundary: InProcess
before(async () => {
  boundary = await inProcess({ config: { service: 'ekm', folder: path.join(data, 'boundary') } })
})
after(async () => {
  await boundary.stop()
  boundary.remove()
  fs.rmSync(data, { recursive: true })
})

let count = 0
const create = (spec: ExternalSpec, more: object = {}): Promise<KeyRow> => {
  const input = { id: `acme/key-${++count}`, scope: 'acme', tenant: 'acme', spec, backing: 'SEALED' } as const
  return boundary.control.createExternalKey(
    { ...input, tokenObject: '', mayEncrypt: true, mayDecrypt: true, ...more },
    {},
  )
}
const wrap = (key: KeyRow, algorithm: ExternalWrapAlgorithm, plaintext: Buffer) =>
  boundary.use.externalWrap(key, algorithm, Buffer.from(plaintext), {})
const unwrap = (key: KeyRow, algorithm: ExternalWrapAlgorithm, wrapped: Buffer, version = 0) =>
  boundary.use.externalUnwrap(key, algorithm, wrapped, version, {})
const flipped = (bytes: Buffer, at = 0): Buffer => {
  const copy = Buffer.from(bytes)
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at)
  return copy
}

test('AES key wrap: what is wrapped unwraps, at every length that the algorithm takes and at no other', async () => {
  const key = await create('EXTERNAL_AES_256')
  for (const algorithm of AES) {
    for (const length of [1, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 64, 256, 4096]) {
      const plaintext = randomBytes(length)
      if (algorithm === 'A256KW' && (length < 16 || length % 8 !== 0)) {
        await assert.rejects(wrap(key, algorithm, plaintext), fails('InvalidRequest'), `${length}`)
        continue
      }
      const { wrapped, version } = await wrap(key, algorithm, plaintext)
      assert.equal(version, 1)
      assert.equal(wrapped.length, Math.ceil(length / 8) * 8 + 8)
      assert.deepEqual(await unwrap(key, algorithm, wrapped), plaintext)
      assert.deepEqual((await wrap(key, algorithm, plaintext)).wrapped, wrapped, 'the algorithm has nothing random')
    }
    await assert.rejects(wrap(key, algorithm, Buffer.alloc(0)), fails('InvalidRequest'))
  }
})

test('RSAES-OAEP: all sizes, both hashes, up to the longest plaintext; what OpenSSL encrypts for the public half unwraps', async () => {
  for (const spec of SPECS) {
    const key = await create(spec)
    const { publicKey } = headerOfRow(key)
    const file = path.join(data, 'public.der')
    fs.writeFileSync(file, publicKey)
    for (const algorithm of RSA) {
      const longest = LIMITS[spec] / 8 - OVERHEAD[algorithm]
      for (const length of [1, 32, longest]) {
        const plaintext = randomBytes(length)
        const { wrapped, version } = await wrap(key, algorithm, plaintext)
        assert.deepEqual([wrapped.length * 8, version], [LIMITS[spec], 1])
        assert.notDeepEqual((await wrap(key, algorithm, plaintext)).wrapped, wrapped)
        assert.deepEqual(await unwrap(key, algorithm, wrapped), plaintext)
      }
      await assert.rejects(wrap(key, algorithm, randomBytes(longest + 1)), fails('InvalidRequest'))
      await assert.rejects(wrap(key, algorithm, Buffer.alloc(0)), fails('InvalidRequest'))
      const md = algorithm === 'RSA-OAEP' ? 'sha1' : 'sha256'
      const args = ['pkeyutl', '-encrypt', '-pubin', '-inkey', file, '-keyform', 'DER']
      const padding = ['-pkeyopt', 'rsa_padding_mode:oaep', '-pkeyopt', `rsa_oaep_md:${md}`]
      const program = execFileSync('openssl', [...args, ...padding], { input: 'from openssl' })
      assert.equal((await unwrap(key, algorithm, program)).toString(), 'from openssl')
    }
  }
})

test('the vectors of RFC 3394 §4, which fix their key, through the table that the boundary walks', async () => {
  const file = path.join(import.meta.dirname, '../../../test/vectors/external.json')
  const { wrapped } = JSON.parse(fs.readFileSync(file, 'utf8')) as { wrapped: Record<string, string>[] }
  const of4 = wrapped.filter(({ algorithm }) => algorithm === 'A256KW').map(each => each.wrapped)
  assert.deepEqual(of4, [
    '64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7',
    'a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1',
    '28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21',
  ])
  assert.deepEqual(Object.keys(EXTERNAL_WRAPPINGS), ALL)
})

test('a key has the algorithms of its kind and no others', async () => {
  const keys = { aes: await create('EXTERNAL_AES_256'), rsa: await create('RSA_2048') }
  for (const algorithm of AES) {
    await assert.rejects(wrap(keys.rsa, algorithm, randomBytes(16)), fails('InvalidKeyUsage'))
    await assert.rejects(unwrap(keys.rsa, algorithm, randomBytes(24)), fails('InvalidKeyUsage'))
  }
  for (const algorithm of RSA) {
    await assert.rejects(wrap(keys.aes, algorithm, randomBytes(16)), fails('InvalidKeyUsage'))
    await assert.rejects(unwrap(keys.aes, algorithm, randomBytes(256)), fails('InvalidKeyUsage'))
  }
  const { use } = boundary
  await assert.rejects(
    use.externalEncrypt(keys.rsa, randomBytes(4), Buffer.alloc(0), false, {}),
    fails('InvalidKeyUsage'),
  )
})

test('what the key has not wrapped is InvalidCiphertext, always the same, whatever is wrong', async () => {
  const details = new Set<string>()
  for (const algorithm of ALL) {
    const spec = algorithm.startsWith('RSA') ? 'RSA_2048' : 'EXTERNAL_AES_256'
    const [key, other] = [await create(spec), await create(spec)]
    const { wrapped } = await wrap(key, algorithm, randomBytes(32))
    const bad = [
      flipped(wrapped),
      flipped(wrapped, wrapped.length - 1),
      wrapped.subarray(1),
      wrapped.subarray(8),
      Buffer.concat([wrapped, Buffer.alloc(8)]),
      Buffer.alloc(0),
      Buffer.alloc(wrapped.length),
      Buffer.alloc(wrapped.length, 0xff),
      (await wrap(other, algorithm, randomBytes(32))).wrapped,
    ]
    for (const bytes of bad) {
      const error = await unwrap(key, algorithm, bytes).catch(thrown => thrown)
      fails('InvalidCiphertext')(error)
      details.add(error.message)
    }
    const across = algorithm.endsWith('P') ? 'A256KW' : algorithm === 'A256KW' ? 'A256KWP' : undefined
    if (spec === 'EXTERNAL_AES_256' && across !== undefined)
      await assert.rejects(unwrap(key, across, wrapped), fails('InvalidCiphertext'))
  }
  assert.equal(details.size, 1)
})

test('property: any bytes are unwrapped to what was wrapped, or are InvalidCiphertext', async () => {
  const keys = { aes: await create('EXTERNAL_AES_256'), rsa: await create('RSA_2048') }
  const algorithm = fc.constantFrom(...ALL)
  await fc.assert(
    fc.asyncProperty(algorithm, fc.uint8Array({ maxLength: 300 }), async (name, bytes) => {
      const key = name.startsWith('RSA') ? keys.rsa : keys.aes
      await assert.rejects(unwrap(key, name, Buffer.from(bytes)), fails('InvalidCiphertext'))
    }),
    { numRuns: 200 },
  )
  await fc.assert(
    fc.asyncProperty(algorithm, fc.uint8Array({ minLength: 1, maxLength: 190 }), async (name, bytes) => {
      const key = name.startsWith('RSA') ? keys.rsa : keys.aes
      const plaintext = Buffer.from(name === 'A256KW' ? [...bytes, ...Buffer.alloc(16 + (-bytes.length & 7))] : bytes)
      if (name.startsWith('RSA') && plaintext.length > 190) return
      assert.deepEqual(await unwrap(key, name, (await wrap(key, name, plaintext)).wrapped), plaintext)
    }),
    { numRuns: 200 },
  )
})

test('old versions unwrap after a rotation, without their number and with it, and with no other', async () => {
  for (const spec of ['EXTERNAL_AES_256', 'RSA_2048'] as const) {
    const algorithm = spec === 'RSA_2048' ? 'RSA-OAEP-256' : 'A256KWP'
    let key = await create(spec)
    const made: Buffer[] = []
    for (let version = 1; version <= 3; version++) {
      if (version > 1) key = await boundary.control.rotateExternalKey(key.id, {})
      const result = await wrap(key, algorithm, Buffer.from(`version ${version}`))
      assert.equal(result.version, version)
      made.push(result.wrapped)
    }
    for (const [at, wrapped] of made.entries()) {
      assert.equal((await unwrap(key, algorithm, wrapped)).toString(), `version ${at + 1}`)
      for (let version = 1; version <= 4; version++) {
        const one = unwrap(key, algorithm, wrapped, version)
        if (version === at + 1) assert.equal((await one).toString(), `version ${at + 1}`)
        else await assert.rejects(one, fails('InvalidCiphertext'))
      }
    }
    if (spec !== 'RSA_2048') continue
    const { publicKey } = headerOfRow(key)
    const current = createPublicKey({ key: publicKey, format: 'der', type: 'spki' })
    const outside = { key: current, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
    const wrapped = publicEncrypt(outside, Buffer.from('x'))
    assert.equal((await unwrap(key, algorithm, wrapped, 3)).toString(), 'x', 'the header shows the current public half')
  }
})

test('usage is what the key was made for', async () => {
  for (const spec of ['EXTERNAL_AES_256', 'RSA_2048'] as const) {
    const algorithm = spec === 'RSA_2048' ? 'RSA-OAEP' : 'A256KW'
    const wrapOnly = await create(spec, { mayDecrypt: false })
    const { wrapped } = await wrap(wrapOnly, algorithm, randomBytes(16))
    await assert.rejects(unwrap(wrapOnly, algorithm, wrapped), fails('InvalidKeyUsage'))
    const unwrapOnly = await create(spec, { mayEncrypt: false })
    await assert.rejects(wrap(unwrapOnly, algorithm, randomBytes(16)), fails('InvalidKeyUsage'))
    await assert.rejects(unwrap(unwrapOnly, algorithm, wrapped), fails('InvalidCiphertext'))
  }
})

test('promise 3: a key, a tenant and everything, revoked, wrap and unwrap nothing', async () => {
  const { control } = boundary
  for (const spec of ['EXTERNAL_AES_256', 'RSA_2048'] as const) {
    const algorithm = spec === 'RSA_2048' ? 'RSA-OAEP-256' : 'A256KWP'
    const made = await create(spec)
    const { wrapped } = await wrap(made, algorithm, Buffer.from('x'))
    for (const target of [{ key: made.id }, { tenant: 'acme' }, { all: true }] as const) {
      await control.revoke(target, {})
      const key = await boundary.key(made.id)
      await assert.rejects(wrap(key, algorithm, Buffer.from('x')), fails('KeyRevoked'))
      await assert.rejects(unwrap(key, algorithm, wrapped), fails('KeyRevoked'))
      await assert.rejects(unwrap(key, algorithm, wrapped, 1), fails('KeyRevoked'))
      await control.restore(target, {})
      assert.equal((await unwrap(await boundary.key(made.id), algorithm, wrapped)).toString(), 'x')
    }
  }
})

test('promise 3: what is revoked while an RSA unwrap is under way is not handed out', async () => {
  const key = await create('RSA_4096')
  const { wrapped } = await wrap(key, 'RSA-OAEP-256', Buffer.from('x'))
  let answered = false
  const uses = Array.from({ length: 64 }, async () => {
    await unwrap(key, 'RSA-OAEP-256', wrapped).then(
      () => assert.equal(answered, false, 'a use was answered after the revocation'),
      fails('StaleKey', 'KeyRevoked'),
    )
  })
  await boundary.control.revoke({ key: key.id }, {})
  answered = true
  await Promise.all(uses)
})

test('promise 2: each has one record, with algorithm, version and size, and nothing of what was wrapped', async () => {
  const key = await create('EXTERNAL_AES_256')
  const plaintext = randomBytes(32)
  const before = readRecords(data).length
  const asserted = (operation: string) => ({ operation, requestId: `r-${operation}` })
  const { wrapped } = await boundary.use.externalWrap(key, 'A256KWP', Buffer.from(plaintext), asserted('azure:wrapkey'))
  const rotated = await boundary.control.rotateExternalKey(key.id, {})
  await boundary.use.externalUnwrap(rotated, 'A256KWP', wrapped, 0, asserted('azure:unwrapkey'))
  await assert.rejects(
    boundary.use.externalUnwrap(rotated, 'A256KWP', flipped(wrapped), 0, {}),
    fails('InvalidCiphertext'),
  )
  await assert.rejects(boundary.use.externalWrap(rotated, 'RSA-OAEP', plaintext, {}), fails('InvalidKeyUsage'))
  const found = readRecords(data).slice(before)
  const told = found
    .map(({ record }) => record)
    .filter(
      ({ boundaryOperation = '' }) =>
        boundaryOperation.startsWith('externalWrap') || boundaryOperation === 'externalUnwrap',
    )
    .map(({ boundaryOperation, outcome, error, algorithm, materialId, size, keyId, keyRevision, asserted: said }) => ({
      ...{ boundaryOperation, outcome, error, algorithm, materialId, size },
      ...{ mine: keyId === key.id, keyRevision, operation: said.operation },
    }))
  const each = { algorithm: 'A256KWP', error: undefined, mine: true }
  assert.deepEqual(told, [
    {
      ...each,
      boundaryOperation: 'externalWrap',
      outcome: 'allowed',
      materialId: '00000001',
      size: 32,
      keyRevision: 1,
      operation: 'azure:wrapkey',
    },
    {
      ...each,
      boundaryOperation: 'externalUnwrap',
      outcome: 'allowed',
      materialId: '00000001',
      size: 32,
      keyRevision: 2,
      operation: 'azure:unwrapkey',
    },
    {
      ...each,
      boundaryOperation: 'externalUnwrap',
      outcome: 'failed',
      error: 'InvalidCiphertext',
      materialId: undefined,
      size: undefined,
      keyRevision: 2,
      operation: undefined,
    },
    {
      ...each,
      boundaryOperation: 'externalWrap',
      outcome: 'failed',
      error: 'InvalidKeyUsage',
      algorithm: 'RSA-OAEP',
      materialId: undefined,
      size: 32,
      keyRevision: 2,
      operation: undefined,
    },
  ])
  for (const { bytes } of found) assert.ok(!bytes.includes(plaintext) && !bytes.includes(wrapped))
})

test('a boundary of a provider wraps nothing for an owner', async () => {
  const kms = await inProcess()
  const key = await create('EXTERNAL_AES_256')
  await assert.rejects(kms.use.externalWrap(key, 'A256KW', randomBytes(16), {}), fails('KeyGone'))
  await kms.stop()
  kms.remove()
})
