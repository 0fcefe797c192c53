/**
 * The client of a proxy, against a real one over TLS with client certificates: slow, dead, refusing and malformed ones too.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import type { ExternalCiphertext } from '../../boundary/client/api.ts'
import { Breaker } from './breaker.ts'
import { type Access, type ClientSettings, XksClient } from './client.ts'
import { FAILURES, type FailureName, kmsError, PROXY_ERRORS, XksFailure } from './failures.ts'
import {
  checkHealth,
  checkKeyMetadata,
  decryptRequest,
  encryptRequest,
  healthRequest,
  metadataRequest,
  readDecryptAnswer,
  readEncryptAnswer,
} from './protocol.ts'
import { Certificates, HOST, PATH, REGION, SIGNER, TestProxy } from './testing.ts'
import { configuredRoute, MAX_ANSWER_BYTES } from './transport.ts'

const ACCESS: Access = { uriPath: PATH, region: REGION, signer: SIGNER }
const REQUEST = {
  principalArn: 'arn:aws:iam::111122223333:user/alice',
  keyArn: 'arn:aws:kms:eu-central-1:111122223333:key/1234',
  operation: 'Encrypt',
  requestId: 'request-1',
  viaService: 'objects.eu-central-1.amazonaws.com',
}
const AAD = randomBytes(32)
/** Roomy, so that a busy machine does not fail tests that are not about time. */
const PATIENT: ClientSettings = { deadlineMs: 5000, inFlight: 16 }
const HASTY: ClientSettings = { deadlineMs: 250, inFlight: 16 }

let certificates: Certificates
before(() => {
  certificates = new Certificates()
})
after(() => certificates.remove())

async function failure(work: Promise<unknown>, name: FailureName): Promise<XksFailure> {
  try {
    await work
  } catch (error) {
    assert.ok(error instanceof XksFailure, String(error))
    assert.equal(error.failure, name, error.detail)
    return error
  }
  throw new assert.AssertionError({ message: `expected ${name}, and it succeeded` })
}

