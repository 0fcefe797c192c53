/** The verifier that lets everybody in: who has it, whom it takes for whom, and whom even it refuses. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { BoundaryStatus } from '../../boundary/client/api.ts'
import type { HttpRequest } from '../../http/types.ts'
import { user } from '../testing.ts'
import { type AnyCredentials, acceptAnyCredentials, DANGEROUSLY_ACCEPT_ANY_CREDENTIALS } from './any-credentials.ts'
import type { Verified } from './authenticate.ts'
import { KmsError } from './errors.ts'

const REFUSAL = new KmsError('MissingAuthenticationTokenException', 'Missing Authentication Token')
const ALICE: Verified = {
  identity: { accessKeyId: 'AKIAALICE', caller: user('alice') },
  region: 'eu-north-1',
  service: 'kms',
}
const ACCOUNT = '111122223333'

const parts: AnyCredentials = {
  danger: DANGEROUSLY_ACCEPT_ANY_CREDENTIALS as AnyCredentials['danger'],
  host: '127.0.0.1',
  usual: async ({ headers }) => {
    if (headers.authorization === 'right') return ALICE
    throw headers.authorization === 'defect' ? new Error('a defect') : REFUSAL
  },
  boundary: { status: async () => ({ dev: true }) as BoundaryStatus },
  account: ACCOUNT,
  regions: ['eu-north-1', 'us-east-1'],
}

const request = (headers: Record<string, string> = {}): HttpRequest => ({
  method: 'POST',
  rawPath: '/',
  query: '',
  headers: { host: '127.0.0.1:4599', ...headers },
  rawHeaders: [],
  body: Buffer.alloc(0),
  remoteAddress: '127.0.0.1',
  peer: undefined,
  receivedAt: 0,
})
const signed = (accessKeyId: string, region = 'us-east-1', service = 'kms') => ({
  authorization: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/20260101/${region}/${service}/aws4_request, SignedHeaders=host, Signature=00`,
})
const verify = acceptAnyCredentials(parts)

test('only the symbol of the flag makes one, and only for a listener that no other machine reaches', () => {
  const other: symbol = Symbol('--dangerously-accept-any-credentials')
  assert.throws(() => acceptAnyCredentials({ ...parts, danger: other as AnyCredentials['danger'] }), TypeError)
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'kms.example'])
    assert.throws(() => acceptAnyCredentials({ ...parts, host }), /for loopback only/)
})

test('nobody else has the symbol: the command that was given the flag, the process that it begins, and types in between', () => {
  const src = join(import.meta.dirname, '..', '..')
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
    file => file.endsWith('.ts') && !file.endsWith('.test.ts'),
  )
  const uses = (file: string): string[] =>
    readFileSync(join(src, file), 'utf8')
      .split('\n')

      .filter(line => !line.startsWith('import type '))
      .filter(line => /\bDANGEROUSLY_ACCEPT_ANY_CREDENTIALS\b/.test(line.replaceAll(/(?:type|typeof) \w+/g, '')))
  const values = files.filter(file => uses(file).length > 0).sort()
  assert.deepEqual(values, ['cli/kms.ts', 'kms/main-any-credentials.ts', 'kms/wire/any-credentials.ts'])
})

test('whoever is known is who they are', async () => {
  assert.equal(await verify(request({ authorization: 'right' })), ALICE)
})

test('everybody else is root: of the account that the access key id is, or of the one that was set', async () => {
  const cases = [
    [{}, '', ACCOUNT, 'eu-north-1', 'kms'],
    [{ authorization: 'Bearer x' }, '', ACCOUNT, 'eu-north-1', 'kms'],
    [signed('test'), 'test', ACCOUNT, 'us-east-1', 'kms'],
    [signed('444455556666'), '444455556666', '444455556666', 'us-east-1', 'kms'],
    [signed('test', 'us-east-1', 'sts'), 'test', ACCOUNT, 'us-east-1', 'sts'],
    [{ 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }, '', ACCOUNT, 'eu-north-1', 'sts'],
    [{ host: 'localhost' }, '', ACCOUNT, 'eu-north-1', 'kms'],
    [{ host: '[::1]:4599' }, '', ACCOUNT, 'eu-north-1', 'kms'],
  ] as const
  for (const [headers, accessKeyId, account, region, service] of cases) {
    const verified = await verify(request(headers))
    assert.equal(verified.authentication, 'none')
    assert.deepEqual([verified.identity.accessKeyId, verified.region, verified.service], [accessKeyId, region, service])
    assert.equal(verified.identity.caller.arn, `arn:aws:iam::${account}:root`)
    assert.equal(verified.identity.caller.kind, 'root')
  }
  const [first, second] = [await verify(request()), await verify(request())]
  assert.equal(first.identity.caller, second.identity.caller)
})

test('refused as by every other service: a Region that is not served, a web page, a name that was made to point here', async () => {
  const cases = [
    signed('test', 'mars-north-1'),
    { origin: 'https://example.com' },
    { origin: 'null' },
    { host: 'rebound.example:4599' },
    { host: '127.0.0.1.example' },
    { host: '' },
  ]
  for (const headers of cases) await assert.rejects(verify(request(headers)), error => error === REFUSAL)
})

test('a boundary that is not for development has no such callers, and a defect is no reason to let anybody in', async () => {
  const real = acceptAnyCredentials({ ...parts, boundary: { status: async () => ({ dev: false }) as BoundaryStatus } })
  await assert.rejects(real(request()), error => error === REFUSAL)
  assert.equal(await real(request({ authorization: 'right' })), ALICE)
  await assert.rejects(verify(request({ authorization: 'defect' })), /a defect/)
})
