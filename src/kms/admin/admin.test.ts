/** Administration against a boundary that keeps rows in memory, and what the front end then makes of those rows. */
import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import { inspect } from 'node:util'
import type { PutRow } from '../../boundary/client/api.ts'
import { type Asserted, BoundaryError, type Row, type RowKind } from '../../boundary/words.ts'
import { Secret } from '../../store/secret.ts'
import { authorize } from '../access/authorize.ts'
import { rootArn, serviceRoleArn } from '../access/principal-names.ts'
import { Principals } from '../access/principals.ts'
import { contextOf } from '../access/testing.ts'
import * as admin from './index.ts'

const ACCOUNT = '111122223333'
const ALICE = `arn:aws:iam::${ACCOUNT}:user/staff/alice`

/** Compare-and-set as the boundary does it; secrets stay in clear here, and a replica reads the same rows. */
class Rows {
  readonly all = new Map<string, Row>()
  readonly records: Asserted[] = []
  /** Run once before the next write: what another administrator does meanwhile. */
  meanwhile: (() => Promise<void>) | undefined

  readonly control: admin.AdminControl = {
    getRow: async (kind, id) => this.all.get(`${kind}|${id}`),
    listRows: async (kind, after, max) =>
      [...this.all.values()]
        .filter(row => row.kind === kind && row.id > after && row.body !== null)
        .sort((a, b) => (a.id < b.id ? -1 : 1))
        // A page bounded in bytes: here never more than two rows.
        .slice(0, Math.min(max, 2)),
    putRows: async (rows, asserted) => {
      const { meanwhile } = this
      this.meanwhile = undefined
      await meanwhile?.()
      for (const row of rows) {
        const current = this.all.get(`${row.kind}|${row.id}`)
        const revision = current === undefined || current.body === null ? 0 : current.revision
        if (revision !== row.expected) throw new BoundaryError('Conflict')
      }
      this.records.push(asserted)
      return rows.map(row => this.#put(row))
    },
  }

  #put({ kind, id, scope, link, body }: PutRow): Row {
    const revision = (this.all.get(`${kind}|${id}`)?.revision ?? 0) + 1
    const row: Row = { kind, id, scope, link, revision, body, tag: Buffer.alloc(32) }
    this.all.set(`${kind}|${id}`, row)
    return row
  }

  readonly #secrets = new WeakMap<Row, Secret>()
  peek(kind: RowKind, id: string): Row | null {
    const row = this.all.get(`${kind}|${id}`)
    return row === undefined || row.body === null ? null : row
  }
  peekSecret(kind: RowKind, id: string): Secret | null {
    const row = this.peek(kind, id)
    if (row === null || row.body === null) return null
    const secret = this.#secrets.get(row) ?? new Secret(row.body)
    this.#secrets.set(row, secret)
    return secret
  }
  async get(kind: RowKind, id: string): Promise<Row | undefined> {
    return this.peek(kind, id) ?? undefined
  }
  async list(kind: RowKind, scope: string): Promise<readonly Row[]> {
    return [...this.all.values()].filter(row => row.kind === kind && row.scope === scope && row.body !== null)
  }
  async secret(kind: RowKind, id: string): Promise<Secret | undefined> {
    return this.peekSecret(kind, id) ?? undefined
  }
}

let rows: Rows
let control: admin.AdminControl
let principals: Principals
beforeEach(() => {
  rows = new Rows()
  control = rows.control
  principals = new Principals(rows)
})

const reveal = (secret: Secret | undefined) => secret?.reveal(bytes => bytes.toString('latin1'))
const refused = (reason: RegExp) => (error: unknown) => {
  assert.ok(error instanceof admin.AdminError, String(error))
  assert.match(error.message, reason)
  return true
}
async function alice() {
  await admin.createAccount(control, { id: ACCOUNT })
  await admin.createPrincipal(control, ALICE, { Team: 'red' })
  return admin.createCredential(control, ALICE)
}

