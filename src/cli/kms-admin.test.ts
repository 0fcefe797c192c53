/** The commands as an operator types them, against rows in memory. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { Command } from 'commander'
import { BoundaryError, type Row } from '../boundary/words.ts'
import type { AdminControl } from '../kms/admin/index.ts'
import { firstPrincipalText } from '../kms/admin/index.ts'
import { registerKmsAdmin } from './kms-admin.ts'

const ALICE = 'arn:aws:iam::111122223333:user/alice'
let rows: Map<string, Row>
let unavailable: boolean
let connectedTo: string[]

const control: AdminControl & { close(): void } = {
  close: () => {},
  getRow: async (kind, id) => rows.get(`${kind}|${id}`),
  listRows: async (kind, after) => {
    if (unavailable) throw new BoundaryError('Unavailable')
    const found = [...rows.values()].filter(row => row.kind === kind && row.body !== null && row.id > after)
    return found.sort((a, b) => (a.id < b.id ? -1 : 1))
  },
  putRows: async put => {
    for (const row of put) {
      const revision = (rows.get(`${row.kind}|${row.id}`)?.revision ?? 0) + 1
      rows.set(`${row.kind}|${row.id}`, { ...row, revision, tag: Buffer.alloc(32) })
    }
    return []
  },
}

/** Runs one line; the words are split at spaces. */
async function holdfast(line: string): Promise<{ out: string; err: string; code: number }> {
  let out = ''
  let err = ''
  const kms = new Command('kms').exitOverride().configureOutput({ writeErr: text => (err += text) })
  registerKmsAdmin(kms, {
    connect: data => {
      connectedTo.push(data)
      return control
    },
    out: text => (out += `${text}\n`),
    err: text => (err += `${text}\n`),
  })
  const quiet = (command: Command): void => {
    command.exitOverride().configureOutput({ writeErr: text => (err += text) })
    command.commands.forEach(quiet)
  }
  quiet(kms)
  process.exitCode = 0
  try {
    await kms.parseAsync(line.split(' ').slice(2), { from: 'user' })
  } catch (error) {
    process.exitCode = (error as { exitCode?: number }).exitCode ?? 70
  }
  const code = Number(process.exitCode)
  process.exitCode = 0
  return { out, err, code }
}

beforeEach(() => {
  rows = new Map()
  unavailable = false
  connectedTo = []
})
afterEach(() => {
  process.exitCode = 0
})

test('the next step that is printed names the folder that was given', async () => {
  await holdfast('holdfast kms account create 111122223333 --data /srv/kms')
  const { out } = await holdfast('holdfast kms principal create alice --data /srv/kms')
  const next = /holdfast kms credential .*/.exec(out)?.[0] ?? ''
  const { err, code } = await holdfast(next)
  assert.deepEqual([err, code], ['', 0], next)
  assert.deepEqual(new Set(connectedTo), new Set(['/srv/kms']))
})

test('the first steps that a new service prints work as printed', async () => {
  const lines = firstPrincipalText('./holdfast-kms').match(/holdfast kms .*/g) ?? []
  assert.equal(lines.length, 3)
  let last = { out: '', err: '', code: -1 }
  for (const line of lines) {
    last = await holdfast(line)
    assert.deepEqual([last.err, last.code], ['', 0], line)
  }
  assert.match(last.out, /AWS_ACCESS_KEY_ID=AKIA[A-Z2-7]{16}\nexport AWS_SECRET_ACCESS_KEY=[A-Za-z0-9+/]{40}\n/)
  assert.deepEqual(new Set(connectedTo), new Set(['./holdfast-kms']))
  assert.match((await holdfast('holdfast kms policy list --principal alice')).out, /administrator/)
})

test('a credential from making to deleting', async () => {
  await holdfast('holdfast kms account create 111122223333 --name Example')
  await holdfast('holdfast kms principal create alice')
  const made = JSON.parse((await holdfast('holdfast kms credential create --principal alice --json')).out)
  assert.deepEqual(Object.keys(made), ['accessKeyId', 'secretAccessKey', 'principal'])
  assert.equal(made.principal, ALICE)
  const list = async () => (await holdfast('holdfast kms credential list')).out
  assert.match(await list(), /ACCESSKEYID +PRINCIPAL +CREATED +ACTIVE\nAKIA.* +true/)
  assert.ok(!(await list()).includes(made.secretAccessKey))
  await holdfast(`holdfast kms credential disable ${made.accessKeyId}`)
  assert.match(await list(), /false/)
  await holdfast(`holdfast kms credential enable ${made.accessKeyId}`)
  assert.match(await list(), /true/)
  const gone = await holdfast(`holdfast kms credential delete ${made.accessKeyId} --json`)
  assert.deepEqual(JSON.parse(gone.out), { deleted: made.accessKeyId })
  assert.match(await list(), /no credential yet/)
})

