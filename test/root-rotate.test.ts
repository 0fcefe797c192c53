/**
 * The rotation of the root in whole services: under load, killed at several points, with other roots of trust, with stores that were lost or are old; and
 * what it is for: a key that was deleted opens out of an old copy before, and not after.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { connectControl } from '../src/boundary/client/control.ts'
import type { RootStatus } from '../src/boundary/client/root.ts'
import { parseKit } from '../src/boundary/root/kit.ts'
import { parseRootFile } from '../src/boundary/root/rootfile.ts'
import { type CliResult, type Ekm, holdfast, PATIENT, startEkm } from './support/ekm.ts'
import { openFromDisk } from './support/from-disk.ts'
import { readRecords } from './support/journal.ts'
import { ApiClient, gone, type Kms, REGION, ROOT, startKms } from './support/kms.ts'
import { SoftHsm } from './support/softhsm.ts'
import { decryptBody, encryptBody, SignerClient } from './support/xks-clients.ts'

const OWNER = { accessKeyId: `AKIA${'R'.repeat(16)}`, secretAccessKey: 'r'.repeat(40) }
const ENV = { HOLDFAST_DEV_ACCESS_KEY_ID: OWNER.accessKeyId, HOLDFAST_DEV_SECRET_ACCESS_KEY: OWNER.secretAccessKey }
const DAY = 86_400_000
const folder = mkdtempSync(join(tmpdir(), 'holdfast-rotate-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const statusOf = async (data: string): Promise<RootStatus> => {
  const { code, stdout, stderr } = await holdfast(['root', 'status', '--data', data, '--json'])
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout) as RootStatus
}
const rotate = (data: string, ...more: string[]): Promise<CliResult> =>
  holdfast(['root', 'rotate', '--data', data, ...more])

/** Works without pause until it is told to end; rejects with what the first of them was refused. */
class Load {
  #over = false
  done = 0
  readonly #workers: Promise<unknown>

  constructor(works: readonly ((round: number) => Promise<unknown>)[]) {
    this.#workers = Promise.all(
      works.map(async work => {
        for (let round = 0; !this.#over; round++, this.done++) await work(round)
      }),
    )
    this.#workers.catch(() => {})
  }

  async end(): Promise<void> {
    this.#over = true
    await this.#workers
  }
}

const startDev = (data: string): Promise<Kms> => startKms(['--data', data], ENV)

async function newKeys(client: ApiClient, count: number): Promise<string[]> {
  const ids: string[] = []
  for (let n = 0; n < count; n++) ids.push((await client.ok('CreateKey')).KeyMetadata.KeyId)
  return ids
}