describe('accounts', () => {
  test('are made with a root principal, and listed', async () => {
    const made = await admin.createAccount(control, { id: ACCOUNT, name: 'Example' })
    const other = await admin.createAccount(control, {})
    assert.match(other.id, /^[1-9]\d{11}$/)
    assert.deepEqual(new Set((await admin.listAccounts(control)).map(a => a.id)), new Set([made.id, other.id]))
    assert.equal((await principals.caller(rootArn(ACCOUNT)))?.kind, 'root')
    assert.ok((await principals.exists(ACCOUNT)) && (await principals.exists(rootArn(ACCOUNT))))
    assert.ok(!(await principals.exists('999999999999')) && !(await principals.exists(ALICE)))
  })
  test('a second of the same id is refused', async () => {
    await admin.createAccount(control, { id: ACCOUNT })
    await assert.rejects(admin.createAccount(control, { id: ACCOUNT }), refused(/exists already/))
    await assert.rejects(async () => admin.createAccount(control, { id: '12' }), refused(/12 digits/))
  })
  test('the only account is meant where none is named', async () => {
    await assert.rejects(admin.accountOrOnly(control, undefined), refused(/no account yet/))
    await admin.createAccount(control, { id: ACCOUNT })
    assert.equal(await admin.accountOrOnly(control, undefined), ACCOUNT)
    await admin.createAccount(control, { id: '444455556666' })
    await assert.rejects(admin.accountOrOnly(control, undefined), refused(/several/))
    await assert.rejects(admin.accountOrOnly(control, '777788889999'), refused(/no account 777788889999/))
  })
})

describe('principals', () => {
  test('become callers', async () => {
    await alice()
    const caller = await principals.caller(ALICE)
    assert.ok(caller !== undefined)
    assert.match(caller.userId, /^AIDA[A-Z2-7]{16}$/)
    assert.deepEqual(
      { ...caller, userId: '', policies: [], tags: [...caller.tags] },
      {
        kind: 'user',
        arn: ALICE,
        principalArn: ALICE,
        account: ACCOUNT,
        rootArn: rootArn(ACCOUNT),
        userId: '',
        userName: 'alice',
        service: '',
        servicePrincipal: '',
        tags: [['team', 'red']],
        policies: [],
        boundary: undefined,
        session: undefined,
      },
    )
  })
  test('need an account and a proper ARN', async () => {
    await assert.rejects(admin.createPrincipal(control, ALICE), refused(/no account/))
    await admin.createAccount(control, { id: ACCOUNT })
    for (const arn of [
      'alice',
      'arn:aws:iam::1:user/a',
      `arn:aws:iam::${ACCOUNT}:group/a`,
      `arn:aws:iam::${ACCOUNT}:user/`,
      `arn:aws:iam::${ACCOUNT}:user/a*`,
      `arn:aws:iam::${ACCOUNT}:user/*/a`,
      `arn:aws:iam::${ACCOUNT}:role/aws-service-role/x`,
      `arn:aws:iam::${ACCOUNT}:role/aws-service-role/objects.amazonaws.com/y/x`,
    ]) {
      await assert.rejects(async () => admin.createPrincipal(control, arn), refused(/is no principal/), arn)
    }
    await assert.rejects(async () => admin.createPrincipal(control, rootArn(ACCOUNT)), refused(/root/))
    await admin.createPrincipal(control, ALICE)
    await assert.rejects(admin.createPrincipal(control, ALICE), refused(/exists already/))
  })
  test('deleting one takes its credentials along', async () => {
    const { accessKeyId } = await alice()
    await admin.deletePrincipal(control, ALICE)
    assert.equal(principals.peekIdentity(accessKeyId), null)
    assert.equal(await principals.identity(accessKeyId), undefined)
    assert.equal(rows.peek('credential', accessKeyId), null)
    await admin.createPrincipal(control, ALICE)
    assert.equal(principals.peekIdentity(accessKeyId), null)
    await assert.rejects(async () => admin.deletePrincipal(control, rootArn(ACCOUNT)), refused(/cannot be deleted/))
  })
  test('tags are set, replaced and removed; names that differ only in case are refused', async () => {
    await alice()
    await admin.tagPrincipal(control, ALICE, { Team: 'blue', stage: 'test' })
    const tagged = await admin.tagPrincipal(control, ALICE, { a: '' }, ['stage'])
    assert.deepEqual(tagged.tags, { Team: 'blue', a: '' })
    assert.deepEqual(
      [...((await principals.caller(ALICE))?.tags ?? [])],
      [
        ['team', 'blue'],
        ['a', ''],
      ],
    )
    await assert.rejects(admin.tagPrincipal(control, ALICE, { TEAM: 'x' }), refused(/differ only in case/))
    await assert.rejects(admin.tagPrincipal(control, ALICE, { 'aws:x': 'x' }), refused(/cannot be the key/))
    await assert.rejects(admin.tagPrincipal(control, ALICE, {}, ['none']), refused(/no tag/))
  })
  test('a change in between is not lost', async () => {
    await alice()
    rows.meanwhile = async () => {
      await admin.tagPrincipal(control, ALICE, { first: '1' })
    }
    const { tags } = await admin.tagPrincipal(control, ALICE, { second: '2' })
    assert.deepEqual(tags, { Team: 'red', first: '1', second: '2' })
  })
})

