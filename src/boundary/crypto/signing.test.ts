import assert from 'node:assert/strict'
import { generateKeyPairSync, hash } from 'node:crypto'
import { test } from 'node:test'
import { Pair } from './pairs.ts'
import { sign, verify } from './signing.ts'

test('an RSA signature is as long as the modulus: one that has lost its leading zero is none', () => {
  const pair = new Pair(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)
  for (const algorithm of ['RSASSA_PSS_SHA_256', 'RSASSA_PKCS1_V1_5_SHA_256'] as const) {
    let number = 0
    let message: Buffer = Buffer.alloc(0)
    let signature: Buffer = Buffer.from([1])
    while (signature[0] !== 0) {
      message = Buffer.from(`message ${number++}`)
      signature = sign(pair, algorithm, 'RAW', message)
    }
    const digest = hash('sha256', message, 'buffer')
    for (const [type, input] of [
      ['RAW', message],
      ['DIGEST', digest],
    ] as const) {
      assert.ok(verify(pair, algorithm, type, input, signature))
      assert.ok(!verify(pair, algorithm, type, input, signature.subarray(1)), `${algorithm} ${type}`)
      assert.ok(!verify(pair, algorithm, type, input, Buffer.concat([Buffer.alloc(1), signature])))
    }
  }
})