test('principals by name, by ARN, by service; tags', async () => {
  await holdfast('holdfast kms account create 111122223333')
  const names = ['alice', 'role/app', '--service objects', 'arn:aws:iam::111122223333:user/team/bob']
  for (const name of names) assert.equal((await holdfast(`holdfast kms principal create ${name} --tag a=b=c`)).code, 0)
  const listed = JSON.parse((await holdfast('holdfast kms principal list --json')).out) as {
    arn: string
    tags: object
  }[]
  assert.deepEqual(
    listed.map(principal => principal.arn.replace('arn:aws:iam::111122223333:', '')),
    [
      'role/app',
      'role/aws-service-role/objects.amazonaws.com/AWSServiceRoleForObjects',
      'root',
      'user/alice',
      'user/team/bob',
    ],
  )
  assert.deepEqual(listed[0]?.tags, { a: 'b=c' })
  assert.match((await holdfast('holdfast kms principal tag alice team=red --remove a')).out, /^team=red\n$/)
  assert.match((await holdfast('holdfast kms principal delete alice')).out, /is deleted/)
  assert.match((await holdfast('holdfast kms principal list')).out, /user\/team\/bob/)
  assert.equal((await holdfast('holdfast kms credential create --principal root')).code, 0)
})

test('policies from a file and back', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-'))
  try {
    const file = join(folder, 'policy.json')
    const document = '{"Statement":{"Effect":"Allow","Action":"kms:ListKeys","Resource":"*"}}'
    writeFileSync(file, document)
    await holdfast('holdfast kms account create 111122223333')
    await holdfast('holdfast kms principal create alice')
    const about = '--principal alice --name list'
    assert.equal((await holdfast(`holdfast kms policy put ${about} --file ${file}`)).code, 0)
    assert.equal((await holdfast(`holdfast kms policy get ${about}`)).out, `${document}\n`)
    writeFileSync(file, '{"Statement":[]}')
    const refused = await holdfast(`holdfast kms policy put ${about} --file ${file}`)
    assert.deepEqual([refused.code, refused.out], [1, ''])
    assert.match(refused.err, /The policy is refused. The policy has no statements/)
    assert.match((await holdfast(`holdfast kms policy put ${about} --file ${file}.none`)).err, /cannot be read: ENOENT/)
    await holdfast(`holdfast kms policy delete ${about}`)
    assert.match((await holdfast('holdfast kms policy list --principal alice')).out, /has no policies/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('mistakes say what to do instead', async () => {
  for (const [line, code, text] of [
    ['holdfast kms principal create alice', 1, /no account yet.*account create/],
    ['holdfast kms principal create', 1, /Say who/],
    ['holdfast kms principal create alice --tag x', 1, /key=value/],
    ['holdfast kms credential create', 1, /--principal/],
    ['holdfast kms account create 12', 1, /12 digits/],
    ['holdfast kms credential delete AKIANONE', 1, /credential list/],
  ] as const) {
    const result = await holdfast(line)
    assert.equal(result.code, code, line)
    assert.match(result.err, text, line)
  }
  unavailable = true
  const down = await holdfast('holdfast kms account list --data /srv/kms')
  assert.equal(down.code, 69)
  assert.match(down.err, /No holdfast kms can be reached on \/srv\/kms/)
})

test('roles, groups and boundaries from files and back', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-'))
  try {
    const file = join(folder, 'policy.json')
    const write = (document: object) => writeFileSync(file, JSON.stringify(document))
    const ok = async (line: string) => {
      const { out, err, code } = await holdfast(line)
      assert.deepEqual([err, code], ['', 0], line)
      return out
    }
    await ok('holdfast kms account create 111122223333')
    await ok('holdfast kms principal create alice')
    write({ Statement: { Effect: 'Allow', Principal: { AWS: ALICE }, Action: 'sts:AssumeRole' } })
    const made = await ok(`holdfast kms role create app --trust-policy ${file} --max-session-duration 7200 --tag a=b`)
    assert.match(made, /Role arn:aws:iam::111122223333:role\/app is made/)
    assert.match(await ok('holdfast kms role trust app'), /sts:AssumeRole/)
    assert.match(await ok('holdfast kms role max-session-duration app 43200'), /at most 43200 seconds/)
    write({ Statement: { Effect: 'Allow', Principal: { AWS: '111122223333' }, Action: 'sts:AssumeRole' } })
    await ok(`holdfast kms role set-trust role/app --file ${file}`)
    assert.match(await ok('holdfast kms role trust app'), /"111122223333"/)

    write({ Statement: { Effect: 'Allow', Action: 'kms:ListKeys', Resource: '*' } })
    await ok('holdfast kms group create staff')
    await ok(`holdfast kms policy put --principal group/staff --name list --file ${file}`)
    await ok('holdfast kms group add-user staff alice')
    assert.match(await ok('holdfast kms group list'), /group\/staff +list +alice/)
    assert.match((await holdfast('holdfast kms group delete staff')).err, /remove-user/)
    await ok('holdfast kms group remove-user staff alice')
    await ok('holdfast kms group delete staff')
    assert.match(await ok('holdfast kms group list'), /There is no group/)

    await ok(`holdfast kms principal set-boundary alice --file ${file}`)
    assert.match(await ok('holdfast kms principal boundary alice'), /kms:ListKeys/)
    await ok('holdfast kms principal set-boundary alice --remove')
    assert.match(await ok('holdfast kms principal boundary alice'), /has no boundary/)
    for (const [line, text] of [
      ['holdfast kms principal set-boundary alice', /--file FILE, or --remove/],
      ['holdfast kms role max-session-duration app 1', /3600 to 43200/],
      ['holdfast kms role max-session-duration app soon', /number of seconds/],
      ['holdfast kms role trust alice', /role\/alice/],
      [`holdfast kms role create other --trust-policy ${file}`, /The policy is refused/],
      ['holdfast kms role create other', /--trust-policy/],
    ] as const) {
      const { err, code } = await holdfast(line)
      assert.equal(code, 1, line)
      assert.match(err, text, line)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})
