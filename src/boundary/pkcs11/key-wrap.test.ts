/** The loops of RFC 3394 and RFC 5649, over node:crypto's AES in the place of a token's, against the vectors of both and against OpenSSL's. */
import assert from 'node:assert/strict'
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { unwrapPadded, unwrapPlain, wrapPadded, wrapPlain } from '../crypto/key-wrap.ts'
import { type BlockCipher, unwrapByBlocks, unwrapPaddedByBlocks, wrapByBlocks, wrapPaddedByBlocks } from './key-wrap.ts'

const hex = (text: string): Buffer => Buffer.from(text, 'hex')

function ecb(key: Buffer, later = false): { encrypt: BlockCipher; decrypt: BlockCipher } {
  const name = `aes-${key.length * 8}-ecb`
  const put = (block: Buffer, output: Buffer) => {
    output.copy(block)
    return later ? Promise.resolve() : undefined
  }
  return {
    encrypt: block => put(block, createCipheriv(name, key, null).setAutoPadding(false).update(block)),
    decrypt: block => put(block, createDecipheriv(name, key, null).setAutoPadding(false).update(block)),
  }
}

/** RFC 3394 §4, all six of it. */
const PLAIN: readonly (readonly [key: string, data: string, wrapped: string])[] = [
  [
    '000102030405060708090A0B0C0D0E0F',
    '00112233445566778899AABBCCDDEEFF',
    '1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5',
  ],
  [
    '000102030405060708090A0B0C0D0E0F1011121314151617',
    '00112233445566778899AABBCCDDEEFF',
    '96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D',
  ],
  [
    '000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F',
    '00112233445566778899AABBCCDDEEFF',
    '64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7',
  ],
  [
    '000102030405060708090A0B0C0D0E0F1011121314151617',
    '00112233445566778899AABBCCDDEEFF0001020304050607',
    '031D33264E15D33268F24EC260743EDCE1C6C7DDEE725A936BA814915C6762D2',
  ],
  [
    '000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F',
    '00112233445566778899AABBCCDDEEFF0001020304050607',
    'A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1',
  ],
  [
    '000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F',
    '00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F',
    '28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21',
  ],
]
/** RFC 5649 §6. */
const PADDED: readonly (readonly [key: string, data: string, wrapped: string])[] = [
  [
    '5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8',
    'c37b7e6492584340bed12207808941155068f738',
    '138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a',
  ],
  ['5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8', '466f7250617369', 'afbeb0f07dfbf5419200f2ccb50bb24f'],
]

for (const later of [false, true]) {
  test(`the vectors of RFC 3394 and RFC 5649, with blocks that are done ${later ? 'later' : 'at once'}`, async () => {
    for (const [key, data, wrapped] of PLAIN) {
      const { encrypt, decrypt } = ecb(hex(key), later)
      assert.deepEqual(await wrapByBlocks(hex(data), encrypt), hex(wrapped))
      assert.deepEqual(await unwrapByBlocks(hex(wrapped), decrypt), hex(data))
    }
    for (const [key, data, wrapped] of PADDED) {
      const { encrypt, decrypt } = ecb(hex(key), later)
      assert.deepEqual(await wrapPaddedByBlocks(hex(data), encrypt), hex(wrapped))
      assert.deepEqual(await unwrapPaddedByBlocks(hex(wrapped), decrypt), hex(data))
    }
  })
}

test('property: every length agrees with OpenSSL in both directions', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      (keyBytes, data) => {
        const [key, plaintext] = [createSecretKey(Buffer.from(keyBytes)), Buffer.from(data)]
        const { encrypt, decrypt } = ecb(Buffer.from(keyBytes))
        const padded = wrapPadded(key, plaintext)
        assert.deepEqual(wrapPaddedByBlocks(plaintext, encrypt), padded)
        assert.deepEqual(unwrapPaddedByBlocks(padded, decrypt), plaintext)
        assert.deepEqual(unwrapPadded(key, padded), plaintext)
        const even = plaintext.subarray(0, plaintext.length & ~7)
        if (even.length < 16) return
        const plain = wrapPlain(key, even)
        assert.deepEqual(wrapByBlocks(even, encrypt), plain)
        assert.deepEqual(unwrapByBlocks(plain, decrypt), even)
        assert.deepEqual(unwrapPlain(key, plain), even)
      },
    ),
    { numRuns: 300 },
  )
})

test('property: what was changed in one bit, or made the other way, is not unwrapped', () => {
  const key = randomBytes(32)
  const { encrypt, decrypt } = ecb(key)
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 80 }), fc.nat(), (length, bit) => {
      const plaintext = randomBytes(length)
      const changed = (wrapped: Buffer): Buffer => {
        const at = bit % (wrapped.length * 8)
        const copy = Buffer.from(wrapped)
        copy.writeUInt8(copy.readUInt8(at >> 3) ^ (1 << (at & 7)), at >> 3)
        return copy
      }
      const padded = wrapPaddedByBlocks(plaintext, encrypt) as Buffer
      assert.equal(unwrapPaddedByBlocks(changed(padded), decrypt), undefined)
      if (padded.length >= 24) assert.equal(unwrapByBlocks(padded, decrypt), undefined)
      const plain = wrapByBlocks(randomBytes(16 + 8 * (length % 8)), encrypt) as Buffer
      assert.equal(unwrapByBlocks(changed(plain), decrypt), undefined)
      assert.equal(unwrapPaddedByBlocks(plain, decrypt), undefined)
    }),
  )
})

test('padding that says too much or too little, or is not zero, is not unwrapped (RFC 5649 §3)', () => {
  const key = randomBytes(32)
  const { decrypt } = ecb(key)
  const wrappedAs = (initial: string, data: Buffer): Buffer => {
    const cipher = createCipheriv('id-aes256-wrap', key, hex(initial))
    return Buffer.concat([cipher.update(data), cipher.final()])
  }
  const zeros = Buffer.alloc(24)
  assert.deepEqual(unwrapPaddedByBlocks(wrappedAs('a65959a600000011', zeros), decrypt), zeros.subarray(0, 17))
  for (const length of [0, 1, 16, 25, 0xffffffff])
    assert.equal(
      unwrapPaddedByBlocks(wrappedAs(`a65959a6${length.toString(16).padStart(8, '0')}`, zeros), decrypt),
      undefined,
    )
  assert.equal(unwrapPaddedByBlocks(wrappedAs('a65959a600000011', Buffer.alloc(24, 1)), decrypt), undefined)
})
