/**
 * Acknowledged means durable, and nothing is used without a record: `holdfast kms` under load through the AWS SDK, each of its processes killed at random
 * instants, and everything that had been acknowledged compared with what is there afterwards.
 */
import assert from 'node:assert/strict'
import { constants, createHash, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { KMS } from '@aws-sdk/client-kms'
import { readKeyHeader } from '../src/boundary/crypto/sealed.ts'
import { verifyFolder } from '../src/log/verify.ts'
import { openSqliteStore } from '../src/store/sqlite/open.ts'
import { recordsByRequest } from './support/journal.ts'
import { freePort, type Kms, REGION, startKms } from './support/kms.ts'
import { pick, type Random, seededRandom } from './support/random.ts'

const WORKERS = 8
const VICTIMS = ['front end', 'boundary', 'supervisor'] as const
const ROUNDS_EACH = 4
const ACCOUNT = '000000000000'
const PAGE = 1000

interface Message {
  readonly CiphertextBlob: Uint8Array
  readonly EncryptionContext: Record<string, string>
  readonly plaintext: string
}

/** What was acknowledged of one key. Only one worker changes it, one request at a time. */
interface Known {
  readonly id: string
  state: string
  policy: string
  description: string
  readonly messages: Message[]
}

/** What a request that was never answered would have made of it: both are right. */
interface Doubt {
  readonly key?: string
  readonly field?: 'state' | 'policy' | 'description'
  readonly value?: string
  readonly alias?: string
  /** Undefined: the alias would be gone. */
  readonly target?: string | undefined
}

const policyOf = (mark: string): string =>
  JSON.stringify({
    Version: '2012-10-17',
    Id: mark,
    Statement: [
      { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` }, Action: 'kms:*', Resource: '*' },
    ],
  })

class Ledger {
  readonly keys = new Map<string, Known>()
  readonly aliases = new Map<string, string>()
  /** Keys that changed since they were last looked at. */
  readonly touched = new Set<string>()
  doubts: Doubt[] = []
  /** Request ids that were answered, and how. */
  readonly answered = new Map<string, 'allowed' | 'refused'>()
}

interface Answered {
  readonly $metadata: { readonly requestId?: string; readonly httpStatusCode?: number }
}

/** Nobody knows whether it was done: the connection went away, or the service said that it could not answer. */
class Unknown extends Error {}

class Worker {
  readonly #kms: KMS
  readonly #ledger: Ledger
  readonly #random: Random
  readonly #name: string
  readonly #keys: Known[] = []
  readonly #aliases: string[] = []
  #count = 0

  constructor(name: string, kms: KMS, ledger: Ledger, random: Random) {
    this.#name = name
    this.#kms = kms
    this.#ledger = ledger
    this.#random = random
  }

  /** One request after the other until one gets no answer. */
  async run(working: () => boolean): Promise<void> {
    while (working()) {
      try {
        await this.#step()
      } catch (error) {
        if (error instanceof Unknown) return
        throw error
      }
    }
  }

  /** Sends; what may have been done without an answer is in doubt. Resolves with undefined where the service refused. */
  async #ask<T extends Answered>(doubt: Doubt, send: () => Promise<T>, mayRefuse?: string): Promise<T | undefined> {
    const { answered } = this.#ledger
    try {
      const output = await send()
      answered.set(output.$metadata.requestId ?? '', 'allowed')
      return output
    } catch (error) {
      const { name, $metadata: { httpStatusCode: status = 0, requestId = '' } = {} } = error as Error &
        Partial<Answered>
      if (status >= 400 && status < 500) {
        assert.equal(name, mayRefuse, `${(error as Error).message} (${this.#name})`)
        answered.set(requestId, 'refused')
        return undefined
      }
      this.#ledger.doubts.push(doubt)
      throw new Unknown()
    }
  }

  async #step(): Promise<void> {
    const random = this.#random
    const kms = this.#kms
    const ledger = this.#ledger
    const chance = random()
    if (this.#keys.length === 0 || chance < 0.12) return void (await this.#create('AWS_KMS'))
    if (chance < 0.15) return this.#import()
    const key = pick(random, this.#keys)
    const KeyId = key.id
    ledger.touched.add(KeyId)
    const mark = `${this.#name}.${++this.#count}`
    if (chance < 0.6) return this.#encrypt(key, mark)
    if (chance < 0.7) {
      const Policy = policyOf(mark)
      if (await this.#ask({ key: KeyId, field: 'policy', value: Policy }, () => kms.putKeyPolicy({ KeyId, Policy })))
        key.policy = Policy
    } else if (chance < 0.8 && key.state !== 'PendingImport') {
      const enable = key.state === 'Disabled'
      const value = enable ? 'Enabled' : 'Disabled'
      const change = () => (enable ? kms.enableKey({ KeyId }) : kms.disableKey({ KeyId }))
      if (await this.#ask({ key: KeyId, field: 'state', value }, change)) key.state = value
    } else if (chance < 0.86) {
      const doubt: Doubt = { key: KeyId, field: 'description', value: mark }
      if (await this.#ask(doubt, () => kms.updateKeyDescription({ KeyId, Description: mark }))) key.description = mark
    } else await this.#alias(key, mark)
  }

  async #create(Origin: 'AWS_KMS' | 'EXTERNAL'): Promise<Known | undefined> {
    const mark = `${this.#name}.${++this.#count}`
    const Policy = policyOf(mark)
    const Tags = [{ TagKey: 'made', TagValue: mark }]
    const made = await this.#ask({}, () => this.#kms.createKey({ Origin, Policy, Tags, Description: mark }))
    const id = made?.KeyMetadata?.KeyId ?? ''
    const state = Origin === 'EXTERNAL' ? 'PendingImport' : 'Enabled'
    const key: Known = { id, state, policy: Policy, description: mark, messages: [] }
    this.#ledger.keys.set(id, key)
    this.#ledger.touched.add(id)
    this.#keys.push(key)
    return key
  }

  async #import(): Promise<void> {
    const key = this.#keys.find(({ state }) => state === 'PendingImport') ?? (await this.#create('EXTERNAL'))
    assert.ok(key)
    const KeyId = key.id
    const parameters = await this.#ask({}, () =>
      this.#kms.getParametersForImport({
        KeyId,
        WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
        WrappingKeySpec: 'RSA_2048',
      }),
    )
    const der = Buffer.from(parameters?.PublicKey ?? [])
    const EncryptedKeyMaterial = publicEncrypt(
      {
        key: createPublicKey({ key: der, format: 'der', type: 'spki' }),
        padding: constants.RSA_PKCS1_OAEP_PADDING,
        oaepHash: 'sha256',
      },
      randomBytes(32),
    )
    this.#ledger.touched.add(KeyId)
    const done = await this.#ask({ key: KeyId, field: 'state', value: 'Enabled' }, () =>
      this.#kms.importKeyMaterial({
        KeyId,
        ImportToken: parameters?.ImportToken,
        EncryptedKeyMaterial,
        ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
      }),
    )
    if (done) key.state = 'Enabled'
  }

  async #encrypt(key: Known, plaintext: string): Promise<void> {
    const EncryptionContext = { n: plaintext }
    const mayRefuse = { Disabled: 'DisabledException', PendingImport: 'KMSInvalidStateException' }[key.state]
    const made = await this.#ask(
      {},
      () => this.#kms.encrypt({ KeyId: key.id, Plaintext: Buffer.from(plaintext), EncryptionContext }),
      mayRefuse,
    )
    assert.equal(made === undefined, mayRefuse !== undefined, 'state and use agree')
    if (made?.CiphertextBlob) key.messages.push({ CiphertextBlob: made.CiphertextBlob, EncryptionContext, plaintext })
  }

  async #alias(key: Known, mark: string): Promise<void> {
    const random = this.#random
    const { aliases, touched } = this.#ledger
    const TargetKeyId = key.id
    touched.add(TargetKeyId)
    const chance = random()
    if (this.#aliases.length === 0 || chance < 0.5) {
      const AliasName = `alias/${mark.replace('.', '/')}`
      const doubt: Doubt = { alias: AliasName, target: TargetKeyId }
      await this.#ask(doubt, () => this.#kms.createAlias({ AliasName, TargetKeyId }))
      aliases.set(AliasName, TargetKeyId)
      this.#aliases.push(AliasName)
      return
    }
    const at = Math.floor(random() * this.#aliases.length)
    const AliasName = this.#aliases[at] ?? ''
    if (chance < 0.75) {
      const doubt: Doubt = { alias: AliasName, target: TargetKeyId }
      await this.#ask(doubt, () => this.#kms.updateAlias({ AliasName, TargetKeyId }))
      aliases.set(AliasName, TargetKeyId)
    } else {
      // Whatever comes of it, this worker does not use the name again.
      this.#aliases.splice(at, 1)
      await this.#ask({ alias: AliasName, target: undefined }, () => this.#kms.deleteAlias({ AliasName }))
      aliases.delete(AliasName)
    }
  }
}

