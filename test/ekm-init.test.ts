/**
 * `holdfast ekm init` as a newcomer has it: what it writes starts, and every command that it prints for this machine does what it says.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Step } from '../src/ekm/setup/steps.ts'
import { holdfast, startEkm } from './support/ekm.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-init-'))
after(() => rmSync(folder, { recursive: true, force: true }))

interface Made {
  readonly config: string
  readonly certificates: readonly string[]
  readonly steps: readonly Step[]
}

async function init(name: string, ...args: string[]): Promise<Made> {
  const { code, stdout, stderr } = await holdfast(['ekm', 'init', join(folder, name), '--yes', '--json', ...args])
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout)
}

/** Words of a command as a shell has them; these hold no quotes. */
const commands = (steps: readonly Step[]): string[][] =>
  steps
    .flatMap(({ lines }) => lines)
    .filter(line => line.startsWith('holdfast '))
    .map(line => line.split(' ').slice(1))

test('what it writes starts, and each of its commands does what it says', async () => {
  const made = await init('xks', '--cloud', 'xks', '--host', 'localhost', '--tenant', 'customers/acme')
  assert.equal(statSync(made.config).mode & 0o777, 0o600)
  for (const file of made.certificates)
    assert.equal(statSync(file).mode & 0o777, file.endsWith('.key') ? 0o600 : 0o644, file)
  // The ports may be others' on this machine.
  writeFileSync(made.config, readFileSync(made.config, 'utf8').replace(/port: \d+/g, 'port: 0'))
  const [start, ...then] = commands(made.steps)
  assert.deepEqual(start, ['ekm', '--config', made.config])
  const ekm = await startEkm<{ data: string; endpoint: string }>(['--config', made.config])
  try {
    const port = new URL(ekm.line.endpoint).port
    for (const words of then) {
      const here = words.map(word => word.replace('https://localhost/', `https://localhost:${port}/`))
      const { code, stdout, stderr } = await holdfast(here)
      assert.equal(code, 0, `${words.join(' ')}: ${stdout}${stderr}`)
    }
    const keys = await ekm.cli<{ key: string }[]>('key', 'list')
    assert.deepEqual(
      keys.map(({ key }) => key),
      ['customers/acme/aws'],
    )
  } finally {
    await ekm.stop()
  }
})

test('nothing that is there is overwritten', async () => {
  const { config } = await init('twice', '--cloud', 'xks', '--host', 'a.example')
  const before = readFileSync(config, 'utf8')
  const again = await holdfast(['ekm', 'init', join(folder, 'twice'), '--cloud', 'xks', '--host', 'b.example', '--yes'])
  assert.equal(again.code, 1)
  assert.match(again.stderr, /is there already/)
  assert.equal(readFileSync(config, 'utf8'), before)
  rmSync(config)
  const tls = await holdfast(['ekm', 'init', join(folder, 'twice'), '--cloud', 'xks', '--host', 'b.example', '--yes'])
  assert.match(tls.stderr, /trial-root.pem is there already/)
})

test('what is missing or wrong is said by its name, and nothing is written', async () => {
  const wrong: [RegExp, ...string[]][] = [
    [/Which clouds/],
    [/By which host name/, '--cloud', 'xks'],
    [/not an address/, '--cloud', 'xks', '--host', '10.0.0.1'],
    [/smtp: there are xks/, '--cloud', 'smtp'],
    [/tenant: segments/, '--cloud', 'xks', '--host', 'a.example', '--tenant', 'a b'],
    [/root: one of/, '--cloud', 'xks', '--host', 'a.example', '--root', 'paper'],
    [/Path of the PKCS#11 module/, '--cloud', 'xks', '--host', 'a.example', '--root', 'pkcs11'],
    [/together/, '--cloud', 'xks', '--host', 'a.example', '--certificate', 'x.pem'],
  ]
  for (const [expected, ...args] of wrong) {
    const { code, stderr } = await holdfast(['ekm', 'init', join(folder, 'wrong'), '--yes', ...args])
    assert.equal(code, 1, args.join(' '))
    assert.match(stderr, expected)
  }
  assert.throws(() => statSync(join(folder, 'wrong')))
})
