/**
 * The real `holdfast ekm` with a low limit of encryptions: keys in the boundary and in a token get their next version by themselves, once, under load and through
 * deaths of the boundary, with the reason in the log; and a key whose object others have made warns long before it is refused.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { readExternalMetadata } from '../src/boundary/crypto/external.ts'
import type { CountedKey } from '../src/ekm/admin/index.ts'
import type { Finding } from '../src/ekm/doctor/types.ts'
import { type Ekm, holdfast, PATIENT, startEkm } from './support/ekm.ts'
import { readRecords } from './support/journal.ts'
import { SoftHsm } from './support/softhsm.ts'
import { answered, refused } from './support/xks-behaviours.ts'
import { decryptBody, encryptBody, SignerClient, type XksAnswer } from './support/xks-clients.ts'

const PIN = 'owner-pin'
const LIMIT = 200
const BOUND = 600
const folder = mkdtempSync(join(tmpdir(), 'holdfast-versions-'))
const hsm = new SoftHsm().use()

let ekm: Ekm<{ data: string; endpoint: string; operations: string }>
let client: SignerClient

before(async () => {
  hsm.addToken('owner', PIN)
  const generate = (label: string, id: string): string =>
    hsm.pkcs11Tool('owner', PIN, '--keygen', '--key-type', 'aes:32', '--label', label, '--id', id, '--sensitive')
  generate('by others', 'a1')
  // What a boundary leaves that ended between the object and the record of its version: the label of the next one is taken.
  generate('acme/hard v2', 'a2')
  const pinFile = join(folder, 'pin')
  writeFileSync(pinFile, PIN, { mode: 0o600 })
  const config = join(folder, 'ekm.json')
  writeFileSync(
    config,
    JSON.stringify({
      data: join(folder, 'data'),
      listen: { port: 0 },
      load: PATIENT,
      boundary: {
        root: { kind: 'keyfile', file: join(folder, 'root.key') },
        tokens: { hsm: { module: hsm.module, tokenLabel: 'owner', pinFile } },
        maxEncryptions: BOUND,
        renewAfter: LIMIT,
      },
    }),
  )
  ekm = await startEkm(['--config', config])
  await ekm.cli('tenant', 'create', 'acme')
  await ekm.cli('tenant', 'set-quota', 'acme', '--per-second', '100000')
  await ekm.cli('key', 'create', 'soft')
  await ekm.cli('key', 'create', 'hard', '--token', 'hsm')
  await ekm.cli('key', 'create', 'named', '--token', 'hsm:label:by others')
  const { accessKeyId, secretAccessKey } = await ekm.cli<Record<string, string>>('credential', 'create')
  client = new SignerClient({
    endpoint: ekm.line.endpoint,
    pathPrefix: 'acme',
    accessKeyId: accessKeyId ?? '',
    secretAccessKey: secretAccessKey ?? '',
    caFile: null,
  })
})
after(async () => {
  client?.close()
  await ekm?.stop()
  hsm.remove()
  rmSync(folder, { recursive: true, force: true })
})

interface Made {
  readonly key: string
  readonly plaintext: Buffer
  readonly answer: XksAnswer
}
const made: Made[] = []
const versionOf = ({ answer }: Made): number =>
  readExternalMetadata(Buffer.from(answer.json.ciphertextMetadata ?? '', 'base64')) ?? 0
const newestOf = (key: string): number => {
  const last = made.findLast(each => each.key === key)
  return last === undefined ? 0 : versionOf(last)
}

/** Encrypts once; the status. */
async function use(key: string): Promise<number> {
  const plaintext = randomBytes(16)
  const answer = await client.send({ path: `keys/${key}/encrypt`, body: encryptBody(plaintext) })
  if (answer.status === 200) made.push({ key, plaintext, answer })
  return answer.status
}

