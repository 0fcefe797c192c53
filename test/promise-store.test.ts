/**
 * The database is not trusted: rows of a real service's store are edited, rolled back, moved and put back by hand, with the service stopped and with it
 * running. Service may be lost by it; nothing that was withdrawn comes back, and nothing is redirected.
 */
import assert from 'node:assert/strict'
import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, type TestContext, test } from 'node:test'
import { ROW_KINDS, type RowKind } from '../src/boundary/words.ts'
import {
  createCredential,
  createPrincipal,
  deleteCredential,
  putPolicy,
  setCredentialActive,
} from '../src/kms/admin/index.ts'
import { ApiClient, type Credentials, type Kms, REGION, startKms } from './support/kms.ts'

const ACCOUNT = '000000000000'
const OWNER = { accessKeyId: `AKIA${'S'.repeat(16)}`, secretAccessKey: 's'.repeat(40) }
const ENV = { HOLDFAST_DEV_ACCESS_KEY_ID: OWNER.accessKeyId, HOLDFAST_DEV_SECRET_ACCESS_KEY: OWNER.secretAccessKey }
const EVERYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}'
const LOOKING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:ListKeys","Resource":"*"}]}'

interface StoredRow {
  readonly kind: number
  readonly id: string
  readonly scope: string
  readonly link: string
  readonly revision: number
  readonly body: Uint8Array | null
  readonly tag: Uint8Array
}
interface Stored {
  readonly rows: readonly StoredRow[]
  readonly appliedUpTo: number
}

const folder = mkdtempSync(join(tmpdir(), 'holdfast-store-'))
const data = join(folder, 'kms')
const storeFile = (at: string): string => join(at, 'front-end', 'store.db')
let kms: Kms
/** Rows as they were when everything was allowed, and as they are. */
let older: Stored
let newer: Stored

/** What was made before, by name: key ids, ciphertexts, credentials. */
const keys: Record<string, string> = {}
const blobs: Record<string, string> = {}
const people: Record<string, Credentials> = {}
const grants: Record<string, string> = {}

function readStore(at: string): Stored {
  const database = new DatabaseSync(storeFile(at), { readOnly: true })
  const rows = database.prepare('SELECT * FROM rows').all() as unknown as StoredRow[]
  const [meta] = database.prepare("SELECT value FROM meta WHERE name = 'appliedUpTo'").all()
  database.close()
  return { rows, appliedUpTo: Number(meta?.value) }
}

/** Whoever can write the file can do this. */
function edit(at: string, change: (store: Editor) => void): void {
  const database = new DatabaseSync(storeFile(at), { timeout: 5000 })
  try {
    database.exec('BEGIN IMMEDIATE')
    change(new Editor(database))
    database.exec('COMMIT')
  } finally {
    database.close()
  }
}

class Editor {
  readonly #database: DatabaseSync
  constructor(database: DatabaseSync) {
    this.#database = database
  }
  put({ kind, id, scope, link, revision, body, tag }: StoredRow): void {
    this.#database
      .prepare('INSERT OR REPLACE INTO rows (kind, id, scope, link, revision, body, tag) VALUES (?, ?, ?, ?, ?, ?, ?)')
      .run(kind, id, scope, link, revision, body, tag)
  }
  remove(kind: RowKind, id?: string): void {
    if (id === undefined) this.#database.prepare('DELETE FROM rows WHERE kind = ?').run(ROW_KINDS[kind].code)
    else this.#database.prepare('DELETE FROM rows WHERE kind = ? AND id = ?').run(ROW_KINDS[kind].code, id)
  }
  appliedUpTo(number: number): void {
    this.#database.prepare("UPDATE meta SET value = ? WHERE name = 'appliedUpTo'").run(number)
  }
}

const find = (store: Stored, kind: RowKind, id: string): StoredRow | undefined =>
  store.rows.find(each => each.kind === ROW_KINDS[kind].code && each.id === id)

function rowOf(store: Stored, kind: RowKind, id: string): StoredRow {
  const row = find(store, kind, id)
  assert.ok(row, `${kind} ${id}`)
  return row
}

