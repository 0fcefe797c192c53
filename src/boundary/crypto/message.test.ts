import assert from 'node:assert/strict'
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { BoundaryError } from '../words.ts'
import { boundData, digestWith } from './additional-data.ts'
import { decodeContext, encodeContext } from './context.ts'
import { blobKind, encodeEnvelope, externalAad, parseEnvelope } from './envelope.ts'
import {
  decryptMessage,
  encryptMessage,
  MAX_PLAINTEXT_BYTES,
  MESSAGE_OVERHEAD,
  MESSAGE_VERSION,
  MessageKey,
  parseMessageHeader,
} from './message.ts'
import { RANDOM_FOR_VECTORS } from './random.ts'

const KEY_ID = '1234abcd-12ab-34cd-56ef-1234567890ab'
const base = {
  account: '111122223333',
  keyId: KEY_ID,
  materialId: '5a'.repeat(32),
  material: createSecretKey(Buffer.alloc(32, 7)),
}
const key = new MessageKey(base)
const empty = encodeContext([])
const context = encodeContext([['purpose', 'test']])
const invalid = (error: unknown): boolean =>
  error instanceof BoundaryError && error.code === 'InvalidCiphertext' && error.message === 'InvalidCiphertext'

const pairs = fc.uniqueArray(
  fc.tuple(fc.string({ unit: 'grapheme', maxLength: 12 }), fc.string({ unit: 'grapheme', maxLength: 12 })),
  {
    selector: ([name]) => name,
    maxLength: 6,
  },
)

test('promise 6: two encryption contexts never encode alike, and order does not matter', () => {
  fc.assert(
    fc.property(pairs, pairs, (a, b) => {
      const same = JSON.stringify([...a].sort()) === JSON.stringify([...b].sort())
      assert.equal(encodeContext(a).equals(encodeContext(b)), same)
      assert.deepEqual(encodeContext(a), encodeContext([...a].reverse()))
      assert.deepEqual(new Map(decodeContext(encodeContext(a))), new Map(a))
    }),
  )
  assert.notDeepEqual(encodeContext([['a', 'bc']]), encodeContext([['ab', 'c']]))
})

test('the pairs of a context stand in the order of their names’ UTF-8 bytes, whatever planes the names are from', () => {
  const unit = fc.constantFrom('a', 'b', '\u00e9', '\ud7ff', '\ue000', '\uffee', '\u{10000}', '\u{1f511}', '\u{10ffff}')
  const names = fc.uniqueArray(fc.string({ unit, maxLength: 4 }), { maxLength: 8 })
  fc.assert(
    fc.property(names, given => {
      const sorted = given.map(name => Buffer.from(name)).sort(Buffer.compare)
      const decoded = decodeContext(encodeContext(given.map(name => [name, ''])))
      assert.deepEqual(
        decoded.map(([name]) => Buffer.from(name)),
        sorted,
      )
    }),
  )
})

test('promise 11: a context that is too large, repeats a name or is not Unicode is refused', () => {
  const refused = (error: unknown): boolean => error instanceof BoundaryError && error.code === 'InvalidRequest'
  assert.throws(() => encodeContext([['a', 'x'.repeat(8192)]]), refused)
  assert.throws(() => encodeContext([['a', '1'], ['a', '2']]), refused) // biome-ignore format: pairs stay together
  assert.throws(() => encodeContext([['a\ud800', '1']]), refused)
  assert.equal(encodeContext([['a', 'x'.repeat(8191)]]).length, 2 + 4 + 8192)
})

test('a message opens to what was encrypted, and adds at most 204 bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: MAX_PLAINTEXT_BYTES }), pairs, (plaintext, names) => {
      const bound = encodeContext(names)
      const message = encryptMessage(key, plaintext, bound)
      assert.equal(message.length, plaintext.length + MESSAGE_OVERHEAD)
      assert.deepEqual(parseMessageHeader(message), { keyId: KEY_ID, materialId: base.materialId })
      assert.deepEqual(decryptMessage(key, message, bound), Buffer.from(plaintext))
    }),
    { numRuns: 50 },
  )
  assert.ok(MESSAGE_OVERHEAD <= 204)
  assert.throws(() => encryptMessage(key, Buffer.alloc(0), empty))
  assert.throws(() => encryptMessage(key, Buffer.alloc(MAX_PLAINTEXT_BYTES + 1), empty))
})

