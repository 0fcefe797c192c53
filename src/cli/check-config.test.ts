import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, it, mock } from 'node:test'
import { Command } from 'commander'
import { registerCheckConfig } from './check-config.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-check-config-'))
after(() => rmSync(folder, { recursive: true }))

async function run(...args: string[]): Promise<{ status: number; lines: string[] }> {
  const lines: string[] = []
  const log = mock.method(console, 'log', (line: string) => lines.push(line))
  const error = mock.method(console, 'error', (line: string) => lines.push(line))
  const program = new Command('holdfast')
  registerCheckConfig(program)
  await program.parseAsync(['check-config', ...args], { from: 'user' })
  log.mock.restore()
  error.mock.restore()
  const status = Number(process.exitCode ?? 0)
  process.exitCode = 0
  return { status, lines }
}

it('says that a right file is right, and for which service', async () => {
  const file = join(folder, 'ekm.yaml')
  writeFileSync(file, 'data: d\nreplay: {repeatMs: 2000}\nboundary: {root: {kind: passphrase}}\n')
  assert.deepEqual(await run(file), { status: 0, lines: [`${file}: a right configuration of holdfast ekm`] })
})

it('names every problem with its line, and fails', async () => {
  const file = join(folder, 'kms.yaml')
  writeFileSync(file, 'data: d\nregions: [eu-central-1]\nboundry: {root: {kind: passphrase}}\n')
  const { status, lines } = await run(file, '--service', 'kms')
  assert.equal(status, 1)
  assert.deepEqual(lines, [
    `${file}:1: boundary: missing: the process that holds key material`,
    `${file}:3: boundry: unknown; did you mean "boundary"?`,
  ])
})

it('prints the settings', async () => {
  const { lines } = await run('--settings', '--service', 'kms')
  assert.ok(lines.includes('listen.port (number 0 to 65535, default 8443): port of the AWS KMS API'), lines.join('\n'))
  assert.ok(lines.length > 30)
})

it('says the same as JSON', async () => {
  const file = join(folder, 'json.yaml')
  writeFileSync(file, 'data: d\nregions: [eu-central-1]\nboundry: {root: {kind: passphrase}}\n')
  const { status, lines } = await run(file, '--service', 'kms', '--json')
  const { good, service, problems } = JSON.parse(lines.join('\n'))
  assert.deepEqual([status, good, service, problems.length, problems[1].line], [1, false, 'kms', 2, 3])
})