/** Uses keys without a pause, several at once, until `enough`; how often each status came. */
async function uses(keys: readonly string[], enough: () => boolean): Promise<Map<number, number>> {
  const statuses = new Map<number, number>()
  const worker = async (_: unknown, at: number): Promise<void> => {
    const key = keys[at % keys.length] as string
    while (!enough()) {
      const status = await use(key)
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  await Promise.all(Array.from({ length: 8 * keys.length }, worker))
  return statuses
}

const described = (key: string) => ekm.cli<CountedKey>('key', 'describe', key)
async function doctor(): Promise<Finding[]> {
  // Nothing listens there: only what is looked at on this machine is of interest.
  const { stdout } = await holdfast([
    ...['ekm', 'doctor', 'https://127.0.0.1:1', '--cloud', 'xks', '--data', ekm.data, '--json'],
  ])
  return (JSON.parse(stdout) as Finding[]).filter(({ check }) => check === 'encryptions')
}
const metrics = async (): Promise<string> => (await fetch(`${ekm.line.operations}/metrics`)).text()
async function metric(key: string): Promise<number> {
  const line = (await metrics()).split('\n').find(each => each.includes(`_key_encryptions{`) && each.includes(key))
  return Number(line?.split(' ').at(-1) ?? Number.NaN)
}

/** Versions of a key that were made by themselves, as the log has them. */
function renewals(key: string): { readonly versions: string[]; readonly counts: number[] } {
  const of = readRecords(ekm.data)
    .map(({ record }) => record)
    .filter(({ boundaryOperation, keyId }) => boundaryOperation === 'rotateKeyAutomatically' && keyId === `acme/${key}`)
  for (const { outcome, source, evidence = '', count, transition, materialId } of of) {
    assert.deepEqual([outcome, source], ['allowed', 'boundary'])
    assert.match(evidence, new RegExp(`^version \\d+ has been used ${count} times of at most ${BOUND}$`))
    assert.match(transition ?? '', /^version \d+>\d+$/)
    assert.equal(Number.parseInt(materialId ?? '', 16), Number(transition?.split('>')[1]))
  }
  return { versions: of.map(({ materialId = '' }) => materialId), counts: of.map(({ count = 0 }) => count) }
}

const upTo = (version: number): string[] =>
  Array.from({ length: version - 1 }, (_, at) => (at + 2).toString(16).padStart(8, '0'))

async function allDecrypt(): Promise<void> {
  const left = made.values()
  const worker = async (): Promise<void> => {
    for (const { key, plaintext, answer } of left) {
      const opened = answered(await client.send({ path: `keys/${key}/decrypt`, body: decryptBody(answer) }))
      assert.equal(opened.json.plaintext, plaintext.toString('base64'), `${key}: ${answer.text}`)
    }
  }
  await Promise.all(Array.from({ length: 16 }, worker))
}

test('before: what is counted is shown, and nothing is due', async () => {
  await use('soft')
  const [soft, hard] = [await described('soft'), await described('hard')]
  assert.deepEqual(hard.encryptions, { counted: 0, most: BOUND, renewAfter: LIMIT })
  assert.ok((soft.encryptions?.counted ?? 0) >= 1 && (soft.encryptions?.counted ?? LIMIT) < LIMIT)
  assert.equal(await metric('soft'), soft.encryptions?.counted)
  assert.match(await metrics(), new RegExp(`^holdfast_ekm_renew_after\\{[^}]*\\} ${LIMIT}$`, 'm'))
  assert.deepEqual(
    (await doctor()).map(({ verdict }) => verdict),
    ['ok'],
  )
})

test('keys get their next versions by themselves, once each, while every request is answered 200; old versions decrypt', async () => {
  const statuses = await uses(['soft', 'hard'], () => newestOf('soft') >= 3 && newestOf('hard') >= 3)
  assert.deepEqual([...statuses.keys()], [200])
  for (const key of ['soft', 'hard']) {
    const { version, versions, encryptions } = await described(key)
    assert.equal(version, versions)
    const { versions: recorded, counts } = renewals(key)
    assert.deepEqual(recorded, upTo(version), key)
    for (const count of counts) assert.ok(count >= LIMIT && count < BOUND, `${key}: ${count}`)
    assert.ok((encryptions?.counted ?? BOUND) < BOUND)
    for (let old = 1; old < version; old++) {
      const used = made.filter(each => each.key === key && versionOf(each) === old).length
      assert.ok(used >= LIMIT && used < BOUND, `${key}: version ${old} was used ${used} times`)
    }
  }
  await allDecrypt()
  assert.match(hsm.pkcs11Tool('owner', PIN, '--list-objects'), /label: +acme\/hard v2 [0-9a-f]{8}\n/)
})

test('the boundary is killed around the limit, again and again: no version twice, none lost, everything decrypts', async () => {
  for (let round = 0; round < 6; round++) {
    const key = round % 2 === 0 ? 'soft' : 'hard'
    const before = made.length
    const from = newestOf(key)
    const ofVersion = (): number =>
      made.slice(before).filter(each => each.key === key && versionOf(each) === from).length
    // In every other round after the version has changed, and before it in the others, each time elsewhere.
    const then = round % 3 === 0 ? () => newestOf(key) > from : () => ofVersion() >= LIMIT - 30 * round
    const reached = uses([key], () => then() || newestOf(key) > from)
    const old = ekm.children().boundary
    await reached
    let dead = false
    const through = uses([key], () => dead && newestOf(key) > from)
    process.kill(old, 'SIGKILL')
    while (ekm.children().boundary === 0 || ekm.children().boundary === old)
      await new Promise(resolve => setImmediate(resolve))
    dead = true
    for (const status of (await through).keys()) assert.ok([200, 500, 503].includes(status), String(status))
  }
  for (const key of ['soft', 'hard']) {
    const { version, versions } = await described(key)
    assert.equal(version, versions)
    assert.deepEqual(renewals(key).versions, upTo(version), key)
  }
  await allDecrypt()
})

test('a key whose object others have made is used on, warns in log, metrics, health and doctor, and is refused at the bound', async () => {
  const { version } = await described('named')
  assert.equal(version, 1)
  const count = made.length
  const statuses = await uses(['named'], () => made.length >= count + LIMIT + 50)
  assert.deepEqual([...statuses.keys()], [200])
  const said =
    /key acme\/named needs a new version, and none could be made \(its object in the token was made by others/
  const ready = async () =>
    (await (await fetch(`${ekm.line.operations}/health/ready`)).json()) as {
      ready: boolean
      boundary: { warnings: string[] }
    }
  let health = await ready()
  while (!health.boundary.warnings.some(each => said.test(each))) health = await ready()
  assert.equal(health.ready, true)
  assert.match(ekm.stderr, /"msg":"a key has been used so often that it needs a new version, and none could be made"/)
  assert.equal(ekm.stderr.split('"key":"acme/named"').length, 2, 'told once')
  assert.ok((await metric('named')) >= LIMIT)
  const [finding, ...more] = await doctor()
  assert.deepEqual([finding?.verdict, more], ['warning', []])
  assert.match(finding?.seen ?? '', /^acme\/named: its version 1 has used \d\d\.\d % of what it may/)
  const { stdout } = await holdfast(['ekm', 'key', 'list', '--data', ekm.data])
  assert.match(stdout, /acme\/named .*\(needs a new version\)/)

  let status = 200
  while (status === 200) status = await use('named')
  const ofNamed = made.filter(each => each.key === 'named')
  assert.ok(ofNamed.length <= BOUND)
  refused(
    await client.send({ path: 'keys/named/encrypt', body: encryptBody(randomBytes(16)) }),
    'InvalidStateException',
  )
  assert.deepEqual(
    (await doctor()).map(({ verdict }) => verdict),
    ['problem'],
  )
  // Its owner can say that the next object is made here.
  assert.equal((await ekm.cli<CountedKey>('key', 'rotate', 'named')).version, 2)
  assert.equal(await use('named'), 200)
  assert.equal(newestOf('named'), 2)
  assert.deepEqual(renewals('named').versions, [])
  health = await ready()
  while (health.boundary.warnings.some(each => said.test(each))) health = await ready()
  await allDecrypt()
})
