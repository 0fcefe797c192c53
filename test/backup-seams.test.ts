/**
 * Backups beside rotations of the root, erased segments and shares, on the real program: what belongs together is put back and starts with everything, and
 * what does not is refused by name, with nothing put anywhere.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { BackupResult } from '../src/backup/backup.ts'
import type { RestoreResult } from '../src/backup/restore.ts'
import type { KeyRow } from '../src/boundary/client/api.ts'
import { connectControl } from '../src/boundary/client/control.ts'
import { parseRootFile } from '../src/boundary/root/rootfile.ts'
import { type InProcess, inProcess, newKey } from '../src/boundary/service/testing/in-process.ts'
import { parseCheckpoint, parseNote } from '../src/log/note.ts'
import { ageKeys, backUp, done, type Keys, putKeyFile, refused, saveKit } from './support/backup.ts'
import { filesBelow } from './support/canaries.ts'
import { holdfast } from './support/ekm.ts'
import { ApiClient, type Kms, ROOT, startKms, startKmsBy } from './support/kms.ts'
import { typed } from './support/shares.ts'

const OWNER = { accessKeyId: `AKIA${'S'.repeat(16)}`, secretAccessKey: 's'.repeat(40) }
const ENV = { HOLDFAST_DEV_ACCESS_KEY_ID: OWNER.accessKeyId, HOLDFAST_DEV_SECRET_ACCESS_KEY: OWNER.secretAccessKey }
const DAY = 86_400_000
const folder = mkdtempSync(join(tmpdir(), 'holdfast-seams-'))
const at = (name: string): string => join(folder, name)
let keys: Keys
before(() => {
  keys = ageKeys(folder)
})
after(() => rmSync(folder, { recursive: true, force: true }))

const restoring = (from: string, root: string, to: string, file: number): string[] => [
  ...['restore', from, '--identity', keys.identityFile, '--root', root, '--data', to, '--at', String(file)],
]
const restored = (from: string, root: string, to: string, file: number): Promise<RestoreResult> =>
  done<RestoreResult>(...restoring(from, root, to, file))

async function notRestored(said: RegExp, from: string, root: string, file: number): Promise<void> {
  const to = at('refused')
  await refused(64, said, ...restoring(from, root, to, file))
  assert.deepEqual(readdirSync(to), [], 'nothing was put there')
}

/** Every file of a folder with the hash of its bytes, without locks and sockets. */
const hashes = (of: string): Map<string, string> =>
  new Map(
    filesBelow(of)
      .filter(({ name }) => !/^lock$|\.sock$/.test(name))
      .map(({ name, content }) => [name, createHash('sha256').update(content).digest('hex')]),
  )

const rootOf = (data: string) => parseRootFile(readFileSync(join(data, 'boundary', 'root')))

