/**
 * Wrap and unwrap of Google Cloud EKM (experimental) by the real `holdfast ekm`, over HTTPS: a client from the public protos alone, rotation, tenants apart,
 * revoking under load, and what the log says.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { JWTPayload } from 'jose'
import { Issuer } from '../src/ekm/access/testing.ts'
import { GOOGLE_ERRORS, type GoogleErrorName } from '../src/ekm/protocols/google/errors.ts'
import type { Ekm } from './support/ekm.ts'
import {
  type Answered,
  ask,
  certificateFor,
  type Listening,
  pythonClient,
  records,
  type ServiceLine,
  startService,
} from './support/ekm-service.ts'
import { hammer, type Use } from './support/hammer.ts'

const AUDIENCE = 'https://ekm.acme.example'
const ACME = 'service-111111@gcp-sa-ekms.iam.gserviceaccount.com'
const GLOBEX = 'service-222222@gcp-sa-ekms.iam.gserviceaccount.com'
const TENANT = 'v0/acme'
const KEY = 'projects/acme-prod/locations/europe-west3/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1'
const PLAINTEXT = Buffer.from('a data encryption key').toString('base64')
const folder = mkdtempSync(join(tmpdir(), 'holdfast-google-'))

let ekm: Ekm<ServiceLine>
let issuer: Issuer
let stranger: Issuer
let listening: Listening

before(async () => {
  issuer = await Issuer.start('https://accounts.google.com')
  stranger = await Issuer.start('https://accounts.elsewhere.example')
  listening = await certificateFor(folder, 'google')
  const issuers = { [issuer.name]: { audiences: [AUDIENCE], keys: issuer.url } }
  ekm = await startService(folder, 'owner', {
    googleExperimental: {
      port: 0,
      tls: listening.tls,
      tenants: {
        [TENANT]: { issuers, serviceAccounts: [ACME] },
        globex: { issuers, serviceAccounts: [GLOBEX] },
      },
    },
  })
  for (const tenant of [TENANT, 'globex']) {
    await ekm.cli('tenant', 'create', tenant)
    await ekm.cli('key', 'create', 'k', '--tenant', tenant)
  }
  for (const key of ['other', 'revoked', 'rotated', 'recorded']) await ekm.cli('key', 'create', key, '--tenant', TENANT)
  await ekm.cli('key', 'create', 'rsa', '--tenant', TENANT, '--spec', 'RSA_2048')
  await ekm.cli('revoke', `${TENANT}/revoked`)
})
after(async () => {
  await issuer?.stop()
  await stranger?.stop()
  assert.equal(await ekm?.stop(), 0)
  rmSync(folder, { recursive: true, force: true })
})

const sign = (claims: JWTPayload = {}, by = issuer, o = {}): Promise<string> =>
  by.sign({ aud: AUDIENCE, sub: '42', email: ACME, email_verified: true, ...claims }, o)
const url = (path: string): string => `${ekm.line.google}/${path}`
const CONTEXT = { fullResourceName: KEY, accessReasonContext: { reason: 'CUSTOMER_INITIATED_ACCESS' } }

async function post(path: string, body: object, token?: string): Promise<Answered> {
  const Authorization = `Bearer ${token ?? (await sign())}`
  return ask(url(path), listening.caFile, { headers: { Authorization }, body })
}
const wrap = (key = `${TENANT}/k`, token?: string) =>
  post(`${key}:wrap`, { plaintext: PLAINTEXT, additionalContext: CONTEXT }, token)
const unwrap = (wrappedBlob: unknown, key = `${TENANT}/k`, token?: string) =>
  post(`${key}:unwrap`, { wrappedBlob, additionalContext: CONTEXT }, token)

function answered(got: Answered): Answered {
  assert.equal(got.status, 200, got.text)
  return got
}
function refused(got: Answered, name: GoogleErrorName): void {
  const { status } = (got.json.error ?? {}) as { status?: string }
  assert.deepEqual([status, got.status], [name, GOOGLE_ERRORS[name]], got.text)
}

test('a client from the public protos alone: wrap, unwrap, reasons, and every refusal', async () => {
  const day = 86_400_000
  const checked = await pythonClient('google_ekm.py', {
    url: url(`${TENANT}/k`),
    other: url(`${TENANT}/other`),
    revoked: url(`${TENANT}/revoked`),
    missing: url(`${TENANT}/missing`),
    rsa: url(`${TENANT}/rsa`),
    ca: listening.caFile,
    tokens: {
      good: await sign(),
      expired: await sign({}, issuer, { now: Date.now() - day }),
      future: await sign({}, issuer, { now: Date.now() + day }),
      audience: await sign({ aud: 'https://elsewhere.example' }),
      stranger: await sign({}, stranger),
      forged: await sign({ iss: issuer.name }, stranger, { kid: issuer.current.kid }),
      unverified: await sign({ email_verified: false }),
      nobody: await sign({ email: undefined }),
      globex: await sign({ email: GLOBEX }),
      none: 'eyJhbGciOiJub25lIn0.e30.',
    },
  })
  assert.deepEqual(checked, [
    'wrap and unwrap',
    'additional authenticated data',
    'ciphertexts that are none',
    'access reasons',
    'proto names and null',
    'tokens',
    'errors',
  ])
})

test('a service account speaks for its own tenant only, and blobs of one open nothing of the other', async () => {
  const theirs = await sign({ email: GLOBEX })
  refused(await wrap('globex/k'), 'UNAUTHENTICATED')
  refused(await wrap(`${TENANT}/k`, theirs), 'UNAUTHENTICATED')
  refused(await wrap('nobody/k'), 'UNAUTHENTICATED')
  const { wrappedBlob } = answered(await wrap()).json
  answered(await unwrap(answered(await wrap('globex/k', theirs)).json.wrappedBlob, 'globex/k', theirs))
  refused(await unwrap(wrappedBlob, 'globex/k', theirs), 'INVALID_ARGUMENT')
})

test('a rotated key wraps under its new version, and opens what the old one wrapped', async () => {
  const key = `${TENANT}/rotated`
  const old = answered(await wrap(key)).json.wrappedBlob
  await ekm.cli('key', 'rotate', key)
  const fresh = answered(await wrap(key)).json.wrappedBlob
  const version = (blob: unknown) => Buffer.from(String(blob), 'base64').readUInt32BE(3)
  assert.deepEqual([version(old), version(fresh)], [1, 2])
  for (const blob of [old, fresh]) assert.equal(answered(await unwrap(blob, key)).json.plaintext, PLAINTEXT)
})

for (const target of [[`${TENANT}/k`], ['--tenant', TENANT], ['--all']])
  test(`promise 3: under load, no use that starts after holdfast ekm revoke ${target.join(' ')} has ended succeeds`, async () => {
    const token = await sign()
    const { wrappedBlob } = answered(await wrap()).json
    const use: Use = async attempt => {
      const got = await (attempt % 2 === 0 ? unwrap(wrappedBlob, undefined, token) : wrap(undefined, token))
      if (got.status === 200) return 'ok'
      refused(got, 'FAILED_PRECONDITION')
      return 'refused'
    }
    await hammer([use, use, use, use], () => ekm.cli('revoke', ...target))
    if (!target.includes('--all')) answered(await wrap('globex/k', await sign({ email: GLOBEX })))
    await ekm.cli('restore', ...target)
    assert.equal(answered(await unwrap(wrappedBlob)).json.plaintext, PLAINTEXT)
  })

for (const target of [
  ['--protocol', 'google'],
  ['--principal', ACME],
])
  test(`holdfast ekm revoke ${target.join(' ')} ends uses, and its restore undoes it`, async () => {
    answered(await wrap())
    await ekm.cli('revoke', ...target)
    refused(await wrap(), 'FAILED_PRECONDITION')
    await ekm.cli('restore', ...target)
    answered(await wrap())
  })

test('promise 5: reasons that the policy does not allow are denied, for a service account that may do all else, and the record says which', async () => {
  const key = `${TENANT}/judged`
  await ekm.cli('key', 'create', 'judged', '--tenant', TENANT)
  const file = join(folder, 'reasons.cedar')
  const allowed = ['CUSTOMER_INITIATED_ACCESS', 'GOOGLE_INITIATED_SYSTEM_OPERATION']
  const listed = allowed.map(reason => `context.reason == "${reason}"`).join(' || ')
  writeFileSync(file, `@id("reasons") permit (principal in Protocol::"google", action, resource) when { ${listed} };`)
  await ekm.cli('policy', 'set', file, '--tenant', TENANT)
  const use = (reason: unknown) =>
    post(`${key}:wrap`, { plaintext: PLAINTEXT, additionalContext: { accessReasonContext: { reason } } })
  for (const reason of [...allowed, 5, 6]) answered(await use(reason))
  for (const reason of ['THIRD_PARTY_DATA_REQUEST', 4, 0, undefined, 42, 'OF_A_LATER_YEAR'])
    refused(await use(reason), 'PERMISSION_DENIED')
  await ekm.cli('policy', 'set', '--starter', '--tenant', TENANT)
  answered(await use(4))
  const found = (await records(ekm.data)).filter(
    ({ keyId, asserted }) => keyId === key && asserted.operation === 'google:wrap',
  )
  assert.deepEqual(
    found.map(({ outcome, asserted }) => [outcome, asserted.reason]),
    [
      ['allowed', 'CUSTOMER_INITIATED_ACCESS'],
      ['allowed', 'GOOGLE_INITIATED_SYSTEM_OPERATION'],
      ['allowed', 'CUSTOMER_INITIATED_ACCESS'],
      ['allowed', 'GOOGLE_INITIATED_SYSTEM_OPERATION'],
      ['denied', 'THIRD_PARTY_DATA_REQUEST'],
      ['denied', 'GOOGLE_INITIATED_REVIEW'],
      ['denied', undefined],
      ['denied', undefined],
      ['denied', 'REASON_UNKNOWN: 42'],
      ['denied', 'REASON_UNKNOWN: OF_A_LATER_YEAR'],
      ['allowed', 'GOOGLE_INITIATED_REVIEW'],
    ],
  )
})

test('a key on hold is refused until a named person has decided, and not so that Google would disable it', async () => {
  await ekm.cli('key', 'create', 'held', '--tenant', TENANT)
  await ekm.cli('hold', 'set', `${TENANT}/held`, '--approver', 'ann')
  refused(await wrap(`${TENANT}/held`), 'FAILED_PRECONDITION')
  const [ask] = await ekm.cli<{ ask: string; operation: string }[]>('hold', 'asks')
  assert.equal(ask?.operation, 'google:wrap')
  await ekm.cli('hold', 'approve', ask.ask, '--as', 'ann')
  answered(await wrap(`${TENANT}/held`))
})

test('the log says which service account, which key of Google’s and why', async () => {
  const key = `${TENANT}/recorded`
  const { wrappedBlob } = answered(await wrap(key)).json
  answered(await unwrap(wrappedBlob, key))
  refused(await unwrap('AAAA', key), 'INVALID_ARGUMENT')
  const found = (await records(ekm.data)).filter(
    ({ keyId, asserted }) => keyId === key && asserted.operation?.startsWith('google:'),
  )
  assert.deepEqual(
    found.map(({ asserted, outcome, error }) => [asserted.operation, outcome, error]),
    [
      ['google:wrap', 'allowed', undefined],
      ['google:unwrap', 'allowed', undefined],
      ['google:unwrap', 'failed', 'INVALID_ARGUMENT'],
    ],
  )
  for (const { asserted } of found) {
    const { principal, accessKeyId, account } = asserted
    assert.deepEqual(
      { principal, accessKeyId, account },
      { principal: ACME, accessKeyId: `${issuer.name} 42`, account: TENANT },
    )
  }
  const use = found[1]?.asserted
  assert.deepEqual([use?.reason, use?.claimedKeyArn], ['CUSTOMER_INITIATED_ACCESS', KEY])
})
