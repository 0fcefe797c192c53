/**
 * Keys of several Regions over the wire with the AWS SDK: one service that serves three, and clients that are told nothing but their Region. What is taken
 * away in one Region, or in all, stays so whatever the store says.
 */
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, test } from 'node:test'
import type { KMS } from '@aws-sdk/client-kms'
import { createCredential, createPrincipal, putPolicy, setCredentialActive } from '../src/kms/admin/index.ts'
import { ApiClient, type Kms, startKms } from './support/kms.ts'
import { DAY_MS, imported, refused, sdk, settled } from './support/sdk.ts'

const [EAST, WEST, SOUTH] = ['us-east-1', 'eu-west-1', 'ap-south-1'] as const
const REGIONS = [EAST, WEST, SOUTH]
const ACCOUNT = '000000000000'
const EVERYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}'
const OWNER = { accessKeyId: `AKIA${'M'.repeat(16)}`, secretAccessKey: 'm'.repeat(40) }
const ENV = { HOLDFAST_DEV_ACCESS_KEY_ID: OWNER.accessKeyId, HOLDFAST_DEV_SECRET_ACCESS_KEY: OWNER.secretAccessKey }

const folder = mkdtempSync(join(tmpdir(), 'holdfast-regions-'))
const data = join(folder, 'kms')
let service: Kms
let east: KMS
let west: KMS
let south: KMS