describe('credentials', () => {
  test('prove their principal, and keep their objects until something changes', async () => {
    const { accessKeyId, secretAccessKey } = await alice()
    assert.match(accessKeyId, /^AKIA[A-Z2-7]{16}$/)
    const secret = reveal(secretAccessKey)
    assert.match(secret ?? '', /^[A-Za-z0-9+/]{40}$/)
    const identity = principals.peekIdentity(accessKeyId)
    assert.ok(identity)
    assert.equal(identity.caller.arn, ALICE)
    assert.equal(reveal(identity.secret), secret)
    assert.equal(principals.peekIdentity(accessKeyId), identity)
    assert.equal(await principals.identity(accessKeyId), identity)
    await admin.tagPrincipal(control, ALICE, { a: 'b' })
    const changed = principals.peekIdentity(accessKeyId)
    assert.equal(changed?.secret, identity.secret)
    assert.equal(changed?.caller.tags.get('a'), 'b')
  })
  test('disabled, enabled, deleted', async () => {
    const { accessKeyId } = await alice()
    const other = await admin.createCredential(control, ALICE)
    await admin.setCredentialActive(control, accessKeyId, false)
    assert.equal(principals.peekIdentity(accessKeyId), null)
    assert.equal(await principals.identity(accessKeyId), undefined)
    assert.ok(principals.peekIdentity(other.accessKeyId))
    assert.deepEqual(
      (await admin.listCredentials(control, ALICE)).map(c => [c.accessKeyId, c.active]),
      [
        [accessKeyId, false],
        [other.accessKeyId, true],
      ],
    )
    await admin.setCredentialActive(control, accessKeyId, true)
    assert.ok(principals.peekIdentity(accessKeyId))
    await admin.deleteCredential(control, accessKeyId)
    assert.equal(principals.peekIdentity(accessKeyId), null)
    assert.equal((await admin.listCredentials(control)).length, 1)
    await assert.rejects(admin.deleteCredential(control, accessKeyId), refused(/no credential/))
    await assert.rejects(admin.deleteCredential(control, '../x'), refused(/no credential/))
  })
  test('are refused while unknown, malformed, or not listed by their principal', async () => {
    const { accessKeyId } = await alice()
    for (const id of ['', 'AKIA', 'x'.repeat(2_000), 'AKIAAAAAAAAAAAAAAAAA', '__proto__']) {
      assert.equal(principals.peekIdentity(id), null)
    }
    // The principal's row of before, as a forged or old row would be: the credential is there and counts for nothing.
    const row = rows.peek('principal', ALICE)
    assert.ok(row?.body)
    const body = JSON.parse(row.body.toString())
    rows.all.set(`principal|${ALICE}`, { ...row, body: Buffer.from(JSON.stringify({ ...body, credentials: {} })) })
    assert.equal(principals.peekIdentity(accessKeyId), null)
  })
  test('given ones, for services that are started for development', async () => {
    const given = { accessKeyId: 'AKIADEVELOPMENT00000', secretAccessKey: Buffer.from('a-secret-of-development') }
    const input = { account: ACCOUNT, given }
    await admin.makeAdministrator(control, input)
    const again = await admin.makeAdministrator(control, {
      ...input,
      given: { ...given, secretAccessKey: Buffer.from('another-secret-now') },
    })
    const identity = principals.peekIdentity(again.accessKeyId)
    assert.equal(identity?.caller.kind, 'root')
    assert.equal(reveal(identity?.secret), 'another-secret-now')
    await alice().catch(() => admin.createPrincipal(control, ALICE))
    await assert.rejects(admin.createCredential(control, ALICE, given), refused(/taken/))
    for (const bad of [
      { accessKeyId: 'short' },
      { secretAccessKey: Buffer.from('short') },
      { secretAccessKey: Buffer.from('has a space in the middle') },
    ]) {
      await assert.rejects(async () => admin.createCredential(control, ALICE, { ...given, ...bad }), admin.AdminError)
    }
  })
  test('a principal has at most ten', async () => {
    await alice()
    for (let i = 1; i < 10; i++) await admin.createCredential(control, ALICE)
    await assert.rejects(admin.createCredential(control, ALICE), refused(/10 credentials/))
  })
  test('secrets are in no record and in nothing that can be printed', async () => {
    const made = await alice()
    const secret = reveal(made.secretAccessKey) ?? ''
    const printed = inspect([made, rows.records, principals.peekIdentity(made.accessKeyId)], { depth: 9 })
    const listed = JSON.stringify([
      made,
      rows.records,
      await admin.listCredentials(control),
      rows.peek('principal', ALICE),
    ])
    assert.ok(!printed.includes(secret) && !listed.includes(secret))
    assert.ok(!rows.peek('principal', ALICE)?.body?.includes(secret))
  })
})