/** A row as it is now; of a deleted grant, which leaves nothing, the tombstone that there was for a moment, but for its tag. */
function newestOf(kind: RowKind, id: string): StoredRow {
  const was = rowOf(older, kind, id)
  return find(newer, kind, id) ?? { ...was, revision: was.revision + 1, body: null }
}
const keyRow = (name: string): string => `${REGION}/${keys[name]}`
const alias = (name: string): string => `${ACCOUNT}/${REGION}/alias/${name}`
const grantRow = (name: string): string => `${keyRow('two')}#${grants[name]}`
const arnOf = (user: string): string => `arn:aws:iam::${ACCOUNT}:user/${user}`

before(async () => {
  kms = await startKms(['--data', data], ENV)
  const client = new ApiClient(kms.line.endpoint, OWNER)
  const control = kms.control()
  for (const name of ['off', 'denied', 'one', 'two', 'deleted', 'imported']) {
    const { KeyMetadata } = await client.ok('CreateKey', name === 'imported' ? { Origin: 'EXTERNAL' } : {})
    keys[name] = KeyMetadata.KeyId
    if (name === 'imported') await importInto(client, KeyMetadata.KeyId)
    blobs[name] = (await client.ok('Encrypt', { KeyId: keys[name], Plaintext: 'c2VjcmV0' })).CiphertextBlob
  }
  await client.ok('CreateAlias', { AliasName: 'alias/target', TargetKeyId: keys.one })
  await client.ok('CreateAlias', { AliasName: 'alias/gone', TargetKeyId: keys.one })
  for (const name of ['dismissed', 'suspended', 'narrowed']) {
    await createPrincipal(control, arnOf(name))
    await putPolicy(control, arnOf(name), 'all', EVERYTHING)
    const made = await createCredential(control, arnOf(name))
    people[name] = {
      accessKeyId: made.accessKeyId,
      secretAccessKey: made.secretAccessKey.reveal(bytes => bytes.toString('latin1')),
    }
    const one = new ApiClient(kms.line.endpoint, people[name])
    await one.ok('GenerateRandom', { NumberOfBytes: 1 })
    one.close()
  }
  for (const name of ['revoked', 'retired']) {
    const person = `grantee of ${name}`
    await createPrincipal(control, arnOf(name))
    const made = await createCredential(control, arnOf(name))
    people[person] = {
      accessKeyId: made.accessKeyId,
      secretAccessKey: made.secretAccessKey.reveal(bytes => bytes.toString('latin1')),
    }
    const Operations = ['Decrypt', 'RetireGrant']
    const { GrantId } = await client.ok('CreateGrant', { KeyId: keys.two, GranteePrincipal: arnOf(name), Operations })
    grants[name] = GrantId
    const one = new ApiClient(kms.line.endpoint, people[person])
    await one.ok('Decrypt', { CiphertextBlob: blobs.two })
    one.close()
  }
  older = readStore(data)

  await client.ok('DisableKey', { KeyId: keys.off })
  const { Policy } = await client.ok('GetKeyPolicy', { KeyId: keys.denied })
  const denying = JSON.parse(Policy)
  denying.Statement.push({ Effect: 'Deny', Principal: '*', Action: 'kms:Decrypt', Resource: '*' })
  await client.ok('PutKeyPolicy', { KeyId: keys.denied, Policy: JSON.stringify(denying) })
  await client.ok('UpdateAlias', { AliasName: 'alias/target', TargetKeyId: keys.two })
  await client.ok('DeleteAlias', { AliasName: 'alias/gone' })
  await client.ok('DeleteImportedKeyMaterial', { KeyId: keys.imported })
  await client.ok('ScheduleKeyDeletion', { KeyId: keys.deleted, PendingWindowInDays: 7 })
  await control.advanceClock(8 * 86_400_000)
  await deleteCredential(control, people.dismissed?.accessKeyId ?? '')
  await setCredentialActive(control, people.suspended?.accessKeyId ?? '', false)
  await putPolicy(control, arnOf('narrowed'), 'all', LOOKING)
  await client.ok('RevokeGrant', { KeyId: keys.two, GrantId: grants.revoked })
  const retiring = new ApiClient(kms.line.endpoint, people['grantee of retired'] ?? OWNER)
  await retiring.ok('RetireGrant', { KeyId: keys.two, GrantId: grants.retired })
  retiring.close()
  // Later grants take the places that the deleted ones had in the boundary's memory: it knows nothing of those any more.
  const later = { KeyId: keys.two, GranteePrincipal: arnOf('narrowed'), Operations: ['DescribeKey'] }
  for (let i = 0; i < 3; i++) await client.ok('CreateGrant', later)
  for (const name of ['revoked', 'retired']) assert.equal(await control.getRow('grant', grantRow(name)), undefined)
  newer = readStore(data)
  control.close()
  client.close()
})

