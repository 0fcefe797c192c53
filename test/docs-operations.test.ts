/**
 * docs/operations.md, a year of it: every command is run as it is written, in its order. The folders of its first block are the test's own, and where the
 * page says `systemctl` a script of the test's starts and stops the service as the unit does: there is no systemd where the tests run.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse } from 'yaml'
import { linesOf } from './support/docs.ts'
import { ROOT } from './support/ekm.ts'
import { onTerminal } from './support/terminal.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-year-'))
const at = (name: string): string => join(folder, name)
const [ETC, DATA, BACKUPS, ARCHIVE, SAFE] = ['etc', 'etc/data', 'backups', 'archive', 'safe'].map(at) as [
  string,
  string,
  string,
  string,
  string,
]
const env: NodeJS.ProcessEnv = { ...process.env, PATH: `${at('bin')}:${process.env.PATH}`, RUN: at('run') }

/** Commands of the page's blocks, by the heading that they stand under, without the block that names the folders. */
function chapters(): Map<string, string[]> {
  const found = new Map<string, string[]>()
  let heading = ''
  let inside = false
  for (const line of linesOf('operations.md')) {
    if (line.startsWith('## ')) heading = line.slice(3)
    if (line.startsWith('```')) inside = line === '```bash'
    else if (inside && line.startsWith('export ')) {
      const [, name = ''] = /^export (\w+)=/.exec(line) ?? []
      assert.ok({ ETC, DATA, BACKUPS, ARCHIVE, SAFE, PORT: '' }[name] !== undefined, line)
    } else if (inside) found.set(heading, [...(found.get(heading) ?? []), line])
  }
  return found
}

const PAGE = chapters()

/** Shares of the holders, as they were shown, and the code of the ceremony that is under way. */
const shares: string[] = []
let given = 0
let code = ''
const SHARE = /holdfast-share-1 [A-Z2-7 -]+/

function run(command: string): string {
  const { status, stdout, stderr } = spawnSync('bash', ['-c', command], {
    cwd: folder,
    env,
    encoding: 'utf8',
    timeout: 120_000,
  })
  assert.equal(status, 0, `${command}\n${stdout}${stderr}`)
  return stdout
}

/** A holder at a terminal of their own: takes a share and presses Enter, or types one. */
async function holder(command: string): Promise<void> {
  const takes = /root (?:split|take-share)/.test(command)
  let typed = false
  const { code: ended, seen } = await onTerminal(command.replaceAll('CODE', code), {
    cwd: folder,
    env,
    typist: shown => {
      if (typed || !(takes ? shown.includes('press Enter') : shown.includes('Share: '))) return undefined
      typed = true
      return takes ? '\n' : `${shares[given++ % shares.length]}\n`
    },
  })
  assert.equal(ended, 0, `${command}\n${seen}`)
  if (takes) shares.push(SHARE.exec(seen)?.[0].trim() ?? assert.fail(`no share: ${seen}`))
  code = /--ceremony ([A-Z0-9]{4}-[A-Z0-9]{4})/.exec(seen)?.[1] ?? code
}

async function play(heading: string): Promise<string> {
  const commands = PAGE.get(heading)
  assert.ok(commands !== undefined && commands.length > 0, heading)
  let all = ''
  for (const command of commands) {
    if (/^holdfast (?:root (?:split|take-share|confirm-share)|unlock) /.test(command)) await holder(command)
    else if (command.startsWith('holdfast root status')) {
      // "Ask until one generation is left."
      let status = run(command)
      while (status.includes('A rotation is under way')) status = run(command)
      all += status
    } else all += run(command)
  }
  return all
}

/** The AWS CLI, as the user whose access key the page's commands have printed last. */
function aws(...args: readonly string[]): Record<string, string> {
  // What was locked is ready a moment after it was opened.
  run('until [ -s "$RUN/line" ]; do sleep 0.1; done')
  const { endpoint } = JSON.parse(readFileSync(at('run/line'), 'utf8').split('\n')[0] ?? '')
  const url = new URL(endpoint)
  const { stdout, stderr, status } = spawnSync(
    'aws',
    ['kms', ...args, '--endpoint-url', `https://localhost:${url.port}`, '--output', 'json'],
    {
      env: { ...env, AWS_CA_BUNDLE: join(ETC, 'tls/trial-root.pem'), AWS_DEFAULT_REGION: 'eu-central-1' },
      encoding: 'utf8',
    },
  )
  assert.equal(status, 0, stderr)
  return JSON.parse(stdout)
}

function takeAccessKey(said: string): void {
  const [, id] = /(?:AWS_ACCESS_KEY_ID=|Access key id: +|access key id +|)(AKIA[A-Z0-9]{16})/.exec(said) ?? []
  const [, secret] = /(?:AWS_SECRET_ACCESS_KEY=|[Ss]ecret[^:\n]*: +)(\S{40,43})/.exec(said) ?? []
  assert.ok(id !== undefined && secret !== undefined, said)
  Object.assign(env, { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret })
}

