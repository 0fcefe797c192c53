/**
 * A year of a log: closed segments are archived, the old ones erased by a real `holdfast kms`, and whoever has a checkpoint, the archive or a key's
 * ciphertext from before finds it as it was. The journal is made by a boundary in this process whose clock the test moves, because no record may be younger
 * than the rule says; everything after that is the program itself.
 */
import assert from 'node:assert/strict'
import { execFile, spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { KMS } from '@aws-sdk/client-kms'
import { parseRootFile } from '../src/boundary/root/rootfile.ts'
import { inProcess, newKey } from '../src/boundary/service/testing/in-process.ts'
import { parseCheckpoint, parseNote } from '../src/log/note.ts'
import { proveConsistency, verifyConsistency } from '../src/log/proofs.ts'
import { tileSubtrees } from '../src/log/tiles.ts'
import { gone, ROOT } from './support/kms.ts'

const NAME = 'promise 7: the log only grows, and outsiders can check it'
const CLI = join(ROOT, 'bin/holdfast')
const DAY = 86_400_000
const DAYS = 7
const SEGMENT = 65_536
const REGION = 'eu-north-1'
const POLICY = JSON.stringify({
  Version: '2012-10-17',
  Statement: [
    { Effect: 'Allow', Principal: { AWS: 'arn:aws:iam::111122223333:root' }, Action: 'kms:*', Resource: '*' },
  ],
})

const folder = mkdtempSync(join(tmpdir(), 'holdfast-retention-'))
const data = join(folder, 'data')
const archive = join(folder, 'archive')
const boundary = join(data, 'boundary')
const configFile = join(folder, 'kms.json')
let running: { readonly pid: number; readonly endpoint: string; stop(): Promise<void>; kill(): Promise<void> }
after(async () => {
  await running.stop()
  rmSync(folder, { recursive: true })
})

interface Made {
  readonly keyId: string
  readonly message: Buffer
}
const keys: Made[] = []

function holdfast(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise(resolve => {
    execFile(CLI, args, { maxBuffer: 2 ** 28 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })
}

async function good(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await holdfast(...args)
  assert.equal(code, 0, `${args.join(' ')}\n${stdout}${stderr}`)
  return stdout
}

const config = (more: object = {}): void =>
  writeFileSync(
    configFile,
    JSON.stringify({
      data,
      listen: { host: '127.0.0.1', port: 0 },
      regions: [REGION],
      boundary: { root: { kind: 'keyfile', file: join(folder, 'root.key') } },
      log: { origin: 'test.example/log', segmentBytes: SEGMENT, ...more },
    }),
  )

/** The real program, from the configuration. */
async function start(): Promise<typeof running> {
  const child = spawn(CLI, ['kms', '--config', configFile], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stderr.on('data', chunk => {
    said += String(chunk)
  })
  const ended = new Promise<void>(done => child.once('exit', () => done()))
  const line = await new Promise<string>((ready, failed) => {
    createInterface({ input: child.stdout }).once('line', ready)
    child.once('exit', code => failed(new Error(`holdfast kms ended with ${code}: ${said}`)))
  })
  const pid = child.pid ?? 0
  const end = (signal: 'SIGTERM' | 'SIGKILL') => async (): Promise<void> => {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number)
    child.kill(signal)
    await ended
    for (const each of children) await gone(each)
  }
  const alive = (act: () => Promise<void>) => async () => {
    if (child.exitCode === null && child.signalCode === null) await act()
  }
  return { pid, endpoint: JSON.parse(line).endpoint, stop: alive(end('SIGTERM')), kill: alive(end('SIGKILL')) }
}

/** Keys and what is encrypted under them, and then days of records. */
before(async () => {
  let now = Date.now() - 30 * DAY
  const made = await inProcess({
    folder,
    now: () => now,
    config: {
      folder: boundary,
      dev: false,
      root: { kind: 'keyfile', file: join(folder, 'root.key') },
      logOrigin: 'test.example/log',
      limits: { segmentBytes: SEGMENT },
    },
  })
  for (let n = 0; n < 40; n++) {
    const { id } = await newKey(made.use, { policy: Buffer.from(POLICY) })
    const key = await made.key(id)
    const { ciphertext } = await made.use.encrypt(key, Buffer.from(`kept ${n}`), [['n', String(n)]], {
      operation: 'Encrypt',
    })
    keys.push({ keyId: id.slice(id.indexOf('/') + 1), message: ciphertext })
  }
  for (let day = 0; day < 28; day++) {
    now += DAY
    const asked = Array.from({ length: 120 }, () => ({ operation: 'GenerateRandom', requestId: randomUUID() }))
    await Promise.all(asked.map(asserted => made.use.generateRandom(8, asserted)))
  }
  await made.stop()
  config()
  running = await start()
  const key = await credential()
  client = () => new KMS({ endpoint: running.endpoint, region: REGION, credentials: key, maxAttempts: 1 })
})

let client: () => KMS

async function credential(): Promise<{ accessKeyId: string; secretAccessKey: string }> {
  await good('kms', 'account', 'create', '111122223333', '--data', data)
  await good('kms', 'principal', 'create', 'alice', '--account', '111122223333', '--administrator', '--data', data)
  const principal = 'arn:aws:iam::111122223333:user/alice'
  const shown = await good('kms', 'credential', 'create', '--principal', principal, '--data', data)
  const [, accessKeyId = '', secretAccessKey = ''] = /(AKIA[A-Z2-7]{16})[\s\S]*?([A-Za-z0-9+/]{40})/.exec(shown) ?? []
  return { accessKeyId, secretAccessKey }
}

/** Every key that was made before opens what it sealed, as the API answers. */
async function everythingOpens(): Promise<void> {
  const kms = client()
  for (const [n, { keyId, message }] of keys.entries()) {
    const { Plaintext } = await kms.decrypt({
      KeyId: keyId,
      CiphertextBlob: message,
      EncryptionContext: { n: String(n) },
    })
    assert.equal(Buffer.from(Plaintext ?? []).toString(), `kept ${n}`)
  }
  kms.destroy()
}

const segments = (of = boundary): string[] => readdirSync(join(of, 'journal')).sort()
const begins = (): number => parseRootFile(readFileSync(join(boundary, 'root'))).base.seq
const checkpoint = () => parseCheckpoint(parseNote(readFileSync(join(boundary, 'checkpoint'))).text)
const snapshots = join(boundary, 'snapshot')

function checkLog(of: string): void {
  const { status, stdout, stderr } = spawnSync('python3', [join(ROOT, 'scripts/check-log.py'), of, vkey], { encoding: 'utf8' }) // biome-ignore format: one line says it
  assert.equal(status, 0, stdout + stderr)
}
let vkey = ''

test('without a rule nothing is erased, and what is not archived is not erased by mistake', async () => {
  const refused = await holdfast('log', 'erase', '--data', data, '--without-archive')
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /no retention rule.*log\.retention\.days/)
  await running.stop()
  const away = await holdfast('log', 'erase', '--data', data, '--without-archive')
  assert.equal(away.code, 69)
  config({ retention: { days: DAYS } })
  running = await start()
  for (const args of [[], ['--archive', archive, '--without-archive']])
    assert.match(
      (await holdfast('log', 'erase', '--data', data, ...args)).stderr,
      /--archive DIR, or --without-archive/,
    )
  const missing = await holdfast('log', 'erase', '--data', data, '--archive', archive)
  assert.deepEqual([missing.code, /no archive/.test(missing.stderr)], [1, true], missing.stderr)
  await everythingOpens()
  const verified = JSON.parse(await good('log', 'verify', data, '--json'))
  assert.deepEqual([verified.good, verified.erased], [true, 0])
  vkey = verified.signature.vkey
})

test(`${NAME} — archived and erased under the rule, while the tree still verifies`, async () => {
  const old = checkpoint()
  const archived = JSON.parse(await good('log', 'archive', archive, '--data', data, '--key', vkey, '--json'))
  assert.ok(archived.copied.segments > 5 && archived.first === 0, JSON.stringify(archived))
  assert.deepEqual(segments(archive), segments().slice(0, archived.copied.segments))
  const erase = ['log', 'erase', '--data', data, '--archive', archive]

  const spoilt = join(archive, 'journal', segments(archive)[2] ?? '')
  const bytes = readFileSync(spoilt)
  const flipped = Buffer.from(bytes)
  flipped[5000] = (flipped[5000] ?? 0) ^ 1
  writeFileSync(spoilt, flipped)
  const refused = await holdfast(...erase)
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /not the one in the archive/)
  writeFileSync(spoilt, bytes)

  const before = segments()
  const would = JSON.parse(await good(...erase, '--dry-run', '--json'))
  assert.deepEqual([would.erased, would.days, would.first], [false, DAYS, 0])
  assert.ok(would.rows >= 80 && would.segments > 3 && would.segments < before.length - 1, JSON.stringify(would))
  assert.deepEqual(segments(), before)
  const erased = JSON.parse(await good(...erase, '--json'))
  assert.deepEqual([erased.erased, erased.last], [true, would.last])
  assert.equal(begins(), would.last + 1)
  assert.ok(before.slice(would.segments).every(name => segments().includes(name)))
  assert.ok(!before.slice(0, would.segments).some(name => segments().includes(name)))
  assert.match(await good(...erase), /^nothing/)

  await everythingOpens()
  for (const without of [false, true]) {
    await running.stop()
    if (without) rmSync(snapshots, { recursive: true })
    running = await start()
    await everythingOpens()
  }
  const now = checkpoint()
  const path = proveConsistency(tileSubtrees(boundary, now.size), old.size, now.size)
  assert.ok(now.size > old.size && verifyConsistency(old.size, now.size, old.root, now.root, path))
  for (const dir of [boundary, archive]) checkLog(dir)
  const alone = JSON.parse(await good('log', 'verify', data, '--key', vkey, '--json'))
  assert.deepEqual([alone.good, alone.erased, alone.archived], [true, begins(), 0])
  const both = JSON.parse(await good('log', 'verify', data, '--key', vkey, '--archive', archive, '--json'))
  assert.deepEqual([both.good, both.erased, both.archived, both.root], [true, 0, begins(), alone.root])
  assert.match(await good('log', 'verify', '--archive', archive, '--key', vkey), /^good/)
  assert.match(await good('log', 'verify', data), /^erased/m)
})

test('log show and log prove say of an erased entry when that was and where to look, and an archive has it', async () => {
  const shown = await holdfast('log', 'show', data, '--operation', 'createKey', '--json')
  assert.equal(shown.stdout, '')
  assert.match(shown.stderr, new RegExp(`entries 0 to ${begins() - 1}: .*erased on 20\\d\\d-.*--archive`))
  const erasing = JSON.parse(
    await good('log', 'show', data, '--operation', 'eraseSegments', '--outcome', 'allowed', '--json'),
  )
  assert.deepEqual([erasing.transition, erasing.count], [`0>${begins()}`, begins()])
  for (const where of [
    [data, '--archive', archive],
    ['--archive', archive],
  ]) {
    const made = (await good('log', 'show', ...where, '--operation', 'createKey', '--json')).trim().split('\n')
    assert.equal(made.length, keys.length)
  }
  const proof = join(folder, 'proof')
  const prove = ['log', 'prove', data, '--entry', '1', '--out', proof]
  const refused = await holdfast(...prove)
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /entry 1 was erased on 20\d\d-/)
  await good(...prove, '--archive', archive)
  const proven = JSON.parse(await good('log', 'check-proof', proof, '--key', vkey, '--json'))
  assert.deepEqual([proven.entry.entry, proven.entry.boundaryOperation], [1, 'createKey'])
  await good(...prove, '--without-record')
  assert.equal(JSON.parse(await good('log', 'check-proof', proof, '--key', vkey, '--json')).entry.boundaryOperation, undefined) // biome-ignore format: one line says it
  assert.match((await holdfast('log', 'prove', '--entry', '1')).stderr, /--archive DIR/)
})

