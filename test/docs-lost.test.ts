/** The pages on backups and on what is lost, each played through on a real service: every command of theirs is run as it is written, with folders of the test's own. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { refused, saveKit } from './support/backup.ts'
import { TestAuthority } from './support/certificates.ts'
import { linesOf } from './support/docs.ts'
import { type Ekm, holdfast, ROOT, startEkm } from './support/ekm.ts'

const START = './bin/holdfast ekm --config '
/** A hash that stands for the one that the command prints. */
const SOME_HASH = '9f86d081884c7d65'

interface Line {
  readonly data: string
}

const folder = mkdtempSync(join(tmpdir(), 'holdfast-lost-'))
const place = (name: string): string => join(folder, name)
const data = place('data')
const config = place('etc/ekm.yaml')
let ekm: Ekm<Line>
let shortRoot = SOME_HASH

/** Where the paths of the pages are in this test. */
const places = (): readonly (readonly [string, string])[] => [
  ['/var/lib/holdfast-ekm', data],
  ['/etc/holdfast', place('etc')],
  ['/mnt/backups/ekm', place('backups')],
  ['/media/safe', place('safe')],
  ['backup-identity.txt', place('identity.txt')],
  ['ekm.kit', place('ekm.kit')],
  [SOME_HASH, shortRoot],
]

/** The commands in the code blocks of a page, from a heading on (or the whole page), to the next one of its level. */
function commandsOf(page: string, heading?: string): string[] {
  const lines = linesOf(page)
  const from = heading === undefined ? 0 : lines.indexOf(`## ${heading}`)
  assert.ok(from >= 0, `${page} has no heading ${heading}`)
  const rest = lines.slice(from + 1)
  const to = heading === undefined ? -1 : rest.findIndex(line => line.startsWith('## '))
  const commands: string[] = []
  let inside = false
  for (const line of to < 0 ? rest : rest.slice(0, to)) {
    if (line.startsWith('```')) inside = line === '```bash'
    else if (inside) commands.push(line)
  }
  assert.ok(commands.length > 0, page)
  return commands
}

/** Runs a command of a page. One that starts the service leaves it running. */
async function run(command: string): Promise<string> {
  const here = places().reduce((text, [theirs, ours]) => text.replaceAll(theirs, ours), command)
  if (command.startsWith(START)) {
    ekm = await startEkm<Line>(here.split(' ').slice(2))
    return ''
  }
  const { status, stdout, stderr } = spawnSync('sh', ['-c', here], { cwd: ROOT, encoding: 'utf8' })
  assert.equal(status, 0, `${command}: ${stdout}${stderr}`)
  return stdout
}

async function runAll(commands: readonly string[]): Promise<string> {
  let said = ''
  for (const command of commands) said += await run(command)
  return said
}

async function states(): Promise<Record<string, string>> {
  const keys = await ekm.cli<{ key: string; state: string }[]>('key', 'list')
  return Object.fromEntries(keys.map(({ key, state }) => [key, state]))
}

const startRefused = (said: RegExp) => refused(65, said, 'ekm', '--config', config)

before(async () => {
  const authority = await TestAuthority.make(folder, 'owner')
  const tls = await authority.issue('server', { commonName: 'proxy', ipAddresses: ['127.0.0.1'], use: 'server' })
  for (const name of ['etc', 'safe', 'backups']) mkdirSync(place(name))
  writeFileSync(
    config,
    JSON.stringify({
      data,
      listen: { port: 0, tls },
      boundary: { root: { kind: 'keyfile', file: place('etc/root.key') } },
    }),
  )
  ekm = await startEkm<Line>(['--config', config])
  await ekm.cli('tenant', 'create', 'acme')
  await ekm.cli('key', 'create', 'first')
  await ekm.cli('key', 'create', 'second')
  cpSync(place('etc/root.key'), place('safe/root.key'))
})
after(async () => {
  await ekm?.stop()
  rmSync(folder, { recursive: true, force: true })
})

test('docs/backup.md, "Making one": a full backup, an increment, and both verified', async () => {
  const said = await runAll(commandsOf('backup.md', 'Making one'))
  assert.match(said, /made {4}a full backup/)
  assert.match(said, /made {4}an increment, file 2/)
  assert.match(said, /good {4}files 1 to 2/)
})

test('docs/lost-store.md: the store is gone, and nothing with it', async () => {
  const before = await states()
  assert.deepEqual(Object.values(before), ['Enabled', 'Enabled'])
  await ekm.stop()
  await runAll(commandsOf('lost-store.md'))
  assert.deepEqual(await states(), before)
})

