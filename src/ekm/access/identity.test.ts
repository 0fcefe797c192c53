import assert from 'node:assert/strict'
import test from 'node:test'
import { MAX_PREFIX } from '../keys/names.ts'
import { readEmail } from './identity.ts'

test('an address is one of one form, in lower case', () => {
  assert.equal(readEmail('Ada@Acme.Example'), 'ada@acme.example')
  assert.equal(readEmail('Ünal@bücher.example'), 'ünal@bücher.example')
  for (const value of [undefined, 7, '', 'ada', '@', 'a@', '@b', 'a b@c', 'a@b@c', 'a\0@b', 'a\ud800@b'])
    assert.equal(readEmail(value), undefined, String(value))
})

test('the longest address is counted in bytes, as it stands in the name of a kill switch and in a record', () => {
  const of = (letter: string, local: number, domain: number) => `${letter.repeat(local)}@${letter.repeat(domain)}`
  assert.equal(readEmail(of('a', 64, 255))?.length, 320)
  assert.equal(readEmail(of('a', 65, 255)), undefined)
  assert.equal(readEmail(of('a', 64, 256)), undefined)
  assert.equal(readEmail(of('é', 60, 99))?.length, 160)
  assert.equal(readEmail(of('é', 60, 250)), undefined)
  // Two bytes each, of which lower case makes three.
  assert.equal(readEmail(of('İ', 60, 90)), undefined)
  const longest = readEmail(of('é', 60, 99)) ?? ''
  assert.ok(Buffer.byteLength(`principal/${'t'.repeat(MAX_PREFIX)}:${longest}`) <= 512)
})
