/**
 * Bad input gets a clear error and costs nothing: what is no HTTP, what is too large, too deep, too slow or of the wrong types, sent to both real services. Every
 * answer is in the protocol's own form, none is a 5xx, none is missing, and the same processes serve on.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { connectControl } from '../src/boundary/client/control.ts'
import type { Service } from '../src/boundary/supervisor/supervisor.ts'
import { ekmConfig } from '../src/config/ekm.ts'
import { serviceFolders } from '../src/config/folders.ts'
import { kmsConfig } from '../src/config/kms.ts'
import * as owners from '../src/ekm/admin/index.ts'
import { startEkmService } from '../src/ekm/dev.ts'
import { codePoint } from '../src/http/testing.ts'
import { makeAdministrator } from '../src/kms/admin/index.ts'
import { startKmsService } from '../src/kms/dev.ts'
import { OPERATIONS } from '../src/kms/operations/table.ts'
import { ERRORS } from '../src/kms/wire/errors.ts'
import { ApiClient, REGION } from './support/kms.ts'
import { makeWorld, requestOf, type World } from './support/requests.ts'
import { encryptBody, metadata, SignerClient } from './support/xks-clients.ts'

const ACCOUNT = '111122223333'
const TENANT = 'acme'
const LIMITS = { headersMs: 400, requestMs: 800, idleMs: 400, bodyBytes: 65_536 }
/** Not a measure of speed: a request that is never answered fails here. */
const HANGS = { timeout: 60_000 }
const FUZZ = {
  seed: Number(process.env.HOLDFAST_SEED ?? Math.floor(Math.random() * 1e9)),
  numRuns: 30,
  endOnFailure: true,
}

const folder = mkdtempSync(join(tmpdir(), 'holdfast-input-'))
let kms: Service
let ekm: Service
let pids: object
let kmsUrl: URL
let ekmUrl: URL
let client: ApiClient
let world: World
let provider: SignerClient

before(async () => {
  const [kmsData, ekmData] = [join(folder, 'kms'), join(folder, 'ekm')]
  const root = (data: string) => ({ root: { kind: 'keyfile', file: join(data, 'root.key') } })
  const listen = { host: '127.0.0.1', port: 0 }
  kms = startKmsService(
    kmsConfig.schema.parse({
      data: kmsData,
      listen,
      regions: [REGION],
      account: ACCOUNT,
      boundary: root(kmsData),
      limits: LIMITS,
      // What floods of requests do is asked here, not how many an account may send.
      quotas: { requests: { enforced: false } },
    }),
    false,
  )
  ekm = startEkmService(
    ekmConfig.schema.parse({ data: ekmData, listen, boundary: root(ekmData), limits: LIMITS }),
    false,
  )
  const [kmsLine, ekmLine] = await Promise.all([kms.ready, ekm.ready])
  kmsUrl = new URL(String(kmsLine.endpoint))
  ekmUrl = new URL(String(ekmLine.endpoint))
  const control = connectControl({ socket: join(serviceFolders(kmsData).boundary, 'control.sock') })
  const made = await makeAdministrator(control, { account: ACCOUNT, user: 'admin' })
  control.close()
  const clear = (secret: { reveal<T>(use: (bytes: Buffer) => T): T }) =>
    secret.reveal(bytes => bytes.toString('latin1'))
  client = new ApiClient(kmsUrl.href, { accessKeyId: made.accessKeyId, secretAccessKey: clear(made.secretAccessKey) })
  world = await makeWorld(client)
  const owner = connectControl({ socket: join(serviceFolders(ekmData).boundary, 'control.sock') })
  await owners.createTenant(owner, TENANT)
  await owners.createKey(owner, { tenant: TENANT, keyId: 'vault', usage: 'both', backing: 'software' })
  const credential = await owners.createCredential(owner, TENANT)
  owner.close()
  provider = new SignerClient({
    endpoint: ekmUrl.origin,
    pathPrefix: TENANT,
    accessKeyId: credential.accessKeyId,
    secretAccessKey: clear(credential.secretAccessKey),
    caFile: null,
  })
  pids = { kms: kms.pids(), ekm: ekm.pids() }
})
after(async () => {
  client?.close()
  provider?.close()
  await Promise.all([kms?.stop(), ekm?.stop()])
  rmSync(folder, { recursive: true, force: true })
})

