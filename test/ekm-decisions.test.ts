/**
 * The owner's decision with the real processes: rules that revoke by themselves, keys on hold, and the admin API over mutual TLS, all of a service that was
 * started from a configuration file, with the client that signs as AWS KMS does.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connectAdmin } from '../src/boundary/client/control.ts'
import { BoundaryError } from '../src/boundary/words.ts'
import { type CertificateFiles, TestAuthority } from './support/certificates.ts'
import { type Ekm, holdfast, PATIENT, startEkm } from './support/ekm.ts'
import { answered, refused } from './support/xks-behaviours.ts'
import { decryptBody, encryptBody, SignerClient, type XksAnswer } from './support/xks-clients.ts'

interface Line {
  readonly data: string
  readonly endpoint: string
  readonly admin: string
}

const folder = mkdtempSync(join(tmpdir(), 'holdfast-decisions-'))
const PLAINTEXT = Buffer.from('a data key of the provider')
const RATE = 20

let ekm: Ekm<Line>
let client: SignerClient
let accessKeyId: string
let ca: Buffer
const people: Record<string, CertificateFiles> = {}

before(async () => {
  const [owner, staff] = await Promise.all(['owner', 'staff'].map(name => TestAuthority.make(folder, name)))
  assert.ok(owner && staff)
  const server = await owner.issue('server', { commonName: 'ekm', ipAddresses: ['127.0.0.1'], use: 'server' })
  for (const name of ['ann', 'bob']) people[name] = await staff.issue(name, { commonName: name, use: 'client' })
  people.eve = await owner.issue('eve', { commonName: 'eve', use: 'client' })
  ca = readFileSync(owner.caFile)
  const file = join(folder, 'ekm.yaml')
  writeFileSync(
    file,
    JSON.stringify({
      data: join(folder, 'data'),
      listen: { port: 0 },
      load: PATIENT,
      boundary: { root: { kind: 'keyfile', file: join(folder, 'root.key') } },
      admin: { port: 0, tls: { ...server, clients: { caFile: staff.caFile } }, restore: ['ann'] },
      rules: [
        { kind: 'unwrap-rate', name: 'burst', atLeast: RATE, windowSeconds: 3600 },
        { kind: 'unknown-account', name: 'ours', known: ['123456789012', '111122223333'], revoke: 'key' },
      ],
    }),
  )
  ekm = await startEkm<Line>(['--config', file])
  await ekm.cli('tenant', 'create', 'acme')
  for (const key of ['calm', 'burst', 'account', 'policy', 'held', 'api']) await ekm.cli('key', 'create', key)
  const made = await ekm.cli<{ accessKeyId: string; secretAccessKey: string }>('credential', 'create')
  accessKeyId = made.accessKeyId
  client = new SignerClient({ ...made, endpoint: ekm.line.endpoint, pathPrefix: 'acme', caFile: null })
})
after(async () => {
  client?.close()
  assert.equal(await ekm?.stop(), 0)
  rmSync(folder, { recursive: true, force: true })
})

const encrypt = (key: string, more: object = {}) => {
  const body = encryptBody(PLAINTEXT) as { requestMetadata: object }
  return client.send({
    path: `keys/${key}/encrypt`,
    body: { ...body, requestMetadata: { ...body.requestMetadata, ...more } },
  })
}
const decrypt = (key: string, made: XksAnswer) => client.send({ path: `keys/${key}/decrypt`, body: decryptBody(made) })
/** The log, as `holdfast log show` prints it. */
const records = async (): Promise<Record<string, unknown>[]> => {
  const { stdout, stderr, code } = await holdfast(['log', 'show', ekm.data, '--json'])
  assert.equal(code, 0, stderr)
  return stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
}

test('revoking a protocol or a principal stops every use over it or by it, and restoring gives them back', async () => {
  const arn = 'arn:aws:iam::111122223333:role/App'
  const by = { awsPrincipalArn: arn }
  const targets: [string, string][] = [
    ['--protocol', 'xks'],
    ['--principal', accessKeyId],
    ['--principal', arn],
  ]
  for (const target of targets) {
    answered(await encrypt('calm', by))
    await ekm.cli('revoke', ...target)
    refused(await encrypt('calm', by), 'InvalidStateException')
    const off = await ekm.cli<{ switch: string; cause: string }[]>('switches')
    assert.deepEqual(
      off.map(each => [each.switch, each.cause]),
      [[`${target[0].slice(2)}/${target[1]}`, '']],
    )
    await ekm.cli('restore', ...target)
  }
  answered(await encrypt('calm', by))
  await assert.rejects(ekm.cli('revoke', '--protocol', 'smtp'), /There is no protocol smtp/)
  await assert.rejects(ekm.cli('revoke', '--protocol', 'xks', '--all'), /Say what/)
})

