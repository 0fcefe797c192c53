/**
 * `holdfast doctor`: every finding that it has is provoked, on a folder that a real service has made, by what an operator, a disk or a stranger could do to
 * it. What cannot be done to the machine that runs the tests (its clock, its swap) is said by a part of another.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { generateIdentity, identityToRecipient } from 'age-encryption'
import { stringify } from 'yaml'
import type { BackupIndex } from '../src/backup/folder.ts'
import { createKeyFile, openKeyFile } from '../src/boundary/root/keyfile.ts'
import { openRoot, parseRootFile, prepareGeneration } from '../src/boundary/root/rootfile.ts'
import { makeShares, newShareSet, sharesRoot } from '../src/boundary/root/shares.ts'
import type { RootOfTrust } from '../src/boundary/root/types.ts'
import { describeTree } from '../src/cli/help.ts'
import { wholeProgram } from '../src/cli/program.ts'
import { makeAuthority } from '../src/http/certificates.ts'
import { examine } from '../src/setup/doctor/doctor.ts'
import { FINDINGS, type Finding, type FindingName } from '../src/setup/doctor/findings.ts'
import { checkLog } from '../src/setup/doctor/log.ts'
import { type Asked, type Machine, type Subject, subjectOf, THIS_MACHINE } from '../src/setup/doctor/subject.ts'
import { holdfast, startEkm } from './support/ekm.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-doctor-'))
const children: ChildProcess[] = []
let stopLive: () => Promise<unknown> = async () => {}
after(async () => {
  await stopLive()
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

const DAY_MS = 86_400_000
const [NOBODY, ROOT] = [65534, process.geteuid?.() === 0]

/** A folder of a service that was started once and stopped, with its configuration and certificates; each provocation has its own copy. */
class Place {
  readonly dir: string
  constructor(dir: string) {
    this.dir = dir
  }
  get data(): string {
    return join(this.dir, 'data')
  }
  get boundary(): string {
    return join(this.data, 'boundary')
  }
  get config(): string {
    return join(this.dir, 'ekm.yaml')
  }
  file(name: string): string {
    return join(this.dir, name)
  }

  /** Writes the configuration, with these settings over the usual ones. */
  configure(over: Readonly<Record<string, unknown>> = {}): this {
    const usual = {
      data: this.data,
      listen: {
        port: 0,
        tls: {
          certificateFile: this.file('server.pem'),
          keyFile: this.file('server.key'),
          clients: { caFile: this.file('root.pem') },
        },
      },
      boundary: { root: { kind: 'keyfile', file: this.file('root.key') } },
    }
    writeFileSync(this.config, stringify({ ...usual, ...over }))
    return this
  }

  /** A certificate under a new root; `rest` goes behind it in its file. */
  async certify(notAfter: Date | undefined, name = 'localhost', rest = ''): Promise<void> {
    const authority = await makeAuthority('test root', 90)
    const issued = await authority.issue({
      commonName: name,
      dnsNames: [name],
      use: 'server',
      ...(notAfter === undefined ? {} : { notAfter }),
    })
    writeFileSync(this.file('root.pem'), authority.certificate)
    writeFileSync(this.file('server.pem'), `${issued.certificate}${rest}`)
    writeFileSync(this.file('server.key'), issued.key, { mode: 0o600 })
  }

  subject(asked: Partial<Asked> = {}): Promise<Subject> {
    return subjectOf({ config: this.config, full: false, ...asked })
  }

  async look(
    asked: Partial<Asked> = {},
    machine: Partial<Machine> = {},
    over: Partial<Subject> = {},
  ): Promise<Finding[]> {
    return examine({ ...(await this.subject(asked)), ...over }, { ...THIS_MACHINE, ...machine })
  }
}

const base = new Place(join(folder, 'base'))

before(async () => {
  mkdirSync(base.dir)
  await base.certify(undefined)
  base.configure()
  const ekm = await startEkm(['--config', base.config])
  await ekm.cli('tenant', 'create', 'acme')
  await ekm.cli('key', 'create', 'payments')
  await ekm.stop()
})

