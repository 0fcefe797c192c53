import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, hash, type KeyObject, sign } from 'node:crypto'
import { test } from 'node:test'
import { CheckpointSigner } from '../boundary/journal/checkpoint.ts'
import { NoteError, parseCheckpoint, parseNote, parseVerifier, verifyNote, vkeyOf } from './note.ts'

const NAME = 'promise 7: the log only grows, and outsiders can check it'
const { privateKey } = generateKeyPairSync('ed25519')
const signer = new CheckpointSigner('example.com/log', privateKey)
const checkpoint = { size: 70_000, root: Buffer.alloc(32, 7) }
const text = signer.sign(checkpoint)

const rawKey = (key: KeyObject): Buffer => createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32)

/** A witness by the words of tlog-cosignature. */
function witness(name: string, key: KeyObject, note: string, time: number): { line: string; vkey: string } {
  const typed = Buffer.concat([Buffer.from([4]), rawKey(key)])
  const id = hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), typed]), 'buffer').subarray(0, 4)
  const stamp = Buffer.alloc(8)
  stamp.writeBigUInt64BE(BigInt(time))
  const signature = sign(null, Buffer.from(`cosignature/v1\ntime ${time}\n${note}`), key)
  return {
    line: `— ${name} ${Buffer.concat([id, stamp, signature]).toString('base64')}\n`,
    vkey: `${name}+${id.toString('hex')}+${typed.toString('base64')}`,
  }
}

test(`${NAME} — the note of the signed-note specification is read, and signed checkpoints verify with their verifier key alone`, () => {
  const published =
    'Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n'
  const read = parseNote(Buffer.from(published))
  assert.equal(read.text.split('\n').length, 5)
  assert.deepEqual(read.signatures.map(({ name, id }) => [name, id]), [['quasimodo.example/salvatore', '367ba04b']]) // biome-ignore format: one line says it
  const note = parseNote(Buffer.from(text))
  assert.equal(vkeyOf('example.com/log', rawKey(privateKey)), signer.vkey)
  assert.equal(verifyNote(note, [parseVerifier(signer.vkey)]).length, 1)
  assert.deepEqual(parseCheckpoint(note.text), { origin: 'example.com/log', ...checkpoint, extensions: [] })
})

test(`${NAME} — every change to a note is refused`, () => {
  const verifier = parseVerifier(signer.vkey)
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at++) {
    for (const bit of [1, 0x10, 0x40]) {
      const copy = Buffer.from(bytes)
      copy[at] = (copy[at] ?? 0) ^ bit
      assert.throws(() => verifyNote(parseNote(copy), [verifier]), NoteError, `byte ${at}`)
    }
  }
  const other = new CheckpointSigner('example.com/log', generateKeyPairSync('ed25519').privateKey)
  assert.throws(() => verifyNote(parseNote(bytes), [parseVerifier(other.vkey)]), /no signature of/)
  for (const wrong of ['', 'a+b+c', signer.vkey.replace('log', 'lag'), `${signer.vkey}A`])
    assert.throws(() => parseVerifier(wrong), NoteError)
})

test(`${NAME} — witnesses co-sign, and what unknown keys say is ignored`, () => {
  const note = text.slice(0, text.indexOf('\n\n') + 1)
  const one = witness('witness.example/w1', generateKeyPairSync('ed25519').privateKey, note, 1_790_000_000)
  const two = witness('witness.example/w2', generateKeyPairSync('ed25519').privateKey, note, 1_790_000_001)
  const whole = parseNote(Buffer.from(text + one.line + two.line))
  const verified = verifyNote(whole, [parseVerifier(signer.vkey), parseVerifier(two.vkey)])
  assert.deepEqual(verified.map(({ name, time }) => [name, time]), [['example.com/log', undefined], ['witness.example/w2', 1_790_000_001]]) // biome-ignore format: one line says it
  const forged = witness('witness.example/w1', generateKeyPairSync('ed25519').privateKey, `${note}x\n`, 1)
  const lied = parseNote(Buffer.from(text + one.line.replace(/\S+\n$/, forged.line.split(' ')[2] ?? '')))
  assert.equal(verifyNote(lied, [parseVerifier(signer.vkey), parseVerifier(one.vkey)]).length, 1)
  const late = Buffer.from(one.line.split(' ')[2] ?? '', 'base64')
  late[11] = (late[11] ?? 0) ^ 1
  const moved = parseNote(Buffer.from(`${text}— witness.example/w1 ${late.toString('base64')}\n`))
  assert.throws(() => verifyNote(moved, [parseVerifier(signer.vkey), parseVerifier(one.vkey)]), /is wrong/)
})