describe('a rotation of the root', () => {
  const data = at('kms')
  const backups = at('kms-backups')
  const kit = (n: number): string => at(`kms-${n}.kit`)
  const kept: { readonly blob: string; readonly text: string }[] = []
  const start = (of: string): Promise<Kms> => startKms(['--data', of], ENV)

  async function encryptMore(kms: Kms, count: number): Promise<void> {
    const client = new ApiClient(kms.line.endpoint, OWNER)
    for (let n = 0; n < count; n++) {
      const text = `kept ${kept.length}`
      const { KeyMetadata } = await client.ok('CreateKey')
      const Plaintext = Buffer.from(text).toString('base64')
      const { CiphertextBlob } = await client.ok('Encrypt', { KeyId: KeyMetadata.KeyId, Plaintext })
      kept.push({ blob: CiphertextBlob, text: Plaintext })
    }
    client.close()
  }

  /** What was restored starts, and opens the first `count` ciphertexts. */
  async function opens(of: string, count: number): Promise<void> {
    putKeyFile(data, of)
    const kms = await start(of)
    const client = new ApiClient(kms.line.endpoint, OWNER)
    try {
      for (const { blob, text } of kept.slice(0, count))
        assert.equal((await client.ok('Decrypt', { CiphertextBlob: blob })).Plaintext, text)
    } finally {
      client.close()
      await kms.stop()
    }
    assert.equal((await holdfast(['log', 'verify', of])).code, 0)
  }

  before(async () => {
    let kms = await start(data)
    await encryptMore(kms, 150)
    await backUp(backups, data, keys)
    await saveKit(data, kit(1))
    // Killed as soon as the new generation is in force: the rotation is under way in the folder.
    await kms.control().rotateRoot(undefined)
    await kms.killAll()
    assert.deepEqual(
      rootOf(data).generations.map(({ generation }) => generation),
      [1, 2],
    )
    assert.equal((await backUp(backups, data, keys)).kind, 'increment')
    await saveKit(data, kit(2))
    kms = await start(data)
    for (const end = Date.now() + 30_000; rootOf(data).destroyed !== 1; await delay(10)) assert.ok(Date.now() < end)
    await encryptMore(kms, 5)
    const last = await backUp(backups, data, keys)
    assert.deepEqual([last.kind, last.number, last.online], ['increment', 3, true])
    await saveKit(data, kit(3))
    await kms.stop()
  })

  test('a chain across it is put back whole with the kit of after it, and starts', async () => {
    const verified = ['backup', 'verify', backups, '--identity', keys.identityFile, '--root']
    await done(...verified, kit(3))
    await refused(64, /holds none after 1: it was saved before that rotation\. Take a newer kit/, ...verified, kit(1))
    await restored(backups, kit(3), at('whole'), 3)
    await opens(at('whole'), 155)
  })

  test('a backup that was made while it was under way goes with the kit of that time, which rotates on, and so does the one of after it', async () => {
    for (const [file, count] of [
      [2, 150],
      [3, 155],
    ] as const) {
      const to = at(`under-way-${file}`)
      await restored(backups, kit(2), to, file)
      await opens(to, count)
    }
  })

  test('the kit of before it goes with the backup of before it', async () => {
    await restored(backups, kit(1), at('before'), 1)
    await opens(at('before'), 150)
  })

  test('promise 6: deleted means deleted — what ends before everything was sealed anew is refused with the root of after it, with the date', async () => {
    const said =
      /its root generation 1 was destroyed on 20\d\d-\S+Z, and nothing opens it\. Take a later backup, or a kit of that time/
    for (const file of [1, 2]) await notRestored(said, backups, kit(3), file)
    await notRestored(/generation 2 of the root in \S+ begins with record \d+: they do not belong/, backups, kit(2), 1)
  })

  test('a kit of before it is refused with what has its new generation', async () => {
    for (const file of [2, 3])
      await notRestored(
        /has generation 2 of the root, and \S+ holds none after 1: it was saved before/,
        backups,
        kit(1),
        file,
      )
  })

  test('an older state from before it is not accepted, and nothing of it is discarded', async () => {
    const old = at('older')
    await restored(backups, kit(1), old, 1)
    putKeyFile(data, old)
    for (const name of ['root', 'checkpoint']) cpSync(join(data, 'boundary', name), join(old, 'boundary', name))
    const there = hashes(join(old, 'boundary'))
    const { root } = parseCheckpoint(parseNote(readFileSync(join(data, 'boundary', 'checkpoint'))).text)
    const named = ['--giving-up', root.toString('hex')]
    await refused(64, /the journal is older than the root file/, 'restore', 'accept-older', '--data', old, ...named)
    await assert.rejects(start(old), /the journal is older than the root file/)
    assert.deepEqual(hashes(join(old, 'boundary')), there)
  })
})