after(async () => {
  await kms?.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function importInto(client: ApiClient, KeyId: string): Promise<void> {
  const parameters = await client.ok('GetParametersForImport', {
    KeyId,
    WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
    WrappingKeySpec: 'RSA_2048',
  })
  const key = createPublicKey({ key: Buffer.from(parameters.PublicKey, 'base64'), format: 'der', type: 'spki' })
  const wrapped = publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }, randomBytes(32))
  await client.ok('ImportKeyMaterial', {
    KeyId,
    ImportToken: parameters.ImportToken,
    EncryptedKeyMaterial: wrapped.toString('base64'),
    ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
  })
}

/** Everything that was withdrawn stays withdrawn. Answers how much service is left: the key that nobody touched, and the owner's rights. */
async function nothingComesBack(endpoint: string, where: string): Promise<boolean> {
  const client = new ApiClient(endpoint, OWNER)
  const refused = async (operation: string, input: object, by = client): Promise<void> => {
    const answer = await by.call(operation, input)
    assert.notEqual(answer.status, 200, `${where}: ${operation} ${JSON.stringify(input)} is answered`)
  }
  for (const name of ['off', 'denied', 'deleted', 'imported']) {
    await refused('Decrypt', { CiphertextBlob: blobs[name] })
    await refused('Decrypt', { CiphertextBlob: blobs[name], KeyId: keys[name] })
  }
  for (const name of ['off', 'deleted', 'imported']) await refused('Encrypt', { KeyId: keys[name], Plaintext: 'AA==' })
  await refused('Encrypt', { KeyId: 'alias/gone', Plaintext: 'AA==' })
  await refused('Encrypt', { KeyId: 'alias/forged', Plaintext: 'AA==' })
  const { status, json } = await client.call('Encrypt', { KeyId: 'alias/target', Plaintext: 'AA==' })
  if (status === 200) assert.equal(json.KeyId.split('/')[1], keys.two, `${where}: an alias was redirected`)
  for (const [name, credentials] of Object.entries(people)) {
    const one = new ApiClient(endpoint, credentials)
    await refused('GenerateRandom', { NumberOfBytes: 1 }, one)
    await refused('Decrypt', { CiphertextBlob: blobs.two }, one)
    one.close()
    assert.ok(name)
  }
  const left = await client.call('Decrypt', { CiphertextBlob: blobs.two })
  if (left.status === 200) assert.equal(left.json.KeyId.split('/')[1], keys.two, where)
  const listed = await client.call('ListAliases', {})
  for (const { AliasName, TargetKeyId } of listed.json.Aliases ?? []) {
    // A predefined alias is shown before its key exists, and then names none: it is made of no row.
    if (AliasName === 'alias/aws/objects' && TargetKeyId === undefined) continue
    assert.ok(AliasName === 'alias/target' && TargetKeyId === keys.two, `${where}: ${AliasName} is listed`)
  }
  client.close()
  return left.status === 200
}

interface Attack {
  readonly name: string
  readonly change: (store: Editor) => void
  /** The boundary heals what was done: nothing is lost either. */
  readonly heals?: true
}

