import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BLOB_KINDS, BLOB_OVERHEAD, type BlobKind, blobAad, decodeBlob, encodeBlob } from './blob.ts'

const kinds = Object.keys(BLOB_KINDS) as BlobKind[]
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map(each => Buffer.from(each))

test('a blob comes back as it was made, as its own kind only', () => {
  const ciphertexts = fc.record({
    metadata: bytes(5),
    iv: bytes(12),
    tag: bytes(16),
    ciphertext: fc.uint8Array({ maxLength: 200 }).map(each => Buffer.from(each)),
    integrityValue: fc.constant(undefined),
  })
  fc.assert(
    fc.property(fc.constantFrom(...kinds), fc.constantFrom(...kinds), ciphertexts, (kind, other, made) => {
      const blob = encodeBlob(kind, made)
      assert.equal(blob.length, made.ciphertext.length + BLOB_OVERHEAD)
      assert.deepEqual(decodeBlob(other, blob), kind === other ? { ...made } : undefined)
    }),
  )
})

test('what is too short, or of another version, is no blob', () => {
  for (let length = 0; length < BLOB_OVERHEAD; length++) {
    assert.equal(decodeBlob('google', Buffer.alloc(length, 1)), undefined)
  }
  const blob = Buffer.alloc(BLOB_OVERHEAD)
  blob[0] = 2
  blob[1] = BLOB_KINDS.google
  assert.equal(decodeBlob('google', blob), undefined)
})

test('no two lists of parts have the same additional data', () => {
  const parts = fc.array(fc.string({ maxLength: 6 }), { maxLength: 4 })
  fc.assert(
    fc.property(parts, parts, (one, two) => {
      const [a, b] = [blobAad('kacls', 't', 'k', one), blobAad('kacls', 't', 'k', two)]
      assert.equal(a?.equals(b ?? Buffer.alloc(0)), JSON.stringify(one.map(utf8)) === JSON.stringify(two.map(utf8)))
    }),
  )
  assert.notDeepEqual(blobAad('kacls', 't', 'k', ['x']), blobAad('google', 't', 'k', ['x']))
  assert.notDeepEqual(blobAad('kacls', 'tk', '', ['x']), blobAad('kacls', 't', 'k', ['x']))
  assert.equal(blobAad('kacls', 't', 'k', ['x'.repeat(70_000)]), undefined)
})

/** Lone surrogates are all the same in UTF-8. */
const utf8 = (text: string): string => Buffer.from(text).toString('hex')
