/** SOPS: a file encrypted by the ARN of a key, read, changed, rotated, and closed when the key is disabled. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { environmentOf, run, succeed } from '../support/clients.ts'
import { type Kms, startKms } from '../support/kms.ts'
import { newKey, sdk } from '../support/sdk.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-sops-'))
const file = join(folder, 'secrets.yaml')
const CLEAR = 'database:\n    password: correct horse\n    port: 5432\n'

let kms: Kms
before(async () => {
  kms = await startKms()
})
after(async () => {
  await kms?.stop()
  rmSync(folder, { recursive: true, force: true })
})

test('encrypt by ARN, decrypt, edit, rotate under two keys, and no more once they are disabled', async () => {
  const env = environmentOf(kms)
  const client = sdk(kms.line.endpoint, kms.line)
  const [one, two] = [await newKey(client), await newKey(client)]
  const sops = (...args: string[]) => succeed('sops', args, env, folder)

  writeFileSync(file, CLEAR)
  await sops('encrypt', '--in-place', '--kms', one.arn, '--encryption-context', 'app:billing', file)
  const encrypted = readFileSync(file, 'utf8')
  assert.ok(!encrypted.includes('correct horse'))
  assert.ok(encrypted.includes(one.arn))
  assert.equal(await sops('decrypt', file), CLEAR)

  await sops('set', file, '["database"]["password"]', '"battery staple"')
  const changed = CLEAR.replace('correct horse', 'battery staple')
  assert.equal(await sops('decrypt', file), changed)

  await sops('rotate', '--in-place', '--add-kms', two.arn, file)
  assert.ok(readFileSync(file, 'utf8').includes(two.arn))
  assert.equal(await sops('decrypt', file), changed)
  // Either key opens it; with both disabled, nothing does.
  await client.disableKey({ KeyId: one.id })
  assert.equal(await sops('decrypt', file), changed)
  await client.disableKey({ KeyId: two.id })
  const closed = await run('sops', ['decrypt', file], env, folder)
  assert.notEqual(closed.status, 0)
  assert.match(closed.stderr, /DisabledException/)
  await client.enableKey({ KeyId: two.id })
  assert.equal(await sops('decrypt', file), changed)
})
