/** The AWS Encryption SDK for JavaScript and for Python: each opens what the other has encrypted, under a key of this KMS. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { buildClient, CommitmentPolicy, KmsKeyringNode, type KmsNodeClientSupplier } from '@aws-crypto/client-node'
import { environmentOf, run, succeed } from '../support/clients.ts'
import { type Kms, startKms } from '../support/kms.ts'
import { newKey, sdk } from '../support/sdk.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-encryption-sdk-'))
const script = join(import.meta.dirname, 'python', 'encryption_sdk.py')
const context = { purpose: 'exchange', größe: 'ünï' }
const javascript = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)

let kms: Kms
let arn: string
let keyring: KmsKeyringNode

before(async () => {
  kms = await startKms()
  const client = sdk(kms.line.endpoint, kms.line)
  arn = (await newKey(client)).arn
  const clientProvider = (() => client) as unknown as KmsNodeClientSupplier
  keyring = new KmsKeyringNode({ generatorKeyId: arn, clientProvider })
})
after(async () => {
  await kms?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const python = (way: 'encrypt' | 'decrypt', from: string, to: string) => [
  script,
  way,
  arn,
  JSON.stringify(context),
  join(folder, from),
  join(folder, to),
]

for (const bytes of [0, 1, 100_000]) {
  test(`${bytes} bytes, from JavaScript to Python and back`, async () => {
    const plaintext = Buffer.alloc(bytes, 'holdfast ')
    const { result } = await javascript.encrypt(keyring, plaintext, { encryptionContext: context })
    writeFileSync(join(folder, 'by-javascript'), result)
    await succeed('python', python('decrypt', 'by-javascript', 'opened'), environmentOf(kms))
    assert.deepEqual(readFileSync(join(folder, 'opened')), plaintext)

    writeFileSync(join(folder, 'plain'), plaintext)
    await succeed('python', python('encrypt', 'plain', 'by-python'), environmentOf(kms))
    const opened = await javascript.decrypt(keyring, readFileSync(join(folder, 'by-python')))
    assert.deepEqual(Buffer.from(opened.plaintext), plaintext)
    assert.equal(opened.messageHeader.encryptionContext.purpose, 'exchange')
  })
}

test('a changed message opens in neither', async () => {
  const { result } = await javascript.encrypt(keyring, 'text', { encryptionContext: context })
  const changed = Buffer.from(result)
  const last = changed.length - 1
  changed[last] = (changed[last] ?? 0) ^ 1
  await assert.rejects(javascript.decrypt(keyring, changed))
  writeFileSync(join(folder, 'changed'), changed)
  const { status } = await run('python', python('decrypt', 'changed', 'never'), environmentOf(kms))
  assert.notEqual(status, 0)
})
