import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { Keyring } from '../root/keyring.ts'
import { Secret } from '../root/types.ts'
import { BoundaryError } from '../words.ts'
import { MAX_SESSION_BODY, openSessionToken, sealSessionToken } from './session-token.ts'

const roots = [randomBytes(32), randomBytes(32)] as const
const ring = (id: Buffer, ...given: Buffer[]) =>
  new Keyring(id, new Map(given.map((root, at) => [at + 1, new Secret(Buffer.from(root))])))
const id = randomBytes(16)
const mine = ring(id, roots[0])
const NOW = 1_790_000_000_000

const refused = (code: string) => (error: unknown) => error instanceof BoundaryError && error.code === code

test('a token opens as it was sealed until its end, and at its end no more', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: MAX_SESSION_BODY }),
      fc.integer({ min: 1, max: 129_600_000 }),
      (bytes, ms) => {
        const body = Buffer.from(bytes)
        const token = sealSessionToken(mine, { body, expiresAt: NOW + ms })
        assert.deepEqual(openSessionToken(mine, token, NOW + ms - 1), { body, expiresAt: NOW + ms })
        assert.throws(() => openSessionToken(mine, token, NOW + ms), refused('ExpiredSession'))
      },
    ),
  )
  assert.throws(() => sealSessionToken(mine, { body: Buffer.alloc(MAX_SESSION_BODY + 1), expiresAt: NOW }), RangeError)
})

test('promise 12: no bit of a token can be changed, its end least of all; one of another boundary or root is none', () => {
  const token = sealSessionToken(mine, { body: Buffer.from('who'), expiresAt: NOW + 1 })
  for (let bit = 0; bit < token.length * 8; bit++) {
    const changed = Buffer.from(token)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.throws(() => openSessionToken(mine, changed, NOW), refused('InvalidSession'), `bit ${bit}`)
  }
  for (let length = 0; length < token.length; length++) {
    assert.throws(() => openSessionToken(mine, token.subarray(0, length), NOW), refused('InvalidSession'))
  }
  assert.throws(() => openSessionToken(mine, Buffer.concat([token, Buffer.alloc(1)]), NOW), refused('InvalidSession'))
  assert.throws(() => openSessionToken(ring(randomBytes(16), roots[0]), token, NOW), refused('InvalidSession'))
  assert.throws(() => openSessionToken(ring(id, roots[1]), token, NOW), refused('InvalidSession'))
  assert.equal(openSessionToken(ring(id, roots[0], roots[1]), token, NOW).body.toString(), 'who')
})