/** Compares what is there with what was acknowledged, and takes on what was in doubt as it was found. */
async function compare(kms: KMS, ledger: Ledger, all: boolean, where: string): Promise<void> {
  const { keys, aliases, touched, doubts } = ledger
  const there = new Set<string>()
  for (let Marker: string | undefined, more = true; more; ) {
    const page = await kms.listKeys({ Limit: PAGE, Marker })
    for (const { KeyId } of page.Keys ?? []) there.add(KeyId ?? '')
    Marker = page.NextMarker
    more = page.Truncated === true
  }
  for (const id of keys.keys()) assert.ok(there.has(id), `${where}: an acknowledged key is gone`)
  await compareAliases(kms, ledger, there, where)
  // A key that was made and never acknowledged is either whole or not there.
  const look = [...there].filter(id => all || touched.has(id) || !keys.has(id))
  await eachOf(look, async id => {
    const { KeyMetadata } = await kms.describeKey({ KeyId: id })
    const { Policy = '' } = await kms.getKeyPolicy({ KeyId: id })
    const { Tags = [] } = await kms.listResourceTags({ KeyId: id })
    const made = Tags.find(({ TagKey }) => TagKey === 'made')?.TagValue
    assert.ok(made, `${where}: a key without its attributes`)
    const found = { state: KeyMetadata?.KeyState ?? '', policy: Policy, description: KeyMetadata?.Description ?? '' }
    const key = keys.get(id)
    if (key === undefined) {
      assert.equal(found.policy, policyOf(made), `${where}: a key that is half made`)
      assert.equal(found.description, made, `${where}: a key that is half made`)
      return
    }
    for (const field of ['state', 'policy', 'description'] as const) {
      const right: (string | undefined)[] = [
        key[field],
        ...doubts.filter(each => each.key === id && each.field === field).map(d => d.value),
      ]
      assert.ok(right.includes(found[field]), `${where}: ${field} is ${found[field]}, acknowledged was ${key[field]}`)
      key[field] = found[field]
    }
    await openMessages(kms, key, all ? key.messages : key.messages.slice(-3), where)
  })
  touched.clear()
  ledger.doubts = []
  for (const [name, target] of aliases) assert.ok(there.has(target), `${where}: ${name} points at no key`)
}