let copies = 0
function copy(): Place {
  const place = new Place(join(folder, String(copies++)))
  cpSync(base.dir, place.dir, { recursive: true, filter: source => !source.endsWith('.sock') })
  return place.configure()
}

/** A process in the place of the boundary, as a shell command makes it; told of as one that runs unlocked. */
async function stand(
  command: string,
  over: Partial<NonNullable<Subject['running']>> = {},
): Promise<Pick<Subject, 'running'>> {
  const child = spawn('sh', ['-c', `${command}; echo; exec sleep 1000`], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(ROOT ? { uid: NOBODY, gid: NOBODY } : {}),
  })
  children.push(child)
  await new Promise((ready, failed) => {
    child.stdout?.once('data', ready)
    child.once('exit', code => failed(new Error(`${command} ended with ${code}`)))
  })
  return { running: { pid: child.pid ?? 0, locked: false, version: '', warnings: [], logSize: 1, dev: false, ...over } }
}

/** Files in the place of those of the kernel. */
function proc(files: Readonly<Record<string, string>>): Partial<Machine> {
  const at = mkdtempSync(join(folder, 'proc-'))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(at, name, '..'), { recursive: true })
    writeFileSync(join(at, name), text)
  }
  return { proc: at }
}

const clock = (synchronised: boolean): Partial<Machine> => ({ clock: () => ({ synchronised, maxErrorMicros: 1500 }) })
const onDisk = (over: object): Partial<Machine> => ({
  statfs: (async (path: string) => ({ ...(await statfs(path)), ...over })) as Machine['statfs'],
})
const free = (): number => {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}
const root = (place: Place) => ({ kind: 'keyfile', file: place.file('root.key') })

/** Flips a byte in the middle of a file. */
/** The version follows eight bytes by which the file is known. */
function newer(file: string): void {
  const bytes = readFileSync(file)
  bytes.writeUInt16BE(bytes.readUInt16BE(8) + 1, 8)
  writeFileSync(file, bytes)
}

function damage(file: string): void {
  const bytes = readFileSync(file)
  const at = bytes.length >> 1
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
  writeFileSync(file, bytes)
}

const journalFile = (place: Place): string => {
  const journal = join(place.boundary, 'journal')
  return join(journal, readdirSync(journal).sort()[0] ?? '')
}

/** Of these a start takes seconds, so they look at one. */
let live: Place | undefined
const stopOf = (ekm: { stop(): Promise<unknown> }) => () => ekm.stop()
async function running(): Promise<Finding[]> {
  if (live === undefined) {
    live = copy()
    stopLive = stopOf(await startEkm(['--config', live.config]))
  }
  return live.look()
}

/** A folder with a backup of it, as the command makes one. */
async function backedUp(place: Place): Promise<string> {
  const into = place.file('backup')
  const recipient = await identityToRecipient(await generateIdentity())
  const { code, stderr } = await holdfast(['backup', into, '--data', place.data, '--recipient', recipient])
  assert.equal(code, 0, stderr)
  return into
}

const passphrase = (place: Place): Place => {
  rmSync(place.data, { recursive: true })
  return place.configure({ boundary: { root: { kind: 'passphrase' } } })
}

/** Makes a new generation of the root, as a rotation begins, under another root of trust where one is given. */
async function addGeneration(
  place: Place,
  at: { readonly firstRecord: number; readonly firstWriteSet: number },
  trust?: RootOfTrust,
): Promise<void> {
  const file = join(place.boundary, 'root')
  const opened = await openRoot(await openKeyFile(place.file('root.key')), parseRootFile(readFileSync(file)))
  const { generation, root, finish } = await prepareGeneration(opened, trust)
  opened.keyring.add(generation, root)
  writeFileSync(file, finish({ createdAt: Date.now(), ...at }).bytes)
}