describe('policies', () => {
  const document = '{ "Statement": { "Effect": "Allow", "Action": "kms:ListKeys", "Resource": "*" } }'
  const can = async (arn: string, permission: string) => {
    const caller = await principals.caller(arn)
    assert.ok(caller !== undefined)
    return authorize({
      ...{ caller, permission, resource: '*', resourceAccount: ACCOUNT, crossAccount: false, keyPolicy: undefined },
      ...{ context: contextOf({}), grants: undefined },
    })
  }
  test('are in force when put, and no more when deleted', async () => {
    await alice()
    assert.equal(await can(ALICE, 'kms:ListKeys'), 'no-identity-policy-allows')
    await admin.putPolicy(control, ALICE, 'list', document)
    assert.equal(await can(ALICE, 'kms:ListKeys'), 'allowed')
    assert.equal(await can(ALICE, 'kms:CreateKey'), 'no-identity-policy-allows')
    assert.equal(await admin.getPolicy(control, ALICE, 'list'), document)
    assert.deepEqual(await admin.listPolicies(control, ALICE), ['list'])
    await admin.deletePolicy(control, ALICE, 'list')
    assert.equal(await can(ALICE, 'kms:ListKeys'), 'no-identity-policy-allows')
    await assert.rejects(admin.getPolicy(control, ALICE, 'list'), refused(/no policy/))
    await assert.rejects(admin.getPolicy(control, ALICE, 'toString'), refused(/no policy/))
    await assert.rejects(admin.deletePolicy(control, ALICE, 'list'), refused(/no policy/))
  })
  test('are checked before they are stored', async () => {
    await alice()
    await assert.rejects(async () => admin.putPolicy(control, ALICE, 'x', '{}'), refused(/no Statement/))
    await assert.rejects(
      async () => admin.putPolicy(control, ALICE, 'x', document + ' '.repeat(20_000)),
      refused(/limit/),
    )
    await assert.rejects(async () => admin.putPolicy(control, ALICE, 'a b', document), refused(/policy name/))
    await assert.rejects(async () => admin.putPolicy(control, rootArn(ACCOUNT), 'x', document), refused(/root/))
    const unknown = `arn:aws:iam::${ACCOUNT}:user/nobody`
    await assert.rejects(admin.putPolicy(control, unknown, 'x', document), refused(/no principal.*principal create/))
  })
  test('one that this version cannot read denies everything', async () => {
    await alice()
    await admin.putPolicy(control, ALICE, 'all', admin.ADMINISTRATOR_POLICY)
    const row = rows.peek('principal', ALICE)
    assert.ok(row?.body)
    const body = JSON.parse(row.body.toString())
    body.policies.later = '{"Version":"2030-01-01"}'
    rows.all.set(`principal|${ALICE}`, { ...row, body: Buffer.from(JSON.stringify(body)) })
    assert.equal(await can(ALICE, 'kms:ListKeys'), 'explicit-deny-identity-policy')
  })
  test('services of the provider', async () => {
    const { accessKeyId } = await admin.makeServicePrincipal(control, { account: ACCOUNT, service: 'objects' })
    await admin.makeServicePrincipal(control, { account: ACCOUNT, service: 'objects' })
    const caller = principals.peekIdentity(accessKeyId)?.caller
    assert.equal(caller?.arn, serviceRoleArn(ACCOUNT, 'objects'))
    assert.deepEqual(
      [caller?.kind, caller?.service, caller?.servicePrincipal],
      ['service', 'objects', 'objects.amazonaws.com'],
    )
    assert.equal(await can(serviceRoleArn(ACCOUNT, 'objects'), 'kms:CreateKey'), 'allowed')
  })
})

test('every change names the act, its subject and the operator', async () => {
  const { accessKeyId } = await alice()
  await admin.setCredentialActive(control, accessKeyId, false)
  assert.deepEqual(
    rows.records.map(record => record.operation),
    ['admin:CreateAccount', 'admin:CreatePrincipal', 'admin:CreateCredential', 'admin:DisableCredential'],
  )
  assert.ok(rows.records.every(record => record.principal?.startsWith('operator:')))
  assert.deepEqual(
    rows.records.map(record => record.subject),
    [ACCOUNT, ALICE, ALICE, ALICE],
  )
})

test('the first steps are commands that exist', () => {
  const text = admin.firstPrincipalText('/srv/kms')
  assert.match(text, /holdfast kms account create/)
  assert.match(text, /--data \/srv\/kms/)
  assert.ok(!admin.firstPrincipalText('./holdfast-kms').includes('--data'))
})
