import assert from 'node:assert/strict'
import { createSecretKey, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { Keyring } from '../root/keyring.ts'
import { makeRoot, openRoot, parseRootFile } from '../root/rootfile.ts'
import { type RootOfTrust, Secret } from '../root/types.ts'
import { unwrapWith, wrapWith } from '../root/wrap.ts'
import { openImportToken, sealImportToken } from './import-token.ts'
import { decryptMessage, encryptMessage, MessageKey } from './message.ts'
import { openSecret, sealSecret } from './rows.ts'

/** 32 bytes that are easy to find in any form that a program prints them in. */
const canary = Buffer.from('canary-canary-canary-canary-3232')
const forms = [
  canary.toString('latin1'),
  canary.toString('hex'),
  canary.toString('base64').slice(0, 40),
  canary.toString('base64url').slice(0, 40),
  [...canary.subarray(0, 12)].join(', '),
  [...canary.subarray(0, 12)].join(','),
  canary.subarray(0, 12).toString('hex').replace(/../g, '$& ').trim(),
]

function shows(value: unknown): string {
  let text = inspect(value, { showHidden: true, depth: 20, maxArrayLength: null, maxStringLength: null, getters: true })
  text += JSON.stringify(value) ?? ''
  text += String(value)
  if (value instanceof Error) text += `${value.stack}${inspect(value.cause)}`
  return text
}

function hidden(value: unknown, what: string): void {
  const text = shows(value)
  for (const form of forms) assert.equal(text.includes(form), false, `${what} shows itself`)
}

const failure = async (attempt: () => unknown): Promise<unknown> => {
  try {
    await attempt()
  } catch (error) {
    return error
  }
  return assert.fail('it should have failed')
}

const material = createSecretKey(canary)
const ring = (root = canary): Keyring => new Keyring(Buffer.alloc(16, 1), new Map([[1, new Secret(Buffer.from(root))]]))
const messageKey = new MessageKey({
  account: '111122223333',
  keyId: '1234abcd-12ab-34cd-56ef-1234567890ab',
  materialId: '5a'.repeat(32),
  material,
})

test('promise 1: key material shows itself under no inspect, JSON, string or spread', () => {
  assert.ok(shows({ canary }).includes('canary') || shows({ canary }).includes(forms[6] ?? ''), 'the search finds it')
  hidden(new Secret(Buffer.from(canary)), 'a secret')
  hidden(ring(), 'a keyring')
  hidden({ ...ring() }, 'the parts of a keyring')
  hidden(messageKey, 'a message key')
  hidden({ ...messageKey }, 'the parts of a message key')
  hidden(material, 'a key object')
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const der = privateKey.export({ format: 'der', type: 'pkcs8' })
  const input = { keyId: 'k', spec: 'SYMMETRIC_DEFAULT', algorithm: 'RSAES_OAEP_SHA_1', modulusBits: 2048 } as const
  const token = sealImportToken(ring(), { ...input, validTo: 1 }, der)
  const opened = openImportToken(ring(), token, { keyId: 'k', spec: 'SYMMETRIC_DEFAULT', now: 0 })
  assert.equal(shows(opened).includes(der.subarray(60, 80).toString('hex')), false)
})

test('promise 1: errors hold nothing of what they were about', async () => {
  const empty = Buffer.from([0, 0])
  const message = encryptMessage(messageKey, canary, empty)
  message[message.length - 1] = (message[message.length - 1] ?? 0) ^ 1
  hidden(await failure(() => decryptMessage(messageKey, message, empty)), 'a failed decryption')
  hidden(await failure(() => encryptMessage(messageKey, Buffer.concat(Array(200).fill(canary)), empty)), 'a refusal')
  const body = sealSecret(ring(), 'credential', 'A', 1, canary)
  const row = { kind: 'credential', id: 'B', revision: 1, body } as const
  hidden(await failure(() => openSecret(ring(), row)), 'a failed secret')
  hidden(await failure(() => new Keyring(Buffer.alloc(16), new Map([[1, new Secret(canary.subarray(1))]]))), 'a root')

  const trust = (key: Buffer): RootOfTrust => ({
    kind: 'keyfile',
    parameters: Buffer.alloc(0),
    wrap: async secret => wrapWith(createSecretKey(key), secret),
    unwrap: async wrapped => unwrapWith(createSecretKey(key), wrapped, 'WrongRoot', 'not the one'),
  })
  const { bytes, opened } = await makeRoot(trust(canary), { service: 'kms', dev: false, now: 1 })
  hidden(opened, 'an opened root')
  hidden(await failure(() => openRoot(trust(Buffer.alloc(32)), parseRootFile(bytes))), 'a wrong root')
})

test('a secret that was wiped is gone, and is never taken for an empty key', () => {
  const bytes = Buffer.from(canary)
  const secret = new Secret(bytes)
  secret.wipe()
  assert.deepEqual(bytes, Buffer.alloc(32))
  assert.throws(() => secret.use(() => 0), /wiped/)
  assert.throws(() => secret.toKeyObject(), /wiped/)
  const roots = new Map([[1, new Secret(Buffer.from(canary))]])
  const first = new Keyring(Buffer.alloc(16), roots)
  assert.ok(first.key('seal'))
  assert.throws(() => new Keyring(Buffer.alloc(16), roots), RangeError, 'the keyring has wiped what it took over')
  const short = createSecretKey(canary.subarray(16))
  const of = { account: '1', keyId: '1234abcd-12ab-34cd-56ef-1234567890ab', materialId: '5a'.repeat(32) }
  assert.throws(() => new MessageKey({ ...of, material: short }), RangeError)
})