const PROVOKED: Readonly<Record<FindingName, (place: Place) => Promise<Finding[]>>> = {
  'service-running': () => running(),
  'service-stopped': place => place.look(),
  'service-locked': async place => {
    const ekm = await startEkm(['--config', passphrase(place).config])
    try {
      return await place.look()
    } finally {
      await ekm.stop()
    }
  },
  'service-dev': async place => {
    const ekm = await startEkm(['--dev', '--data', place.file('dev')])
    await ekm.stop()
    return place.look({ data: place.file('dev') })
  },
  'config-good': place => place.look(),
  'config-none': async place => examine(await subjectOf({ data: place.data, full: false })),
  'config-wrong': place => {
    rmSync(place.file('server.pem'))
    return place.look()
  },
  'folder-closed': place => place.look(),
  'folder-missing': place => {
    rmSync(place.data, { recursive: true })
    return place.look()
  },
  'folder-open': place => {
    chmodSync(place.boundary, 0o750)
    return place.look()
  },
  'folder-owner': async place => {
    if (ROOT) chownSync(join(place.boundary, 'root'), NOBODY, NOBODY)
    // Who is not root cannot give a file away; what root owns is there.
    else return place.look({ data: '/' }, {}, { boundary: '/proc/self/root' })
    return place.look()
  },
  'secret-open': place => {
    chmodSync(place.file('root.key'), 0o640)
    return place.look()
  },
  'socket-open': place => {
    writeFileSync(join(place.boundary, 'use.sock'), '')
    chmodSync(join(place.boundary, 'use.sock'), 0o666)
    return place.look()
  },
  'users-two': place =>
    place.configure({ boundary: { root: root(place), users: { frontEnd: 'daemon', boundary: 'nobody' } } }).look(),
  'users-one': () => running(),
  'process-closed': () => running(),
  'process-traceable': async place => place.look({}, {}, await stand('ulimit -c 0')),
  'process-core': async place => place.look({}, {}, await stand('ulimit -c unlimited')),
  'process-warning': async place => place.look({}, {}, await stand(':', { warnings: ['something could not be done'] })),
  'swap-none': place => place.look({}, proc({ swaps: 'Filename Type Size Used Priority\n' })),
  'swap-open': place =>
    place.look({}, proc({ swaps: 'Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n' })),
  'clock-synchronised': place => place.look({}, clock(true)),
  'clock-free': place => place.look({}, clock(false)),
  'clock-unknown': place => place.look({}, { clock: () => undefined }),
  'clock-behind': place => place.look({}, { now: () => Date.now() - 2 * DAY_MS }),
  'space-enough': place => place.configure({ boundary: { root: root(place), floorBytes: 1 } }).look(),
  'space-near': place =>
    place.configure({ boundary: { root: root(place), floorBytes: Math.floor(free() / 4) } }).look(),
  'space-floor': place => place.configure({ boundary: { root: root(place), floorBytes: 2 ** 50 } }).look(),
  'space-reserve': async place => {
    rmSync(join(place.boundary, 'reserve'))
    return place.look({}, {}, await stand(':'))
  },
  'inodes-few': place => place.look({}, onDisk({ files: 100_000, ffree: 9 })),
  'file-system-good': place => place.look(),
  'file-system-network': place => place.look({}, onDisk({ type: 0x6969 })),
  'file-system-memory': place => place.look({ data: '/dev/shm' }),
  'file-system-refuses': place => place.look({ data: '/proc/self' }),
  'entropy-ready': place => place.look(),
  'entropy-low': place => place.look({}, proc({ 'sys/kernel/random/entropy_avail': '17\n' })),
  'certificate-good': place => place.look(),
  'certificate-unreadable': place => {
    writeFileSync(place.file('server.pem'), 'nothing')
    return place.look()
  },
  'certificate-soon': async place => {
    await place.certify(new Date(Date.now() + 10 * DAY_MS))
    return place.look()
  },
  'certificate-ended': async place => {
    await place.certify(new Date(Date.now() - 60_000))
    return place.look()
  },
  'certificate-early': place => place.look({}, { now: () => Date.now() - 3 * DAY_MS }),
  'certificate-key': async place => {
    const { key } = await (await makeAuthority('another', 1)).issue({ commonName: 'localhost', use: 'server' })
    writeFileSync(place.file('server.key'), key)
    return place.look()
  },
  'certificate-chain': async place => {
    await place.certify(undefined, 'localhost', (await makeAuthority('a stranger', 1)).certificate)
    return place.look()
  },
  'certificate-name': place => {
    const tls = { certificateFile: place.file('server.pem'), keyFile: place.file('server.key') }
    return place.configure({ dke: { port: 0, publicUrl: 'https://dke.acme.example', tls, tenants: {} } }).look()
  },
  'client-root-ended': place => place.look({}, { now: () => Date.now() + 91 * DAY_MS }),
  'root-opens': place => place.look(),
  'root-open': () => running(),
  'root-asked': place => place.look({ config: undefined, data: place.data }),
  'root-missing': place => {
    rmSync(join(place.boundary, 'root'))
    return place.look()
  },
  'root-newer': place => {
    newer(join(place.boundary, 'root'))
    return place.look()
  },
  'root-damaged': place => {
    damage(join(place.boundary, 'root'))
    return place.look()
  },
  'root-wrong': async place => {
    rmSync(place.file('root.key'))
    await createKeyFile(place.file('root.key'))
    return place.look()
  },
  'root-kind': place => place.configure({ boundary: { root: { kind: 'passphrase' } } }).look(),
  'root-beside': place => {
    cpSync(place.file('root.key'), join(place.data, 'root.key'))
    return place.configure({ boundary: { root: { kind: 'keyfile', file: join(place.data, 'root.key') } } }).look()
  },
  'root-rotation-rests': async place => {
    await addGeneration(place, { firstRecord: 1, firstWriteSet: 1 })
    return place.look()
  },
  'root-rotating': async place => {
    const generations = [1, 2].map(generation => ({ generation, createdAt: Date.now() }))
    const far = { destroyed: 0, destroyedAt: 0, done: 7, total: 9, problem: '' }
    const rotation = { kind: 'keyfile', generations, ...far, file: join(place.boundary, 'root') } as const
    return place.look({}, {}, { ...(await stand(':')), rotation })
  },
  // Below the floor of free space.
  'root-rotation-stuck': async place => {
    const index = JSON.parse(readFileSync(join(await backedUp(place), 'index.json'), 'utf8')) as BackupIndex
    const { size = 0, lastWriteSet = 0 } = index.files.at(-1)?.to ?? {}
    await addGeneration(place, { firstRecord: size, firstWriteSet: lastWriteSet + 1 })
    place.configure({ boundary: { root: root(place), floorBytes: 2 ** 50 } })
    const ekm = await startEkm(['--config', place.config])
    try {
      return await place.look()
    } finally {
      await ekm.stop()
    }
  },
  'root-destroyed': async place => {
    const ekm = await startEkm(['--config', place.config])
    try {
      const { code, stderr } = await holdfast(['root', 'rotate', '--data', place.data])
      assert.equal(code, 0, stderr)
      assert.ok((await place.look()).some(({ name }) => name === 'root-destroyed'))
    } finally {
      await ekm.stop()
    }
    return place.look()
  },
  'log-verified': place => place.look(),
  'log-newest': async place => (await checkLog(await place.subject(), () => {}, 0)).findings,
  // The root file has the key of the log.
  'log-newer': place => {
    newer(join(place.boundary, 'root'))
    return place.look()
  },
  'log-empty': place => {
    rmSync(place.data, { recursive: true })
    return place.look()
  },
  'log-bad': place => {
    damage(journalFile(place))
    return place.look()
  },
  'backup-unknown': place => place.look(),
  'backup-fresh': async place => place.look({ backup: await backedUp(place) }),
  'backup-old': async place =>
    place.look({ backup: await backedUp(place) }, { now: () => Date.now() + 27 * 3_600_000 }),
  'backup-damaged': async place => {
    const backup = await backedUp(place)
    writeFileSync(join(backup, 'index.json'), '{')
    return place.look({ backup })
  },
  'backup-other': async place => {
    const backup = await backedUp(place)
    const index = JSON.parse(readFileSync(join(backup, 'index.json'), 'utf8'))
    writeFileSync(join(backup, 'index.json'), JSON.stringify({ ...index, boundaryId: '00'.repeat(16) }))
    return place.look({ backup })
  },
  'backup-none': place => place.look({ backup: place.file('nowhere') }),
  'files-enough': async place => place.configure({ limits: { connections: 16 } }).look(),
  'files-few': async place => place.look({}, {}, await stand('ulimit -n 256')),
  'node-good': place => place.look(),
  'node-old': place => place.look({}, { node: '22.1.0' }),
  'system-other': place => place.look({}, { platform: 'darwin' }),
}