/** What a customer encrypted in January, and what must open whatever happens to the machine. */
const CONTENT = Buffer.from('of January').toString('base64')
const opens = (): void => assert.equal(aws('decrypt', '--ciphertext-blob', `fileb://${at('kept')}`).Plaintext, CONTENT)

before(() => {
  for (const name of ['bin', 'run', 'safe', 'etc']) mkdirSync(at(name), { mode: 0o700 })
  Object.assign(env, { ETC, DATA, BACKUPS, ARCHIVE, SAFE, PORT: '0' })
  writeFileSync(at('bin/holdfast'), `#!/bin/sh\nexec ${join(ROOT, 'bin/holdfast')} "$@"\n`)
  // Started when it has printed its line, or said that it is locked; `tail --pid` waits for its end.
  writeFileSync(
    at('bin/systemctl'),
    `#!/bin/bash
case "$1" in
  start)
    : > "$RUN/line"
    : > "$RUN/log"
    setsid holdfast kms --config "$ETC/kms.yaml" >> "$RUN/line" 2>> "$RUN/log" < /dev/null &
    echo $! > "$RUN/pid"
    until [ -s "$RUN/line" ] || grep -q 'boundary is locked' "$RUN/log"; do
      kill -0 "$(cat "$RUN/pid")" || { cat "$RUN/log" >&2; exit 1; }
      sleep 0.1
    done ;;
  stop) kill -TERM "$(cat "$RUN/pid")"; tail --pid="$(cat "$RUN/pid")" -f /dev/null ;;
  restart) systemctl stop "$2" && systemctl start "$2" ;;
esac
`,
  )
  for (const name of ['bin/holdfast', 'bin/systemctl']) chmodSync(at(name), 0o755)
})
after(() => {
  if (existsSync(at('run/pid'))) spawnSync('bash', ['-c', 'kill -TERM "$(cat "$RUN/pid")"'], { env })
  rmSync(folder, { recursive: true, force: true })
})

let next = 0

const opensNot = (): void => assert.throws(opens, /InvalidClientTokenId|UnrecognizedClientException|security token/)

/** Plays the next chapter of the page, so that none is left out and none comes early. */
async function chapter(heading: string): Promise<string> {
  assert.equal([...PAGE.keys()][next++], heading)
  return play(heading)
}

test('January: set up, the first backup, the kit, and a look at all of it', async () => {
  const said = await chapter('January: set up')
  takeAccessKey(said)
  assert.match(said, /a full backup/)
  assert.match(said, /Generation: 1/)
  assert.doesNotMatch(said, /^PROBLEM/m)
  writeFileSync(at('content'), Buffer.from(CONTENT, 'base64'))
  const { KeyMetadata } = aws('create-key') as unknown as { KeyMetadata: { KeyId: string } }
  const made = aws('encrypt', '--key-id', KeyMetadata.KeyId, '--plaintext', `fileb://${at('content')}`)
  writeFileSync(at('kept'), Buffer.from(made.CiphertextBlob ?? '', 'base64'))
  opens()
})

test('every day, and every week', async () => {
  const daily = await chapter('Every day')
  assert.match(daily, /"incremental"|"increment"/)
  assert.match(await chapter('Every week: open the backups'), /good/)
})

test('April: a backup is put back elsewhere', async () => {
  assert.match(await chapter("April: the quarter's drill"), /records?|entries/)
})

test('June: the old administrator goes, with every access key', async () => {
  const said = await chapter('June: somebody leaves')
  opensNot()
  takeAccessKey(said)
  opens()
})

test('July: the root is rotated; backups of before are of no use, and the new one is', async () => {
  const said = await chapter('July: deletions become final')
  assert.match(said, /Generation 1 was destroyed/)
  assert.equal(existsSync(join(SAFE, 'kms-1.kit')), false)
  opens()
})

test('September: shares, and from then on two holders at every start', async () => {
  const said = await chapter('September: from a file to shares')
  assert.match(said, /Root of trust: shares/)
  assert.equal(parse(readFileSync(join(ETC, 'kms.yaml'), 'utf8')).boundary.root.kind, 'shares')
  assert.equal(existsSync(join(ETC, 'root.key')), false)
  opens()
})

test('October: the log is archived', async () => {
  await chapter('October: archive the log')
  assert.ok(existsSync(ARCHIVE))
  opens()
})

test('November: an upgrade', async () => {
  await chapter('November: upgrade')
  opens()
})

test('December: the machine is gone, and everything of before the last backup is there', async () => {
  assert.doesNotMatch(await chapter('December: the machine is gone'), /^PROBLEM/m)
  opens()
  assert.equal(next, PAGE.size)
})
