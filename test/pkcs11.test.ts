/**
 * The PKCS#11 room against real SoftHSM2: keys, AES-GCM, errors, the dirty session, loss and return of the token.
 * Calls are counted and held back by wrapping the module's functions, never by replacing what they do.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { CKR } from '../src/boundary/pkcs11/constants.ts'
import { loadCryptoki } from '../src/boundary/pkcs11/cryptoki.ts'
import { createTokenRoot, openTokenRoot } from '../src/boundary/pkcs11/root.ts'
import { openTokenWith } from '../src/boundary/pkcs11/token.ts'
import { type Token, TokenError, type TokenOptions } from '../src/boundary/pkcs11/types.ts'
import { RootError, Secret } from '../src/boundary/root/types.ts'
import { SoftHsm } from './support/softhsm.ts'
import { eventually, rejectsWith, Watched } from './support/watched-cryptoki.ts'

process.env.UV_THREADPOOL_SIZE = '16'

const PIN = '1234'
const LABEL = 'holdfast-test'
const KEY = randomBytes(32)
const AAD = Buffer.from('additional data')

function decryptHere(key: Buffer, iv: Buffer, aad: Buffer, ciphertext: Buffer, tag: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, iv).setAAD(aad).setAuthTag(tag)
  return Buffer.concat([decipher.update(ciphertext), decipher.final()])
}

function encryptHere(key: Buffer, iv: Buffer, aad: Buffer, plaintext: Buffer) {
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(aad)
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return { ciphertext, tag: cipher.getAuthTag() }
}

for (const calls of ['sync', 'async'] as const) {
  describe(`a SoftHSM token, calls ${calls}`, () => {
    let hsm: SoftHsm
    let watched: Watched
    let tokens: Token[]

    const open = async (options: Partial<TokenOptions> = {}): Promise<Token> => {
      const token = await openTokenWith(watched.load, {
        module: hsm.module,
        token: { label: LABEL },
        pin: new Secret(Buffer.from(PIN)),
        sessions: 4,
        deadlineMs: 2000,
        reopenMs: 20,
        calls,
        ...options,
      })
      tokens.push(token)
      return token
    }

    beforeEach(() => {
      hsm = new SoftHsm().use().addToken(LABEL, PIN)
      watched = new Watched()
      tokens = []
    })
    afterEach(async () => {
      for (const token of tokens) await token.close()
      hsm.remove()
    })

    test('a key of known value agrees with node:crypto in both directions, at every interesting length', async () => {
      hsm.importKey(PIN, 'known', Buffer.from([1]), KEY)
      const token = await open()
      for (const length of [0, 1, 15, 16, 17, 32, 4096, 4300, 16_384]) {
        const plaintext = randomBytes(length)
        const [iv, aad] = [randomBytes(12), randomBytes(length)]
        const sealed = await token.gcmEncrypt('label:known', iv, aad, plaintext)
        assert.deepEqual(sealed.iv, iv)
        assert.deepEqual({ ciphertext: sealed.ciphertext, tag: sealed.tag }, encryptHere(KEY, iv, aad, plaintext))
        assert.deepEqual(await token.gcmDecrypt('id:01', iv, aad, sealed.ciphertext, sealed.tag), plaintext)
      }
      const [iv16, plaintext] = [randomBytes(16), randomBytes(40)]
      const here = encryptHere(KEY, iv16, AAD, plaintext)
      assert.deepEqual(await token.gcmDecrypt('id:01', iv16, AAD, here.ciphertext, here.tag), plaintext)
    })

    test('a key that it makes is found by id and label, and cannot leave the token', async () => {
      const token = await open()
      const made = await token.generateKey('made', Buffer.from('c0ffee', 'hex'), { encrypt: true, decrypt: true })
      assert.deepEqual(made, { ref: 'id:c0ffee', label: 'made', id: 'c0ffee', mayEncrypt: true, mayDecrypt: true })
      assert.deepEqual(await token.findKey('label:made'), { ...made, ref: 'label:made' })
      const { iv, ciphertext, tag } = await token.gcmEncrypt('label:made', randomBytes(12), AAD, Buffer.from('hello'))
      assert.equal((await token.gcmDecrypt('id:c0ffee', iv, AAD, ciphertext, tag)).toString(), 'hello')
      await rejectsWith(token.generateKey('made', Buffer.from([9]), { encrypt: true, decrypt: true }), 'KeyAmbiguous')
      await rejectsWith(
        token.generateKey('x', Buffer.from('c0ffee', 'hex'), { encrypt: true, decrypt: true }),
        'KeyAmbiguous',
      )
    })

    test('two keys made at once under one label: one of them is refused', async () => {
      const token = await open()
      const usage = { encrypt: true, decrypt: true }
      const both = await Promise.allSettled([
        token.generateKey('twin', Buffer.from([1]), usage),
        token.generateKey('twin', Buffer.from([2]), usage),
      ])
      assert.deepEqual(
        both.map(one => one.status),
        ['fulfilled', 'rejected'],
      )
      assert.equal((await token.findKey('label:twin')).id, '01')
    })

    test('an IV that is not 12 bytes, or zero, is refused before the token sees it', async () => {
      hsm.importKey(PIN, 'known', Buffer.from([1]), KEY)
      const token = await open()
      for (const iv of [Buffer.alloc(0), Buffer.alloc(12), randomBytes(11), randomBytes(13), randomBytes(16)]) {
        await rejectsWith(token.gcmEncrypt('id:01', iv, AAD, Buffer.from('x')), 'InvalidRequest')
      }
      for (const iv of [Buffer.alloc(0), randomBytes(11), randomBytes(17)]) {
        await rejectsWith(token.gcmDecrypt('id:01', iv, AAD, Buffer.from('x'), randomBytes(16)), 'InvalidRequest')
      }
      await rejectsWith(
        token.gcmDecrypt('id:01', randomBytes(12), AAD, Buffer.from('x'), randomBytes(12)),
        'InvalidRequest',
      )
      await rejectsWith(token.gcmEncrypt('id:01', randomBytes(12), AAD, Buffer.alloc(16_385)), 'InvalidRequest')
      await rejectsWith(token.gcmEncrypt('id:01', randomBytes(12), Buffer.alloc(16_385), AAD), 'InvalidRequest')
      assert.equal(watched.count('C_EncryptInit') + watched.count('C_DecryptInit'), 0)
    })

    test('a token that is said to make IVs and leaves them zero is refused', async () => {
      hsm.importKey(PIN, 'known', Buffer.from([1]), KEY)
      const token = await open({ capabilities: { tokenMakesIv: true, zeroIvRequired: true } })
      await rejectsWith(token.gcmEncrypt('id:01', randomBytes(12), AAD, Buffer.from('x')), 'Misconfigured')
    })

    test('only one AES-256 key that is sensitive and not extractable will do', async () => {
      hsm.importKey(PIN, 'twice', Buffer.from([1]), KEY)
      hsm.importKey(PIN, 'twice', Buffer.from([2]), KEY)
      hsm.importKey(PIN, 'short', Buffer.from([3]), KEY.subarray(0, 16))
      hsm.importKey(PIN, 'readable', Buffer.from([4]), KEY, { sensitive: false, extractable: true })
      hsm.importKey(PIN, 'extractable', Buffer.from([5]), KEY, { extractable: true })
      const token = await open()
      await rejectsWith(token.findKey('label:twice'), 'KeyAmbiguous')
      assert.equal((await token.findKey('id:02')).label, 'twice')
      await rejectsWith(token.findKey('label:short'), 'KeyUnsuitable')
      await rejectsWith(token.findKey('label:readable'), 'KeyUnsuitable')
      await rejectsWith(token.findKey('label:extractable'), 'KeyUnsuitable')
      await rejectsWith(token.findKey('label:nowhere'), 'KeyNotFound')
      await rejectsWith(token.findKey('id:' as never), 'InvalidRequest')
      await rejectsWith(token.findKey('id:zz' as never), 'InvalidRequest')
      await rejectsWith(token.findKey('name:x' as never), 'InvalidRequest')
      assert.equal(token.status().losses, 0)
    })

    test('encrypt-only, decrypt-only and impotent keys give the usage error', async () => {
      hsm.importKey(PIN, 'encrypt_only_key', Buffer.from([1]), KEY, { decrypt: false })
      hsm.importKey(PIN, 'decrypt_only_key', Buffer.from([2]), KEY, { encrypt: false })
      hsm.importKey(PIN, 'impotent_key', Buffer.from([3]), KEY, { encrypt: false, decrypt: false })
      const token = await open()
      const encrypt = (id: string) => token.gcmEncrypt(`id:${id}`, randomBytes(12), AAD, Buffer.from('x'))
      const { iv, ciphertext, tag } = await encrypt('01')
      await rejectsWith(token.gcmDecrypt('id:01', iv, AAD, ciphertext, tag), 'UsageRefused')
      await rejectsWith(encrypt('02'), 'UsageRefused')
      assert.equal((await token.gcmDecrypt('id:02', iv, AAD, ciphertext, tag)).toString(), 'x')
      await rejectsWith(encrypt('03'), 'UsageRefused')
      await rejectsWith(token.gcmDecrypt('id:03', iv, AAD, ciphertext, tag), 'UsageRefused')
      const made = await token.generateKey('made', Buffer.from([7]), { encrypt: true, decrypt: false })
      assert.deepEqual([made.mayEncrypt, made.mayDecrypt], [true, false])
    })

    test('wrong tag, data, IV or length is InvalidCiphertext, its session goes, and the next call works', async () => {
      hsm.importKey(PIN, 'known', Buffer.from([1]), KEY)
      const token = await open({ sessions: 1 })
      const { iv, ciphertext, tag } = await token.gcmEncrypt('id:01', randomBytes(12), AAD, Buffer.from('hello'))
      const flipped = (bytes: Buffer) => Buffer.from(bytes.map((byte, index) => (index === 0 ? byte ^ 1 : byte)))
      const wrong: ReadonlyArray<readonly [Buffer, Buffer, Buffer, Buffer]> = [
        [iv, AAD, ciphertext, flipped(tag)],
        [iv, flipped(AAD), ciphertext, tag],
        [iv, Buffer.alloc(0), ciphertext, tag],
        [flipped(iv), AAD, ciphertext, tag],
        [iv, AAD, flipped(ciphertext), tag],
        [iv, AAD, ciphertext.subarray(1), tag],
        [iv, AAD, Buffer.alloc(0), tag],
      ]
      let opened = watched.count('C_OpenSession')
      for (const [i, a, c, t] of wrong) {
        await rejectsWith(token.gcmDecrypt('id:01', i, a, c, t), 'InvalidCiphertext')
        assert.equal((await token.gcmDecrypt('id:01', iv, AAD, ciphertext, tag)).toString(), 'hello')
        opened += 1
        assert.equal(watched.count('C_OpenSession'), opened, 'each error costs one new session')
      }
      assert.equal(watched.count('C_CloseSession'), wrong.length)
      assert.equal(watched.count('C_Login'), 1)
      assert.equal(token.status().losses, 0)
    })

    test('a session that a failed call left dirty is never given out again', async () => {
      hsm.importKey(PIN, 'known', Buffer.from([1]), KEY)
      const token = await open({ sessions: 1 })
      const functions = loadCryptoki(hsm.module)
      watched.interfere.set('C_Encrypt', (_, args) => functions.C_Encrypt(args[0] as bigint, null, 5, null, null))
      const error = await rejectsWith(token.gcmEncrypt('id:01', randomBytes(12), AAD, Buffer.from('hello')), 'Failed')
      assert.equal(error.ckr, CKR.ARGUMENTS_BAD)
      watched.interfere.clear()
      for (let round = 0; round < 3; round += 1) {
        await token.gcmEncrypt('id:01', randomBytes(12), AAD, Buffer.from('hello'))
      }
    })

    test('a wrong PIN makes one C_Login, is fatal, and says no PIN', async () => {
      const error = await rejectsWith(open({ pin: new Secret(Buffer.from('99998888')) }), 'PinIncorrect')
      assert.ok(error.fatal)
      assert.ok(!`${error.message}${error.stack}`.includes('99998888'))
      assert.equal(watched.count('C_Login'), 1)
    })

    test('what is not there is named: module, token, and a second user of the module', async () => {
      await rejectsWith(open({ token: { label: 'elsewhere' } }), 'TokenNotFound')
      await rejectsWith(open({ token: { slot: 123_456 } }), 'TokenNotFound')
      await rejectsWith(open({ module: '/nonexistent/module.so' }), 'ModuleUnusable')
      await rejectsWith(open({ module: 'libc.so.6' }), 'ModuleUnusable')
      assert.equal(watched.count('C_Login'), 0)
      await open()
      await rejectsWith(open(), 'Misconfigured')
    })

    test('a token is found by its slot too', async () => {
      const shown = execFileSync('softhsm2-util', ['--show-slots'], { encoding: 'utf8' })
      const slot = Number(/Slot (\d{3,})/.exec(shown)?.[1])
      const token = await open({ token: { slot } })
      assert.equal(token.status().tokenLabel, LABEL)
    })

    test('random bytes come from the token', async () => {
      const token = await open()
      const [one, two] = [await token.random(32), await token.random(32)]
      assert.ok(!one.equals(two) && one.length === 32)
      await rejectsWith(token.random(0), 'InvalidRequest')
      await rejectsWith(token.random(1025), 'InvalidRequest')
    })

    test('many calls at once on a few sessions all finish while memory is collected, each with its own result', async () => {
      hsm.importKey(PIN, 'known', Buffer.from([1]), KEY)
      const token = await open()
      setFlagsFromString('--expose-gc')
      const collect = runInNewContext('gc') as () => void
      const results = await Promise.all(
        Array.from({ length: 300 }, async (_, index) => {
          if (index % 50 === 0) setImmediate(collect)
          const [iv, plaintext] = [randomBytes(12), Buffer.from(`message ${index}`)]
          const { ciphertext, tag } = await token.gcmEncrypt('id:01', iv, AAD, plaintext)
          assert.deepEqual(decryptHere(KEY, iv, AAD, ciphertext, tag), plaintext)
          return (await token.gcmDecrypt('id:01', iv, AAD, ciphertext, tag)).toString()
        }),
      )
      assert.deepEqual(
        results,
        Array.from({ length: 300 }, (_, index) => `message ${index}`),
      )
      assert.ok(token.status().sessions <= 4)
      assert.equal(watched.count('C_Login'), 1)
    })

    test('the token is taken away and comes back: noticed, one more login, handles found again', async () => {
      hsm.importKey(PIN, 'known', Buffer.from([1]), KEY)
      const states: string[] = []
      const token = await open({ onChange: status => states.push(status.state) })
      const use = () => token.gcmEncrypt('id:01', randomBytes(12), AAD, Buffer.from('x'))
      await use()
      const logins = watched.count('C_Login')
      renameSync(hsm.tokens, `${hsm.tokens}.away`)
      mkdirSync(hsm.tokens)
      await rejectsWith(use(), 'TokenLost')
      await rejectsWith(token.random(8), 'TokenLost')
      assert.equal(token.status().state, 'lost')
      assert.notEqual(token.status().detail, '')
      assert.equal(watched.count('C_Login'), logins, 'no login while there is no token')
      rmSync(hsm.tokens, { recursive: true })
      renameSync(`${hsm.tokens}.away`, hsm.tokens)
      await eventually(() => token.status().state === 'open', 'the token is open again')
      await use()
      assert.equal(watched.count('C_Login'), logins + 1)
      assert.deepEqual(states, ['lost', 'open'])
      assert.deepEqual([token.status().losses, token.status().logins], [1, 2])
    })

    test('a session that the token dropped costs one reconnect, and the call itself succeeds', async () => {
      hsm.importKey(PIN, 'known', Buffer.from([1]), KEY)
      const token = await open()
      await token.findKey('id:01')
      let dropped = 0
      watched.interfere.set('C_EncryptInit', proceed => (dropped++ === 0 ? CKR.SESSION_HANDLE_INVALID : proceed()))
      const { iv, ciphertext, tag } = await token.gcmEncrypt('id:01', randomBytes(12), AAD, Buffer.from('x'))
      assert.equal(decryptHere(KEY, iv, AAD, ciphertext, tag).toString(), 'x')
      assert.equal(token.status().state, 'open')
      assert.equal(watched.count('C_Login'), 2)
    })

    test('a token that comes back with another PIN is tried once and then never again', async () => {
      hsm.importKey(PIN, 'known', Buffer.from([1]), KEY)
      const token = await open()
      await token.findKey('id:01')
      rmSync(hsm.tokens, { recursive: true })
      mkdirSync(hsm.tokens)
      hsm.addToken(LABEL, '77777777')
      await assert.rejects(token.gcmEncrypt('id:01', randomBytes(12), AAD, Buffer.from('x')), TokenError)
      await eventually(() => token.status().state === 'failed', 'the token has failed for good')
      assert.equal(watched.count('C_Login'), 2)
      for (let round = 0; round < 3; round += 1) await rejectsWith(token.findKey('id:01'), 'PinIncorrect')
      assert.equal(watched.count('C_Login'), 2)
    })

    test('as root of trust it wraps, unwraps, and knows its own', async () => {
      const token = await open()
      const root = await createTokenRoot(token, 'holdfast root')
      const secret = randomBytes(32)
      const [one, two] = [
        await root.wrap(new Secret(Buffer.from(secret))),
        await root.wrap(new Secret(Buffer.from(secret))),
      ]
      assert.ok(!one.equals(two))
      assert.ok(!one.includes(secret))
      const again = openTokenRoot(token, root.parameters)
      assert.deepEqual(
        (await again.unwrap(one)).use(bytes => Buffer.from(bytes)),
        secret,
      )
      const adopted = await createTokenRoot(token, 'holdfast root')
      assert.deepEqual(adopted.parameters, root.parameters)
      const other = await createTokenRoot(token, 'another root')
      const wrongRoot = (error: unknown) => error instanceof RootError && error.code === 'WrongRoot'
      await assert.rejects(other.unwrap(one), wrongRoot)
      await assert.rejects(
        root.unwrap(Buffer.concat([one.subarray(0, -1), Buffer.from([(one.at(-1) ?? 0) ^ 1])])),
        wrongRoot,
      )
      await assert.rejects(root.unwrap(Buffer.alloc(10)), RootError)
    })

    test('after close nothing works, and the module can be opened again', async () => {
      const token = await open()
      await token.close()
      await rejectsWith(token.random(8), 'Closed')
      assert.equal((await (await open()).random(8)).length, 8)
    })
  })
}
