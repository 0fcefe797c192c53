/**
 * The files of deploy/systemd: what systemd itself says of them, the users and folders that they make, and their commands, run as two users as systemd would run
 * them. systemd itself is not started: its sandbox is looked at by `systemd-analyze`, and was tried by other means (docs/install.md).
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, describe, test } from 'node:test'
import { FINAL } from '../src/boundary/supervisor/supervisor.ts'
import { EXIT_CONFIG } from '../src/cli/exit-codes.ts'
import { TestAuthority } from './support/certificates.ts'
import { ROOT } from './support/ekm.ts'
import { freePort } from './support/kms.ts'

const UNITS = join(ROOT, 'deploy', 'systemd')
const units = fs.readdirSync(UNITS).filter(name => name.endsWith('.service'))
const isRoot = process.getuid?.() === 0
const folder = fs.mkdtempSync(join(tmpdir(), 'holdfast-systemd-'))
fs.chmodSync(folder, 0o755)
after(() => fs.rmSync(folder, { recursive: true, force: true }))

/** A setting of a unit, without what is before "=". */
function settings(unit: string, name: string): string[] {
  const lines = fs.readFileSync(join(UNITS, unit), 'utf8').split('\n')
  return lines.filter(line => line.startsWith(`${name}=`)).map(line => line.slice(name.length + 1))
}

function run(command: string, args: readonly string[]): { code: number | null; output: string } {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  return { code: status, output: `${stdout}${stderr}${error?.message ?? ''}` }
}

describe('what systemd says of the units', () => {
  /** By systemd 252. The highest number that is taken: another version may weigh anew. */
  const EXPOSURE: Readonly<Record<string, number>> = {
    'holdfast-kms-boundary.service': 0.5,
    'holdfast-kms.service': 1.5,
    'holdfast-ekm-boundary.service': 0.5,
    'holdfast-ekm.service': 1.5,
    'holdfast-ekm-admin.service': 1.5,
  }
  const SPREAD = 0.5

  test('each is right', () => {
    const copies = units.map(name => {
      const copy = join(folder, name)
      const text = fs.readFileSync(join(UNITS, name), 'utf8')
      // Where it is installed there is a program.
      fs.writeFileSync(copy, text.replaceAll('/opt/holdfast/bin/holdfast', join(ROOT, 'bin', 'holdfast')))
      return copy
    })
    const { code, output } = run('systemd-analyze', ['verify', '--man=no', ...copies])
    assert.equal(code, 0, output)
    // It warns, and ends well, where a setting has a name or a value that it does not know.
    assert.doesNotMatch(output, /holdfast-/)
  })

  test('each is as restricted as docs/install.md says', () => {
    assert.deepEqual(units.toSorted(), Object.keys(EXPOSURE).toSorted())
    const docs = fs.readFileSync(join(ROOT, 'docs', 'install.md'), 'utf8')
    for (const [name, expected] of Object.entries(EXPOSURE)) {
      const { output } = run('systemd-analyze', ['security', '--offline=true', join(UNITS, name)])
      const [, exposure] = /Overall exposure level for \S+: ([\d.]+)/.exec(output) ?? []
      assert.ok(Number(exposure) <= expected + SPREAD, `${name}: ${exposure}`)
      assert.ok(docs.includes(`| \`${name}\` | ${expected.toFixed(1)} |`), name)
    }
  })

  test('what an operator must mend first is not started again and again', () => {
    for (const unit of units) {
      const codes = new Set(settings(unit, 'RestartPreventExitStatus')[0]?.split(' ').map(Number))
      assert.ok(codes.has(EXIT_CONFIG), unit)
      if (unit.includes('boundary')) for (const code of FINAL) assert.ok(codes.has(code), `${unit}: ${code}`)
    }
  })
})