/** After every test the same four processes serve. */
afterEach(async () => {
  assert.deepEqual({ kms: kms.pids(), ekm: ekm.pids() }, pids)
  await client.ok('DescribeKey', { KeyId: world.KeyId })
  const encrypted = await provider.send({ path: 'keys/vault/encrypt', body: encryptBody(Buffer.from('x')) })
  assert.equal(encrypted.status, 200, encrypted.text)
})

/** Sends bytes as they are and resolves with all that came back when the other side closed, or once `end` has ended ours. */
function raw({ hostname, port }: URL, parts: readonly (string | Buffer)[], end: boolean): Promise<string> {
  return new Promise(done => {
    const socket = net.connect(Number(port), hostname)
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('error', () => {})
    socket.once('close', () => done(Buffer.concat(chunks).toString('latin1')))
    for (const part of parts) socket.write(part)
    if (end) socket.end()
  })
}

/** Each answer in a stream of them: its status and its body. */
function answersIn(text: string): { status: number; body: string }[] {
  return text
    .split(/(?=HTTP\/1\.1 \d{3} )/)
    .filter(part => part.startsWith('HTTP/1.1 '))
    .map(part => ({ status: Number(part.slice(9, 12)), body: part.slice(part.indexOf('\r\n\r\n') + 4) }))
}

const inKmsForm = (status: number, body: string, what: string): void => {
  assert.ok(status >= 400 && status < 500, `${what}: ${status} ${body}`)
  const { __type } = JSON.parse(body) as { __type: string }
  assert.ok(Object.hasOwn(ERRORS, __type), `${what}: ${body}`)
}
/** 501 is the protocol's own answer to what is larger than an implementation takes (XKS proxy API, errors); no other 5xx is anyone's to cause. */
const inXksForm = (status: number, body: string, what: string): void => {
  if (status === 501) {
    assert.equal((JSON.parse(body) as { errorName: string }).errorName, 'UnsupportedOperationException', what)
    return
  }
  assert.ok(status >= 400 && status < 500, `${what}: ${status} ${body}`)
  if (status === 405) assert.equal(body, '', what)
  else assert.match((JSON.parse(body) as { errorName: string }).errorName, /Exception$/, what)
}