describe('erased segments', () => {
  const COUNT = 20
  const data = at('erased')
  const backups = at('erased-backups')
  const rootKey = at('erased.key')
  const kitBefore = at('erased-before.kit')
  const kitAfter = at('erased-after.kit')
  const made: { readonly id: string; readonly message: Buffer }[] = []
  const files: BackupResult[] = []
  const boundary = { dev: false, root: { kind: 'keyfile', file: rootKey }, logOrigin: 'test.example/log' } as const

  const started = (of: string): Promise<Kms> => {
    const file = `${of}.json`
    const log = { origin: boundary.logOrigin, segmentBytes: 65_536, retention: { days: 7 } }
    const config = { data: of, listen: { port: 0 }, regions: ['eu-north-1'], boundary: { root: boundary.root }, log }
    writeFileSync(file, JSON.stringify(config))
    return startKmsBy(join(ROOT, 'bin/holdfast'), ['kms', '--config', file])
  }
  const opened = (of: string, now: () => number): Promise<InProcess> =>
    inProcess({
      folder: of,
      now,
      config: { ...boundary, folder: join(of, 'boundary'), limits: { segmentBytes: 65_536 } },
    })

  /** What was restored starts as a service, and its boundary opens everything. */
  async function opens(of: string): Promise<void> {
    const kms = await started(of)
    const control = connectControl({ socket: join(of, 'boundary', 'control.sock') })
    const { keys: count } = await control.status()
    control.close()
    await kms.stop()
    assert.equal(count, COUNT)
    const again = await opened(of, Date.now)
    for (const { id, message } of made) {
      const { plaintext } = await again.use.decrypt(await again.key(id), message, [], { operation: 'Decrypt' })
      assert.equal(Buffer.from(plaintext).toString(), 'kept')
    }
    await again.stop()
    const verified = await holdfast(['log', 'verify', of])
    assert.equal(verified.code, 0, verified.stdout)
  }

  const begins = (of: string): number =>
    Number.parseInt(readdirSync(join(of, 'boundary', 'journal')).sort()[0] ?? '', 10)

  before(async () => {
    let now = Date.now() - 30 * DAY
    const first = await opened(data, () => now)
    for (let n = 0; n < COUNT; n++) {
      const row: KeyRow = await newKey(first.use)
      const asserted = { operation: 'Encrypt' }
      const { ciphertext } = await first.use.encrypt(row, Buffer.from('kept'), [], asserted)
      made.push({ id: row.id, message: ciphertext })
    }
    for (let day = 0; day < 28; day++) {
      now += DAY
      const asked = Array.from({ length: 60 }, () => ({ operation: 'GenerateRandom' }))
      await Promise.all(asked.map(asserted => first.use.generateRandom(8, asserted)))
    }
    await first.stop()
    files.push(await backUp(backups, data, keys))
    await saveKit(data, kitBefore)
    const kms = await started(data)
    const erased = await holdfast(['log', 'erase', '--data', data, '--without-archive', '--json'])
    assert.equal(erased.code, 0, erased.stderr)
    files.push(await backUp(backups, data, keys), await backUp(backups, data, keys, '--full'))
    await saveKit(data, kitAfter)
    await kms.stop()
  })

  test('an increment goes on across it, and the chain is put back and starts with the root of after it', async () => {
    assert.deepEqual(
      files.map(({ kind }) => kind),
      ['full', 'increment', 'full'],
    )
    assert.ok(rootOf(data).base.seq > 0)
    assert.equal(files[2]?.records.from, rootOf(data).base.seq)
    const to = at('across')
    await restored(backups, kitAfter, to, 2)
    assert.equal(begins(to), 0)
    await opens(to)
    assert.equal(begins(to), rootOf(data).base.seq, 'what was erased before is erased again')
  })

  test('a kit of before it fits the backup of after it, and a lost root file is put back from it', async () => {
    const to = at('kit-before')
    await restored(backups, kitBefore, to, 3)
    assert.equal(rootOf(to).base.seq, 0)
    await opens(to)
    assert.equal(rootOf(to).base.seq, begins(to))
    rmSync(join(to, 'boundary', 'root'))
    await done('restore', 'root', kitBefore, '--data', to)
    await opens(to)
  })

  test('the root of after it fits the backup of before it, whose old records stay; with the kit it is an older state, which can be accepted', async () => {
    const root = at('root-file')
    cpSync(join(data, 'boundary', 'root'), root)
    await restored(backups, root, at('root-after'), 1)
    await opens(at('root-after'))
    assert.deepEqual([begins(at('root-after')), rootOf(at('root-after')).base.seq], [0, 0])

    const to = at('kit-after')
    const { newer } = await restored(backups, kitAfter, to, 1)
    assert.ok(newer)
    await assert.rejects(started(to), /holds an older state than this boundary has had/)
    const accepted = await done<{ goesOnFrom: { records: number } }>(
      ...['restore', 'accept-older', '--data', to, '--config', `${to}.json`, '--giving-up', newer.root],
    )
    assert.equal(accepted.goesOnFrom.records, files[0]?.records.to)
    await opens(to)
  })

  test('an older state is accepted by the number of its last write set, not by how many are there', async () => {
    const kms = await started(data)
    await saveKit(data, kitAfter)
    await kms.stop()
    const to = at('older-erased')
    const { newer, storeUpTo = 0, lastWriteSet } = await restored(backups, kitAfter, to, 3)
    assert.ok(newer)
    assert.ok(storeUpTo > 0 && storeUpTo <= lastWriteSet)
    assert.equal(begins(to), rootOf(to).base.seq)
    await assert.rejects(started(to), /holds an older state/)
    const accepted = await done<{ storePutAside?: string }>(
      ...['restore', 'accept-older', '--data', to, '--config', `${to}.json`, '--giving-up', newer.root],
    )
    assert.equal(accepted.storePutAside, undefined)
    await opens(to)
  })
})

