import assert from 'node:assert/strict'
import { createHash, createSecretKey, randomBytes } from 'node:crypto'
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { after, before, test } from 'node:test'
import {
  type EncryptedDataKey,
  KeyringNode,
  KeyringTraceFlag,
  type NodeDecryptionMaterial,
  type NodeEncryptionMaterial,
  EncryptedDataKey as Sealed,
} from '@aws-crypto/client-node'
import { encodeContext } from '../../boundary/crypto/context.ts'
import { encodeEnvelope } from '../../boundary/crypto/envelope.ts'
import { encryptMessage, MessageKey } from '../../boundary/crypto/message.ts'
import { tagRow } from '../../boundary/crypto/rows.ts'
import { materialId, sealKey } from '../../boundary/crypto/sealed.ts'
import { createKeyFile, openKeyFile } from '../../boundary/root/keyfile.ts'
import { makeRoot, type OpenedRoot } from '../../boundary/root/rootfile.ts'
import type { KeyHeader, MaterialInfo, Row } from '../../boundary/words.ts'
import { openSqliteStore } from '../../store/sqlite/open.ts'
import type { Store } from '../../store/types.ts'
import { FRAME_BYTES, SUITE, sdk } from '../data-service/envelope.ts'
import type { CompelEvidence } from '../evidence/types.ts'
import { type CustodyPlan, type ModelPlan, planSchema } from '../plan.ts'
import { KEPT } from '../report/answers.ts'
import { readCaptured, writeCaptured } from './captured.ts'
import { routesOf, tryRoutes } from './compel.ts'
import { openWith, sealedFile } from './files.ts'
import { filesOf } from './folder.ts'
import { backUp } from './prepare.ts'
import { type Route, tried } from './route.ts'
import { keptDataKeys } from './routes/kept.ts'
import { rootBackup, rootNow } from './routes/root.ts'

const REGION = 'us-east-1'
const ACCOUNT = '111122223333'
const KEY = '00000000-0000-4000-8000-000000000001'
const ARN = `arn:aws:kms:${REGION}:${ACCOUNT}:key/${KEY}`

const folder = mkdtempSync(join(tmpdir(), 'holdfast-compel-'))
const provider = {
  folder: join(folder, 'kms'),
  backup: join(folder, 'backup'),
  rootFile: join(folder, 'kms', 'root.key'),
}
const bytes = randomBytes(32)
const material = createSecretKey(bytes)
const id = materialId(KEY, material)
let root: OpenedRoot
let store: Store
let plan: CustodyPlan
let model: ModelPlan
const dataKeys = new Map<string, Buffer>()

/** Gives every file a data key of its own, encrypted by `seal`, as the provider's KMS does. */
class SealingKeyring extends KeyringNode {
  readonly #seal: (dataKey: Buffer, context: Buffer) => Buffer
  constructor(seal: (dataKey: Buffer, context: Buffer) => Buffer) {
    super()
    this.#seal = seal
  }
  async _onEncrypt(given: NodeEncryptionMaterial): Promise<NodeEncryptionMaterial> {
    const dataKey = randomBytes(32)
    const encryptedDataKey = this.#seal(dataKey, encodeContext(Object.entries(given.encryptionContext)))
    dataKeys.set(createHash('sha256').update(encryptedDataKey).digest('hex'), Buffer.from(dataKey))
    const trace = { keyNamespace: 'aws-kms', keyName: ARN }
    given.setUnencryptedDataKey(dataKey, { ...trace, flags: KeyringTraceFlag.WRAPPING_KEY_GENERATED_DATA_KEY })
    return given.addEncryptedDataKey(
      new Sealed({ providerId: 'aws-kms', providerInfo: ARN, encryptedDataKey }),
      KeyringTraceFlag.WRAPPING_KEY_ENCRYPTED_DATA_KEY,
    )
  }
  async _onDecrypt(given: NodeDecryptionMaterial, _keys: EncryptedDataKey[]): Promise<NodeDecryptionMaterial> {
    return given
  }
}

const sealMessage = (dataKey: Buffer, context: Buffer): Buffer =>
  encryptMessage(new MessageKey({ account: ACCOUNT, keyId: KEY, materialId: id, material }), dataKey, context)

async function storeFile(bucket: string, name: string, plain: Buffer, seal = sealMessage): Promise<void> {
  const path = join(folder, 'data', bucket, `${name}.esdk`)
  mkdirSync(dirname(path), { recursive: true })
  const encrypt = sdk.encryptStream(new SealingKeyring(seal), {
    suiteId: SUITE,
    frameLength: FRAME_BYTES,
    encryptionContext: { bucket, object: name },
  })
  await pipeline(Readable.from([plain]), encrypt, createWriteStream(path))
}