const long = (length: number): string => 'x'.repeat(length)
const HEAD = 'POST / HTTP/1.1\r\nHost: x\r\n'
const SMALL = `${HEAD}Content-Length: 2\r\n\r\n{}`
/** What strangers may send; none of it is a request that anyone serves. */
const SHAPES: Readonly<Record<string, readonly (string | Buffer)[]>> = {
  'no HTTP': ['hello\r\n\r\n'],
  'TLS to a plain port': [Buffer.from('1603010200010001fc0303', 'hex'), Buffer.alloc(500, 7)],
  'zero bytes': [Buffer.alloc(2000)],
  'HTTP/2 at once': ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  'no Host': ['POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n'],
  'two Hosts': ['POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n'],
  'two lengths': [`${HEAD}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`],
  'a negative length': [`${HEAD}Content-Length: -1\r\n\r\n`],
  'a length that is no number': [`${HEAD}Content-Length: 1e3\r\n\r\n`],
  'length and chunks': [`${HEAD}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  'chunks of no length': [`${HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`],
  'chunks without an end': [`${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nab`],
  'another transfer encoding': [`${HEAD}Transfer-Encoding: gzip\r\n\r\n{}`],
  'a field without a colon': [`${HEAD}nonsense\r\n\r\n`],
  'a field with control characters': [`${HEAD}a: b\x00c\r\n\r\n`],
  'a bare line feed': ['POST / HTTP/1.1\nHost: x\n\n'],
  'a folded field': [`${HEAD}a: b\r\n c\r\nContent-Length: 0\r\n\r\n`],
  'a request line that is too long': [`POST /${long(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`],
  'a field that is too long': [`${HEAD}a: ${long(40_000)}\r\n\r\n`],
  'too many fields': [HEAD, ...Array.from({ length: 500 }, (_, n) => `a${n}: b\r\n`), '\r\n'],
  'a body that is too large': [`${HEAD}Content-Length: ${LIMITS.bodyBytes + 1}\r\n\r\n`, long(LIMITS.bodyBytes + 1)],
  'a body that says it is enormous': [`${HEAD}Content-Length: 99999999999999\r\n\r\n`],
  'a body too large in chunks': [
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n`,
    ...Array.from({ length: 10 }, () => `2000\r\n${long(0x2000)}\r\n`),
    '0\r\n\r\n',
  ],
  'an upgrade': [`${HEAD}Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n`],
  CONNECT: ['CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n'],
  'a method of nobody': ['BREW / HTTP/1.1\r\nHost: x\r\n\r\n'],
  'requests one behind the other, then garbage': [...Array.from({ length: 20 }, () => SMALL), 'garbage\r\n\r\n'],
  'garbage, then requests': ['\x01\x02\r\n\r\n', SMALL, SMALL],
}

describe('promise 11: what is no request', () => {
  for (const [what, parts] of Object.entries(SHAPES)) {
    test(`promise 11: ${what}: a clear error, or the end of the connection`, HANGS, async () => {
      for (const end of [true, false]) {
        const toKms = answersIn(await raw(kmsUrl, parts, end))
        const toEkm = answersIn(await raw(ekmUrl, parts, end))
        for (const { status, body } of toKms) inKmsForm(status, body, what)
        for (const { status, body } of toEkm) inXksForm(status, body, what)
        // Who has gone away need not be told.
        if (!end)
          assert.ok(toKms.length > 0 && toEkm.length > 0, `${what}: ${toKms.length} and ${toEkm.length} answers`)
      }
    })
  }

  test('promise 11: who sends slowly, or stops, is cut off with an answer, and holds up nobody', HANGS, async () => {
    const starts = [
      '',
      'POST',
      HEAD,
      `${HEAD}Content-Length: 10\r\n\r\n{`,
      `${HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\n{`,
    ]
    const slow = starts.flatMap(start =>
      Array.from({ length: 10 }, () => [raw(kmsUrl, [start], false), raw(ekmUrl, [start], false)]),
    )
    for (let i = 0; i < 20; i++) {
      await client.ok('Encrypt', { KeyId: world.KeyId, Plaintext: 'AA==' })
      assert.equal(
        (await provider.send({ path: 'keys/vault/encrypt', body: encryptBody(Buffer.from('x')) })).status,
        200,
      )
    }
    for (const [toKms, toEkm] of slow) {
      for (const { status, body } of answersIn((await toKms) ?? '')) inKmsForm(status, body, 'slow')
      for (const { status, body } of answersIn((await toEkm) ?? '')) inXksForm(status, body, 'slow')
    }
  })
})

/** Bodies of authenticated callers that are no input of any operation. */
const BODIES: Readonly<Record<string, Buffer>> = {
  nothing: Buffer.alloc(0),
  'no JSON': Buffer.from('{'),
  'an array': Buffer.from('[]'),
  null: Buffer.from('null'),
  'a number': Buffer.from('1e999'),
  'brackets without end': Buffer.from('['.repeat(60_000)),
  'objects in objects': Buffer.from('{"KeyId":'.repeat(6000)),
  'a deep value': Buffer.from(`{"KeyId":${'['.repeat(30_000)}${']'.repeat(30_000)}}`),
  'a member twice': Buffer.from('{"KeyId":"a","KeyId":"b"}'),
  'what is no UTF-8': Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]),
  'half a surrogate pair': Buffer.from('{"KeyId":"\\ud800"}'),
  'a byte order mark': Buffer.from('\ufeff{}'),
  __proto__: Buffer.from('{"__proto__":{"KeyId":"x"},"constructor":{"prototype":{}}}'),
  'many members': Buffer.from(JSON.stringify(Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`m${n}`, 0])))),
  'a long text': Buffer.from(JSON.stringify({ KeyId: long(60_000) })),
}
const READS_NOTHING: ReadonlySet<string> = new Set(['ListKeys', 'ListAliases', 'DescribeCustomKeyStores', 'CreateKey'])