test('promise 4: acknowledged means durable — kill -9 while segments are erased', async () => {
  await running.stop()
  const kept = join(folder, 'kept')
  // Erasing again, from a journal of before it, as often as there are moments to look for.
  cpSync(data, kept, { recursive: true, filter: source => !source.endsWith('.sock') })
  // One may go between being listed and being looked at.
  const sizeOf = (name: string): number =>
    statSync(join(boundary, 'journal', name), { throwIfNoEntry: false })?.size ?? 0
  const size = (): number => segments().reduce((sum, name) => sum + sizeOf(name), 0)
  const moments: ((before: { size: number; begins: number; count: number }) => boolean)[] = [
    then => size() > then.size + 2000,
    then => begins() > then.begins,
    then => segments().length < then.count,
  ]
  config({ retention: { days: 1 } })
  for (const due of moments) {
    rmSync(data, { recursive: true })
    cpSync(kept, data, { recursive: true })
    running = await start()
    const then = { size: size(), begins: begins(), count: segments().length }
    const asked = holdfast('log', 'erase', '--data', data, '--without-archive')
    let answered = false
    asked.then(() => {
      answered = true
    })
    while (!due(then) && !answered) await new Promise(resolve => setImmediate(resolve))
    await running.kill()
    await asked
    running = await start()
    assert.ok([0, 1].includes((await holdfast('log', 'erase', '--data', data, '--without-archive')).code))
    assert.ok(begins() > then.begins)
    assert.equal(segments()[0], `${String(begins()).padStart(20, '0')}.seg`)
    await everythingOpens()
    const verified = JSON.parse(await good('log', 'verify', data, '--key', vkey, '--json'))
    assert.deepEqual([verified.good, verified.erased], [true, begins()])
    checkLog(boundary)
    await running.stop()
  }
})