test('a rate of unwraps far above the usual revokes the key by itself; only the owner restores it', async () => {
  const made = answered(await encrypt('burst'))
  for (let i = 0; i < RATE; i++) answered(await decrypt('burst', made))
  refused(await decrypt('burst', made), 'InvalidStateException')
  refused(await encrypt('burst'), 'InvalidStateException')
  const key = await ekm.cli<{ state: string; revokedBy: string[] }>('key', 'describe', 'burst')
  assert.deepEqual([key.state, key.revokedBy], ['Revoked', ['key']])
  const tripped = (await records()).filter(record => record.boundaryOperation === 'trip')
  assert.deepEqual(
    tripped.map(({ rule, evidence, keyId, outcome }) => ({ rule, evidence, keyId, outcome })),
    [
      {
        rule: 'burst',
        evidence: `${RATE + 1} unwraps per key in 3600 s, where 0.0 were usual`,
        keyId: 'acme/burst',
        outcome: 'allowed',
      },
    ],
  )
  await ekm.cli('restore', 'acme/burst')
  answered(await encrypt('burst'))
})

test('the first use for an account that nobody has named revokes by itself', async () => {
  const named = { awsPrincipalArn: 'arn:aws:iam::111122223333:user/Known' }
  answered(await encrypt('account', named))
  refused(
    await encrypt('account', { awsPrincipalArn: 'arn:aws:iam::999999999999:user/Other' }),
    'InvalidStateException',
  )
  refused(await encrypt('account', named), 'InvalidStateException')
  await ekm.cli('restore', 'acme/account')
  answered(await encrypt('account', named))
})

test('a policy that marks a use as forbidden revokes by itself what it says, for its tenant only', async () => {
  const eve = 'arn:aws:iam::111122223333:user/Eve'
  const file = join(folder, 'policy.cedar')
  const permit = 'permit (principal in Tenant::"acme", action, resource in Tenant::"acme");\n'
  const forbid = (scope: string) =>
    `@id("no-eve") @revoke("${scope}")\nforbid (principal, action, resource) when { context.claimedPrincipal == "${eve}" };\n`
  writeFileSync(file, permit + forbid('key'))
  await ekm.cli('policy', 'set', file, '--tenant', 'acme')
  answered(await encrypt('policy'))
  refused(await encrypt('policy', { awsPrincipalArn: eve }), 'AccessDeniedException')
  refused(await encrypt('policy'), 'InvalidStateException')
  answered(await encrypt('calm'))
  await ekm.cli('restore', 'acme/policy')
  writeFileSync(file, permit + forbid('principal'))
  await ekm.cli('policy', 'set', file, '--tenant', 'acme')
  refused(await encrypt('policy', { awsPrincipalArn: eve }), 'AccessDeniedException')
  for (const key of ['policy', 'calm']) refused(await encrypt(key), 'InvalidStateException')
  const [off] = await ekm.cli<{ switch: string; cause: string }[]>('switches')
  assert.equal(off?.switch, `principal/acme:${accessKeyId}`)
  assert.equal(off?.cause, `policy no-eve: xks:encrypt by ${accessKeyId}, for no reason`)
  await ekm.cli('restore', '--principal', `acme:${accessKeyId}`)
  await ekm.cli('policy', 'set', '--starter', '--tenant', 'acme')
  answered(await encrypt('policy', { awsPrincipalArn: eve }))
  const tripped = (await records()).filter(({ rule }) => rule === 'policy no-eve')
  assert.deepEqual(
    tripped.map(({ asserted }) => (asserted as Record<string, string>).policy),
    ['no-eve', 'no-eve'],
  )
})

test('a key on hold is denied until a named person has decided, from the command line or by certificate', async () => {
  await ekm.cli('hold', 'set', 'held', '--approver', 'ann', '--approver', 'bob', '--note', 'audit')
  refused(await encrypt('held'), 'AccessDeniedException')
  const [ask] = await ekm.cli<{ ask: string; key: string; operation: string; peer: string }[]>('hold', 'asks')
  assert.ok(ask)
  assert.deepEqual([ask.key, ask.operation, ask.peer], ['acme/held', 'xks:encrypt', accessKeyId])
  await assert.rejects(ekm.cli('hold', 'approve', ask.ask, '--as', 'mallory'), /not one of those/)
  refused(await encrypt('held'), 'AccessDeniedException')
  await ekm.cli('hold', 'approve', ask.ask, '--as', 'ann', '--for', '900')
  answered(await encrypt('held'))
  assert.equal((await api('bob', 'POST', `/v1/asks/${ask.ask}`, { decision: 'deny' })).status, 200)
  refused(await encrypt('held'), 'AccessDeniedException')
  const decided = (await records()).filter(record => record.boundaryOperation === 'decideAsk')
  assert.deepEqual(
    decided.map(({ source, outcome, evidence }) => [source, outcome, evidence]),
    [
      ['control', 'failed', 'by mallory'],
      ['control', 'allowed', 'by ann'],
      ['admin', 'allowed', 'by bob'],
    ],
  )
  await ekm.cli('hold', 'remove', 'held')
  answered(await encrypt('held'))
})

