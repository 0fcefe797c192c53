import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { REGION, user } from '../testing.ts'
import { MarkerKey, readMarker, writeMarker } from './markers.ts'
import type { Call } from './types.ts'

const markers = new MarkerKey()
markers.take(Buffer.alloc(32, 7))
const callOf = (parts: Partial<Pick<Call, 'operation' | 'region' | 'keyId'>> & { account?: string } = {}): Call =>
  ({
    operation: parts.operation ?? 'ListAliases',
    region: parts.region ?? REGION,
    keyId: parts.keyId ?? '',
    caller: user('lister', undefined, parts.account ?? '111122223333'),
    services: { markers },
  }) as unknown as Call
const refused = (call: Call, marker: string, of = ''): void => {
  assert.throws(
    () => readMarker(call, marker, of),
    (error: unknown) => (error as { code?: string }).code === 'InvalidMarkerException',
    marker,
  )
}

test('a marker is good for the list that it came from, and for no other', () => {
  const position = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 100 })
  fc.assert(
    fc.property(position, text => {
      const marker = writeMarker(callOf(), text)
      assert.equal(readMarker(callOf(), marker), text)
      assert.match(marker, /^[A-Za-z0-9_-]{1,1024}$/)
      refused(callOf({ operation: 'ListKeys' }), marker)
      refused(callOf({ region: 'eu-west-1' }), marker)
      refused(callOf({ account: '444455556666' }), marker)
      refused(callOf({ keyId: 'eu-north-1/key' }), marker)
      refused(callOf(), marker, 'of something')
    }),
  )
  assert.ok(writeMarker(callOf(), 'x'.repeat(512)).length <= 1024)
})

test('the bytes are those of docs/formats/marker.md', () => {
  const parts = ['ListKeys', '111122223333', 'eu-north-1', 'eu-north-1/key', 'more', 'the last']
  const bound = parts.map(part => {
    const bytes = Buffer.from(part)
    return Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 0xff), bytes])
  })
  const tag = createHmac('sha256', Buffer.alloc(32, 7)).update(Buffer.concat(bound)).digest().subarray(0, 16)
  const marker = Buffer.concat([Buffer.of(1), tag, Buffer.from('the last')]).toString('base64url')
  assert.equal(writeMarker(callOf({ operation: 'ListKeys', keyId: 'eu-north-1/key' }), 'the last', 'more'), marker)
})

test('a marker of which one bit was changed, or that was cut, is none', () => {
  const bytes = Buffer.from(writeMarker(callOf(), 'alias/some-name'), 'base64url')
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = Buffer.from(bytes)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    refused(callOf(), changed.toString('base64url'))
  }
  for (let length = 0; length < bytes.length; length++)
    refused(callOf(), bytes.subarray(0, length).toString('base64url'))
  for (const text of ['x', ' ', 'ÿ', `${bytes.toString('base64url')}=`, bytes.toString('base64')])
    refused(callOf(), text)
  const other = new MarkerKey()
  other.take(Buffer.alloc(32, 8))
  refused({ ...callOf(), services: { markers: other } } as unknown as Call, bytes.toString('base64url'))
})

test('without the key nothing is signed with another', () => {
  assert.throws(
    () => writeMarker({ ...callOf(), services: { markers: new MarkerKey() } } as unknown as Call, 'x'),
    (error: unknown) => (error as { code?: string }).code === 'KMSInternalException',
  )
})
