/**
 * `holdfast ekm init` as a newcomer has it: what it writes starts, and every command that it prints for this machine does what it says.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Step } from '../src/setup/init/steps.ts'
import { holdfast, startEkm } from './support/ekm.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-init-'))
after(() => rmSync(folder, { recursive: true, force: true }))

interface Made {
  readonly tenant?: string
  readonly config: string
  readonly certificates: readonly string[]
  readonly steps: readonly Step[]
}

/** Under its second name: `holdfast ekm init` is the same. */
async function init(name: string, ...args: string[]): Promise<Made> {
  const { code, stdout, stderr } = await holdfast(['init', 'ekm', join(folder, name), '--yes', '--json', ...args])
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout)
}

/** Words of a command as a shell has them; these hold no quotes. */
const commands = (steps: readonly Step[]): string[][] =>
  steps
    .flatMap(({ lines }) => lines)
    .filter(line => line.startsWith('holdfast '))
    .map(line => line.split(' ').slice(1))

const CLOUDS: readonly {
  readonly cloud: string
  readonly args: readonly string[]
  readonly keys: readonly string[]
}[] = [
  { cloud: 'xks', args: [], keys: ['aws'] },
  { cloud: 'azure', args: ['--client-name', 'pool.managedhsmclient.azure.net'], keys: ['azure'] },
  { cloud: 'google', args: ['--project', '123456789012'], keys: ['google'] },
  {
    cloud: 'kacls',
    args: ['--issuer', 'https://id.acme.example/', '--audience', 'workspace-cse'],
    keys: ['workspace', 'workspace-signer'],
  },
  { cloud: 'dke', args: ['--directory', 'a1b2c3d4-0000-1111-2222-333344445555'], keys: ['documents'] },
  { cloud: 'kubernetes', args: [], keys: ['kubernetes'] },
]

for (const { cloud, args, keys } of CLOUDS) {
  test(`${cloud}: what it writes starts, and each of its commands does what it says`, async () => {
    const made = await init(cloud, '--cloud', cloud, '--host', 'localhost', '--tenant', 'customers/acme', ...args)
    assert.equal(made.tenant, 'customers/acme')
    assert.equal(statSync(made.config).mode & 0o777, 0o600)
    for (const file of made.certificates)
      assert.equal(statSync(file).mode & 0o777, file.endsWith('.key') ? 0o600 : 0o644, file)
    // The ports may be others' on this machine.
    writeFileSync(made.config, readFileSync(made.config, 'utf8').replace(/port: \d+/g, 'port: 0'))
    const [start, ...then] = commands(made.steps)
    assert.deepEqual(start, ['ekm', '--config', made.config])
    const ekm = await startEkm<{ data: string; endpoint: string } & Record<string, string>>(['--config', made.config])
    try {
      const url = cloud === 'xks' ? ekm.line.endpoint : (ekm.line[cloud] ?? '')
      for (const words of then) {
        const here = words.map(word =>
          word.replace('https://localhost/', `${url.replace(/\/\/[^:/]+/, '//localhost')}/`),
        )
        const { code, stdout, stderr } = await holdfast(here)
        assert.equal(code, 0, `${words.join(' ')}: ${stdout}${stderr}`)
      }
      const listed = await ekm.cli<{ keyId: string }[]>('key', 'list')
      assert.deepEqual(listed.map(({ keyId }) => keyId).sort(), [...keys].sort())
    } finally {
      await ekm.stop()
    }
  })
}

test('all six at once are one configuration', async () => {
  const all = CLOUDS.map(({ cloud }) => cloud).join(',')
  const args = CLOUDS.flatMap(each => each.args)
  const { config, tenant, steps } = await init(
    'all',
    '--no-start',
    '--cloud',
    all,
    '--host',
    'ekm.acme.example',
    ...args,
  )
  assert.equal(tenant, undefined)
  const next = commands(steps)[1]
  assert.deepEqual(next?.slice(0, 4), ['ekm', 'tenant', 'create', 'tenant'], 'what was not made is printed')
  const checked = await holdfast(['check-config', '--service', 'ekm', config])
  assert.equal(checked.code, 0, checked.stderr)
  const text = readFileSync(config, 'utf8')
  const ports = [...text.matchAll(/port: (\d+)/g)].map(([, port]) => port)
  assert.equal(new Set(ports).size, ports.length, 'no port is named twice')
})

test('nothing that is there is overwritten', async () => {
  const { config } = await init('twice', '--no-start', '--cloud', 'xks', '--host', 'a.example')
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
    [/GUID in lower case/, '--cloud', 'dke', '--host', 'a.example', '--directory', 'ABC'],
    [/Issuer \(iss\)/, '--cloud', 'kacls', '--host', 'a.example'],
    [/Number of the Google Cloud project/, '--cloud', 'google', '--host', 'a.example'],
    [/together/, '--cloud', 'xks', '--host', 'a.example', '--certificate', 'x.pem'],
  ]
  for (const [expected, ...args] of wrong) {
    const { code, stderr } = await holdfast(['ekm', 'init', join(folder, 'wrong'), '--yes', ...args])
    assert.equal(code, 1, args.join(' '))
    assert.match(stderr, expected)
  }
  assert.throws(() => statSync(join(folder, 'wrong')))
})