interface ApiAnswer {
  readonly status: number
  readonly json: Record<string, unknown>
}

function api(name: string | undefined, method: string, path: string, body?: object | string): Promise<ApiAnswer> {
  const person = name === undefined ? undefined : people[name]
  const url = new URL(path, ekm.line.admin)
  return new Promise((done, failed) => {
    const request = https.request(
      url,
      {
        method,
        ca,
        agent: false,
        headers: { 'content-type': 'application/json' },
        ...(person && { cert: readFileSync(person.certificateFile), key: readFileSync(person.keyFile) }),
      },
      response => {
        const parts: Buffer[] = []
        response.on('data', part => parts.push(part))
        response.on('end', () =>
          done({ status: response.statusCode ?? 0, json: JSON.parse(`${Buffer.concat(parts)}`) }),
        )
      },
    )
    request.on('error', failed)
    request.end(typeof body === 'object' ? JSON.stringify(body) : body)
  })
}

test('the admin API revokes for whoever it admits and restores for those who may; every act has its name in the log', async () => {
  answered(await encrypt('api'))
  const revoked = await api('bob', 'POST', '/v1/revoke', { key: 'acme/api' })
  assert.deepEqual([revoked.status, revoked.json.revoked], [200, 'key acme/api'])
  refused(await encrypt('api'), 'InvalidStateException')
  const denied = await api('bob', 'POST', '/v1/restore', { key: 'acme/api' })
  assert.deepEqual([denied.status, denied.json.error], [403, 'Forbidden'])
  refused(await encrypt('api'), 'InvalidStateException')
  assert.equal((await api('ann', 'POST', '/v1/restore', { key: 'acme/api' })).status, 200)
  answered(await encrypt('api'))
  assert.equal((await api('bob', 'POST', '/v1/revoke', { all: true })).status, 200)
  assert.deepEqual((await api('bob', 'GET', '/v1/switches')).json.switches !== undefined, true)
  refused(await encrypt('api'), 'InvalidStateException')
  assert.equal((await api('ann', 'POST', '/v1/restore', { all: true })).status, 200)
  const acts = (await records()).filter(({ source }) => source === 'admin')
  const [first] = acts
  assert.ok(first)
  assert.equal((first.asserted as Record<string, string>).peer, 'bob')
})

test('the admin API gives nothing to strangers, and says what is wrong with a request', async () => {
  await assert.rejects(api(undefined, 'GET', '/v1/switches'))
  await assert.rejects(api('eve', 'POST', '/v1/revoke', { all: true }))
  const wrong: [string, string, object | string | undefined, number][] = [
    ['GET', '/v1/nothing', undefined, 404],
    ['GET', '/v1/revoke', undefined, 405],
    ['POST', '/v1/revoke', '{', 400],
    ['POST', '/v1/revoke', { key: 'acme/api', all: true }, 400],
    ['POST', '/v1/revoke', { key: 'acme/none' }, 400],
    ['POST', '/v1/asks/ffffffffffff', { decision: 'approve' }, 400],
    ['POST', '/v1/revoke', { key: 'x'.repeat(10_000) }, 413],
  ]
  for (const [method, path, body, status] of wrong)
    assert.equal((await api('ann', method, path, body)).status, status, `${method} ${path}`)
  answered(await encrypt('api'))
})

test('over the admin socket no key is made, used, read or exported: who asks for it is cut off', async () => {
  const input = {
    id: 'acme/x',
    scope: 'acme',
    tenant: 'acme',
    spec: 'EXTERNAL_AES_256',
    backing: 'SEALED',
    tokenObject: '',
  }
  const wrap = { publicKey: Buffer.alloc(1), algorithm: 'RSAES_OAEP_SHA_256', material: undefined, keepAs: undefined }
  for (const [name, args] of [
    ['createExternalKey', [{ ...input, mayEncrypt: true, mayDecrypt: true }, {}]],
    ['rotateExternalKey', ['acme/api', {}]],
    ['wrapForImport', [{ ...wrap, from: 'acme/api' }, {}]],
    ['putRows', [[], {}]],
    ['stop', []],
  ] as const) {
    const afar = connectAdmin({ socket: join(ekm.data, 'admin', 'admin.sock') })
    assert.equal((await afar.status()).service, 'ekm')
    const more = afar as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
    await assert.rejects(more[name]?.(...args) ?? Promise.resolve(), BoundaryError, name)
    afar.close()
  }
  answered(await encrypt('api'))
  assert.equal((await ekm.cli<object[]>('key', 'list')).length, 6)
})
