/**
 * The XKS proxy API v1 of the real `holdfast ekm --dev`, over HTTPS and with two independent clients: every behaviour that the public test client
 * looks for, and what it does not look at.
 */
import assert from 'node:assert/strict'
import { createCipheriv, createDecipheriv, generateKeyPairSync, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Ekm, holdfast, startEkm } from './support/ekm.ts'
import { answered, refused, xksBehaviours } from './support/xks-behaviours.ts'
import {
  CurlClient,
  decryptBody,
  encryptBody,
  metadata,
  SignerClient,
  type XksClient,
  type XksRequest,
} from './support/xks-clients.ts'

const SECRET = 'PleaseReplaceThisWithSomeSecretOfLength43To64'
const ENVIRONMENT = {
  HOLDFAST_DEV_ACCESS_KEY_ID: 'BETWEEN2TENAND3TENCHARACTERS',
  HOLDFAST_DEV_SECRET_ACCESS_KEY: SECRET,
}
const KEYS = ['foo', 'encrypt_only_key:encrypt', 'decrypt_only_key:decrypt', 'impotent_key:none']
const PLAINTEXT = Buffer.from('the plaintext of a canary')
const b64 = (bytes: number) => randomBytes(bytes).toString('base64')

let ekm: Ekm
let signer: SignerClient
let curl: CurlClient

before(async () => {
  const args = ['--dev', '--prefix', 'example/uri/path/prefix', ...KEYS.flatMap(key => ['--key', key])]
  ekm = await startEkm(args, ENVIRONMENT)
  signer = new SignerClient(ekm.line)
  curl = new CurlClient(ekm.line)
})
after(async () => {
  signer?.close()
  assert.equal(await ekm?.stop(), 0)
})

const clients: ReadonlyArray<readonly [string, () => XksClient]> = [
  ['curl --aws-sigv4', () => curl],
  ['@smithy/signature-v4', () => signer],
]
for (const [name, client] of clients) {
  describe(`the public test client's 49 behaviours, with ${name}`, () => {
    xksBehaviours(() => ({ ...ekm.line, client: client() }))
  })
}

const encrypt = (more: object = {}, key = 'foo'): Promise<Awaited<ReturnType<SignerClient['send']>>> =>
  signer.send({ path: `keys/${key}/encrypt`, body: encryptBody(PLAINTEXT, more) })
const decrypt = (made: Awaited<ReturnType<typeof encrypt>>, more: object = {}, key = 'foo') =>
  signer.send({ path: `keys/${key}/decrypt`, body: decryptBody(made, more) })

test('the line of a development service has what it promises', () => {
  const { endpoint, pathPrefix, accessKeyId, secretAccessKey, caFile, pid } = ekm.line
  assert.match(endpoint, /^https:\/\/127\.0\.0\.1:\d+$/)
  assert.equal(pathPrefix, 'example/uri/path/prefix')
  assert.deepEqual([accessKeyId, secretAccessKey], Object.values(ENVIRONMENT))
  assert.match(caFile ?? '', /ca\.pem$/)
  assert.equal(pid, ekm.process.pid)
  assert.match(ekm.stderr, /for development/)
})

test('GET and every other method is 405 on all four, without a body', async () => {
  for (const path of ['health', 'keys/foo/metadata', 'keys/foo/encrypt', 'keys/foo/decrypt']) {
    for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD']) {
      const answer = await signer.send({ path, method })
      assert.deepEqual([answer.status, answer.text, answer.headers.allow], [405, '', 'POST'], `${method} ${path}`)
    }
  }
})

test('paths that are none of the four', async () => {
  for (const path of [
    '',
    'keys/foo',
    'keys/foo/sign',
    'keys//encrypt',
    'keys/foo/encrypt/',
    'keys/%66oo/encrypt',
    'health/',
  ])
    refused(await signer.send({ path, body: encryptBody(PLAINTEXT) }), 'InvalidUriPathException')
  refused(await signer.send({ path: `keys/${'k'.repeat(129)}/metadata` }), 'InvalidUriPathException')
  refused(await signer.send({ path: 'health', query: 'x=1', body: {} }), 'InvalidUriPathException')
})

test('dates: five minutes of skew in both directions, and no more', async () => {
  const at = (seconds: number): XksRequest => ({
    path: 'keys/foo/encrypt',
    body: encryptBody(PLAINTEXT),
    signingDate: new Date(Date.now() + seconds * 1000),
  })
  for (const seconds of [-290, 290]) answered(await signer.send(at(seconds)))
  for (const seconds of [-310, 310, -86_400]) refused(await signer.send(at(seconds)), 'AuthenticationFailedException')
})