function header(revision: number, present: boolean): KeyHeader {
  const info: MaterialInfo = {
    id,
    state: 'CURRENT',
    present,
    createdAt: 1,
    expirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
    validTo: 0,
    description: '',
    rotationType: 'NONE',
    rotatedAt: 0,
  }
  return {
    id: `${REGION}/${KEY}`,
    account: ACCOUNT,
    revision,
    rootGeneration: 1,
    fence: 0,
    createdAt: 1,
    spec: 'SYMMETRIC_DEFAULT',
    usage: 'ENCRYPT_DECRYPT',
    origin: 'EXTERNAL',
    manager: 'CUSTOMER',
    managerService: '',
    state: present ? 'Enabled' : 'PendingImport',
    previousState: 'Enabled',
    deletionDate: 0,
    pendingWindowDays: 0,
    policyDigest: Buffer.alloc(32),
    rotationEnabled: false,
    rotationPeriodDays: 0,
    nextRotationAt: 0,
    onDemandRotations: 0,
    keyStoreId: '',
    xksKeyId: '',
    backing: 'SEALED',
    tokenObject: '',
    mayEncrypt: true,
    mayDecrypt: true,
    publicKey: Buffer.alloc(0),
    multiRegion: 'NONE',
    primaryRegion: '',
    replicaRegions: [],
    materials: [info],
  }
}

function keyRow(revision: number, present: boolean): Row {
  const body = sealKey(root.keyring, header(revision, present), new Map(present ? [[id, Buffer.from(bytes)]] : []))
  return tagRow(root.keyring, {
    kind: 'key',
    id: `${REGION}/${KEY}`,
    scope: `${ACCOUNT}/${REGION}`,
    link: '',
    revision,
    body,
  })
}

before(async () => {
  const files = filesOf(provider.folder)
  for (const file of Object.values(files)) mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  await createKeyFile(provider.rootFile)
  const made = await makeRoot(await openKeyFile(provider.rootFile), { service: 'kms', dev: false, now: 1 })
  root = made.opened
  writeFileSync(files.root, made.bytes, { mode: 0o600 })
  store = await openSqliteStore({ file: files.store })
  await store.apply([{ number: 1, rows: [keyRow(1, true)] }])
  const plain = { 'a.txt': Buffer.from('read before'), 'deep/b.bin': randomBytes(200_000) }
  for (const [name, content] of Object.entries(plain)) await storeFile('files', name, content)
  plan = planSchema.parse({
    kms: { endpoint: 'http://127.0.0.1:9', region: REGION },
    owner: { accessKeyId: 'AKIAOWNER', secretAccessKey: 'x' },
    dataService: {
      endpoint: 'http://127.0.0.1:9',
      token: 't',
      operatorToken: 'o',
      folder: join(folder, 'data'),
      cacheSeconds: 1,
      credential: { accessKeyId: 'AKIASERVICE', secretAccessKey: 'x' },
    },
    provider,
    models: [
      {
        name: 'byok',
        bucket: 'files',
        keyArn: ARN,
        acts: ['delete-imported-material'],
        files: Object.entries(plain).map(([name, content]) => ({
          name,
          bytes: content.length,
          sha256: createHash('sha256').update(content).digest('hex'),
          read: name === 'a.txt',
        })),
      },
    ],
  })
  model = plan.models[0] as ModelPlan
})

after(async () => {
  await store.close()
  rmSync(folder, { recursive: true, force: true })
})

const attempt = (routes: Route[], of: ModelPlan = model): Promise<CompelEvidence> =>
  tryRoutes(routes, plan, of, { signal: new AbortController().signal, progress: () => {} })

const errors = (evidence: CompelEvidence): string[] =>
  evidence.files.flatMap(file => file.attempts.map(each => (each.ok ? 'ok' : each.error)))

test('the root opens every file, and once the material is deleted only the backup does', async () => {
  const first = await attempt([rootNow(provider, REGION)])
  assert.deepEqual(errors(first), ['ok', 'ok'])
  assert.equal(first.files[0]?.openedBy, 'root-now')

  await backUp(provider)
  await store.apply([{ number: 2, rows: [keyRow(2, false)] }])
  const second = await attempt([rootNow(provider, REGION), rootBackup(provider, REGION)])
  assert.deepEqual(errors(second), ['MaterialGone', 'ok', 'MaterialGone', 'ok'])
  assert.deepEqual(
    second.files.map(file => file.openedBy),
    ['root-backup', 'root-backup'],
  )
  assert.ok(second.routes.every(route => route.prepared.ok))
})

