/** Temporary credentials at the wire, where time can be moved: what an expired or wrong token is answered, in the words of the KMS and of STS. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { signHeaders } from '../../http/sigv4-sign.ts'
import type { HttpRequest } from '../../http/types.ts'
import { Secret } from '../../store/secret.ts'
import * as admin from '../admin/index.ts'
import { Runner } from '../operations/run.ts'
import { OPERATIONS } from '../operations/table.ts'
import { ACCOUNT, REGION, startTestKms, type TestKms } from '../testing.ts'
import { signatures } from './authenticate.ts'
import { makeHandler } from './handler.ts'

const ALICE = `arn:aws:iam::${ACCOUNT}:user/alice`
let kms: TestKms
let clock = Date.now()
let longTerm: { accessKeyId: string; secret: Secret }
let handler: ReturnType<typeof makeHandler>
const strangers: string[] = []

interface Caller {
  readonly accessKeyId: string
  readonly secret: Secret
  readonly token?: string
}

before(async () => {
  kms = await startTestKms({}, { now: () => clock })
  await admin.createAccount(kms.control, { id: ACCOUNT })
  await admin.createPrincipal(kms.control, ALICE)
  await admin.putPolicy(kms.control, ALICE, 'all', admin.ADMINISTRATOR_POLICY)
  const made = await admin.createCredential(kms.control, ALICE)
  longTerm = { accessKeyId: made.accessKeyId, secret: made.secretAccessKey }
  handler = makeHandler({
    runner: new Runner(kms.services, OPERATIONS, { onDefect: () => {}, onAnswer: () => {} }),
    verify: signatures({ principals: kms.services.principals, sessions: kms.sessions }, new Set([REGION])),
    secure: true,
    onStranger: reason => strangers.push(reason),
    onDefect: error => kms.defects.push(error),
  })
})
after(() => kms.stop())

async function ask(service: 'kms' | 'sts', { token, ...signer }: Caller, body: string, sign?: string[]) {
  const sent = {
    host: 'localhost',
    ...(service === 'kms' ? { 'x-amz-target': 'TrentService.ListKeys' } : {}),
    ...(token === undefined ? {} : { 'x-amz-security-token': token }),
  }
  const bytes = Buffer.from(body)
  const options = { service, region: REGION, now: clock, ...(sign === undefined ? {} : { sign }) }
  const headers = signHeaders({ method: 'POST', rawPath: '/', headers: sent, body: bytes }, signer, options)
  const request = {
    method: 'POST',
    rawPath: '/',
    query: '',
    rawHeaders: [],
    remoteAddress: '192.0.2.1',
    peer: undefined,
  }
  const reply = await handler({ ...request, headers, body: bytes, receivedAt: clock } satisfies HttpRequest)
  return { status: reply.status, body: reply.body.toString() }
}

const IDENTITY = 'Action=GetCallerIdentity&Version=2011-06-15'

async function begin(seconds: number): Promise<Required<Caller>> {
  const { body, status } = await ask(
    'sts',
    longTerm,
    `Action=GetSessionToken&Version=2011-06-15&DurationSeconds=${seconds}`,
  )
  assert.equal(status, 200, body)
  const field = (name: string) => new RegExp(`<${name}>([^<]*)<`).exec(body)?.[1] ?? ''
  const secret = new Secret(Buffer.from(field('SecretAccessKey')))
  return { accessKeyId: field('AccessKeyId'), secret, token: field('SessionToken') }
}

test('a session calls until its end, and then is told that it has expired', async () => {
  const session = await begin(900)
  const known = await begin(900)
  assert.equal((await ask('kms', known, '{}')).status, 200)
  clock += 899_999
  assert.equal((await ask('kms', known, '{}')).status, 200)
  clock += 1
  for (const expired of [known, session]) {
    assert.deepEqual(await ask('kms', expired, '{}'), {
      status: 400,
      body: '{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}',
    })
    const { status, body } = await ask('sts', expired, IDENTITY)
    assert.equal(status, 403)
    assert.match(body, /<Code>ExpiredToken<\/Code>\s*<Message>The security token included in the request is expired</)
  }
  assert.deepEqual(new Set(strangers.splice(0)), new Set(['ExpiredTokenException']))
})

test('a token that is none, or another’s, is invalid in the words of each', async () => {
  const session = await begin(900)
  const other = await begin(900)
  for (const wrong of [
    { ...session, token: 'none' },
    { ...session, token: '' },
    { ...session, token: other.token },
    { ...longTerm, token: session.token },
    { accessKeyId: session.accessKeyId, secret: session.secret },
  ]) {
    assert.deepEqual(await ask('kms', wrong, '{}'), {
      status: 400,
      body: '{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}',
    })
    const { status, body } = await ask('sts', wrong, IDENTITY)
    assert.deepEqual([status, /<Code>(\w+)</.exec(body)?.[1]], [403, 'InvalidClientTokenId'])
  }
  const { body } = await ask('kms', { ...session, secret: other.secret }, '{}')
  assert.match(body, /InvalidSignatureException/)
})

test('promise 2: strangers’ tokens leave no record of their own, and each request of a session has one', async () => {
  const session = await begin(900)
  await ask('kms', session, '{}')
  const before = await kms.records()
  await ask('kms', { ...session, token: Buffer.alloc(100, 7).toString('base64') }, '{}')
  assert.equal(await kms.records(), before)
  await ask('kms', session, '{}')
  await ask('sts', session, IDENTITY)
  assert.equal(await kms.records(), before + 2)
  assert.deepEqual(kms.defects, [])
})