async function compareAliases(kms: KMS, { aliases, doubts }: Ledger, keys: Set<string>, where: string): Promise<void> {
  const found = new Map<string, string>()
  for (let Marker: string | undefined, more = true; more; ) {
    const page = await kms.listAliases({ Limit: 100, Marker })
    for (const { AliasName = '', TargetKeyId } of page.Aliases ?? [])
      if (TargetKeyId !== undefined) found.set(AliasName, TargetKeyId)
    Marker = page.NextMarker
    more = page.Truncated === true
  }
  for (const name of new Set([...aliases.keys(), ...found.keys()])) {
    const target = found.get(name)
    const right = [aliases.get(name), ...doubts.filter(({ alias }) => alias === name).map(doubt => doubt.target)]
    assert.ok(right.includes(target), `${where}: ${name} is ${target}, acknowledged was ${aliases.get(name)}`)
    if (target === undefined) aliases.delete(name)
    else {
      assert.ok(keys.has(target), `${where}: an alias without a key`)
      aliases.set(name, target)
    }
  }
}

async function openMessages(kms: KMS, key: Known, messages: readonly Message[], where: string): Promise<void> {
  for (const { CiphertextBlob, EncryptionContext, plaintext } of messages) {
    const opening = kms.decrypt({ CiphertextBlob, EncryptionContext })
    if (key.state === 'Disabled') {
      await assert.rejects(opening, { name: 'DisabledException' }, where)
      continue
    }
    const opened = await opening
    assert.equal(Buffer.from(opened.Plaintext ?? []).toString(), plaintext, where)
  }
}