test('promise 6: a ciphertext names its key and fits no other — key, material, account and context', () => {
  const message = encryptMessage(key, Buffer.from('secret'), context)
  const others = [
    { ...base, account: '999999999999' },
    { ...base, keyId: '1234abcd-12ab-34cd-56ef-1234567890ac' },
    { ...base, keyId: `mrk-${KEY_ID.replaceAll('-', '')}` },
    { ...base, materialId: '5b'.repeat(32) },
    { ...base, material: createSecretKey(Buffer.alloc(32, 8)) },
  ]
  for (const other of others) assert.throws(() => decryptMessage(new MessageKey(other), message, context), invalid)
  assert.throws(() => decryptMessage(key, message, empty), invalid)
  assert.throws(() => decryptMessage(key, message, encodeContext([['purpose', 'Test']])), invalid)
})

test('promise 6: what was made for another purpose is refused, though key, nonce and commitment are right', () => {
  const header = Buffer.concat([key.prefix, randomBytes(28)])
  const craft = (digest: Buffer): Buffer => {
    const { secret, commitment } = key.derive(header, digest)
    const cipher = createCipheriv('aes-256-gcm', secret, header.subarray(66)).setAAD(digest)
    const ciphertext = Buffer.concat([cipher.update('secret'), cipher.final()])
    return Buffer.concat([header, Buffer.from(commitment, 'latin1'), ciphertext, cipher.getAuthTag()])
  }
  const digestFor = (purpose: 'message' | 'envelope') => digestWith(boundData(MESSAGE_VERSION, base, purpose), context)
  assert.equal(decryptMessage(key, craft(digestFor('message')), context).toString(), 'secret')
  assert.throws(() => decryptMessage(key, craft(digestFor('envelope')), context), invalid)
})

test('promise 6: any changed, added or missing byte is refused, and always with the same error', () => {
  const message = encryptMessage(key, Buffer.from('secret'), context)
  for (let at = 0; at < message.length; at++) {
    const changed = Buffer.from(message)
    changed[at] = (changed[at] ?? 0) ^ 1
    assert.throws(() => decryptMessage(key, changed, context), invalid, `byte ${at}`)
  }
  for (let length = 0; length < message.length; length++)
    assert.throws(() => decryptMessage(key, message.subarray(0, length), context), invalid)
  assert.throws(() => decryptMessage(key, Buffer.concat([message, Buffer.from([0])]), context), invalid)
})

/** Multiplication in GCM's field (SP 800-38D §6.3), most significant bit first. */
function multiply(x: bigint, y: bigint): bigint {
  let z = 0n
  let v = x
  for (let bit = 127n; bit >= 0n; bit--) {
    if ((y >> bit) & 1n) z ^= v
    v = v & 1n ? (v >> 1n) ^ (0xe1n << 120n) : v >> 1n
  }
  return z
}
const number = (bytes: Buffer): bigint => BigInt(`0x${bytes.toString('hex') || '0'}`)
const block = (value: bigint): Buffer => Buffer.from(value.toString(16).padStart(32, '0'), 'hex')

