/** Tink, Go Cloud and sigstore’s signer (test/clients/go/main.go), all over the AWS SDK for Go. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { environmentOf, succeed } from '../support/clients.ts'
import { type Kms, startKms } from '../support/kms.ts'
import { newKey, sdk } from '../support/sdk.ts'

let kms: Kms
before(async () => {
  kms = await startKms()
})
after(() => kms?.stop())

test('Tink keeps a keyset under a key', async () => {
  const { arn } = await newKey(sdk(kms.line.endpoint, kms.line))
  assert.equal(await succeed('go', ['tink', arn], environmentOf(kms)), 'tink ok\n')
})

test('Go Cloud’s keeper encrypts and decrypts', async () => {
  const { arn } = await newKey(sdk(kms.line.endpoint, kms.line))
  assert.equal(await succeed('go', ['gocloud', arn], environmentOf(kms)), 'gocloud ok\n')
})

test('sigstore’s signer makes its key, signs, and verifies', async () => {
  assert.equal(await succeed('go', ['sigstore', 'alias/release'], environmentOf(kms)), 'sigstore ok\n')
  const { KeyMetadata } = await sdk(kms.line.endpoint, kms.line).describeKey({ KeyId: 'alias/release' })
  assert.equal(KeyMetadata?.KeyUsage, 'SIGN_VERIFY')
})