test('an older state is accepted by holders of shares, each from a terminal of their own', async () => {
  const data = at('shares')
  const file = at('shares.json')
  const where = { dev: false, logOrigin: 'test.example/log', folder: join(data, 'boundary') }
  const keyfile = { kind: 'keyfile', file: at('shares.key') } as const
  const first = await inProcess({ folder: data, config: { ...where, root: keyfile } })
  const { ceremony, share } = await first.control.splitRoot(2, 2)
  const lines = [String(share), String((await first.control.takeShare(ceremony)).share)]
  for (const line of lines) await first.control.confirmShare(ceremony, Buffer.from(line))
  for (const end = Date.now() + 30_000; (await first.control.rootStatus()).destroyed === 0; await delay(10))
    assert.ok(Date.now() < end)
  await first.stop()
  cpSync(data, at('shares-old'), { recursive: true, filter: name => !name.endsWith('.sock') })
  const shares = { ...where, root: { kind: 'shares' } } as const
  const second = await inProcess({ folder: data, config: shares })
  const code = (await second.control.giveShare('', Buffer.from(lines[0] ?? ''))).ceremony
  await second.control.giveShare(code, Buffer.from(lines[1] ?? ''))
  await second.stop()
  for (const each of ['journal', 'snapshot']) {
    rmSync(join(where.folder, each), { recursive: true })
    cpSync(join(at('shares-old'), 'boundary', each), join(where.folder, each), { recursive: true })
  }
  const config = { data, listen: { port: 0 }, regions: ['eu-north-1'], boundary: { root: { kind: 'shares' } } }
  writeFileSync(file, JSON.stringify({ ...config, log: { origin: where.logOrigin } }))
  const { root } = parseCheckpoint(parseNote(readFileSync(join(where.folder, 'checkpoint'))).text)
  const named = ['--config', file, '--giving-up', root.toString('hex')]
  const accepting = done<{ goesOnFrom: object }>('restore', 'accept-older', '--data', data, ...named)
  for (const end = Date.now() + 30_000; !existsSync(join(where.folder, 'control.sock')); await delay(20))
    assert.ok(Date.now() < end)
  const one = await typed(['unlock', '--data', data, '--json'], lines[0])
  assert.equal(one.code, 0, one.stderr)
  const two = await typed(['unlock', '--data', data, '--ceremony', JSON.parse(one.stdout).ceremony], lines[1])
  assert.equal(two.code, 0, two.stderr)
  assert.ok((await accepting).goesOnFrom)
  const again = await inProcess({ folder: data, config: shares })
  const next = (await again.control.giveShare('', Buffer.from(lines[0] ?? ''))).ceremony
  await again.control.giveShare(next, Buffer.from(lines[1] ?? ''))
  assert.equal((await again.control.status()).locked, false)
  await again.stop()
})