test('a running kms is rotated while the API is used in every way, and no request fails; the log verifies, and the next start has everything', async () => {
  const data = join(folder, 'kms')
  let kms = await startDev(data)
  const client = new ApiClient(kms.line.endpoint, OWNER)
  const keys = await newKeys(client, 120)
  const { Arn } = (await client.ok('DescribeKey', { KeyId: keys[0] })).KeyMetadata
  const before = await client.ok('Encrypt', { KeyId: keys[1], Plaintext: base64('before') })
  const decrypts = async (blob: string, text: string, by = client): Promise<void> => {
    assert.equal((await by.ok('Decrypt', { CiphertextBlob: blob })).Plaintext, base64(text))
  }
  const load = new Load([
    ...[2, 3, 4, 5].map(at => async (round: number) => {
      const { CiphertextBlob } = await client.ok('Encrypt', { KeyId: keys[at], Plaintext: base64(`round ${round}`) })
      await decrypts(CiphertextBlob, `round ${round}`)
    }),
    async () => decrypts(before.CiphertextBlob, 'before'),
    async round => {
      await client.ok('CreateAlias', { AliasName: `alias/load-${round}`, TargetKeyId: keys[6] })
      await client.ok('UpdateAlias', { AliasName: `alias/load-${round}`, TargetKeyId: keys[7] })
      await client.ok('DeleteAlias', { AliasName: `alias/load-${round}` })
    },
    async round => {
      const tags = [{ TagKey: 'round', TagValue: String(round) }]
      await client.ok('TagResource', { KeyId: keys[8], Tags: tags })
      assert.deepEqual((await client.ok('ListResourceTags', { KeyId: keys[8] })).Tags, tags)
    },
    async () => {
      const GranteePrincipal = Arn.replace(/:kms:[^:]+:(\d+):.*/, ':iam::$1:root')
      const { GrantId } = await client.ok('CreateGrant', { KeyId: keys[9], GranteePrincipal, Operations: ['Decrypt'] })
      await client.ok('RevokeGrant', { KeyId: keys[9], GrantId })
    },
    async () => {
      await client.ok('DisableKey', { KeyId: keys[10] })
      await client.ok('EnableKey', { KeyId: keys[10] })
    },
    async () => void (await newKeys(client, 1)),
  ])
  for (const generation of [2, 3]) {
    const { code, stdout, stderr } = await rotate(data)
    assert.equal(code, 0, stderr)
    assert.match(stdout, new RegExp(`Generation: ${generation}, made`))
    assert.match(stdout, new RegExp(`Generation ${generation - 1} was destroyed`))
    assert.match(stdout, /What is yours to destroy/)
  }
  await load.end()
  assert.ok(load.done > 50, `${load.done} rounds`)
  const steps = readRecords(data).map(({ record }) => record)
  const named = (operation: string) => steps.filter(({ boundaryOperation }) => boundaryOperation === operation)
  assert.deepEqual(
    named('rotateRoot').map(({ transition, source, outcome }) => [transition, source, outcome]),
    [
      ['1>2', 'control', 'allowed'],
      ['2>3', 'control', 'allowed'],
    ],
  )
  assert.deepEqual(
    named('destroyGeneration').map(({ transition }) => transition),
    ['1>', '2>'],
  )
  assert.ok(named('rewriteRows').reduce((sum, { count = 0 }) => sum + count, 0) > 2 * keys.length)
  await kms.stop()

  const verified = await holdfast(['log', 'verify', data])
  assert.equal(verified.code, 0, verified.stdout + verified.stderr)
  kms = await startDev(data)
  const { logKey } = await kms.control().status()
  const again = new ApiClient(kms.line.endpoint, OWNER)
  await decrypts(before.CiphertextBlob, 'before', again)
  assert.equal((await again.ok('DescribeKey', { KeyId: keys[10] })).KeyMetadata.KeyState, 'Enabled')
  await kms.stop()
  const script = spawnSync('python3', [join(ROOT, 'scripts', 'check-log.py'), join(data, 'boundary'), logKey], {
    encoding: 'utf8',
  })
  assert.equal(script.status, 0, script.stdout + script.stderr)
  for (const each of [client, again]) each.close()
})

