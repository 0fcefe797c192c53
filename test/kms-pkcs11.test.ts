/**
 * The KMS whose root of trust is a key in a PKCS#11 token: every test of the API runs over it, in a process of its own, as it runs over the software kind.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { startKms } from './support/kms.ts'
import { SoftHsm } from './support/softhsm.ts'

const PIN = 'provider-pin'
const folder = mkdtempSync(join(tmpdir(), 'holdfast-kms-token-'))
const pinFile = join(folder, 'pin')
const hsm = new SoftHsm().use()

before(() => {
  hsm.addToken('provider', PIN)
  writeFileSync(pinFile, `${PIN}\n`, { mode: 0o600 })
  process.env.HOLDFAST_TEST_TOKEN = JSON.stringify({ module: hsm.module, label: 'provider', pinFile })
})
after(() => {
  hsm.remove()
  rmSync(folder, { recursive: true, force: true })
})

test('its root is in the token: the data opens with it, and with no other', async () => {
  const data = join(folder, 'data')
  const first = await startKms(['--data', data])
  const { rootKind } = await first.control().status()
  assert.equal(rootKind, 'pkcs11')
  await first.stop()
  const again = await startKms(['--data', data])
  await again.stop()
  delete process.env.HOLDFAST_TEST_TOKEN
  await assert.rejects(startKms(['--data', data]), /is of kind pkcs11, not keyfile/)
  process.env.HOLDFAST_TEST_TOKEN = JSON.stringify({ module: hsm.module, label: 'provider', pinFile })
})

test('every test of the API', { timeout: 600_000 }, async () => {
  const files = readdirSync(import.meta.dirname).filter(name => /^kms-api-.*\.test\.ts$/.test(name))
  assert.ok(files.length >= 7, files.join(', '))
  // A test runner in a test runner reports to nobody unless it is told that it stands alone.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  // One after the other: they share the token, and the first makes its root key.
  const args = [
    '--test',
    '--test-concurrency=1',
    '--test-reporter=dot',
    ...files.map(name => join(import.meta.dirname, name)),
  ]
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', chunk => {
      output = (output + String(chunk)).slice(-20_000)
    })
  }
  const code = await new Promise(done => child.once('exit', done))
  assert.equal(code, 0, output)
})
