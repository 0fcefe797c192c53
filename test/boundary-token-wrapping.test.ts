/**
 * Keys of others, wrapped under keys that are in tokens, by a real boundary over SoftHSM: AES and RSA, made by Holdfast and by pkcs11-tool, in the root's token and in
 * another; and ciphertexts of another key manager on the same token, opened.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { KeyRow } from '../src/boundary/client/api.ts'
import type { BoundaryConfig } from '../src/boundary/config.ts'
import { readKeyHeader } from '../src/boundary/crypto/sealed.ts'
import { startService } from '../src/boundary/supervisor/supervisor.ts'
import { configOf, fails, type Running, run, temporaryFolder } from './boundary/harness.ts'
import { readRecords } from './support/journal.ts'
import { SoftHsm } from './support/softhsm.ts'

const PIN = 'pin-of-the-first'
const OTHER_PIN = 'pin-of-the-second'
const hsm = new SoftHsm().use()
const folder = temporaryFolder()
const file = (name: string, text: string): string => {
  fs.writeFileSync(path.join(folder, name), text, { mode: 0o600 })
  return path.join(folder, name)
}
const [pinFile, otherPinFile] = [file('pin', PIN), file('other-pin', OTHER_PIN)]
const token = { module: hsm.module, token: { label: 'first' }, pin: { file: pinFile } }
const other = { name: 'second', module: hsm.module, token: { label: 'second' }, pin: { file: otherPinFile } }
const config = {
  service: 'ekm',
  root: { kind: 'pkcs11', ...token, rootLabel: 'holdfast root' },
  tokens: [other],
} satisfies Partial<BoundaryConfig>

/** What a proxy of others has encrypted under this key, in the vectors of the format. */
const KNOWN = Buffer.from('60f545b2b7e3b1e3cfe0224d51e565fa1b9cb33a2a9e4016ccf85f5a2c3799b1', 'hex')
type Vector = { readonly [part in 'plaintext' | 'aad' | 'iv' | 'metadata' | 'ciphertext' | 'tag']?: string }
const vectors = (
  JSON.parse(fs.readFileSync(path.join(import.meta.dirname, 'vectors', 'external.json'), 'utf8')) as {
    xksProxy: Vector[]
  }
).xksProxy

before(() => {
  hsm.addToken('first', PIN)
  hsm.importKey(PIN, 'known', Buffer.from('f00d', 'hex'), KNOWN)
  hsm.addToken('second', OTHER_PIN)
  hsm.pkcs11Tool('first', PIN, '--keygen', '--key-type', 'aes:32', '--label', 'their aes', '--id', 'a1', '--sensitive')
  hsm.pkcs11Tool(
    'first',
    PIN,
    '--keypairgen',
    '--key-type',
    'rsa:3072',
    '--label',
    'their rsa',
    '--id',
    'b1',
    '--usage-decrypt',
  )
})
after(() => {
  fs.rmSync(folder, { recursive: true, force: true })
  hsm.remove()
})

let count = 0
const create = (
  running: Running,
  spec: 'EXTERNAL_AES_256' | 'RSA_2048' | 'RSA_3072',
  tokenObject = '',
  more: object = {},
) => {
  const input = {
    id: `acme/key-${++count}`,
    scope: 'acme',
    tenant: 'acme',
    spec,
    backing: 'TOKEN',
    tokenObject,
  } as const
  return running.control.createExternalKey({ ...input, mayEncrypt: true, mayDecrypt: true, ...more }, {})
}
const headerOf = (row: KeyRow) => readKeyHeader(row.body ?? Buffer.alloc(0))
const row = async (running: Running, id: string) => (await running.control.getRow('key', id)) as KeyRow

