/** The log of a real `holdfast kms --dev`, read, verified and proven by `holdfast log`: while it runs, after kill -9, and after it was changed. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { KMS } from '@aws-sdk/client-kms'
import { type Kms, REGION, ROOT, startKms } from './support/kms.ts'

const NAME = 'promise 7: the log only grows, and outsiders can check it'
const CLI = join(ROOT, 'bin/holdfast')

function holdfast(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise(resolve => {
    execFile(CLI, ['log', ...args], { maxBuffer: 2 ** 28 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })
}

function clientOf(kms: Kms): KMS {
  const { endpoint, accessKeyId, secretAccessKey } = kms.line
  return new KMS({ endpoint, region: REGION, credentials: { accessKeyId, secretAccessKey }, maxAttempts: 1 })
}

/** Encrypts until told to stop; what fails after that is no matter. */
function load(client: KMS, KeyId: string): { stop(): Promise<void> } {
  let stopped = false
  const workers = Array.from({ length: 8 }, async () => {
    while (!stopped) {
      await client
        .encrypt({ KeyId, Plaintext: Buffer.from('x'), EncryptionContext: { tenant: 'a b', '\u001b[2J': 'é' } })
        .catch(() => {
          stopped = true
        })
    }
  })
  return {
    stop: async () => {
      stopped = true
      await Promise.all(workers)
    },
  }
}

test(`${NAME} — holdfast log on a real service: while it runs, after kill -9, and when a bit has changed`, async () => {
  const data = mkdtempSync(join(tmpdir(), 'holdfast-log-'))
  let kms = await startKms(['--data', data])
  try {
    const client = clientOf(kms)
    const KeyId = (await client.createKey({})).KeyMetadata?.KeyId ?? ''
    const { logKey } = await kms.control().status()
    let running = load(client, KeyId)
    for (let round = 0; round < 3; round++) {
      const { code, stdout, stderr } = await holdfast('verify', data, '--key', logKey, '--json')
      assert.equal(code, 0, stdout + stderr)
      assert.equal(JSON.parse(stdout).signature.pinned, true)
    }
    await running.stop()
    await assert.rejects(client.encrypt({ KeyId: '00000000-0000-4000-8000-000000000000', Plaintext: Buffer.from('x') }))

    const entries = (await holdfast('show', data, '--json', '--key', KeyId, '--operation', 'Encrypt')).stdout
      .trim()
      .split('\n')
    const one = JSON.parse(entries[0] ?? '')
    assert.deepEqual([one.outcome, one.context], ['allowed', { tenant: 'a b', '\u001b[2J': 'é' }])
    const lines = (await holdfast('show', data, '--key', KeyId, '--outcome', 'allowed')).stdout
    assert.ok(!lines.includes('\u001b') && lines.includes('tenant=a b') && lines.includes('\\u001b[2J=é'))
    assert.equal((await holdfast('show', data, '--since', '2999-01-01')).stdout, '')
    const refused = await holdfast('show', data, '--outcome', 'failed')
    assert.match(refused.stdout, /NotFoundException|KeyGone/)

    const following = spawn(CLI, ['log', 'show', data, '--follow', '--operation', 'DescribeKey'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const line = new Promise<string>(resolve => createInterface({ input: following.stdout }).once('line', resolve))
    await client.describeKey({ KeyId })
    assert.match(await line, /allowed {2}DescribeKey/)
    following.kill('SIGINT')

    running = load(client, KeyId)
    await kms.killAll()
    await running.stop()
    const killed = await holdfast('verify', data, '--key', logKey)
    assert.equal(killed.code, 0, killed.stdout)
    kms = await startKms(['--data', data])
    assert.equal((await kms.control().status()).logKey, logKey)
    await kms.stop()
    const stopped = await holdfast('verify', data, '--json')
    assert.deepEqual([stopped.code, JSON.parse(stopped.stdout).signature.pinned], [0, false])

    const proof = join(data, 'one.tlog-proof')
    assert.equal((await holdfast('prove', data, '--entry', String(one.entry), '--out', proof)).code, 0)
    const proven = await holdfast('check-proof', proof, '--key', logKey, '--json')
    assert.deepEqual([proven.code, JSON.parse(proven.stdout).entry.context], [0, one.context])
    writeFileSync(proof, readFileSync(proof, 'utf8').replace(`index ${one.entry}`, `index ${one.entry + 1}`))
    assert.equal((await holdfast('check-proof', proof, '--key', logKey)).code, 1)

    const segment = join(data, 'boundary', 'journal', readdirSync(join(data, 'boundary', 'journal'))[0] ?? '')
    const bytes = readFileSync(segment)
    const at = Math.floor(bytes.length / 2)
    bytes[at] = (bytes[at] ?? 0) ^ 1
    writeFileSync(segment, bytes)
    const bad = await holdfast('verify', data, '--key', logKey, '--json')
    assert.equal(bad.code, 1)
    const named = JSON.parse(bad.stdout).bad
    assert.ok(named.file === segment && named.offset <= at && named.offset > at - 2000 && named.entry > 0, bad.stdout)
  } finally {
    await kms.stop()
    rmSync(data, { recursive: true })
  }
})