/** For each, eight at a time. */
async function eachOf<T>(items: readonly T[], what: (item: T) => Promise<void>): Promise<void> {
  const left = [...items]
  const work = async (): Promise<void> => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await what(item)
  }
  await Promise.all(Array.from({ length: 8 }, work))
}

function clientOf({ line: { endpoint, accessKeyId, secretAccessKey } }: Kms): KMS {
  return new KMS({ endpoint, region: REGION, credentials: { accessKeyId, secretAccessKey }, maxAttempts: 1 })
}

/** Resolves when requests are answered again. */
async function answers(kms: KMS): Promise<void> {
  for (;;) {
    const ok = await kms.listKeys({ Limit: 1 }).then(
      () => true,
      () => false,
    )
    if (ok) return
    await delay(5)
  }
}

test('promise 4 and promise 2: each process is killed under load, and all that was acknowledged is there and recorded', async t => {
  const random = seededRandom(t, 'durable')
  const data = mkdtempSync(join(tmpdir(), 'holdfast-durable-'))
  const args = ['--data', data, '--port', String(await freePort())]
  const credential = {
    HOLDFAST_DEV_ACCESS_KEY_ID: `AKIA${'D'.repeat(16)}`,
    HOLDFAST_DEV_SECRET_ACCESS_KEY: 'd'.repeat(40),
  }
  let service = await startKms(args, credential)
  const kms = clientOf(service)
  t.after(async () => {
    kms.destroy()
    await service.stop()
    rmSync(data, { recursive: true, force: true })
  })
  const ledger = new Ledger()
  const workers = Array.from({ length: WORKERS }, (_, n) => new Worker(`w${n}`, kms, ledger, random))
  const left = VICTIMS.flatMap(victim => Array.from({ length: ROUNDS_EACH }, () => victim))
  for (let round = 1; left.length > 0; round++) {
    const [victim] = left.splice(Math.floor(random() * left.length), 1)
    const where = `round ${round}, ${victim} killed, HOLDFAST_SEED=${random.seed}`
    const enough = ledger.answered.size + 5 + Math.floor(random() * 250)
    let working = true
    const running = Promise.all(workers.map(worker => worker.run(() => working)))
    while (ledger.answered.size < enough) await Promise.race([running, new Promise(done => setImmediate(done))])
    await delay(random() * 8)
    if (victim === 'supervisor') await service.killAll()
    else process.kill(service.children()[victim === 'boundary' ? 'boundary' : 'frontEnd'], 'SIGKILL')
    working = false
    await running
    if (victim === 'supervisor') service = await startKms(args, credential)
    await answers(kms)
    await compare(kms, ledger, left.length === 0, where)
  }
  await service.stop()
  const records = recordsByRequest(data)
  for (const [requestId, how] of ledger.answered) {
    const of = records.get(requestId)
    assert.equal(of?.length, 1, `an answered request has ${of?.length ?? 0} records`)
    assert.equal(of?.[0]?.outcome === 'allowed', how === 'allowed')
  }
  await storeIsWhole(data)
  const log = await verifyFolder(join(data, 'boundary'))
  assert.equal(log.bad, undefined, 'the log does not verify after the kills')
  assert.ok(log.signature, 'the last checkpoint is signed')
  assert.ok(log.entries >= ledger.answered.size, 'fewer entries than answered requests')
  t.diagnostic(`${ledger.answered.size} requests answered, ${ledger.keys.size} keys, ${ledger.aliases.size} aliases`)
})

/** Below the API too: no key row without policy and attributes, no policy but the one that its key names, no alias without a key. */
async function storeIsWhole(data: string): Promise<void> {
  const store = await openSqliteStore({ file: join(data, 'front-end', 'store.db'), readOnly: true })
  try {
    const keys = new Set<string>()
    for (const row of await store.listAll('key', { after: '', limit: 10_000 })) {
      keys.add(row.id)
      const policy = await store.get('policy', row.id)
      const attributes = await store.get('attributes', row.id)
      assert.ok(row.body && policy?.body && attributes?.body, 'a key that is half made')
      assert.deepEqual(readKeyHeader(row.body).policyDigest, createHash('sha256').update(policy.body).digest())
    }
    assert.ok(keys.size > 0)
    for (const { link } of await store.listAll('alias', { after: '', limit: 10_000 })) assert.ok(keys.has(link))
  } finally {
    await store.close()
  }
}
