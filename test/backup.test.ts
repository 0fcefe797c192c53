/** Backup and restore as an operator runs them: under load, onto an empty machine, in chains, with what goes wrong on the way. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { RestoreResult } from '../src/backup/restore.ts'
import { parseCheckpoint, parseNote } from '../src/log/note.ts'
import { proveConsistency, verifyConsistency } from '../src/log/proofs.ts'
import { tileSubtrees } from '../src/log/tiles.ts'
import { openSqliteStore } from '../src/store/sqlite/open.ts'
import { ageKeys, allThere, backUp, done, type Keys, Load, putKeyFile, refused, saveKit } from './support/backup.ts'
import { holdfast } from './support/ekm.ts'
import { type Kms, ROOT, startKms } from './support/kms.ts'

let folder: string
let keys: Keys
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-backup-'))
  keys = ageKeys(folder)
})
after(() => rmSync(folder, { recursive: true, force: true }))

const restored = (from: string, kit: string, data: string, ...more: string[]): Promise<RestoreResult> =>
  done<RestoreResult>('restore', from, '--identity', keys.identityFile, '--root', kit, '--data', data, ...more)

const checkpointOf = (data: string) =>
  parseCheckpoint(parseNote(readFileSync(join(data, 'boundary', 'checkpoint'))).text)

async function storeOf(data: string): Promise<number> {
  const store = await openSqliteStore({ file: join(data, 'front-end', 'store.db'), readOnly: true })
  const number = await store.appliedUpTo()
  await store.close()
  return number
}

describe('a service under load', () => {
  let data: string
  let backups: string
  let kit: string
  let load: Load
  let service: Kms

  before(async () => {
    data = join(folder, 'data')
    backups = join(folder, 'backups')
    kit = join(folder, 'kms.kit')
    service = await startKms(['--data', data])
    await saveKit(data, kit)
    load = new Load(service, 6)
    await load.reaches(150)
  })
  after(() => service.stop())

  test('promise 4: acknowledged means durable — backups are made of it online, and all that was acknowledged before the end of each is in it', async t => {
    const made = [await backUp(backups, data, keys)]
    for (const more of [300, 450]) {
      await load.reaches(more)
      made.push(await backUp(backups, data, keys))
    }
    const atEnd = load.acknowledged.length
    await load.reaches(atEnd + 50)
    await load.stop()
    await service.killAll()
    assert.deepEqual(
      made.map(({ kind, online }) => [kind, online]),
      [
        ['full', true],
        ['increment', true],
        ['increment', true],
      ],
    )
    for (const [index, { file, bytes, records }] of made.entries()) {
      assert.equal(statSync(file ?? '').mode & 0o777, 0o600)
      assert.equal(statSync(file ?? '').size, bytes)
      assert.equal(records.from, made[index - 1]?.records.to ?? 0)
    }
    const checks = await done<{ good: boolean; chains: { records: number; last: number }[] }>(
      'backup',
      'verify',
      backups,
      '--identity',
      keys.identityFile,
      '--root',
      kit,
    )
    assert.deepEqual(checks.chains[0]?.records, made.at(-1)?.records.to)
    // The newest, and each before it: into an empty folder, with the root that was saved, and a start that simply works.
    for (const [index, { until, records, root, lastWriteSet, storeUpTo }] of made.entries()) {
      const to = join(folder, `restored-${index}`)
      const put = await restored(backups, kit, to, '--at', String(index + 1))
      assert.deepEqual([put.records, put.root, put.until], [records.to, root, until])
      assert.equal(put.newer, undefined)
      assert.ok((await storeOf(to)) <= lastWriteSet, 'the store is never ahead of the journal')
      if (index === 0) assert.equal(await storeOf(to), storeUpTo)
      const signed = checkpointOf(to)
      putKeyFile(data, to)
      const again = await startKms(['--data', to])
      try {
        const count = await allThere(again, load.acknowledged, Date.parse(until))
        t.diagnostic(`file ${index + 1}: ${count} of ${load.acknowledged.length} things had been acknowledged before`)
        assert.ok(count > 100)
      } finally {
        await again.stop()
      }
      // The log goes on from what was signed then.
      const now = checkpointOf(to)
      assert.ok(now.size > signed.size)
      const proof = proveConsistency(tileSubtrees(join(to, 'boundary'), now.size), signed.size, now.size)
      assert.ok(verifyConsistency(signed.size, now.size, signed.root, now.root, proof))
      const verified = await holdfast(['log', 'verify', to, '--key', put.logKey])
      assert.equal(verified.code, 0, verified.stdout)
      const python = spawnSync('python3', [join(ROOT, 'scripts/check-log.py'), join(to, 'boundary'), put.logKey])
      assert.equal(python.status, 0, String(python.stdout) + String(python.stderr))
    }
  })

  test('a folder of a service that was killed is backed up whole too, in a file that goes on from the online ones', async () => {
    const made = await backUp(backups, data, keys)
    assert.deepEqual([made.kind, made.online], ['increment', false])
    const to = join(folder, 'restored-killed')
    await restored(backups, kit, to)
    putKeyFile(data, to)
    const again = await startKms(['--data', to])
    try {
      assert.equal(await allThere(again, load.acknowledged, Number.POSITIVE_INFINITY), load.acknowledged.length)
    } finally {
      await again.stop()
    }
  })

  test('a copy of a chain: any byte changed, any file missing, renamed or exchanged, and any other identity is told', async t => {
    const verify = (from: string, identity = keys.identityFile) => ['backup', 'verify', from, '--identity', identity]
    const copyOf = (name: string): string => {
      const copy = join(folder, name)
      cpSync(backups, copy, { recursive: true })
      return copy
    }
    const names = readdirSync(backups).filter(name => name.endsWith('.age'))
    for (const [index, name] of names.entries()) {
      const damaged = copyOf(`damaged-${index}`)
      const file = join(damaged, name)
      const bytes = readFileSync(file)
      // In the header, in the middle, and in the last chunk; then cut short.
      for (const at of [60, Math.floor(bytes.length / 2), bytes.length - 1]) {
        const changed = Buffer.from(bytes)
        changed.writeUInt8(changed.readUInt8(at) ^ 1, at)
        writeFileSync(file, changed)
        const { code, stderr } = await holdfast(verify(damaged))
        assert.ok(code === 65 || code === 77, `${name} at ${at}: ${code} ${stderr}`)
        assert.match(stderr, new RegExp(name.replace('.', '\\.')))
      }
      writeFileSync(file, bytes.subarray(0, bytes.length - 100))
      await refused(65, /changed or cut short/, ...verify(damaged))
      const to = join(damaged, 'data')
      const { code } = await holdfast([
        'restore',
        damaged,
        '--identity',
        keys.identityFile,
        '--root',
        kit,
        '--data',
        to,
      ])
      assert.equal(code, 65)
      assert.deepEqual(readdirSync(to), [], 'nothing was put there')
    }
    const missing = copyOf('missing')
    rmSync(join(missing, names[1] ?? ''))
    await refused(
      66,
      /000003-increment\.age is an increment, and file 2, which it goes on from, is missing/,
      ...verify(missing),
    )
    const restore = (from: string, ...more: string[]) => [
      ...['restore', from, '--identity', keys.identityFile, '--root', kit, '--data', join(from, 'data')],
      ...more,
    ]
    await refused(66, /--at 1 puts back what there is before the gap/, ...restore(missing))
    assert.equal((await holdfast(restore(missing, '--at', '1'))).code, 0)
    const cut = copyOf('cut')
    rmSync(join(cut, names.at(-1) ?? ''))
    await refused(66, /the index ends with 000004-increment\.age, and that file is missing/, ...restore(cut))
    const renamed = copyOf('renamed')
    rmSync(join(renamed, names[1] ?? ''))
    renameSync(join(renamed, names[2] ?? ''), join(renamed, names[1] ?? ''))
    rmSync(join(renamed, names[3] ?? ''))
    await refused(64, /says that it is file 3/, ...verify(renamed))
    const alone = join(backups, names[1] ?? '')
    await refused(64, /is an increment: give the folder/, ...verify(alone))
    const others = ageKeys(folder, 'others.txt')
    await refused(77, /none of the identities opens it/, ...verify(backups, others.identityFile))
    t.diagnostic(`${names.length} files`)
  })

  test('a service of another boundary: its root, its folder and its backups fit no other', async () => {
    const other = join(folder, 'other')
    const second = await startKms(['--data', other])
    await second.stop()
    await refused(
      64,
      /has backups of another boundary/,
      ...['backup', backups, '--data', other, '--recipient', keys.recipient],
    )
    const otherKit = join(folder, 'other.kit')
    await saveKit(other, otherKit)
    const to = join(folder, 'wrong-root')
    await refused(
      64,
      /and the root is of/,
      ...['restore', backups, '--identity', keys.identityFile, '--root', otherKit, '--data', to],
    )
    await refused(
      64,
      /is not empty/,
      ...['restore', backups, '--identity', keys.identityFile, '--root', kit, '--data', other],
    )
  })

  test('age’s own program opens a backup, and what it encrypts is read: to two recipients, from standard input', async () => {
    const second = ageKeys(folder, 'second.txt')
    const whole = join(folder, 'whole.age')
    const out = openSync(whole, 'w')
    const made = spawnSync(
      join(ROOT, 'bin/holdfast'),
      ['backup', '-', '--data', data, '--recipient', keys.recipient, '--recipient', second.recipient, '--json'],
      { stdio: ['ignore', out, 'pipe'] },
    )
    closeSync(out)
    assert.equal(made.status, 0, String(made.stderr))
    const clear = spawnSync('age', ['-d', '-i', second.identityFile, whole], { maxBuffer: 1 << 28 })
    assert.equal(clear.status, 0, String(clear.stderr))
    assert.equal(clear.stdout.toString('latin1', 0, 8), 'HOLDBACK')
    const again = spawnSync('age', ['-r', keys.recipient], { input: clear.stdout, maxBuffer: 1 << 28 })
    assert.equal(again.status, 0, String(again.stderr))
    const file = join(folder, 'by-age.age')
    writeFileSync(file, again.stdout)
    const shell = `"$0" restore - --identity "$1" --root "$2" --data "$3" --json < "$4"`
    const to = join(folder, 'from-stdin')
    const put = spawnSync('sh', ['-c', shell, join(ROOT, 'bin/holdfast'), keys.identityFile, kit, to, file], {
      encoding: 'utf8',
    })
    assert.equal(put.status, 0, put.stderr)
    const { records } = JSON.parse(put.stdout) as RestoreResult
    assert.equal(records, (JSON.parse(String(made.stderr)) as { records: { to: number } }).records.to)
    // Without a recipient, none is made; nor for one that is none.
    await refused(64, /is encrypted, or it is not made/, 'backup', join(folder, 'clear'), '--data', data)
    await refused(
      64,
      /is no recipient/,
      'backup',
      join(folder, 'clear'),
      '--data',
      data,
      '--recipient',
      `${keys.recipient}x`,
    )
    assert.ok(!existsSync(join(folder, 'clear')))
  })

  test('a backup that is killed at any moment leaves the chain as it was, and the next one goes on', async () => {
    const chain = join(folder, 'killed')
    cpSync(backups, chain, { recursive: true })
    const index = () => readFileSync(join(chain, 'index.json'), 'utf8')
    const before = index()
    const args = ['backup', chain, '--data', data, '--recipient', keys.recipient, '--full']
    // At the first change in the folder, and at later ones: while it is written, renamed, read back.
    for (const changes of [1, 2, 3, 4, 5, 6]) {
      const child = spawn(join(ROOT, 'bin/holdfast'), args, { stdio: 'ignore' })
      const ended = new Promise<string | null>(done => child.once('exit', (_, signal) => done(signal)))
      let seen = 0
      const watcher = watch(chain, () => {
        if (++seen === changes) child.kill('SIGKILL')
      })
      await ended
      watcher.close()
      const verified = await holdfast(['backup', 'verify', chain, '--identity', keys.identityFile])
      assert.equal(verified.code, 0, verified.stderr)
      if (index() !== before) break
    }
    const made = await backUp(chain, data, keys)
    assert.ok(made.number >= 5)
    assert.ok(!readdirSync(chain).some(name => name.endsWith('.new')), 'what was left over is gone')
    assert.equal((await holdfast(['backup', 'verify', chain, '--identity', keys.identityFile])).code, 0)
  })

  test('a disk that is full: said so, nothing is half there, and the chain goes on', async () => {
    const full = openSync('/dev/full', 'w')
    const args = ['--data', data, '--recipient', keys.recipient]
    const stream = spawnSync(join(ROOT, 'bin/holdfast'), ['backup', '-', ...args], { stdio: ['ignore', full, 'pipe'] })
    closeSync(full)
    assert.equal(stream.status, 74, String(stream.stderr))
    assert.match(String(stream.stderr), /standard output is full/)
    const chain = join(folder, 'full')
    cpSync(backups, chain, { recursive: true })
    const before = readdirSync(chain)
    // A file that may not grow beyond some kilobytes stands for a disk with no more room.
    const shell = `ulimit -f 80; exec "$0" backup "$@"`
    const limited = spawnSync('sh', ['-c', shell, join(ROOT, 'bin/holdfast'), chain, ...args, '--full'], {
      encoding: 'utf8',
    })
    assert.equal(limited.status, 74, limited.stderr)
    assert.match(limited.stderr, /cannot be written or read \(EFBIG\): nothing was added to it/)
    assert.deepEqual(readdirSync(chain), before)
    assert.equal((await backUp(chain, data, keys)).number, 5)
  })

  test('a damaged journal is not backed up as good', async () => {
    const broken = join(folder, 'broken')
    mkdirSync(broken)
    cpSync(join(data, 'boundary'), join(broken, 'boundary'), {
      recursive: true,
      filter: name => !name.endsWith('.sock'),
    })
    const journal = join(broken, 'boundary', 'journal')
    const file = join(journal, readdirSync(journal)[0] ?? '')
    const bytes = readFileSync(file)
    bytes.writeUInt8(bytes.readUInt8(5000) ^ 1, 5000)
    writeFileSync(file, bytes)
    const to = join(folder, 'of-broken')
    await refused(
      65,
      /a frame was changed|the journal is damaged/,
      'backup',
      to,
      '--data',
      broken,
      '--recipient',
      keys.recipient,
    )
    assert.ok(!readdirSync(to).some(name => name.endsWith('.age')))
  })

  test('an index of a newer program, and backups of one, are refused by name', async () => {
    const newer = join(folder, 'newer')
    cpSync(backups, newer, { recursive: true })
    const file = join(newer, 'index.json')
    writeFileSync(file, readFileSync(file, 'utf8').replace('"version": 1', '"version": 2'))
    await refused(
      64,
      /has version 2, and this program knows version 1/,
      'backup',
      newer,
      '--data',
      data,
      '--recipient',
      keys.recipient,
    )
    const clear = spawnSync('age', ['-d', '-i', keys.identityFile, join(backups, '000001-full.age')], {
      maxBuffer: 1 << 28,
    })
    clear.stdout.writeUInt16BE(2, 8)
    const made = join(folder, 'newer.age')
    writeFileSync(made, spawnSync('age', ['-r', keys.recipient], { input: clear.stdout, maxBuffer: 1 << 28 }).stdout)
    await refused(
      65,
      /a backup of version 2, and this program knows version 1/,
      'backup',
      'verify',
      made,
      '--identity',
      keys.identityFile,
    )
  })

  test('the configuration goes along when it is given, and comes back under another name', async () => {
    const config = join(folder, 'kms.yaml')
    writeFileSync(config, 'data: /var/lib/holdfast-kms\n')
    const chain = join(folder, 'with-config')
    await backUp(chain, data, keys, '--config', config)
    const to = join(folder, 'config-back')
    const put = await restored(chain, kit, to)
    assert.equal(put.configuration, join(to, 'restored-kms.yaml'))
    assert.deepEqual(readFileSync(put.configuration), readFileSync(config))
  })
})