const tree = describeTree(await wholeProgram())

for (const [name, { check, level }] of Object.entries(FINDINGS) as [FindingName, (typeof FINDINGS)[FindingName]][])
  test(`${level} in ${check}: ${name}`, async () => {
    const findings = await PROVOKED[name](copy())
    const found = findings.filter(each => each.name === name)
    assert.ok(found.length > 0, findings.map(each => `${each.name}: ${each.seen}`).join('\n'))
    for (const { seen, advice } of found) {
      assert.notEqual(seen, '')
      assert.equal(advice !== '', level !== 'ok', 'all but what is well says what to do')
      for (const [command] of advice.matchAll(/holdfast (?!that|has)[a-z][a-z-]*(?: [a-z][a-z-]*)*/g))
        assert.ok(
          tree.some(({ path }) => path === command || command.startsWith(`${path} `)),
          `${command} is a command`,
        )
    }
  })

test('of a root in shares it says how many open it, and how they do', async () => {
  const place = copy()
  const { boundaryId } = parseRootFile(readFileSync(join(place.boundary, 'root')))
  const set = newShareSet(boundaryId, 2, 3)
  await addGeneration(place, { firstRecord: 1, firstWriteSet: 1 }, sharesRoot(set, makeShares(set).key))
  const findings = await place.configure({ boundary: { root: { kind: 'shares' } } }).look()
  const asked = findings.find(({ name }) => name === 'root-asked')
  assert.match(asked?.seen ?? '', /^a root of kind shares, of which 2 of 3 open it /)
  assert.match(asked?.advice ?? '', new RegExp(`holdfast unlock --data ${place.data}, by one holder after another`))
})