describe('promise 11: what is no input', () => {
  for (const [what, body] of Object.entries(BODIES)) {
    test(`promise 11: a body that is ${what}: a clear error from every operation`, HANGS, async () => {
      for (const { name } of OPERATIONS) {
        const { status, text } = await client.call(name, body)
        if (status !== 200) inKmsForm(status, text, name)
        else assert.ok(READS_NOTHING.has(name), `${name} serves it`)
      }
      for (const path of ['health', 'keys/vault/metadata', 'keys/vault/encrypt', 'keys/vault/decrypt']) {
        const { status, text } = await provider.send({ path, body: body.toString('utf8') })
        inXksForm(status, text, path)
      }
    })
  }
})

/** A value in the place of a member: of its own type and others, short, long and strange. */
const strange = (was: unknown) =>
  fc.oneof(
    fc.constant(was),
    fc.jsonValue({ maxDepth: 3 }),
    fc.string({ unit: codePoint, maxLength: 300 }),
    fc.string({ minLength: 1, maxLength: 30 }).map(text => `${String(was)}${text}`),
    fc.uint8Array({ maxLength: 7000 }).map(bytes => Buffer.from(bytes).toString('base64')),
    fc.constantFrom(
      '',
      'alias/',
      'alias/aws/x',
      `arn:aws:kms:${REGION}:${ACCOUNT}:key/`,
      -1,
      0,
      1e308,
      2 ** 53,
      [],
      {},
      null,
    ),
  )

const bodiesLike = (request: Readonly<Record<string, unknown>>, more: Readonly<Record<string, unknown>>) =>
  fc
    .record(Object.fromEntries(Object.entries({ ...request, ...more }).map(([name, was]) => [name, strange(was)])), {
      requiredKeys: [],
    })
    .map(changed => ({ ...request, ...changed }))

const OPTIONAL = {
  EncryptionContext: { a: 'b' },
  GrantTokens: ['x'],
  DryRun: false,
  Limit: 1,
  Marker: 'x',
  Description: 'd',
  KeySpec: 'AES_256',
  Tags: [{ TagKey: 'a', TagValue: 'b' }],
  ValidTo: 1,
}

describe(`promise 11: any input (HOLDFAST_SEED=${FUZZ.seed})`, () => {
  for (const { name } of OPERATIONS) {
    test(`promise 11: ${name} answers whatever it is given, and never with a 5xx`, HANGS, async () => {
      await fc.assert(
        fc.asyncProperty(bodiesLike(requestOf(name, world), OPTIONAL), async input => {
          const { status, text } = await client.call(name, input)
          if (status !== 200) inKmsForm(status, text, JSON.stringify(input))
        }),
        FUZZ,
      )
      await client.call('CancelKeyDeletion', { KeyId: world.KeyId })
      await client.call('EnableKey', { KeyId: world.KeyId })
    })
  }

  test('promise 11: the owner’s proxy answers whatever it is given, and never with a 5xx', HANGS, async () => {
    const encrypted = await provider.send({ path: 'keys/vault/encrypt', body: encryptBody(Buffer.from('x')) })
    const decrypt = { ...encrypted.json, requestMetadata: metadata('Decrypt'), encryptionAlgorithm: 'AES_GCM' }
    const health = { requestMetadata: { kmsRequestId: 'r', kmsOperation: 'KmsHealthCheck' } }
    const more = { additionalAuthenticatedData: 'AA==', ciphertextDataIntegrityValueAlgorithm: 'SHA_256' }
    for (const [path, request] of [
      ['health', health],
      ['keys/vault/metadata', { requestMetadata: metadata('DescribeKey') }],
      ['keys/vault/encrypt', encryptBody(Buffer.from('x'))],
      ['keys/vault/decrypt', decrypt],
    ] as const) {
      await fc.assert(
        fc.asyncProperty(bodiesLike({ ...request }, more), async body => {
          const { status, text } = await provider.send({ path, body })
          if (status !== 200) inXksForm(status, text, JSON.stringify(body))
        }),
        { ...FUZZ, numRuns: 150 },
      )
    }
  })
})