test('any Region, one service', async () => {
  const request = { path: 'keys/foo/encrypt', body: encryptBody(PLAINTEXT) }
  for (const region of ['eu-central-1', 'us-gov-west-1']) answered(await signer.send({ ...request, region }))
  refused(await signer.send({ ...request, service: 'kms' }), 'AuthenticationFailedException')
})

test('a body that was changed after it was signed', async () => {
  const prepared = await signer.prepare({ path: 'keys/foo/encrypt', body: encryptBody(PLAINTEXT) })
  const changed = { ...prepared, body: prepared.body.replace('Alice', 'Mable') }
  refused(await signer.sendPrepared(changed), 'AuthenticationFailedException')
})

test('limits: 4300 bytes of plaintext, 8192 of additional data, 20 of metadata', async () => {
  for (const size of [1, 4300]) {
    const plaintext = randomBytes(size)
    const aad = { additionalAuthenticatedData: b64(8192) }
    const made = answered(await signer.send({ path: 'keys/foo/encrypt', body: encryptBody(plaintext, aad) }))
    const opened = answered(await decrypt(made, aad))
    assert.equal(opened.json.plaintext, plaintext.toString('base64'), 'what comes back is what went in')
  }
  refused(await encrypt({ plaintext: b64(4301) }), 'UnsupportedOperationException')
  refused(await encrypt({ plaintext: b64(200_000) }), 'UnsupportedOperationException')
  refused(await encrypt({ plaintext: '' }), 'ValidationException')
  refused(await encrypt({ additionalAuthenticatedData: b64(8193) }), 'UnsupportedOperationException')
  refused(
    await encrypt({ requestMetadata: { ...metadata('Encrypt'), awsPrincipalArn: 'a'.repeat(2049) } }),
    'UnsupportedOperationException',
  )
  answered(await encrypt({ requestMetadata: { ...metadata('Encrypt'), awsPrincipalArn: 'a'.repeat(2048) } }))
  const made = answered(await encrypt())
  refused(await decrypt(made, { ciphertextMetadata: b64(21) }), 'ValidationException')
  refused(await decrypt(made, { ciphertextMetadata: b64(20) }), 'InvalidCiphertextException')
  refused(await decrypt(made, { initializationVector: b64(13) }), 'ValidationException')
  refused(await decrypt(made, { initializationVector: b64(16) }), 'InvalidCiphertextException')
  refused(await decrypt(made, { authenticationTag: b64(12) }), 'ValidationException')
})

test('Base64 is accepted in its one canonical form', async () => {
  for (const text of ['QQ', 'QR==', 'Q-_=', ' QQ==', 'QQ==\n', 'QQ==QQ==', '====']) {
    refused(await encrypt({ plaintext: text }), 'ValidationException')
    refused(await encrypt({ additionalAuthenticatedData: text }), 'ValidationException')
  }
})

test('bodies that are no request', async () => {
  for (const body of ['', '{', 'null', '[]', '"x"', `${'['.repeat(30_000)}`])
    refused(await signer.send({ path: 'keys/foo/encrypt', body }), 'ValidationException')
  refused(await encrypt({ encryptionAlgorithm: 'AES_CBC' }), 'ValidationException')
  refused(await encrypt({ ciphertextDataIntegrityValueAlgorithm: 'SHA_1' }), 'ValidationException')
})

test('what is new to this version is passed over: operations, members, services as principals', async () => {
  for (const more of [
    { kmsOperation: 'BulkDecrypt' },
    { awsPrincipalArn: 'AWS Internal' },
    { sourceIdentity: { x: [1] } },
  ])
    answered(await encrypt({ requestMetadata: { ...metadata('Encrypt'), ...more }, future: { deeply: ['unknown'] } }))
})

test('every field of a ciphertext counts', async () => {
  const aad = { additionalAuthenticatedData: 'YWFk' }
  const made = answered(await encrypt(aad))
  const turned = (name: string) => {
    const bytes = Buffer.from(made.json[name] ?? '', 'base64')
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1)
    return { ...aad, [name]: bytes.toString('base64') }
  }
  for (const name of ['ciphertext', 'ciphertextMetadata', 'initializationVector', 'authenticationTag'])
    refused(await decrypt(made, turned(name)), 'InvalidCiphertextException')
  refused(await decrypt(made, { ...aad, ciphertextMetadata: undefined }), 'InvalidCiphertextException')
  // Lengths keep additional data and metadata apart: one cannot take the place of the other.
  const plain = answered(await encrypt())
  const moved = { additionalAuthenticatedData: plain.json.ciphertextMetadata, ciphertextMetadata: undefined }
  refused(await decrypt(plain, moved), 'InvalidCiphertextException')
  const empty = answered(await decrypt(plain, { additionalAuthenticatedData: '' }))
  assert.equal(empty.json.plaintext, PLAINTEXT.toString('base64'), 'empty and absent are the same')
})