const back = (kind: RowKind, id: () => string) => (store: Editor) => store.put(rowOf(older, kind, id()))
const WITHDRAWN: readonly (readonly [name: string, kind: RowKind, id: () => string])[] = [
  ['a disabled key', 'key', () => keyRow('off')],
  ['a key whose policy was replaced', 'key', () => keyRow('denied')],
  ['a policy that was replaced', 'policy', () => keyRow('denied')],
  ['a deleted key', 'key', () => keyRow('deleted')],
  ['a key whose imported material was deleted', 'key', () => keyRow('imported')],
  ['an alias as it was', 'alias', () => alias('target')],
  ['a deleted alias', 'alias', () => alias('gone')],
  ['a revoked grant', 'grant', () => grantRow('revoked')],
  ['a retired grant', 'grant', () => grantRow('retired')],
  ['a deleted credential', 'credential', () => people.dismissed?.accessKeyId ?? ''],
  ['the principal of a deleted credential', 'principal', () => arnOf('dismissed')],
  ['the principal of a disabled credential', 'principal', () => arnOf('suspended')],
  ['a principal that had more rights', 'principal', () => arnOf('narrowed')],
]

const ATTACKS: readonly Attack[] = [
  {
    name: 'each older row is put back',
    heals: true,
    change: store => {
      for (const [, kind, id] of WITHDRAWN) back(kind, id)(store)
    },
  },
  {
    name: 'each older row is put back under the newest revision',
    heals: true,
    change: store => {
      for (const [, kind, id] of WITHDRAWN) {
        const { revision } = newestOf(kind, id())
        store.put({ ...rowOf(older, kind, id()), revision })
      }
    },
  },
  {
    name: 'each older row is put back under the newest tag',
    heals: true,
    change: store => {
      for (const [, kind, id] of WITHDRAWN) {
        const { revision, tag } = newestOf(kind, id())
        store.put({ ...rowOf(older, kind, id()), revision, tag })
      }
    },
  },
  {
    name: 'each older row is put back under a revision of the future',
    heals: true,
    change: store => {
      for (const [, kind, id] of WITHDRAWN) store.put({ ...rowOf(older, kind, id()), revision: 1_000_000 })
    },
  },
  {
    name: 'the whole store is rolled back',
    heals: true,
    change: store => {
      for (const kind of Object.keys(ROW_KINDS) as RowKind[]) store.remove(kind)
      for (const row of older.rows) store.put(row)
      store.appliedUpTo(older.appliedUpTo)
    },
  },
  {
    name: 'every row is rolled back, and the number of the last write set is not',
    heals: true,
    change: store => {
      for (const row of older.rows) store.put(row)
    },
  },
  {
    name: 'the number of the last write set is rolled back, and no row is',
    change: store => store.appliedUpTo(older.appliedUpTo),
  },
  { name: 'the number of the last write set is one of the future', change: store => store.appliedUpTo(1_000_000) },
  { name: 'the number of the last write set is below all', change: store => store.appliedUpTo(-1) },
  {
    name: 'an alias is redirected by hand, and one is made up',
    heals: true,
    change: store => {
      const row = rowOf(newer, 'alias', alias('target'))
      store.put({ ...row, link: keyRow('one') })
      store.put({ ...row, id: alias('forged'), link: keyRow('one') })
    },
  },
  {
    name: 'rows change places',
    heals: true,
    change: store => {
      const swap = (kind: RowKind, one: string, two: string): void => {
        const { body, tag, link, revision } = rowOf(newer, kind, one)
        store.put({ ...rowOf(newer, kind, two), body, tag, link, revision })
      }
      swap('key', keyRow('one'), keyRow('off'))
      swap('key', keyRow('one'), keyRow('deleted'))
      swap('policy', keyRow('one'), keyRow('denied'))
      swap('principal', arnOf('developer'), arnOf('narrowed'))
      swap('principal', arnOf('developer'), arnOf('suspended'))
      store.put({ ...rowOf(older, 'grant', grantRow('revoked')), id: `${keyRow('two')}#${'0'.repeat(64)}` })
      swap('credential', OWNER.accessKeyId, people.dismissed?.accessKeyId ?? '')
    },
  },
  {
    name: 'a bit is turned in every row that withdraws something',
    heals: true,
    change: store => {
      for (const [, kind, id] of WITHDRAWN) {
        const row = newestOf(kind, id())
        const body = row.body === null ? Buffer.from([1]) : Buffer.from(row.body)
        body.writeUInt8(body.readUInt8(body.length >> 1) ^ 1, body.length >> 1)
        store.put({ ...row, body })
      }
    },
  },
  {
    name: 'the rows that withdraw something are deleted',
    heals: true,
    change: store => {
      for (const [, kind, id] of WITHDRAWN) store.remove(kind, id())
    },
  },
  {
    name: 'policies and principals are deleted',
    heals: true,
    change: store => {
      store.remove('policy')
      store.remove('principal')
    },
  },
]