test('another root key opens nothing, and the evidence says why', async () => {
  const other = join(folder, 'other.key')
  await createKeyFile(other)
  const evidence = await attempt([rootNow({ ...provider, rootFile: other }, REGION)])
  assert.equal(evidence.routes[0]?.prepared.error, 'RootError')
  assert.deepEqual(errors(evidence), ['NotOpened', 'NotOpened'])
  assert.ok(!JSON.stringify(evidence).includes(readFileSync(other, 'latin1').split(' ')[1]?.trim() ?? '?'))
})

test('promise 9: under the owner’s layer the provider’s root opens nothing', async () => {
  const plain = Buffer.from('held by the owner')
  await storeFile('held', 'h.txt', plain, (dataKey, context) =>
    encodeEnvelope({
      keyId: KEY,
      materialId: id,
      iv: randomBytes(12),
      tag: randomBytes(16),
      metadata: Buffer.alloc(0),
      ciphertext: randomBytes(sealMessage(dataKey, context).length),
    }),
  )
  const sha256 = createHash('sha256').update(plain).digest('hex')
  const held: ModelPlan = {
    ...model,
    bucket: 'held',
    files: [{ name: 'h.txt', bytes: plain.length, sha256, read: true }],
  }
  await backUp(provider)
  await store.apply([{ number: 3, rows: [keyRow(3, true)] }])
  assert.deepEqual(errors(await attempt([rootNow(provider, REGION)], held)), ['OwnersLayer'])
})

test('data keys that were kept open what was read, and nothing else; a cut line is passed over', async () => {
  const file = await sealedFile(plan, model, model.files[0] as ModelPlan['files'][number])
  const edk = createHash('sha256').update(file.encryptedDataKey).digest('hex')
  const dataKey = dataKeys.get(edk)?.toString('base64')
  const kept = join(plan.dataService.folder, 'kept-data-keys.jsonl')
  writeFileSync(
    kept,
    `${JSON.stringify({ at: 1000, bucket: 'files', edk, dataKey })}\n{"bucket":"files","edk":"${edk.slice(9)}`,
  )
  // Kept at the instant of the revocation or later: given by attempts like this one, not from before.
  assert.deepEqual(errors(await attempt([keptDataKeys(plan.dataService, 1000)])), ['NotKept', 'NotKept'])
  const evidence = await attempt([keptDataKeys(plan.dataService, 1001)])
  assert.deepEqual(errors(evidence), ['ok', 'NotKept'])
  assert.equal(evidence.files[0]?.openedBy, KEPT)
  assert.ok(!JSON.stringify(evidence).includes(String(dataKey)))
})

test('a wrong data key, and the right one for another plaintext, prove nothing', async () => {
  const [first] = model.files
  assert.ok(first)
  const file = await sealedFile(plan, model, first)
  assert.deepEqual([...file.context].sort(), [
    ['bucket', 'files'],
    ['object', 'a.txt'],
  ])
  assert.equal((await tried(() => openWith(randomBytes(32), file))).ok, false)
  const right = dataKeys.get(createHash('sha256').update(file.encryptedDataKey).digest('hex'))
  assert.ok(right)
  await openWith(Buffer.from(right), file)
  const changed = { ...file, plan: { ...first, sha256: '0'.repeat(64) } }
  assert.equal((await tried(() => openWith(Buffer.from(right), changed))).error, 'WrongPlaintext')
})

test('routes go from the quietest to the loudest, kept data keys last; without a provider its routes are left out', async () => {
  const names = async (of: CustodyPlan, which = model): Promise<string[]> =>
    (await routesOf(of, which, 0)).map(route => route.route)
  assert.deepEqual(await names(plan), ['root-now', 'root-backup', 'data-service', 'override', KEPT])
  const { provider: _, ...outside } = plan
  assert.deepEqual(await names(outside), ['data-service', KEPT])
})

test('what a route changed is put back although it was stopped', async () => {
  const stop = new AbortController()
  let finished = 0
  const route: Route = {
    route: 'r',
    title: 'r',
    with: '',
    prepare: async () => stop.abort(),
    read: async () => {},
    finish: async () => {
      finished += 1
    },
  }
  await assert.rejects(tryRoutes([route], plan, model, { signal: stop.signal, progress: () => {} }))
  assert.equal(finished, 1)
})

test('captured requests come back byte for byte', async () => {
  const file = join(folder, 'captured.json')
  const request = { path: '/kms/xks/v1/keys/k/decrypt', headers: { host: 'h' }, body: randomBytes(300) }
  await writeCaptured(file, new Map([['id', request]]))
  assert.deepEqual((await readCaptured(file)).get('id'), request)
})