describe('docs/lost-root.md', () => {
  test('the root file is gone: the start says so, and the kit brings it back', async () => {
    await saveKit(data, place('ekm.kit'))
    await ekm.stop()
    rmSync(join(data, 'boundary', 'root'))
    await startRefused(/root is missing beside a journal/)
    await runAll(commandsOf('lost-root.md', 'The root file'))
    assert.deepEqual(Object.values(await states()), ['Enabled', 'Enabled'])
    await refused(64, /is there: nothing is put over it/, 'restore', 'root', place('ekm.kit'), '--data', data)
  })

  test('the key file is gone, or is another: the start says so, never makes one anew, and the copy opens it', async () => {
    await ekm.stop()
    const file = place('etc/root.key')
    rmSync(file)
    const gone = await holdfast(['ekm', '--config', config])
    assert.notEqual(gone.code, 0)
    assert.match(gone.stderr, /root\.key/)
    assert.ok(!existsSync(file), 'a new key file was made beside a root file')
    writeFileSync(file, `holdfast-root-1 ${Buffer.alloc(32, 7).toString('base64url')}\n`, { mode: 0o600 })
    const wrong = await holdfast(['ekm', '--config', config])
    assert.notEqual(wrong.code, 0)
    assert.match(wrong.stderr, /key file/)
    await runAll(commandsOf('lost-root.md', 'The key file'))
    assert.deepEqual(Object.values(await states()), ['Enabled', 'Enabled'])
  })

  test('with nothing left of it the log still verifies, and says what was done', async () => {
    const said = await runAll(commandsOf('lost-root.md', 'Nothing is left of it'))
    assert.match(said, /^good/m)
    assert.match(said, /admin:CreateKey {2}acme\/first/)
  })
})

describe('docs/lost-boundary.md', () => {
  const commands = commandsOf('lost-boundary.md')
  const upTo = (word: string): number => commands.findIndex(command => command.includes(word))

  test('the boundary’s folder is gone: restored beside the store, which had more; the start is refused, and says what is missing', async () => {
    await ekm.cli('revoke', 'acme/second')
    await run(commands.at(-1) ?? '')
    // After the last backup: a key, and what the kit has seen.
    await ekm.cli('key', 'create', 'third')
    await ekm.cli('revoke', 'acme/first')
    await ekm.stop()
    await saveKit(data, place('ekm.kit'))
    rmSync(join(data, 'boundary'), { recursive: true })
    const said = await runAll(commands.slice(0, upTo('accept-older')))
    assert.match(said, /missing {3}the store that lay here had write set \d+/)
    assert.match(said, /older {5}this boundary has had \d+ records/)
    const { stderr } = await startRefused(/holds an older state than this boundary has had/)
    assert.ok(linesOf('lost-boundary.md').includes('> holds an older state than this boundary has had'))
    const [, hash = ''] = /it has signed for [\d,]+ records \(root ([0-9a-f]{16})…\)/.exec(stderr) ?? []
    assert.match(hash, /^[0-9a-f]{16}$/)
    shortRoot = hash
  })

  test('accepted only by one who names what is given up', async () => {
    const accept = ['restore', 'accept-older', '--data', data, '--config', config]
    await refused(64, /nobody can be asked here: repeat the command with --giving-up [0-9a-f]{16}/, ...accept)
    await refused(64, /does not name what this boundary has had/, ...accept, '--giving-up', SOME_HASH)
    await refused(64, /does not name what this boundary has had/, ...accept, '--giving-up', shortRoot.slice(0, 8))
    await startRefused(/holds an older state/)
  })

  test('promise 7: the log only grows, and outsiders can check it — the ceremony is recorded with both states, and the log verifies across the seam', async () => {
    const said = await runAll(commands.slice(upTo('accept-older')))
    assert.match(said, /accepted {2}the boundary goes on from \d+ records; \d+ are given up/)
    assert.match(said, /^good/m)
    assert.match(said, new RegExp(`acceptOlderState.*${shortRoot}`))
    const now = await states()
    assert.deepEqual(Object.keys(now).sort(), ['acme/first', 'acme/second'], 'the third came after the backup')
    assert.match(now['acme/second'] ?? '', /Revoked/)
    assert.equal(now['acme/first'], 'Enabled', 'revoked after the backup: to be done again')
    // What was put back is where the chain ends, so the chain goes on from there.
    assert.match(said, /made {4}an increment, file 4/)
    assert.ok(readdirSync(join(data, 'front-end')).includes('store.db.replaced'))
    await refused(
      64,
      /another boundary has .* open/,
      'restore',
      'accept-older',
      '--data',
      data,
      '--config',
      config,
      '--giving-up',
      shortRoot,
    )
  })
})

test('docs/backup.md, "Putting it back onto an empty machine": nothing is there, and then the service is', async () => {
  await saveKit(data, place('ekm.kit'))
  await run(commandsOf('lost-boundary.md').at(-1) ?? '')
  const before = await states()
  await ekm.stop()
  rmSync(data, { recursive: true })
  await runAll(commandsOf('backup.md', 'Putting it back onto an empty machine'))
  ekm = await startEkm<Line>(['--config', config])
  assert.deepEqual(await states(), before)
})

test('the pages name each other, and every command of theirs is in a block that was run', () => {
  const ceremony = commandsOf('backup.md', 'An older state')
  assert.deepEqual(
    ceremony,
    commandsOf('lost-boundary.md').filter(command => command.includes('accept-older')),
  )
  for (const page of ['lost-boundary.md', 'lost-store.md', 'lost-root.md'])
    assert.ok(readFileSync(join(ROOT, 'docs', 'backup.md'), 'utf8').includes(`(${page})`), page)
})
