/**
 * Keys wrapped in a token: AES key wrap and RSAES-OAEP under keys that real SoftHSM2 holds, and pairs made there, by Holdfast and by other tools. What comes out is
 * opened and made by OpenSSL, in this process and as a program.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  constants,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  type KeyObject,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { unwrapPadded, unwrapPlain, wrapPadded, wrapPlain } from '../src/boundary/crypto/key-wrap.ts'
import { CKR } from '../src/boundary/pkcs11/constants.ts'
import { openTokenWith } from '../src/boundary/pkcs11/token.ts'
import { MODULUS_BITS, type Token, type TokenErrorCode, type TokenOptions } from '../src/boundary/pkcs11/types.ts'
import { Secret } from '../src/boundary/root/types.ts'
import { SoftHsm } from './support/softhsm.ts'
import { rejectsWith, Watched } from './support/watched-cryptoki.ts'

process.env.UV_THREADPOOL_SIZE = '16'

const PIN = '1234'
const LABEL = 'holdfast-test'
const KEY = randomBytes(32)
const SECRET = createSecretKey(KEY)
const PATHS = { plain: 'aes256-wrap', padded: 'aes256-wrap-pad' } as const
const HERE = {
  plain: { wrap: wrapPlain, unwrap: unwrapPlain },
  padded: { wrap: wrapPadded, unwrap: unwrapPadded },
} as const

const spkiOf = (der: Buffer): KeyObject => createPublicKey({ key: der, format: 'der', type: 'spki' })
const oaep = (der: Buffer, oaepHash: 'sha1' | 'sha256', plaintext: Buffer): Buffer =>
  publicEncrypt({ key: spkiOf(der), padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, plaintext)

for (const calls of ['sync', 'async'] as const) {
  describe(`keys wrapped in a SoftHSM token, calls ${calls}`, () => {
    let hsm: SoftHsm
    let watched: Watched
    let tokens: Token[]

    const open = async (options: Partial<TokenOptions> = {}): Promise<Token> => {
      const token = await openTokenWith(watched.load, {
        module: hsm.module,
        token: { label: LABEL },
        pin: new Secret(Buffer.from(PIN)),
        sessions: 4,
        deadlineMs: 5000,
        reopenMs: 20,
        calls,
        ...options,
      })
      tokens.push(token)
      return token
    }
    const tool = (...args: string[]): string => hsm.pkcs11Tool(LABEL, PIN, ...args)

    beforeEach(() => {
      hsm = new SoftHsm().use().addToken(LABEL, PIN)
      watched = new Watched()
      tokens = []
    })
    afterEach(async () => {
      for (const token of tokens) await token.close()
      hsm.remove()
    })

    test('AES key wrap agrees with OpenSSL at every length, in both directions', async () => {
      hsm.importKey(PIN, 'known', Buffer.from([1]), KEY)
      const token = await open()
      for (const how of ['plain', 'padded'] as const) {
        for (const length of [...Array.from({ length: 72 }, (_, at) => at + 1), 200, 1024, 4096]) {
          if (how === 'plain' && (length < 16 || length % 8 !== 0)) {
            await rejectsWith(token.wrapKey('id:01', how, randomBytes(length)), 'InvalidRequest')
            continue
          }
          const plaintext = randomBytes(length)
          const wrapped = await token.wrapKey('label:known', how, plaintext)
          assert.deepEqual(wrapped, HERE[how].wrap(SECRET, plaintext), `${how} ${length}`)
          assert.deepEqual(await token.unwrapKey('id:01', how, wrapped), plaintext)
        }
        await rejectsWith(token.wrapKey('id:01', how, Buffer.alloc(0)), 'InvalidRequest')
        await rejectsWith(token.wrapKey('id:01', how, Buffer.alloc(4104)), 'InvalidRequest')
        const plaintext = randomBytes(40)
        const program = execFileSync(
          'openssl',
          ['enc', `-id-${PATHS[how]}`, '-K', KEY.toString('hex'), '-iv', how === 'plain' ? 'A6'.repeat(8) : 'A65959A6'],
          { input: plaintext },
        )
        assert.deepEqual(await token.unwrapKey('id:01', how, program), plaintext)
      }
    })

    test('what the key has not wrapped is InvalidCiphertext, always alike, and the next call works', async () => {
      hsm.importKey(PIN, 'known', Buffer.from([1]), KEY)
      const token = await open()
      const plaintext = randomBytes(32)
      for (const how of ['plain', 'padded'] as const) {
        const wrapped = await token.wrapKey('id:01', how, plaintext)
        const changed = Buffer.from(wrapped)
        changed.writeUInt8(changed.readUInt8(9) ^ 1, 9)
        const wrong = [
          changed,
          wrapped.subarray(8),
          wrapped.subarray(1),
          Buffer.alloc(0),
          Buffer.alloc(8),
          randomBytes(40),
        ]
        const messages = new Set<string>()
        for (const bytes of [...wrong, Buffer.alloc(4112)])
          messages.add((await rejectsWith(token.unwrapKey('id:01', how, bytes), 'InvalidCiphertext')).message)
        assert.equal(messages.size, 1)
        const other = how === 'plain' ? 'padded' : 'plain'
        await rejectsWith(token.unwrapKey('id:01', other, wrapped), 'InvalidCiphertext')
        assert.deepEqual(await token.unwrapKey('id:01', how, wrapped), plaintext)
      }
      assert.equal(token.status().losses, 0)
    })

    test('usage is respected for wrapping too', async () => {
      hsm.importKey(PIN, 'encrypt_only_key', Buffer.from([1]), KEY, { decrypt: false })
      hsm.importKey(PIN, 'decrypt_only_key', Buffer.from([2]), KEY, { encrypt: false })
      const token = await open()
      const wrapped = await token.wrapKey('id:01', 'padded', Buffer.from('x'))
      await rejectsWith(token.unwrapKey('id:01', 'padded', wrapped), 'UsageRefused')
      await rejectsWith(token.wrapKey('id:02', 'padded', Buffer.from('x')), 'UsageRefused')
      assert.equal((await token.unwrapKey('id:02', 'padded', wrapped)).toString(), 'x')
    })

    test('a pair made in the token: only its public half comes out, and what that encrypts is decrypted there', async () => {
      const token = await open({ deadlineMs: 30_000 })
      for (const modulusBits of MODULUS_BITS) {
        const id = Buffer.from([modulusBits >> 8, 1])
        const pair = await token.generatePair(`pair ${modulusBits}`, id, modulusBits, true)
        assert.deepEqual([pair.modulusBits, pair.mayDecrypt, pair.id], [modulusBits, true, id.toString('hex')])
        const { asymmetricKeyDetails } = spkiOf(pair.publicKey)
        assert.deepEqual(asymmetricKeyDetails, { modulusLength: modulusBits, publicExponent: 65_537n })
        assert.deepEqual(await token.findPair(`label:pair ${modulusBits}`), {
          ...pair,
          ref: `label:pair ${modulusBits}`,
        })
        for (const [hash, overhead] of [
          ['sha1', 42],
          ['sha256', 66],
        ] as const) {
          for (const length of [0, 1, 32, modulusBits / 8 - overhead]) {
            const plaintext = randomBytes(length)
            const ciphertext = oaep(pair.publicKey, hash, plaintext)
            assert.deepEqual(await token.oaepDecrypt(pair.ref, hash, ciphertext), plaintext, `${hash} ${length}`)
          }
        }
      }
      const [bits] = MODULUS_BITS
      await rejectsWith(token.generatePair('pair 2048', Buffer.from([9]), 2048, true), 'KeyAmbiguous')
      await rejectsWith(token.generatePair('x', Buffer.from([(bits ?? 0) >> 8, 1]), 2048, true), 'KeyAmbiguous')
      await rejectsWith(token.generatePair('x', Buffer.alloc(0), 2048, true), 'InvalidRequest')
      await token.close()
      const objects = tool('--list-objects', '--type', 'privkey')
      assert.equal(objects.match(/Private Key Object; RSA/g)?.length, 3)
      assert.equal(objects.match(/Usage: +decrypt\n/g)?.length, 3, objects)
      assert.equal(
        objects.match(/Access: +sensitive, always sensitive, never extractable, local\n/g)?.length,
        3,
        objects,
      )
    })

    test('while a pair is made, which takes its time, keys are used all along', async () => {
      hsm.importKey(PIN, 'known', Buffer.from([1]), KEY)
      const token = await open()
      let made = false
      const making = token.generatePair('pair', Buffer.from([2]), 4096, true).finally(() => {
        made = true
      })
      let uses = 0
      while (!made) {
        await token.gcmEncrypt('id:01', randomBytes(12), Buffer.alloc(0), Buffer.from('x'))
        uses += 1
        await new Promise(resolve => setImmediate(resolve))
      }
      assert.equal((await making).modulusBits, 4096)
      assert.ok(uses > 20, `${uses} uses`)
    })

    test('what was not encrypted for the pair is InvalidCiphertext, always alike for a hash, and the next call works', async () => {
      const token = await open()
      const pair = await token.generatePair('pair', Buffer.from([1]), 2048, true)
      const plaintext = randomBytes(32)
      for (const hash of ['sha1', 'sha256'] as const) {
        const ciphertext = oaep(pair.publicKey, hash, plaintext)
        const raw = (bytes: Buffer) =>
          publicEncrypt({ key: spkiOf(pair.publicKey), padding: constants.RSA_NO_PADDING }, bytes)
        const noPadding = raw(Buffer.concat([Buffer.from([0]), randomBytes(255)]))
        const firstByte = raw(Buffer.concat([Buffer.from([1]), randomBytes(255)]))
        const wrong = [
          noPadding,
          firstByte,
          ciphertext.subarray(1),
          Buffer.concat([Buffer.alloc(1), ciphertext]),
          Buffer.alloc(0),
          Buffer.alloc(256, 0xff),
          oaep(pair.publicKey, hash === 'sha1' ? 'sha256' : 'sha1', plaintext),
        ]
        for (const bytes of wrong) await rejectsWith(token.oaepDecrypt('id:01', hash, bytes), 'InvalidCiphertext')
        assert.deepEqual(await token.oaepDecrypt('id:01', hash, ciphertext), plaintext)
      }
      assert.equal(token.status().losses, 0)
      await rejectsWith(token.oaepDecrypt('id:77', 'sha1', Buffer.alloc(256)), 'KeyNotFound')
    })

    test('SoftHSM does not do OAEP with SHA-256: its raw RSA is asked then, and it is asked for the mechanism once', async () => {
      const token = await open()
      const pair = await token.generatePair('pair', Buffer.from([1]), 2048, true)
      const mechanisms: number[] = []
      watched.interfere.set('C_DecryptInit', proceed => {
        const rv = proceed()
        mechanisms.push(rv)
        return rv
      })
      for (let round = 0; round < 3; round++) {
        const ciphertext = oaep(pair.publicKey, 'sha256', Buffer.from('x'))
        assert.equal((await token.oaepDecrypt('id:01', 'sha256', ciphertext)).toString(), 'x')
      }
      assert.deepEqual(mechanisms, [CKR.ARGUMENTS_BAD, CKR.OK, CKR.OK, CKR.OK])
    })

    test('a pair that may not decrypt refuses', async () => {
      const token = await open()
      const pair = await token.generatePair('pair', Buffer.from([1]), 2048, false)
      assert.equal(pair.mayDecrypt, false)
      const ciphertext = oaep(pair.publicKey, 'sha1', Buffer.from('x'))
      await rejectsWith(token.oaepDecrypt('id:01', 'sha1', ciphertext), 'UsageRefused')
    })

    test('keys that pkcs11-tool has made are used by label and by id, AES and RSA', async () => {
      const hidden = ['--sensitive']
      tool('--keygen', '--key-type', 'aes:32', '--label', 'their aes', '--id', 'a1', ...hidden)
      tool('--keypairgen', '--key-type', 'rsa:2048', '--label', 'their rsa', '--id', 'b1', '--usage-decrypt')
      const token = await open()
      const key = await token.findKey('label:their aes')
      assert.deepEqual([key.id, key.mayEncrypt, key.mayDecrypt], ['a1', true, true])
      const sealed = await token.gcmEncrypt('id:a1', randomBytes(12), Buffer.alloc(0), Buffer.from('hello'))
      const opened = token.gcmDecrypt('label:their aes', sealed.iv, Buffer.alloc(0), sealed.ciphertext, sealed.tag)
      assert.equal((await opened).toString(), 'hello')
      const wrapped = await token.wrapKey('label:their aes', 'plain', randomBytes(32))
      assert.equal((await token.unwrapKey('id:a1', 'plain', wrapped)).length, 32)
      const pair = await token.findPair('label:their rsa')
      assert.equal(pair.id, 'b1')
      for (const hash of ['sha1', 'sha256'] as const) {
        const file = join(hsm.folder, 'public.der')
        writeFileSync(file, pair.publicKey)
        const args = ['pkeyutl', '-encrypt', '-pubin', '-inkey', file, '-keyform', 'DER']
        const padding = ['-pkeyopt', 'rsa_padding_mode:oaep', '-pkeyopt', `rsa_oaep_md:${hash}`]
        const program = execFileSync('openssl', [...args, ...padding], { input: 'from openssl' })
        assert.equal((await token.oaepDecrypt('id:b1', hash, program)).toString(), 'from openssl')
      }
    })

    test('of what other tools left there, only what cannot leave the token will do, and only one of a name', async () => {
      const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
      const file = join(hsm.folder, 'private.der')
      writeFileSync(file, privateKey.export({ format: 'der', type: 'pkcs1' }))
      const write = (label: string, id: string, ...more: string[]) =>
        tool('--write-object', file, '--type', 'privkey', '--label', label, '--id', id, '--usage-decrypt', ...more)
      write('written', '01')
      write('twice', '02')
      write('twice', '03')
      write('extractable', '04', '--extractable')
      tool('--keypairgen', '--key-type', 'rsa:1024', '--label', 'small', '--id', '05', '--usage-decrypt')
      tool('--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'curve', '--id', '06', '--usage-sign')
      const token = await open()
      const expected: Readonly<Record<string, TokenErrorCode>> = {
        'label:twice': 'KeyAmbiguous',
        'label:extractable': 'KeyUnsuitable',
        'label:small': 'KeyUnsuitable',
        'label:curve': 'KeyUnsuitable',
        'label:nowhere': 'KeyNotFound',
      }
      for (const [ref, code] of Object.entries(expected)) await rejectsWith(token.findPair(ref as 'label:x'), code)
      const pair = await token.findPair('id:01')
      assert.deepEqual(spkiOf(pair.publicKey), createPublicKey(privateKey))
      assert.equal((await token.findPair('id:03')).label, 'twice')
      const ciphertext = oaep(pair.publicKey, 'sha256', Buffer.from('x'))
      assert.equal((await token.oaepDecrypt('label:written', 'sha256', ciphertext)).toString(), 'x')
    })
  })
}