test('a newest segment that is damaged is told without reading the others', async () => {
  const place = copy()
  damage(journalFile(place))
  const { findings } = await checkLog(await place.subject(), () => {}, 0)
  assert.deepEqual(
    findings.map(({ name }) => name),
    ['log-bad'],
  )
})

test('the command: a line for each finding, JSON with --json, and the exit code says whether something is wrong', async () => {
  const place = copy()
  const good = await holdfast(['doctor', '--config', place.config])
  assert.equal(good.code, 0, good.stdout + good.stderr)
  assert.match(good.stdout, /^ok +root +the key file .* opens it/m)
  chmodSync(place.file('root.key'), 0o644)
  const bad = await holdfast(['doctor', '--config', place.config, '--json'])
  assert.equal(bad.code, 1)
  const problems = (JSON.parse(bad.stdout) as Finding[]).filter(({ level }) => level === 'problem')
  const open = problems.find(({ name }) => name === 'secret-open')
  assert.equal(open?.advice, `chmod 0600 ${place.file('root.key')}`)
  writeFileSync(place.config, 'data: [')
  assert.equal((await holdfast(['doctor', '--config', place.config])).code, 78)
  const nothing = await holdfast(['doctor'])
  assert.equal(nothing.code, 1)
  assert.match(nothing.stderr, /--data DIR, --config FILE/)
})