test('promise 6: a ciphertext that AES-GCM opens under two keys is refused thanks to the commitment', () => {
  // "Invisible salamanders": choose the two blocks of a ciphertext so that one tag verifies under two message keys.
  const other = new MessageKey({ ...base, material: createSecretKey(Buffer.alloc(32, 9)) })
  const nonce = randomBytes(16)
  const iv = randomBytes(12)
  const digest = key.digest(empty)
  const header = (of: MessageKey) => Buffer.concat([of.prefix, nonce, iv])
  const keys = [key, other].map(one => one.derive(header(one), digest).secret)
  const aes = (secret: Buffer, input: Buffer): Buffer =>
    createCipheriv('aes-256-ecb', secret, null).setAutoPadding(false).update(input)
  const sides = keys.map(secret => ({
    h: number(aes(secret, Buffer.alloc(16))),
    mask: number(aes(secret, Buffer.concat([iv, Buffer.from([0, 0, 0, 1])]))),
  }))
  const lengths = number(Buffer.from('00000000000001000000000000000100', 'hex'))
  const aad = [number(digest.subarray(0, 16)), number(digest.subarray(16))]
  // tag = mask + a1·h^5 + a2·h^4 + c1·h^3 + c2·h^2 + lengths·h under both keys, with c1 given: solve for c2.
  const power = (h: bigint, n: number): bigint =>
    Array.from({ length: n - 1 }).reduce<bigint>(value => multiply(value, h), h)
  const c1 = number(randomBytes(16))
  const fixed = sides.map(
    ({ h, mask }) =>
      mask ^
      multiply(aad[0] ?? 0n, power(h, 5)) ^
      multiply(aad[1] ?? 0n, power(h, 4)) ^
      multiply(c1, power(h, 3)) ^
      multiply(lengths, h),
  )
  const difference = power(sides[0]?.h ?? 0n, 2) ^ power(sides[1]?.h ?? 0n, 2)
  // The inverse by Fermat: x^(2^128 - 2).
  let inverse = 1n << 127n
  for (let bit = 127; bit >= 0; bit--) {
    inverse = multiply(inverse, inverse)
    if (bit > 0) inverse = multiply(inverse, difference)
  }
  const c2 = multiply((fixed[0] ?? 0n) ^ (fixed[1] ?? 0n), inverse)
  const tag = (fixed[0] ?? 0n) ^ multiply(c2, power(sides[0]?.h ?? 0n, 2))
  const ciphertext = Buffer.concat([block(c1), block(c2)])
  for (const secret of keys) {
    const decipher = createDecipheriv('aes-256-gcm', secret, iv).setAAD(digest).setAuthTag(block(tag))
    decipher.update(ciphertext)
    assert.doesNotThrow(() => decipher.final(), 'the crafted ciphertext opens under both keys without a commitment')
  }
  for (const committed of [key, other]) {
    const commitment = Buffer.from(committed.derive(header(committed), digest).commitment, 'latin1')
    const message = Buffer.concat([header(committed), commitment, ciphertext, block(tag)])
    assert.doesNotThrow(() => decryptMessage(committed, message, empty))
    const wrong = committed === key ? other : key
    assert.throws(() => decryptMessage(wrong, message, empty), invalid)
  }
})

test('an envelope holds the owner’s answer, and the largest inner message fits an external key store', () => {
  const inner = encryptMessage(key, Buffer.alloc(MAX_PLAINTEXT_BYTES), context)
  assert.ok(inner.length <= 4300)
  const envelope = {
    keyId: KEY_ID,
    materialId: base.materialId,
    iv: randomBytes(12),
    tag: randomBytes(16),
    metadata: randomBytes(20),
    ciphertext: inner,
  }
  const blob = encodeEnvelope(envelope)
  assert.ok(blob.length <= 6144)
  assert.deepEqual(parseEnvelope(blob), envelope)
  assert.equal(blobKind(blob), 'envelope')
  assert.equal(blobKind(inner), 'message')
  for (let length = 0; length < 100; length++) assert.throws(() => parseEnvelope(blob.subarray(0, length)), invalid)
  assert.equal(externalAad({ ...base, context }).length, 32)
  assert.notDeepEqual(externalAad({ ...base, context }), externalAad({ ...base, context: empty }))
})

test('the same inputs and random bytes give the same message', () => {
  const options = {
    [RANDOM_FOR_VECTORS]: (target: Buffer, offset: number, length: number) =>
      void target.fill(3, offset, offset + length),
  }
  assert.deepEqual(
    encryptMessage(key, Buffer.from('a'), context, options),
    encryptMessage(key, Buffer.from('a'), context, options),
  )
  assert.notDeepEqual(encryptMessage(key, Buffer.from('a'), context), encryptMessage(key, Buffer.from('a'), context))
})