test('users and folders: a front end may pass through to the socket of its boundary, and see nothing else', () => {
  const root = join(folder, 'machine')
  fs.mkdirSync(join(root, 'etc'), { recursive: true })
  const made = run('systemd-sysusers', [`--root=${root}`, join(UNITS, 'holdfast.sysusers.conf')])
  assert.equal(made.code, 0, made.output)
  const users = new Map(
    fs
      .readFileSync(join(root, 'etc', 'passwd'), 'utf8')
      .trim()
      .split('\n')
      .map(line => line.split(':'))
      .map(([name = '', , uid, , , , shell]) => [name, { uid: Number(uid), shell }]),
  )
  for (const unit of units) {
    const [name = ''] = settings(unit, 'User')
    assert.deepEqual(settings(unit, 'Group'), [name])
    assert.equal(users.get(name)?.shell, '/usr/sbin/nologin', name)
  }
  // Folders are given to others, which only root may do.
  if (!isRoot) return
  const { code, output } = run('systemd-tmpfiles', [
    `--root=${root}`,
    '--create',
    join(UNITS, 'holdfast.tmpfiles.conf'),
  ])
  assert.equal(code, 0, output)
  const uid = (name: string): number | undefined => users.get(name)?.uid
  for (const service of ['kms', 'ekm']) {
    const stat = (name: string) => {
      const { mode, uid, gid } = fs.statSync(join(root, 'var', 'lib', `holdfast-${service}`, name))
      return [(mode & 0o7777).toString(8), uid, gid]
    }
    const [frontEnd, boundary] = [uid(`holdfast-${service}`), uid(`holdfast-${service}-boundary`)]
    assert.deepEqual(stat('.'), ['711', 0, 0])
    assert.deepEqual(stat('boundary'), ['2710', boundary, frontEnd])
    assert.deepEqual(stat('front-end'), ['700', frontEnd, frontEnd])
    if (service === 'ekm') assert.deepEqual(stat('admin'), ['2710', boundary, uid('holdfast-ekm-admin')])
  }
})

describe('boundary and front end, each by itself', () => {
  const ids = (name: string) => ({
    uid: Number(run('id', ['-u', name]).output),
    gid: Number(run('id', ['-g', name]).output),
  })
  /** Users that every Debian has; without root all are who runs the tests. */
  const [frontEnd, boundary, admin] = ['games', 'mail', 'news']
  const data = join(folder, 'data')
  const configFile = join(folder, 'kms.yaml')
  /** The same with two users, whoever runs the tests. */
  const usersFile = join(folder, 'two-users.yaml')

  interface Half {
    readonly child: ChildProcess
    readonly pid: number
    /** What it sends to NOTIFY_SOCKET. */
    readonly told: Promise<string>
    readonly stderr: () => string
    /** The exit code, or the signal that ended it. */
    readonly ended: Promise<number | string | null>
  }

  const halves: Half[] = []
  after(() => {
    for (const { child } of halves) child.kill('SIGKILL')
  })

  /** As the unit has it: its command, its user, its readiness. */
  async function start(unit: string, user: string, file = configFile): Promise<Half> {
    const [command = ''] = settings(unit, 'ExecStart')
    const args = command
      .replace(/\/etc\/holdfast\/\w+\.yaml/, file)
      .split(' ')
      .slice(1)
    const as = isRoot ? ids(user) : {}
    const socket = join(folder, `${basename(unit)}-${halves.length}.notify`)
    // Node has no datagrams of Unix; this prints what systemd would get.
    const listener = spawn('python3', ['-c', RECEIVE, socket], { stdio: ['ignore', 'pipe', 'inherit'] })
    const lines = createInterface({ input: listener.stdout })
    const next = () => new Promise<string>(resolve => lines.once('line', resolve))
    assert.equal(await next(), 'bound')
    const told = next()
    const child = spawn(join(ROOT, 'bin', 'holdfast'), args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NOTIFY_SOCKET: socket },
      ...as,
    })
    let stderr = ''
    child.stderr.on('data', chunk => {
      stderr += String(chunk)
    })
    const ended = new Promise<number | string | null>(resolve => {
      child.once('exit', (code, signal) => resolve(code ?? signal))
    })
    void ended.then(() => listener.kill())
    const half = { child, pid: child.pid ?? 0, told, stderr: () => stderr, ended }
    halves.push(half)
    return half
  }

  const RECEIVE = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
