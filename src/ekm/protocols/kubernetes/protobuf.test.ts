import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { DECRYPT_REQUEST, ENCRYPT_REQUEST, ENCRYPT_RESPONSE, STATUS_REQUEST, STATUS_RESPONSE } from './messages.ts'
import { decode, encode, ProtobufError } from './protobuf.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

/** Bytes as protoc makes them. */
test('messages are encoded as Protocol Buffers have it', () => {
  const status = encode(STATUS_RESPONSE, { version: 'v2', healthz: 'ok', key_id: 'k:v1' })
  assert.deepEqual(status, hex('0a02 7632 1202 6f6b 1a04 6b3a7631'))
  const response = encode(ENCRYPT_RESPONSE, {
    ciphertext: Buffer.of(1),
    key_id: 'k',
    annotations: new Map([['a.b', Buffer.of(2, 3)]]),
  })
  assert.deepEqual(response, hex('0a01 01 1201 6b 1a09 0a03 612e62 1202 0203'))
  const empty = { ciphertext: Buffer.alloc(0), uid: '', key_id: '', annotations: new Map() }
  assert.equal(encode(DECRYPT_REQUEST, empty).length, 0)
  assert.deepEqual(decode(DECRYPT_REQUEST, Buffer.alloc(0)), empty)
})

test('of a field that comes twice the last counts; unknown fields of every wire type are passed over', () => {
  const twice = decode(ENCRYPT_REQUEST, hex('0a01 01 0a02 0203 1201 61 1201 62'))
  assert.deepEqual(twice, { plaintext: Buffer.of(2, 3), uid: 'b' })
  const unknown = hex('2801 31 0102030405060708 3a02 ffff 45 01020304')
  assert.deepEqual(decode(ENCRYPT_REQUEST, Buffer.concat([unknown, hex('0a01 07'), unknown])), {
    plaintext: Buffer.of(7),
    uid: '',
  })
  assert.deepEqual(decode(STATUS_REQUEST, unknown), {})
  // A map's entry without a key, without a value, and with a field of its own.
  const { annotations } = decode(DECRYPT_REQUEST, hex('2200 2203 0a01 61 2206 0a01 62 1a01 ff'))
  assert.deepEqual(
    [...annotations],
    [
      ['', Buffer.alloc(0)],
      ['a', Buffer.alloc(0)],
      ['b', Buffer.alloc(0)],
    ],
  )
})

const MALFORMED: Readonly<Record<string, string>> = {
  'a number that does not end': '80',
  'a number of eleven bytes': '28 8080808080 8080808080 01',
  'field number 0': '0201 61',
  'a group': '0b 0c',
  'wire type 6': '0e',
  'a length beyond the end': '0a05 01',
  'a length of 2^63': '0a ffffffffffffffff7f',
  'bytes as a number': '0801',
  'a string that is not UTF-8': '1201 ff',
  'an uid that is too long': `12 8102 ${'61'.repeat(257)}`,
  'a fixed64 that is cut': '29 01',
}
for (const [name, bytes] of Object.entries(MALFORMED))
  test(`refused: ${name}`, () => assert.throws(() => decode(ENCRYPT_REQUEST, hex(bytes)), ProtobufError))

test('annotations are bounded all together', () => {
  const of = (value: number) => ({
    ciphertext: Buffer.alloc(0),
    uid: '',
    key_id: '',
    annotations: new Map([
      ['a.b', Buffer.alloc(16_000)],
      ['c.d', Buffer.alloc(value)],
    ]),
  })
  const most = 32 * 1024 - 16_000 - 6
  assert.equal(decode(DECRYPT_REQUEST, encode(DECRYPT_REQUEST, of(most))).annotations.size, 2)
  assert.throws(() => decode(DECRYPT_REQUEST, encode(DECRYPT_REQUEST, of(most + 1))), ProtobufError)
})

const message = fc.record(
  {
    ciphertext: fc.uint8Array({ maxLength: 1024 }).map(bytes => Buffer.from(bytes)),
    uid: fc.string({ unit: 'grapheme', maxLength: 20 }),
    key_id: fc.string({ maxLength: 100 }),
    annotations: fc
      .array(
        fc.tuple(
          fc.domain(),
          fc.uint8Array({ maxLength: 100 }).map(bytes => Buffer.from(bytes)),
        ),
        { maxLength: 5 },
      )
      .map(entries => new Map(entries)),
  },
  { noNullPrototype: true },
)

test('property: what is encoded is decoded again', () => {
  fc.assert(
    fc.property(message, given => assert.deepEqual(decode(DECRYPT_REQUEST, encode(DECRYPT_REQUEST, given)), given)),
  )
})