describe('with a key whose material is known', () => {
  const material = randomBytes(32)
  before(async () => {
    const file = join(ekm.data, 'material')
    const publicKey = join(ekm.data, 'wrapping.pem')
    const { publicKey: wrapping } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    writeFileSync(file, material, { mode: 0o600 })
    writeFileSync(publicKey, wrapping.export({ format: 'pem', type: 'spki' }))
    const out = join(ekm.data, 'wrapped')
    await ekm.cli(
      'wrap-for-import',
      '--public-key',
      publicKey,
      '--material',
      file,
      '--keep-as',
      `${ekm.line.pathPrefix}/known`,
      '--out',
      out,
    )
  })

  /** "Encrypt", ciphertextMetadata: both lengths, each before its value. */
  const gcmAad = (aad: Buffer, meta: Buffer): Buffer => {
    const lengths = [Buffer.alloc(2), Buffer.alloc(1)] as const
    lengths[0].writeUInt16BE(aad.length)
    lengths[1].writeUInt8(meta.length)
    return Buffer.concat([lengths[0], aad, lengths[1], meta])
  }

  test('what it encrypts opens with AES-256-GCM and the additional data of the specification, and nothing else', async () => {
    for (const size of [0, 33, 8192]) {
      const aad = randomBytes(size)
      const more = size === 0 ? {} : { additionalAuthenticatedData: aad.toString('base64') }
      const { json } = answered(await encrypt(more, 'known'))
      const field = (name: string) => Buffer.from(json[name] ?? '', 'base64')
      const decipher = createDecipheriv('aes-256-gcm', material, field('initializationVector'), { authTagLength: 16 })
      decipher.setAAD(gcmAad(aad, field('ciphertextMetadata'))).setAuthTag(field('authenticationTag'))
      assert.deepEqual(Buffer.concat([decipher.update(field('ciphertext')), decipher.final()]), PLAINTEXT)
    }
  })

  test('what others encrypted under it opens, with vectors of 12 and of 16 bytes, and without metadata', async () => {
    for (const [ivBytes, meta] of [
      [12, Buffer.from('0100000001', 'hex')],
      [16, Buffer.from('0100000001', 'hex')],
      [12, Buffer.alloc(0)],
    ] as const) {
      const iv = randomBytes(ivBytes)
      const aad = Buffer.from('theirs')
      const cipher = createCipheriv('aes-256-gcm', material, iv, { authTagLength: 16 }).setAAD(gcmAad(aad, meta))
      const ciphertext = Buffer.concat([cipher.update(PLAINTEXT), cipher.final()])
      const body = {
        requestMetadata: metadata('Decrypt'),
        encryptionAlgorithm: 'AES_GCM',
        ciphertext: ciphertext.toString('base64'),
        initializationVector: iv.toString('base64'),
        authenticationTag: cipher.getAuthTag().toString('base64'),
        additionalAuthenticatedData: aad.toString('base64'),
        ...(meta.length === 0 ? {} : { ciphertextMetadata: meta.toString('base64') }),
      }
      const opened = answered(await signer.send({ path: 'keys/known/decrypt', body }))
      assert.equal(opened.json.plaintext, PLAINTEXT.toString('base64'))
    }
  })
})

test('rotation: the id stays, old ciphertexts open, new ones name the new version', async () => {
  const before_ = answered(await encrypt())
  const { version } = await ekm.cli<{ version: number }>('key', 'rotate', 'foo')
  const after_ = answered(await encrypt())
  assert.equal(Buffer.from(after_.json.ciphertextMetadata ?? '', 'base64').readUInt32BE(1), version)
  assert.notEqual(after_.json.ciphertextMetadata, before_.json.ciphertextMetadata)
  for (const made of [before_, after_])
    assert.equal(answered(await decrypt(made)).json.plaintext, PLAINTEXT.toString('base64'))
  refused(await decrypt(before_, { ciphertextMetadata: after_.json.ciphertextMetadata }), 'InvalidCiphertextException')
  refused(
    await decrypt(before_, { ciphertextMetadata: Buffer.from('01000000ff', 'hex').toString('base64') }),
    'InvalidCiphertextException',
  )
})

test('a replay: once more within two seconds, refused after that, whatever the answer was', async () => {
  const prepared = await signer.prepare({ path: 'keys/foo/encrypt', body: encryptBody(PLAINTEXT) })
  const statuses: number[] = []
  for (let i = 0; i < 4; i++) statuses.push((await signer.sendPrepared(prepared)).status)
  assert.deepEqual(statuses, [200, 200, 401, 401])
  refused(await signer.sendPrepared(prepared), 'AuthenticationFailedException')
})