describe('towards a proxy', () => {
  let proxy: TestProxy
  let port: number
  let clients: XksClient[]
  beforeEach(async () => {
    proxy = new TestProxy(certificates)
    port = await proxy.listen()
    clients = []
  })
  afterEach(async () => {
    for (const client of clients) client.close()
    await proxy.close()
  })

  function connect(settings = PATIENT, breaker = new Breaker(), files = {}, hostName = HOST): XksClient {
    const client = new XksClient(hostName, configuredRoute(certificates.host(port, files)), settings, breaker)
    clients.push(client)
    return client
  }
  const health = (client: XksClient) =>
    client.request(ACCESS, '/health', healthRequest('KmsHealthCheck', 'r'), checkHealth)
  const encrypt = (client: XksClient, plaintext: Buffer, aad = AAD): Promise<ExternalCiphertext> =>
    client.request(ACCESS, '/keys/foo/encrypt', encryptRequest(plaintext, aad, REQUEST), answer =>
      readEncryptAnswer(answer, plaintext.length, aad),
    )
  const decrypt = (client: XksClient, ciphertext: ExternalCiphertext, aad = AAD): Promise<Buffer> =>
    client.request(ACCESS, '/keys/foo/decrypt', decryptRequest(ciphertext, aad, REQUEST), answer =>
      readDecryptAnswer(answer, ciphertext.ciphertext.length),
    )

  test('encrypts and decrypts, signed and with the client certificate, over one connection', async () => {
    const client = connect()
    for (const plaintext of [randomBytes(1), randomBytes(32), randomBytes(4300)]) {
      const sealed = await encrypt(client, plaintext)
      assert.deepEqual(await decrypt(client, sealed), plaintext)
      await failure(decrypt(client, sealed, randomBytes(32)), 'InvalidCiphertextException')
    }
    assert.equal(proxy.connections, 1)
    const [first] = proxy.received
    assert.equal(first?.url, `${PATH}/keys/foo/encrypt`)
    assert.equal(first.peer, `cks.kms.${REGION}.amazonaws.com`)
    assert.equal(first.headers.host, HOST)
    assert.equal(first.headers['content-type'], 'application/json')
    assert.match(
      String(first.headers.authorization),
      /^AWS4-HMAC-SHA256 Credential=BETWEEN2TENAND3TENCHARACTERS\/\d{8}\/eu-central-1\/kms-xks-proxy\/aws4_request, SignedHeaders=host;x-amz-date, Signature=[0-9a-f]{64}$/,
    )
    assert.deepEqual(first.body.requestMetadata, {
      awsPrincipalArn: REQUEST.principalArn,
      kmsKeyArn: REQUEST.keyArn,
      kmsOperation: 'Encrypt',
      kmsRequestId: 'request-1',
      kmsViaService: REQUEST.viaService,
    })
    assert.equal(first.body.ciphertextDataIntegrityValueAlgorithm, 'SHA_256')
  })

  test('an empty additional data is left out, and metadata of CreateKey names no key', async () => {
    const client = connect()
    await encrypt(client, Buffer.from('x'), Buffer.alloc(0))
    assert.ok(!('additionalAuthenticatedData' in (proxy.received[0]?.body ?? {})))
    await client.request(
      ACCESS,
      '/keys/foo/metadata',
      metadataRequest({ ...REQUEST, operation: 'CreateKey' }),
      checkKeyMetadata,
    )
    assert.deepEqual(proxy.received[1]?.body, {
      requestMetadata: { awsPrincipalArn: REQUEST.principalArn, kmsOperation: 'CreateKey', kmsRequestId: 'request-1' },
    })
  })

  test("each of the proxy's errors is itself, and its text goes to the operator only", async () => {
    const client = connect()
    for (const name of PROXY_ERRORS) {
      proxy.behaviour = () => ({ status: 400, body: { errorName: name, errorMessage: 'words of the owner' } })
      const error = await failure(encrypt(client, Buffer.from('x')), name as FailureName)
      assert.equal(error.detail, 'words of the owner')
      for (const operation of ['store', 'createKey', 'crypto'] as const) {
        const answered = kmsError(error, operation)
        assert.ok(!(answered.text ?? '').includes('words of the owner'))
        assert.equal(answered.text, FAILURES[name as FailureName].message)
        if (operation === 'crypto') assert.equal(answered.code, 'KMSInvalidStateException')
      }
    }
    assert.equal(client.status().breaker, 'closed')
  })

  test('an answer that keeps not to the specification is malformed', async () => {
    const client = connect()
    const plaintext = Buffer.from('sixteen bytes ..')
    const good = () =>
      proxy.answer({
        url: '/encrypt',
        headers: {},
        raw: '',
        peer: '',
        body: JSON.parse(String(encryptRequest(plaintext, AAD, REQUEST))),
      }).body as Record<string, unknown>
    const without = (member: string) => {
      const body = good()
      delete body[member]
      return body
    }
    const bodies: unknown[] = [
      '',
      '<html>',
      '[]',
      'null',
      '{"ciphertext":',
      ...['ciphertext', 'initializationVector', 'authenticationTag', 'ciphertextDataIntegrityValue'].map(without),
      { ...good(), ciphertext: randomBytes(15).toString('base64') },
      { ...good(), ciphertext: 7 },
      { ...good(), initializationVector: randomBytes(13).toString('base64') },
      { ...good(), authenticationTag: randomBytes(12).toString('base64') },
      { ...good(), ciphertextMetadata: randomBytes(21).toString('base64') },
      { ...good(), ciphertextMetadata: 'AR==' },
      { ...good(), ciphertext: String(good().ciphertext).replace(/=+$/, '') },
      { ...good(), ciphertextDataIntegrityValue: randomBytes(32).toString('base64') },
      { ...good(), padding: 'x'.repeat(MAX_ANSWER_BYTES) },
    ]
    for (const body of bodies) {
      proxy.behaviour = () => ({ status: 200, body })
      await failure(encrypt(client, plaintext), 'malformed')
    }
    for (const answer of [
      { status: 500, body: 'Internal Server Error' },
      { status: 400, body: { errorName: 'SomethingElse' } },
      { status: 400, body: { errorName: 'tcp' } },
      { status: 301, body: {} },
      { status: 204, body: '' },
    ]) {
      proxy.behaviour = () => answer
      await failure(encrypt(client, plaintext), 'malformed')
    }
    proxy.behaviour = () => ({ status: 200, body: { plaintext: randomBytes(17).toString('base64') } })
    const ciphertext = {
      iv: randomBytes(12),
      tag: randomBytes(16),
      ciphertext: randomBytes(16),
      metadata: Buffer.alloc(0),
      integrityValue: undefined,
    }
    await failure(decrypt(client, ciphertext), 'malformed')
    assert.equal(client.status().breaker, 'closed')
  })

  test('a redirect is not followed', async () => {
    const client = connect()
    proxy.behaviour = (_, response) => {
      response.writeHead(307, { location: `https://127.0.0.1:${port}/elsewhere` }).end()
      return undefined
    }
    await failure(health(client), 'malformed')
    assert.equal(proxy.received.length, 1)
  })

  test('a certificate under another root, for another name, or no client certificate: TLS', async () => {
    await failure(health(connect(PATIENT, new Breaker(), { ca: 'other-ca.pem' })), 'tls')
    await failure(health(connect(PATIENT, new Breaker(), {}, 'other.owner.example')), 'tls')
    const refused = await health(connect(PATIENT, new Breaker(), { client: false })).catch(error => error)
    assert.ok(refused instanceof XksFailure && ['tls', 'tcp'].includes(refused.failure))
    assert.equal(proxy.received.length, 0)
  })

  test('nobody there is a failure to connect, at once and without a second try', async () => {
    const client = connect()
    await proxy.close()
    const started = performance.now()
    await failure(health(client), 'tcp')
    assert.ok(performance.now() - started < 1000)
  })

  test('a lost answer: the very same bytes are sent once more, and that succeeds', async () => {
    const client = connect(HASTY)
    let times = 0
    proxy.behaviour = received => {
      times += 1
      return times === 1 ? undefined : proxy.answer(received)
    }
    await encrypt(client, Buffer.from('x'))
    const [one, two] = proxy.received
    assert.equal(one?.raw, two?.raw)
    assert.equal(one?.headers.authorization, two?.headers.authorization)
  })

  test('silence is tried twice and answered within two deadlines', async () => {
    const client = connect(HASTY)
    proxy.behaviour = () => undefined
    const started = performance.now()
    await failure(encrypt(client, Buffer.from('x')), 'timeout')
    const took = performance.now() - started
    assert.ok(took >= 490 && took < 3000, `${took} ms`)
    assert.equal(proxy.received.length, 2)
  })

  test('an answer that drips is cut at the deadline too', async () => {
    const client = connect(HASTY)
    proxy.behaviour = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      const drip = setInterval(() => response.write(' '), 10)
      response.on('close', () => clearInterval(drip))
      return undefined
    }
    await failure(health(client), 'timeout')
  })

  test('a kept-alive connection that was just closed costs a second try and no failure', async () => {
    const client = connect()
    await health(client)
    for (let round = 0; round < 5; round += 1) {
      proxy.cut()
      await health(client)
    }
    assert.equal(client.status().breaker, 'closed')
  })

  test('beyond the bound requests are refused at once, and the bound is free again afterwards', async () => {
    const client = connect({ deadlineMs: 5000, inFlight: 2 })
    let release = () => {}
    const held = new Promise<void>(resolve => {
      release = resolve
    })
    proxy.behaviour = async received => {
      await held
      return proxy.answer(received)
    }
    const two = [health(client), health(client)]
    await assert.rejects(health(client), { code: 'ThrottlingException' })
    assert.equal(client.status().inFlight, 2)
    release()
    await Promise.all(two)
    assert.equal(client.status().inFlight, 0)
    await health(client)
    assert.ok(proxy.connections <= 2)
  })

  test('the breaker opens on silence, refuses at once with the same error, and closes when the proxy is back', async () => {
    let now = 0
    const breaker = new Breaker({ threshold: 4, openMs: 1000, maxOpenMs: 4000 }, () => now)
    const client = connect(HASTY, breaker)
    proxy.behaviour = () => undefined
    await failure(health(client), 'timeout')
    await failure(health(client), 'timeout')
    assert.equal(client.status().breaker, 'open')
    const asked = proxy.received.length
    const started = performance.now()
    for (let round = 0; round < 100; round += 1) await failure(health(client), 'timeout')
    assert.ok(performance.now() - started < 100)
    assert.equal(proxy.received.length, asked)
    proxy.behaviour = received => proxy.answer(received)
    now += 1000
    await health(client)
    assert.equal(client.status().breaker, 'closed')
  })

  test('a thousand refusals of a revoked key never open the breaker', async () => {
    const client = connect()
    proxy.behaviour = received =>
      received.url.includes('/foo/')
        ? { status: 400, body: { errorName: 'InvalidStateException' } }
        : proxy.answer(received)
    for (let round = 0; round < 1000; round += 1)
      await failure(encrypt(client, Buffer.from('x')), 'InvalidStateException')
    await health(client)
    assert.equal(client.status().breaker, 'closed')
  })

  test('a silent store never slows another: each has its own bound, connections and breaker', async () => {
    const dead = new TestProxy(certificates)
    const deadPort = await dead.listen()
    dead.behaviour = () => undefined
    const toDead = new XksClient(HOST, configuredRoute(certificates.host(deadPort)), { deadlineMs: 250, inFlight: 32 })
    const toLive = connect()
    try {
      await health(toLive)
      const silence = Promise.allSettled(Array.from({ length: 500 }, () => health(toDead)))
      const times: number[] = []
      for (let round = 0; round < 50; round += 1) {
        const started = performance.now()
        await health(toLive)
        times.push(performance.now() - started)
      }
      times.sort((one, other) => one - other)
      assert.ok((times[25] ?? 0) < 100, `median ${times[25]} ms`)
      const results = await silence
      assert.ok(results.every(result => result.status === 'rejected'))
      assert.ok(toDead.status().inFlight === 0 && dead.connections <= 64)
    } finally {
      toDead.close()
      await dead.close()
    }
  })
})