test('promise 12: what the rows are told to do by hand is worth trying: before it was withdrawn, it was all allowed', () => {
  for (const [name, kind, id] of WITHDRAWN) {
    const [was, is] = [rowOf(older, kind, id()), newestOf(kind, id())]
    assert.notDeepEqual(was, is, name)
    assert.ok(was.body, name)
  }
  assert.ok(older.appliedUpTo < newer.appliedUpTo)
})

for (const attack of ATTACKS) {
  test(`promise 12: with the service running, ${attack.name}: nothing comes back`, async () => {
    assert.ok(await nothingComesBack(kms.line.endpoint, 'before'))
    edit(data, attack.change)
    assert.ok(await nothingComesBack(kms.line.endpoint, 'at once'), 'what is in memory serves on')
    edit(data, store => {
      for (const kind of Object.keys(ROW_KINDS) as RowKind[]) store.remove(kind)
      for (const row of newer.rows) store.put(row)
      store.appliedUpTo(newer.appliedUpTo)
    })
  })
}

/** A copy of the stopped service's folder with its store edited, gone when the test is over. */
async function editedCopy(t: TestContext, change: (store: Editor) => void): Promise<string> {
  await kms.stop()
  const at = join(folder, 'attacked')
  cpSync(data, at, { recursive: true, filter: file => !file.endsWith('.sock') })
  t.after(() => rmSync(at, { recursive: true, force: true }))
  edit(at, change)
  return at
}

for (const attack of ATTACKS) {
  test(`promise 12: with the service stopped, ${attack.name}: nothing comes back at the next start`, async t => {
    const at = await editedCopy(t, attack.change)
    let attacked: Kms
    try {
      attacked = await startKms(['--data', at], ENV)
    } catch (error) {
      assert.ok(attack.heals === undefined, `${(error as Error).message}`)
      t.diagnostic(`refuses to start: ${(error as Error).message}`)
      return
    }
    try {
      const serves = await nothingComesBack(attacked.line.endpoint, 'after the start')
      if (attack.heals) assert.ok(serves, 'the boundary gives what the store has lost')
      t.diagnostic(serves ? 'serves' : 'does not serve')
    } finally {
      await attacked.stop()
    }
  })
}

test('promise 12: a store that is ahead of its boundary is not served from, and health says why and what to do', async t => {
  const at = await editedCopy(t, store => store.appliedUpTo(newer.appliedUpTo + 1000))
  const ahead = await startKms(['--data', at], ENV)
  try {
    const health = await fetch(`${ahead.line.operations}/health/ready`)
    assert.equal(health.status, 503)
    assert.match(await health.text(), /the store has write set \d+, the boundary only \d+: .*from one backup/)
    const client = new ApiClient(ahead.line.endpoint, OWNER)
    assert.equal((await client.call('ListKeys', {})).status, 500)
    client.close()
  } finally {
    await ahead.stop()
  }
})

test('promise 12: a store whose number was set back is not served from, and health says why', async t => {
  const at = await editedCopy(t, store => store.appliedUpTo(older.appliedUpTo))
  const setBack = await startKms(['--data', at], ENV)
  try {
    const health = await fetch(`${setBack.line.operations}/health/ready`)
    const text = await health.text()
    t.diagnostic(text)
    assert.equal(health.status, 503, text)
    assert.match(text, /"reason":"[^"]{20,}/)
  } finally {
    await setBack.stop()
  }
})