test('credentials: a second one at once, the first refused at once when it is deleted, none of another tenant', async () => {
  const created = await ekm.cli<{ accessKeyId: string; secretAccessKey: string }>('credential', 'create')
  assert.match(created.accessKeyId, /^[A-Z2-7]{20,30}$/)
  assert.match(created.secretAccessKey, /^[A-Za-z0-9/+=]{43,64}$/)
  const { accessKeyId, secretAccessKey } = created
  const request = { path: 'keys/foo/metadata', body: { requestMetadata: metadata('CreateKey') } }
  answered(await signer.send({ ...request, accessKeyId, secretAccessKey }))
  answered(await signer.send({ ...request, body: { requestMetadata: metadata('CreateKey') } }))
  await ekm.cli('tenant', 'create', 'other')
  const other = { ...request, pathPrefix: 'other', accessKeyId, secretAccessKey }
  refused(await signer.send(other), 'AuthenticationFailedException')
  await ekm.cli('credential', 'delete', accessKeyId)
  const again = { ...request, body: { requestMetadata: metadata('CreateKey') }, accessKeyId, secretAccessKey }
  refused(await signer.send(again), 'AuthenticationFailedException')
})

test('load balancers have a GET of their own, on the operations listener', async () => {
  const ping = await fetch(`${ekm.line.operations}/ping`)
  assert.deepEqual([ping.status, await ping.text()], [200, ''])
  assert.equal((await fetch(`${ekm.line.operations}/ping`, { method: 'POST' })).status, 405)
  const ready = (await (await fetch(`${ekm.line.operations}/health/ready`)).json()) as { ready: boolean }
  assert.equal(ready.ready, true)
})

test('metrics: requests by operation and error, and strangers by reason', async () => {
  answered(await encrypt())
  refused(await encrypt({}, 'none'), 'KeyNotFoundException')
  refused(
    await signer.send({ path: 'health', body: {}, secretAccessKey: 'x'.repeat(43) }),
    'AuthenticationFailedException',
  )
  const text = await (await fetch(`${ekm.line.operations}/metrics`)).text()
  const value = (line: string) =>
    Number(
      text
        .split('\n')
        .find(each => each.startsWith(`${line} `))
        ?.split(' ')
        .at(-1),
    )
  const seconds = (outcome: string) =>
    value(`holdfast_request_seconds_count{protocol="xks",operation="encrypt",outcome="${outcome}",service="ekm"}`)
  assert.ok(seconds('ok') > 0 && seconds('KeyNotFoundException') > 0)
  assert.ok(value('holdfast_refused_total{listener="xks",reason="InvalidSignature",service="ekm"}') > 0)
  assert.equal(value('holdfast_healthy{service="ekm"}'), 1)
})

test('no secret and no plaintext in what the service writes', () => {
  for (const canary of [SECRET, PLAINTEXT.toString('base64'), PLAINTEXT.toString()])
    assert.ok(!ekm.stderr.includes(canary), 'stderr')
})

test('the command line refuses what it cannot do, with a reason and an exit code', async () => {
  const cases: ReadonlyArray<readonly [string[], number, RegExp]> = [
    [['ekm'], 1, /--config FILE, or --dev/],
    [['ekm', '--dev', '--key', 'a/b'], 1, /NAME:encrypt/],
    [['ekm', '--dev', '--port', '70000'], 1, /0 to 65535/],
    [['ekm', 'key', 'list', '--data', join(ekm.data, 'nowhere')], 69, /No holdfast ekm can be reached on/],
    [['ekm', 'key', 'create', 'foo', '--tenant', ekm.line.pathPrefix, '--data', ekm.data], 1, /for ever/],
    [['ekm', 'key', 'rotate', 'none', '--data', ekm.data], 1, /There is no key none/],
    [['ekm', 'credential', 'create', '--tenant', 'none', '--data', ekm.data], 1, /There is no tenant none/],
    [['ekm', 'revoke', '--data', ekm.data], 1, /one KEY, or --tenant, --protocol or --principal/],
    [['ekm', 'revoke', 'none', '--data', ekm.data], 1, /There is no key none/],
    [['ekm', '--dev', '--data', ekm.data], 75, /another|open/i],
  ]
  for (const [args, code, text] of cases) {
    const result = await holdfast(args)
    assert.equal(result.code, code, `${args.join(' ')}: ${result.stderr}`)
    assert.match(result.stderr, text)
  }
})