describe('keys in tokens wrap', () => {
  test('AES and RSA: made in the token, versions, revoked, and there after a restart', async t => {
    const running = await run(t, folder, { config })
    const kept: {
      key: string
      algorithm: 'A256KW' | 'A256KWP' | 'RSA-OAEP' | 'RSA-OAEP-256'
      wrapped: Buffer
      plaintext: Buffer
    }[] = []
    for (const [spec, algorithms] of [
      ['EXTERNAL_AES_256', ['A256KW', 'A256KWP']],
      ['RSA_2048', ['RSA-OAEP', 'RSA-OAEP-256']],
    ] as const) {
      let key = await create(running, spec)
      const plaintext = randomBytes(32)
      for (const version of [1, 2]) {
        if (version > 1) key = await running.control.rotateExternalKey(key.id, {})
        for (const algorithm of algorithms) {
          const made = await running.use.externalWrap(key, algorithm, Buffer.from(plaintext), {})
          assert.equal(made.version, version)
          kept.push({ key: key.id, algorithm, wrapped: made.wrapped, plaintext })
        }
      }
      if (spec === 'RSA_2048') {
        const publicKey = createPublicKey({ key: headerOf(key).publicKey, format: 'der', type: 'spki' })
        const outside = { key: publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
        const wrapped = publicEncrypt(outside, plaintext)
        kept.push({ key: key.id, algorithm: 'RSA-OAEP-256', wrapped, plaintext })
        await assert.rejects(
          running.use.externalWrap(key, 'A256KW', Buffer.from(plaintext), {}),
          fails('InvalidKeyUsage'),
        )
        const tooLong = running.use.externalWrap(key, 'RSA-OAEP-256', randomBytes(191), {})
        await assert.rejects(tooLong, fails('InvalidRequest'))
      } else {
        await assert.rejects(running.use.externalWrap(key, 'A256KW', randomBytes(33), {}), fails('InvalidRequest'))
        await assert.rejects(running.use.externalWrap(key, 'RSA-OAEP', randomBytes(33), {}), fails('InvalidKeyUsage'))
      }
    }
    const check = async (each: Running) => {
      for (const { key: id, algorithm, wrapped, plaintext } of kept) {
        const key = await row(each, id)
        assert.deepEqual(await each.use.externalUnwrap(key, algorithm, wrapped, 0, {}), plaintext)
        const changed = Buffer.from(wrapped)
        changed.writeUInt8(changed.readUInt8(9) ^ 1, 9)
        for (const bytes of [changed, wrapped.subarray(8), Buffer.alloc(0)])
          await assert.rejects(each.use.externalUnwrap(key, algorithm, bytes, 0, {}), fails('InvalidCiphertext'))
      }
    }
    await check(running)
    await running.control.revoke({ tenant: 'acme' }, {})
    for (const { key, algorithm, wrapped } of kept) {
      const revoked = await row(running, key)
      await assert.rejects(running.use.externalUnwrap(revoked, algorithm, wrapped, 0, {}), fails('KeyRevoked'))
      await assert.rejects(running.use.externalWrap(revoked, algorithm, randomBytes(32), {}), fails('KeyRevoked'))
    }
    await running.control.restore({ tenant: 'acme' }, {})
    await running.stop()
    const again = await run(t, folder, { config })
    await check(again)
    await again.stop()
  })

  test('objects that pkcs11-tool has made are used; those that do not fit are refused, with what does not', async t => {
    const running = await run(t, folder, { config })
    for (const [spec, object, algorithm] of [
      ['EXTERNAL_AES_256', 'label:their aes', 'A256KWP'],
      ['EXTERNAL_AES_256', 'id:a1', 'A256KW'],
      ['RSA_3072', 'label:their rsa', 'RSA-OAEP-256'],
      ['RSA_3072', 'id:b1', 'RSA-OAEP'],
    ] as const) {
      const key = await create(running, spec, object)
      assert.equal(headerOf(key).tokenObject, spec === 'RSA_3072' ? 'id:b1' : 'id:a1')
      const plaintext = randomBytes(32)
      const { wrapped } = await running.use.externalWrap(key, algorithm, Buffer.from(plaintext), {})
      assert.deepEqual(await running.use.externalUnwrap(key, algorithm, wrapped, 1, {}), plaintext)
    }
    const onlyWraps = await create(running, 'RSA_2048', '', { mayDecrypt: false })
    assert.equal((await running.use.externalWrap(onlyWraps, 'RSA-OAEP', randomBytes(9), {})).wrapped.length, 256)
    const refused: [spec: 'EXTERNAL_AES_256' | 'RSA_2048' | 'RSA_3072', object: string, why: RegExp][] = [
      ['RSA_2048', 'label:their rsa', /has 3072 bits/],
      ['RSA_2048', headerOf(onlyWraps).tokenObject, /does not allow/],
      ['RSA_2048', 'label:their aes', /no private key/],
      ['EXTERNAL_AES_256', 'label:their rsa', /no secret key/],
      ['EXTERNAL_AES_256', 'label:nowhere', /no secret key/],
      ['EXTERNAL_AES_256', 'token=third', /no token third/],
      ['EXTERNAL_AES_256', 'nothing', /id:<hex>/],
      ['RSA_2048', 'opens=aws-xks-proxy label:their rsa', /an AES key/],
      ['EXTERNAL_AES_256', 'opens=aws-xks-proxy', /a new object/],
    ]
    for (const [spec, object, why] of refused) {
      const error = await create(running, spec, object).then(
        () => assert.fail(object),
        thrown => thrown,
      )
      fails('InvalidRequest')(error)
      assert.match(error.message, why, object)
    }
    const signs = create(running, 'RSA_2048', '', { mayEncrypt: false, mayDecrypt: false })
    await assert.rejects(signs, /pairs that sign are sealed/)
    await running.stop()
  })

  test('promise 1: what is private of a key is nowhere outside the token, and cannot be had from it', async () => {
    const objects = hsm.pkcs11Tool('first', PIN, '--list-objects')
    const access = [...objects.matchAll(/(Secret|Private) Key Object(?:.|\n {2})*?Access: +([^\n]*)/g)]
    assert.ok(access.length >= 8, objects)
    for (const [, , how = ''] of access) {
      assert.match(how, /^sensitive/)
      assert.doesNotMatch(how, /(?:^|, )extractable/)
    }
  })
})

describe('a second token', () => {
  test('keys are made, used and rotated in it, beside those of the root’s token', async t => {
    const running = await run(t, folder, { config })
    assert.deepEqual(await running.use.selfTest(), { ok: true, detail: '' })
    for (const spec of ['EXTERNAL_AES_256', 'RSA_2048'] as const) {
      const algorithm = spec === 'RSA_2048' ? 'RSA-OAEP-256' : 'A256KWP'
      const [here, there] = [await create(running, spec), await create(running, spec, 'token=second')]
      assert.match(headerOf(there).tokenObject, /^token=second id:[0-9a-f]{32}$/)
      const rotated = await running.control.rotateExternalKey(there.id, {})
      assert.match(headerOf(rotated).tokenObject, /^token=second id:[0-9a-f]{32}$/)
      await Promise.all(
        Array.from({ length: 20 }, async (_, at) => {
          const [key, plaintext] = [at % 2 === 0 ? here : rotated, randomBytes(32)]
          const { wrapped } = await running.use.externalWrap(key, algorithm, Buffer.from(plaintext), {})
          assert.deepEqual(await running.use.externalUnwrap(key, algorithm, wrapped, 0, {}), plaintext)
        }),
      )
    }
    const object = headerOf(await create(running, 'EXTERNAL_AES_256', 'token=second')).tokenObject
    await assert.rejects(
      create(running, 'EXTERNAL_AES_256', object.slice('token=second '.length)),
      fails('InvalidRequest'),
    )
    await running.stop()
    const labels = hsm.pkcs11Tool('second', OTHER_PIN, '--list-objects', '--type', 'privkey')
    assert.equal(labels.match(/Private Key Object/g)?.length, 2)
  })

  const refusal = async (more: Partial<BoundaryConfig>): Promise<string> => {
    const lines: string[] = []
    const service = startService({
      boundary: configOf(folder, { ...config, ...more }),
      frontEnd: { entry: path.join(import.meta.dirname, 'boundary', 'front-end.ts'), config: { socket: '/nowhere' } },
      log: (_level, message) => lines.push(message),
    })
    const error = await service.ready.then(
      () => assert.fail('it started'),
      thrown => thrown,
    )
    assert.equal(await service.ended, 64)
    return error.message
  }

  test('one token is not opened twice, a label that two tokens have says nothing, and a slot does', async t => {
    assert.match(await refusal({ tokens: [{ ...other, ...token, name: 'again' }] }), /in use under another name/)
    hsm.addToken('second', OTHER_PIN)
    assert.match(await refusal({}), /several tokens with the label "second": name one by its slot/)
    const shown = execFileSync('softhsm2-util', ['--show-slots'], { encoding: 'utf8' })
    const slots = shown
      .split(/^Slot /m)
      .filter(slot => /^ +Label: +second *$/m.test(slot))
      .map(slot => Number.parseInt(slot, 10))
    assert.equal(slots.length, 2, shown)
    const tokens = slots.map((slot, at) => ({ ...other, name: `slot-${at}`, token: { slot } }))
    const running = await run(t, folder, { config: { ...config, tokens } })
    const keys = await Promise.all([0, 1].map(at => create(running, 'EXTERNAL_AES_256', `token=slot-${at}`)))
    for (const key of keys) {
      const made = await running.use.externalEncrypt(key, Buffer.from('x'), Buffer.alloc(0), true, {})
      assert.equal((await running.use.externalDecrypt(key, made, Buffer.alloc(0), {})).toString(), 'x')
    }
    await running.stop()
  })
})

describe('ciphertexts of the XKS proxy that AWS published as a sample', () => {
  const parts = (vector: Vector) => {
    const part = (name: keyof Vector): Buffer => Buffer.from(vector[name] ?? '', 'hex')
    const ciphertext = { iv: part('iv'), ciphertext: part('ciphertext'), tag: part('tag'), metadata: part('metadata') }
    return { ciphertext: { ...ciphertext, integrityValue: undefined }, aad: part('aad'), plaintext: part('plaintext') }
  }
  const noTokens = { ...config, tokens: [] }

  test('are opened by a key that says so, and by no other; what it encrypts itself has its own form', async t => {
    const running = await run(t, folder, { config: noTokens })
    const { use } = running
    const opens = await create(running, 'EXTERNAL_AES_256', 'opens=aws-xks-proxy label:known')
    assert.equal(headerOf(opens).tokenObject, 'opens=aws-xks-proxy id:f00d')
    const strict = await create(running, 'EXTERNAL_AES_256', 'label:known')
    assert.ok(vectors.length >= 5)
    for (const vector of vectors) {
      const { ciphertext, aad, plaintext } = parts(vector)
      assert.deepEqual(await use.externalDecrypt(opens, ciphertext, aad, {}), plaintext)
      // Without additional data and metadata their form is the protocol's own, and ours.
      if (vector.aad === undefined && vector.metadata === '')
        assert.deepEqual(await use.externalDecrypt(strict, ciphertext, aad, {}), plaintext)
      else await assert.rejects(use.externalDecrypt(strict, ciphertext, aad, {}), fails('InvalidCiphertext'))
      const changed = Buffer.from(ciphertext.tag)
      changed.writeUInt8(changed.readUInt8(0) ^ 1, 0)
      const wrong = use.externalDecrypt(opens, { ...ciphertext, tag: changed }, aad, {})
      await assert.rejects(wrong, fails('InvalidCiphertext'))
      const otherAad = use.externalDecrypt(opens, ciphertext, Buffer.concat([aad, Buffer.from('x')]), {})
      await assert.rejects(otherAad, fails('InvalidCiphertext'))
    }
    const records = readRecords(folder).map(({ record }) => record)
    const opened = records.filter(
      ({ keyId, outcome, boundaryOperation }) =>
        keyId === opens.id && outcome === 'allowed' && boundaryOperation === 'externalDecrypt',
    )
    assert.deepEqual(
      opened.map(({ algorithm, materialId }) => [algorithm ?? 'own', materialId]),
      vectors.map(({ aad, metadata }) => [aad === undefined && metadata === '' ? 'own' : 'aws-xks-proxy', '00000001']),
    )
    const aad = Buffer.from('project=nile')
    const made = await use.externalEncrypt(opens, Buffer.from('ours'), aad, true, {})
    assert.equal(made.metadata.toString('hex'), '0100000001')
    assert.equal((await use.externalDecrypt(strict, made, aad, {})).toString(), 'ours')
    const rotated = await running.control.rotateExternalKey(opens.id, {})
    assert.match(headerOf(rotated).tokenObject, /^id:[0-9a-f]{32}$/, 'nobody else has encrypted under the new object')
    for (const vector of vectors) {
      const { ciphertext, aad: theirs, plaintext } = parts(vector)
      assert.deepEqual(await use.externalDecrypt(rotated, ciphertext, theirs, {}), plaintext)
    }
    assert.equal((await use.externalDecrypt(rotated, made, aad, {})).toString(), 'ours')
    await running.stop()
  })
})