test('promise 6: deleted means deleted — a deleted key opens out of an old copy of store and journal before the rotation of the root, and not after', async () => {
  const [data, copy] = [join(folder, 'deleted'), join(folder, 'deleted-copy')]
  let kms = await startDev(data)
  let client = new ApiClient(kms.line.endpoint, OWNER)
  const [KeyId = '', kept = ''] = await newKeys(client, 2)
  const { CiphertextBlob } = await client.ok('Encrypt', { KeyId, Plaintext: base64('deleted') })
  const other = await client.ok('Encrypt', { KeyId: kept, Plaintext: base64('kept') })
  client.close()
  await kms.stop()
  cpSync(data, copy, { recursive: true, filter: name => !/\/(root|root\.key|\.lock)$/.test(name) })

  kms = await startDev(data)
  client = new ApiClient(kms.line.endpoint, OWNER)
  await client.ok('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 })
  await kms.control().advanceClock(8 * DAY)
  const gone = await client.call('Decrypt', { CiphertextBlob })
  assert.notEqual(gone.status, 200)
  const id = `${REGION}/${KeyId}`
  await assert.rejects(openFromDisk(data, id))

  // Whoever has the old copy, the root file of today and the root of trust.
  const withRootOf = (name: string): string => {
    const at = join(folder, name)
    cpSync(copy, at, { recursive: true })
    cpSync(join(data, 'boundary', 'root'), join(at, 'boundary', 'root'))
    cpSync(join(data, 'root.key'), join(at, 'root.key'))
    return at
  }
  const before = withRootOf('deleted-before')
  const opened = await openFromDisk(before, id)
  assert.equal(opened.materials.size, 1)
  const theirs = await startDev(before)
  const thief = new ApiClient(theirs.line.endpoint, OWNER)
  assert.equal((await thief.ok('Decrypt', { CiphertextBlob })).Plaintext, base64('deleted'))
  thief.close()
  await theirs.stop()

  const { code, stderr } = await rotate(data)
  assert.equal(code, 0, stderr)
  const later = withRootOf('deleted-after')
  for (const each of [id, `${REGION}/${kept}`]) await assert.rejects(openFromDisk(later, each), /does not open/)
  await assert.rejects(startDev(later), /the journal is older than the root file/)
  const { Plaintext } = await client.ok('Decrypt', { CiphertextBlob: other.CiphertextBlob })
  assert.equal(Plaintext, base64('kept'))
  client.close()
  await kms.stop()
})

test('a store that was lost is made anew after a rotation, and an old copy of one catches up, with what was deleted since gone from it', async () => {
  const data = join(folder, 'stores')
  const store = join(data, 'front-end', 'store.db')
  const old = join(folder, 'old-store.db')
  let kms = await startDev(data)
  let client = new ApiClient(kms.line.endpoint, OWNER)
  const [first = '', second = ''] = await newKeys(client, 2)
  const { CiphertextBlob } = await client.ok('Encrypt', { KeyId: first, Plaintext: base64('kept') })
  await client.ok('CreateAlias', { AliasName: 'alias/kept', TargetKeyId: first })
  const GranteePrincipal = 'arn:aws:iam::000000000000:root'
  const { GrantId } = await client.ok('CreateGrant', { KeyId: first, GranteePrincipal, Operations: ['Encrypt'] })
  await client.ok('CreateGrant', { KeyId: first, GranteePrincipal, Operations: ['Decrypt'] })
  client.close()
  await kms.stop()
  cpSync(store, old)

  kms = await startDev(data)
  client = new ApiClient(kms.line.endpoint, OWNER)
  await client.ok('RevokeGrant', { KeyId: first, GrantId })
  await client.ok('ScheduleKeyDeletion', { KeyId: second, PendingWindowInDays: 7 })
  await kms.control().advanceClock(8 * DAY)
  assert.equal((await rotate(data)).code, 0)
  client.close()
  await kms.stop()

  for (const name of ['lost', 'old']) {
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${store}${suffix}`, { force: true })
    if (name === 'old') cpSync(old, store)
    kms = await startDev(data)
    client = new ApiClient(kms.line.endpoint, OWNER)
    assert.equal((await client.ok('Decrypt', { CiphertextBlob })).Plaintext, base64('kept'), name)
    const { Aliases } = await client.ok('ListAliases', { KeyId: first })
    assert.deepEqual(
      Aliases.map(({ AliasName }: { AliasName: string }) => AliasName),
      ['alias/kept'],
      name,
    )
    const { Grants } = await client.ok('ListGrants', { KeyId: first })
    assert.deepEqual(
      Grants.map(({ Operations }: { Operations: string[] }) => Operations),
      [['Decrypt']],
      name,
    )
    assert.equal((await client.call('DescribeKey', { KeyId: second })).json.__type, 'NotFoundException', name)
    client.close()
    await kms.stop()
  }
})

test('the boundary is killed at several points of a rotation: it goes on with it at the next start, and comes to its end', async () => {
  const data = join(folder, 'killed')
  const kms = await startDev(data)
  const client = new ApiClient(kms.line.endpoint, OWNER)
  const keys = await newKeys(client, 400)
  const blobs = await Promise.all(
    keys.map(async KeyId => (await client.ok('Encrypt', { KeyId, Plaintext: base64(KeyId) })).CiphertextBlob),
  )
  assert.equal((await rotate(data, '--no-wait')).code, 0)
  let kills = 0
  let seen = 0
  for (let share = 0; share < 4; share++) {
    const control = kms.control()
    // The status is asked for until so much of what was there to do at this start is done.
    const status = await untilPart(control, share / 8)
    control.close()
    if (status.generations.length === 1) break
    seen = Math.max(seen, status.done)
    const { boundary } = kms.children()
    process.kill(boundary, 'SIGKILL')
    await gone(boundary)
    kills++
  }
  assert.ok(kills >= 2, `killed ${kills} times, after ${seen} rows`)
  for (;;) {
    const { generations, destroyed } = await untilAnswered(kms)
    if (generations.length > 1) continue
    assert.equal(destroyed, 1)
    break
  }
  for (const [at, KeyId] of keys.entries()) {
    const answer = await again(() => client.call('Decrypt', { CiphertextBlob: blobs[at] }))
    assert.equal(answer.json.Plaintext, base64(KeyId))
  }
  client.close()
  await kms.stop()
  assert.equal(parseRootFile(readFileSync(join(data, 'boundary', 'root'))).generations.length, 1)
})

type Control = ReturnType<typeof connectControl>

async function untilPart(control: Control, part: number): Promise<RootStatus> {
  for (;;) {
    const status = await control.rootStatus().catch(() => undefined)
    if (status === undefined) continue
    if (status.generations.length === 1 || (status.total > 0 && status.done >= part * status.total)) return status
  }
}

async function untilAnswered(kms: Kms): Promise<RootStatus> {
  const control = kms.control()
  try {
    return await untilPart(control, 0)
  } finally {
    control.close()
  }
}

/** While the front end finds its boundary again, it answers with 5xx. */
async function again<T extends { readonly status: number }>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    const answer = await ask()
    if (answer.status < 500) return answer
  }
}

interface OwnerLine {
  readonly data: string
  readonly endpoint: string
}

/** An owner's service with one root of trust after the other; its provider encrypts all the while it is up. */
class Owner {
  readonly data = join(folder, 'owner')
  readonly config = join(folder, 'owner.json')
  service: Ekm<OwnerLine> | undefined
  credential = { accessKeyId: '', secretAccessKey: '' }

  write(root: object): void {
    const settings = {
      data: this.data,
      listen: { port: 0 },
      boundary: { root },
      load: PATIENT,
      health: { everyMs: 1000 },
    }
    writeFileSync(this.config, JSON.stringify(settings))
  }

  async start(): Promise<void> {
    this.service = await startEkm<OwnerLine>(['--config', this.config])
  }

  async stop(): Promise<void> {
    await this.service?.stop()
    this.service = undefined
  }

  client(): SignerClient {
    const { endpoint = '' } = this.service?.line ?? {}
    return new SignerClient({ endpoint, pathPrefix: 'store', ...this.credential, caFile: null })
  }
}

/** Runs `holdfast` with this on standard input. */
function withInput(input: string, ...args: string[]): Promise<CliResult> {
  return new Promise(done => {
    const child = spawn(join(ROOT, 'bin', 'holdfast'), args, { stdio: ['pipe', 'pipe', 'pipe'] })
    const said = { stdout: '', stderr: '' }
    child.stdout.on('data', chunk => {
      said.stdout += String(chunk)
    })
    child.stderr.on('data', chunk => {
      said.stderr += String(chunk)
    })
    child.once('close', code => done({ code: code ?? 1, ...said }))
    child.stdin.end(input)
  })
}

test('a running ekm changes from a key file to a passphrase, to a token and back to a key file, while its provider goes on; each start needs the last one', async () => {
  const hsm = new SoftHsm().use()
  hsm.addToken('owner', 'owner-pin')
  const pinFile = join(folder, 'pin')
  writeFileSync(pinFile, 'owner-pin\n', { mode: 0o600 })
  const passphrase = 'correct horse battery staple'
  const files = [join(folder, 'first.key'), join(folder, 'last.key')] as const
  const owner = new Owner()
  try {
    owner.write({ kind: 'keyfile', file: files[0] })
    await owner.start()
    await owner.service?.cli('tenant', 'create', 'store')
    await owner.service?.cli('key', 'create', 'k')
    owner.credential = (await owner.service?.cli('credential', 'create')) as typeof owner.credential
    const kept = await owner.client().send({ path: 'keys/k/encrypt', body: encryptBody(Buffer.from('kept')) })
    assert.equal(kept.status, 200, kept.text)

    const kinds = [
      { root: { kind: 'passphrase' }, input: `${passphrase}\n`, changed: 'keyfile>passphrase' },
      { root: { kind: 'pkcs11', module: hsm.module, tokenLabel: 'owner', pinFile }, changed: 'passphrase>pkcs11' },
      { root: { kind: 'keyfile', file: files[1] }, changed: 'pkcs11>keyfile' },
    ]
    for (const [at, { root, input = '' }] of kinds.entries()) {
      const client = owner.client()
      const before = readFileSync(owner.config)
      owner.write(root)
      const load = new Load(
        [0, 1, 2].map(() => async round => {
          const plaintext = Buffer.from(`round ${round}`)
          const made = await client.send({ path: 'keys/k/encrypt', body: encryptBody(plaintext) })
          assert.equal(made.status, 200, made.text)
          const opened = await client.send({ path: 'keys/k/decrypt', body: decryptBody(made) })
          assert.equal(opened.json.plaintext, plaintext.toString('base64'), opened.text)
        }),
      )
      const inToken = root.kind === 'pkcs11' ? ['--token-env', 'SOFTHSM2_CONF'] : []
      const asked = ['root', 'rotate', '--data', owner.data, '--config', owner.config, ...inToken]
      const turned = await withInput(input, ...asked)
      assert.equal(turned.code, 0, turned.stderr)
      assert.match(turned.stdout, /The configuration must name the new root of trust/)
      await load.end()
      assert.ok(load.done > 0)
      const { kind, generations, destroyed } = await statusOf(owner.data)
      assert.deepEqual([kind, generations[0]?.generation, destroyed], [root.kind, at + 2, at + 1])
      client.close()
      await owner.stop()

      const changed = readFileSync(owner.config)
      writeFileSync(owner.config, before)
      await assert.rejects(owner.start(), /where holdfast root rotate has changed it/)
      writeFileSync(owner.config, changed)
      await owner.start()
      if (root.kind === 'passphrase') {
        const unlocked = await withInput(input, 'unlock', '--data', owner.data)
        assert.equal(unlocked.code, 0, unlocked.stderr)
      }
      const next = owner.client()
      const decrypted = await again(() => next.send({ path: 'keys/k/decrypt', body: decryptBody(kept) }))
      assert.equal(decrypted.json.plaintext, base64('kept'), decrypted.text)
      next.close()
    }
    await owner.stop()
    const changes = readRecords(owner.data).flatMap(({ record }) =>
      record.boundaryOperation === 'changeRoot' && record.outcome === 'allowed' ? [record.transition] : [],
    )
    assert.deepEqual(
      changes,
      kinds.map(({ changed }) => changed),
    )
    const verified = await holdfast(['log', 'verify', owner.data])
    assert.equal(verified.code, 0, verified.stdout + verified.stderr)
  } finally {
    await owner.stop()
    hsm.remove()
  }
})

test('what cannot be the new root of trust is refused with what to do, and changes nothing; a copy of the root file is made once', async () => {
  const owner = new Owner()
  const data = join(folder, 'refused')
  Object.assign(owner, { data, config: join(folder, 'refused.json') })
  const file = join(folder, 'refused.key')
  owner.write({ kind: 'keyfile', file })
  await owner.start()
  try {
    const refusals = [
      [{ kind: 'passphrase' }, 'short\n', 1, /a passphrase is 12 to 1024 bytes/],
      [{ kind: 'keyfile', file: join(folder, 'none', 'there.key') }, '', 1, /cannot make the root key file/],
      [{ kind: 'pkcs11', module: join(folder, 'none.so'), tokenLabel: 'x', pinFile: file }, '', 78, /none\.so/],
      [{ kind: 'nothing' }, '', 78, /boundary\.root/],
    ] as const
    for (const [root, input, code, text] of refusals) {
      owner.write(root)
      const said = await withInput(input, 'root', 'rotate', '--data', data, '--config', owner.config)
      assert.deepEqual([said.code, text.test(said.stderr)], [code, true], said.stderr)
    }
    const { kind, generations } = await statusOf(data)
    assert.deepEqual([kind, generations.length, generations[0]?.generation], ['keyfile', 1, 1])

    const kit = join(folder, 'refused.kit')
    const saved = await holdfast(['root', 'save', kit, '--data', data])
    assert.equal(saved.code, 0, saved.stderr)
    assert.equal(statSync(kit).mode & 0o777, 0o600)
    const { rootFile, checkpoint } = parseKit(readFileSync(kit))
    assert.deepEqual(rootFile, readFileSync(join(data, 'boundary', 'root')))
    assert.match(checkpoint.toString(), /^holdfast-ekm-/)
    assert.equal((await holdfast(['root', 'save', kit, '--data', data])).code, 1)
    assert.equal((await holdfast(['root', 'status', '--data', join(folder, 'nowhere')])).code, 69)
  } finally {
    await owner.stop()
  }
  assert.ok(existsSync(file))
})