async function start(at: string): Promise<Kms> {
  return startKms(['--regions', REGIONS.join(','), '--data', at], ENV)
}
function connect(): void {
  const clients = REGIONS.map(region => sdk(service.line.endpoint, OWNER, region))
  ;[east, west, south] = clients as [KMS, KMS, KMS]
}
before(async () => {
  service = await start(data)
  connect()
})
after(async () => {
  for (const client of [east, west, south]) client?.destroy()
  await service?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const arn = (region: string, id: string): string => `arn:aws:kms:${region}:${ACCOUNT}:key/${id}`

async function primary(input: Parameters<KMS['createKey']>[0] = {}): Promise<string> {
  return (await east.createKey({ MultiRegion: true, ...input })).KeyMetadata?.KeyId ?? ''
}

async function pair(): Promise<string> {
  const KeyId = await primary()
  await east.replicateKey({ KeyId, ReplicaRegion: WEST })
  await settled(west, KeyId)
  return KeyId
}

test('a key is replicated, used in every Region, rotated, moved, and deleted', async () => {
  const KeyId = await primary()
  for (const ReplicaRegion of [WEST, SOUTH]) {
    const { ReplicaKeyMetadata } = await east.replicateKey({ KeyId, ReplicaRegion })
    assert.equal(ReplicaKeyMetadata?.KeyState, 'Creating')
    assert.equal(ReplicaKeyMetadata?.Arn, arn(ReplicaRegion, KeyId))
  }
  for (const kms of [west, south]) assert.equal((await settled(kms, KeyId)).KeyState, 'Enabled')
  const { CiphertextBlob } = await west.encrypt({
    KeyId,
    Plaintext: Buffer.from('hello'),
    EncryptionContext: { a: 'b' },
  })
  await east.rotateKeyOnDemand({ KeyId })
  for (const [kms, region] of [
    [east, EAST],
    [south, SOUTH],
  ] as const) {
    const opened = await kms.decrypt({ CiphertextBlob, EncryptionContext: { a: 'b' } })
    assert.equal(Buffer.from(opened.Plaintext ?? []).toString(), 'hello')
    assert.equal(opened.KeyId, arn(region, KeyId))
    const { Rotations } = await kms.listKeyRotations({ KeyId })
    assert.equal(Rotations?.length, 1)
  }
  await refused(
    west.rotateKeyOnDemand({ KeyId }),
    'UnsupportedOperation',
    `${arn(WEST, KeyId)} is not a multi-region primary key.`,
  )
  await east.updatePrimaryRegion({ KeyId, PrimaryRegion: SOUTH })
  for (const kms of [east, west, south]) {
    const { MultiRegionConfiguration } = await settled(kms, KeyId)
    assert.deepEqual(MultiRegionConfiguration?.PrimaryKey, { Arn: arn(SOUTH, KeyId), Region: SOUTH })
    assert.deepEqual(
      MultiRegionConfiguration?.ReplicaKeys?.map(({ Region }) => Region),
      [WEST, EAST],
    )
  }
  const scheduled = await south.scheduleKeyDeletion({ KeyId, PendingWindowInDays: 7 })
  assert.deepEqual([scheduled.KeyState, scheduled.DeletionDate], ['PendingReplicaDeletion', undefined])
  for (const kms of [east, west]) await kms.scheduleKeyDeletion({ KeyId, PendingWindowInDays: 7 })
  const control = service.control()
  await control.advanceClock(7 * DAY_MS + 1000)
  assert.equal((await settled(south, KeyId)).KeyState, 'PendingDeletion')
  await refused(east.describeKey({ KeyId }), 'NotFound')
  await control.advanceClock(7 * DAY_MS + 1000)
  control.close()
  await refused(south.describeKey({ KeyId }), 'NotFound')
})

test('material is imported into each member, and into all of them before it is rotated to', async () => {
  const KeyId = await primary({ Origin: 'EXTERNAL' })
  const [first, second] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
  const id = await imported(east, KeyId, first)
  await east.replicateKey({ KeyId, ReplicaRegion: WEST })
  assert.equal((await settled(west, KeyId)).KeyState, 'PendingImport')
  await refused(imported(west, KeyId, second), 'IncorrectKeyMaterial')
  assert.equal(await imported(west, KeyId, first), id)
  assert.equal((await settled(west, KeyId)).KeyState, 'Enabled')
  const { CiphertextBlob } = await east.encrypt({ KeyId, Plaintext: Buffer.from('hello') })
  const states = async (kms: KMS): Promise<(string | undefined)[]> => {
    const { Rotations } = await kms.listKeyRotations({ KeyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL' })
    return Rotations?.map(({ KeyMaterialState, ImportState }) => `${KeyMaterialState} ${ImportState}`) ?? []
  }
  await refused(imported(west, KeyId, second, { ImportType: 'NEW_KEY_MATERIAL' }), 'UnsupportedOperation')
  await imported(east, KeyId, second, { ImportType: 'NEW_KEY_MATERIAL' })
  const waiting = 'PENDING_MULTI_REGION_IMPORT_AND_ROTATION'
  assert.deepEqual(await states(east), ['CURRENT IMPORTED', `${waiting} IMPORTED`])
  assert.deepEqual(await states(west), ['CURRENT IMPORTED', `${waiting} PENDING_IMPORT`])
  await refused(
    east.rotateKeyOnDemand({ KeyId }),
    'KMSInvalidState',
    `No available key material pending rotation for the key: ${arn(EAST, KeyId)}.`,
  )
  await imported(west, KeyId, second, { ImportType: 'EXISTING_KEY_MATERIAL' })
  for (const kms of [east, west]) assert.deepEqual(await states(kms), ['CURRENT IMPORTED', 'PENDING_ROTATION IMPORTED'])
  await east.rotateKeyOnDemand({ KeyId })
  for (const kms of [east, west]) assert.deepEqual(await states(kms), ['NON_CURRENT IMPORTED', 'CURRENT IMPORTED'])
  assert.equal(Buffer.from((await west.decrypt({ CiphertextBlob })).Plaintext ?? []).toString(), 'hello')
  // In a replica it is that replica's; in the primary, of material that waits, it is everybody's.
  await west.deleteImportedKeyMaterial({ KeyId, KeyMaterialId: id })
  assert.equal((await settled(west, KeyId)).KeyState, 'PendingImport')
  assert.equal((await settled(east, KeyId)).KeyState, 'Enabled')
  const third = await imported(east, KeyId, Buffer.alloc(32, 3), { ImportType: 'NEW_KEY_MATERIAL' })
  await east.deleteImportedKeyMaterial({ KeyId, KeyMaterialId: third })
  for (const kms of [east, west]) assert.equal((await states(kms)).length, 2)
})

test('every key spec has its set: the HMAC of one Region is verified in another', async () => {
  const KeyId = await primary({ KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' })
  await east.replicateKey({ KeyId, ReplicaRegion: WEST })
  await settled(west, KeyId)
  const Message = Buffer.from('message')
  const { Mac } = await east.generateMac({ KeyId, Message, MacAlgorithm: 'HMAC_SHA_256' })
  assert.equal((await west.verifyMac({ KeyId, Message, Mac, MacAlgorithm: 'HMAC_SHA_256' })).MacValid, true)
})

test('promise 3: a replica that is disabled stops, while the primary goes on', async () => {
  const KeyId = await pair()
  const client = new ApiClient(service.line.endpoint, OWNER)
  const { CiphertextBlob } = (await client.call('Encrypt', { KeyId, Plaintext: 'c2VjcmV0' }, { region: EAST })).json
  let answered = false
  let afterwards = 0
  let before = 0
  const late: string[] = []
  const work = async (region: string): Promise<void> => {
    while (afterwards < 200) {
      const startedAfter = answered
      if (startedAfter && region === WEST) afterwards++
      const { status, json } = await client.call('Decrypt', { CiphertextBlob }, { region })
      if (region === EAST) assert.equal(status, 200, JSON.stringify(json))
      else if (status === 200) startedAfter ? late.push(region) : before++
      else assert.equal(json.__type, 'DisabledException')
    }
  }
  const working = Promise.all([WEST, EAST, WEST, EAST, WEST].map(work))
  while (before < 50) await Promise.race([working, new Promise(done => setImmediate(done))])
  await west.disableKey({ KeyId })
  answered = true
  await working
  client.close()
  assert.deepEqual(late, [])
})

test('promise 3: a credential that is withdrawn is withdrawn in every Region', async () => {
  const KeyId = await pair()
  const control = service.control()
  const user = `arn:aws:iam::${ACCOUNT}:user/someone`
  await createPrincipal(control, user)
  await putPolicy(control, user, 'all', EVERYTHING)
  const made = await createCredential(control, user)
  const secretAccessKey = made.secretAccessKey.reveal(bytes => bytes.toString('latin1'))
  const clients = REGIONS.map(region => sdk(service.line.endpoint, { ...made, secretAccessKey }, region))
  for (const kms of clients.slice(0, 2)) await kms.encrypt({ KeyId, Plaintext: Buffer.from('x') })
  await setCredentialActive(control, made.accessKeyId, false)
  control.close()
  for (const kms of clients) {
    await assert.rejects(kms.encrypt({ KeyId, Plaintext: Buffer.from('x') }), { name: 'UnrecognizedClientException' })
    kms.destroy()
  }
})

test('promise 12: the row of one Region in the place of another’s, and one from before, open nothing', async t => {
  const KeyId = await pair()
  const { CiphertextBlob } = await east.encrypt({ KeyId, Plaintext: Buffer.from('x') })
  const older = await storedRow(`${WEST}/${KeyId}`)
  await west.disableKey({ KeyId })
  const primaryRow = await storedRow(`${EAST}/${KeyId}`)
  const attempts: readonly (readonly [string, Stored])[] = [
    ['the row of the primary', primaryRow],
    ['its own row from before', older],
  ]
  for (const [what, row] of attempts) {
    await t.test(what, async () => {
      await service.stop()
      const copy = join(folder, `copy of ${what}`)
      cpSync(data, copy, { recursive: true })
      putRow(copy, `${WEST}/${KeyId}`, row)
      const other = await start(copy)
      const kms = sdk(other.line.endpoint, OWNER, WEST)
      const here = sdk(other.line.endpoint, OWNER, EAST)
      try {
        await refused(kms.decrypt({ CiphertextBlob }), 'Disabled')
        assert.equal((await kms.describeKey({ KeyId })).KeyMetadata?.KeyState, 'Disabled')
        await here.decrypt({ CiphertextBlob })
      } finally {
        kms.destroy()
        here.destroy()
        await other.stop()
        service = await start(data)
        connect()
      }
    })
  }
})

interface Stored {
  readonly scope: string
  readonly link: string
  readonly revision: number
  readonly body: Uint8Array
  readonly tag: Uint8Array
}

const storeFile = (at: string): string => join(at, 'front-end', 'store.db')

async function storedRow(id: string): Promise<Stored> {
  const database = new DatabaseSync(storeFile(data), { readOnly: true })
  try {
    return database
      .prepare('SELECT scope, link, revision, body, tag FROM rows WHERE kind = 1 AND id = ?')
      .get(id) as unknown as Stored
  } finally {
    database.close()
  }
}

/** Whoever can write the file can do this. */
function putRow(at: string, id: string, { revision, body, tag }: Stored): void {
  const database = new DatabaseSync(storeFile(at))
  try {
    const { changes } = database
      .prepare('UPDATE rows SET revision = ?, body = ?, tag = ? WHERE kind = 1 AND id = ?')
      .run(revision, body, tag, id)
    assert.equal(changes, 1)
  } finally {
    database.close()
  }
}