print('bound', flush=True)
print(s.recv(4096).decode().replace('\\n', ' '), flush=True)
`

  const ready = async (half: Half): Promise<void> => {
    const told = await Promise.race([half.told, half.ended.then(code => `ended with ${code}: ${half.stderr()}`)])
    assert.match(told, /^READY=1 STATUS=ready/)
  }
  const status = (pid: number): string => fs.readFileSync(`/proc/${pid}/status`, 'utf8')
  const commandOf = (pid: number): string => fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8')

  let operations = 0
  const health = async (): Promise<string> => (await fetch(`http://127.0.0.1:${operations}/health/ready`)).text()
  const until = async (wanted: RegExp): Promise<void> => {
    while (!wanted.test(await health())) await new Promise(done => setTimeout(done, 20))
  }

  test('start as their users, tell that they are ready, and go on when the other is killed', async () => {
    operations = await freePort()
    const config = `data: ${data}
listen: { host: 127.0.0.1, port: ${await freePort()} }
regions: [eu-central-1]
account: '111122223333'
log: { origin: kms.example.com/log }
operations: { port: ${operations} }
boundary:
  root: { kind: keyfile, file: ${join(data, 'boundary', 'root.key')} }
`
    fs.writeFileSync(usersFile, `${config}  users: { frontEnd: ${frontEnd}, boundary: ${boundary} }\n`)
    fs.writeFileSync(configFile, isRoot ? fs.readFileSync(usersFile) : config)
    makeFolders(data)
    const front = await start('holdfast-kms.service', frontEnd)
    const first = await start('holdfast-kms-boundary.service', boundary)
    await Promise.all([ready(front), ready(first)])
    // The process that systemd started, itself, and no other beside it.
    assert.match(commandOf(first.pid), /boundary\/service\/main/)
    assert.match(commandOf(front.pid), /kms\/main/)
    assert.equal(fs.readFileSync(`/proc/${first.pid}/task/${first.pid}/children`, 'utf8'), '')
    if (isRoot) {
      assert.match(status(first.pid), new RegExp(`^Uid:\\s+${ids(boundary).uid}\\s`, 'm'))
      assert.match(status(front.pid), new RegExp(`^Uid:\\s+${ids(frontEnd).uid}\\s`, 'm'))
      assert.doesNotMatch(await health(), /not isolated/)
    }
    await until(/"ready":true/)

    first.child.kill('SIGKILL')
    assert.equal(await first.ended, 'SIGKILL')
    await until(/the boundary does not answer/)
    const second = await start('holdfast-kms-boundary.service', boundary)
    await ready(second)
    await until(/"ready":true/)

    front.child.kill('SIGKILL')
    await front.ended
    const again = await start('holdfast-kms.service', frontEnd)
    await ready(again)
    await until(/"ready":true/)

    // A boundary on the same folder is refused for good, with the exit code that the unit knows.
    const third = await start('holdfast-kms-boundary.service', boundary)
    assert.equal(await third.ended, 75)
    assert.match(third.stderr(), /another boundary has/)

    again.child.kill('SIGTERM')
    assert.equal(await again.ended, 0)
    second.child.kill('SIGTERM')
    assert.equal(await second.ended, 143)
    assert.deepEqual(settings('holdfast-kms-boundary.service', 'SuccessExitStatus'), ['143'])
  })

  test('a start as another user than the configuration names is refused', async () => {
    const wrong = await start('holdfast-kms-boundary.service', frontEnd, usersFile)
    assert.equal(await wrong.ended, 64)
    assert.match(wrong.stderr(), /boundary\.users\.boundary is mail: start it as that user/)
  })

  test('one start of both, which only root may do, takes the same folders, and makes them where there are none', async () => {
    const startBoth = async (): Promise<string> => {
      const child = spawn(join(ROOT, 'bin', 'holdfast'), ['kms', '--config', usersFile], {
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let stderr = ''
      child.stderr.on('data', chunk => {
        stderr += String(chunk)
      })
      const ended = new Promise<void>(done => child.once('close', () => done()))
      const line = new Promise<void>(done => createInterface({ input: child.stdout }).once('line', () => done()))
      await Promise.race([line, ended])
      if (child.exitCode === null) await until(/"ready":true/)
      child.kill('SIGTERM')
      await ended
      return stderr
    }
    const first = await startBoth()
    if (!isRoot) {
      assert.match(first, /running as two users needs a start as root/)
      return
    }
    fs.rmSync(data, { recursive: true })
    for (const said of [first, await startBoth()]) {
      assert.match(said, /"msg":"ready"/)
      assert.doesNotMatch(said, /not isolated/)
    }
    const { mode, uid, gid } = fs.statSync(join(data, 'boundary'))
    assert.deepEqual([mode & 0o7777, uid, gid], [0o2710, ids(boundary).uid, ids(frontEnd).gid])
  })

  test('an owner’s three processes: each reads its own key, and the admin API serves those whom it admits', async () => {
    const owners = join(folder, 'owners')
    fs.mkdirSync(owners, { mode: 0o755 })
    const staff = await TestAuthority.make(owners, 'staff')
    const server = await staff.issue('server', { commonName: 'localhost', ipAddresses: ['127.0.0.1'], use: 'server' })
    const ann = await staff.issue('ann', { commonName: 'ann', use: 'client' })
    if (isRoot) fs.chownSync(server.keyFile, ids(admin).uid, ids(admin).gid)
    const file = join(folder, 'ekm.yaml')
    const port = await freePort()
    const users = isRoot ? `  users: { frontEnd: ${frontEnd}, boundary: ${boundary}, admin: ${admin} }\n` : ''
    fs.writeFileSync(
      file,
      `data: ${join(owners, 'data')}
listen: { host: 127.0.0.1, port: ${await freePort()} }
log: { origin: ekm.example.com/log }
admin:
  port: ${port}
  tls:
    certificateFile: ${server.certificateFile}
    keyFile: ${server.keyFile}
    clients: { caFile: ${staff.caFile} }
boundary:
  root: { kind: keyfile, file: ${join(owners, 'data', 'boundary', 'root.key')} }
${users}`,
    )
    makeFolders(join(owners, 'data'))
    const parts = [
      await start('holdfast-ekm-boundary.service', boundary, file),
      await start('holdfast-ekm.service', frontEnd, file),
      await start('holdfast-ekm-admin.service', admin, file),
    ]
    await Promise.all(parts.map(ready))
    const answer = await new Promise<number | undefined>((done, failed) => {
      const asked = https.get(
        {
          host: '127.0.0.1',
          port,
          path: '/v1/switches',
          ca: fs.readFileSync(staff.caFile),
          cert: fs.readFileSync(ann.certificateFile),
          key: fs.readFileSync(ann.keyFile),
        },
        response => {
          response.resume()
          done(response.statusCode)
        },
      )
      asked.once('error', failed)
    })
    assert.equal(answer, 200)
    for (const { child } of parts) child.kill('SIGTERM')
    assert.deepEqual(await Promise.all(parts.map(({ ended }) => ended)), [143, 0, 0])
  })

  /** Those of holdfast.tmpfiles.conf. */
  function makeFolders(below: string): void {
    if (!isRoot) return
    fs.mkdirSync(below, { mode: 0o711 })
    for (const [name, group] of [
      ['boundary', frontEnd],
      ['admin', admin],
    ] as const) {
      fs.mkdirSync(join(below, name))
      fs.chownSync(join(below, name), ids(boundary).uid, ids(group).gid)
      fs.chmodSync(join(below, name), 0o2710)
    }
    fs.mkdirSync(join(below, 'front-end'), { mode: 0o700 })
    fs.chownSync(join(below, 'front-end'), ids(frontEnd).uid, ids(frontEnd).gid)
  }
})
