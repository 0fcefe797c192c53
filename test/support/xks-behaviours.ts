/**
 * The behaviours of an XKS proxy that the public test client of AWS looks for, case by case, each with its status, which that client does not
 * check. Keys: foo, encrypt_only_key, decrypt_only_key, impotent_key.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { decryptBody, encryptBody, metadata, type XksAnswer, type XksClient, type XksRequest } from './xks-clients.ts'

export const STATUS: Readonly<Record<string, number>> = {
  ValidationException: 400,
  InvalidStateException: 400,
  InvalidCiphertextException: 400,
  InvalidKeyUsageException: 400,
  AuthenticationFailedException: 401,
  AccessDeniedException: 403,
  KeyNotFoundException: 404,
  InvalidUriPathException: 404,
  ThrottlingException: 429,
  InternalException: 500,
  UnsupportedOperationException: 501,
  DependencyTimeoutException: 503,
}

export function refused(answer: XksAnswer, name: string): void {
  assert.equal(answer.json.errorName, name, answer.text)
  assert.equal(answer.status, STATUS[name])
  assert.match(answer.json.errorMessage ?? '', /^[\x20-\x7e]{1,511}$/)
}

export function answered(answer: XksAnswer): XksAnswer {
  assert.equal(answer.status, 200, answer.text)
  return answer
}

const PLAINTEXT = Buffer.from('Hello World!')
const AAD = Buffer.from('project=nile,department=marketing').toString('base64')
const OTHER_AAD = Buffer.from('project=blue,department=finance').toString('base64')
const INTEGRITY = { ciphertextDataIntegrityValueAlgorithm: 'SHA_256' }
const withAad = { additionalAuthenticatedData: AAD }

/** Refusals that health, metadata and encrypt share: credentials and path (3 cases each). */
async function strangers(client: XksClient, id: string, secret: string, prefix: string, request: XksRequest) {
  refused(await client.send({ ...request, accessKeyId: `Invalid${id}` }), 'AuthenticationFailedException')
  refused(await client.send({ ...request, secretAccessKey: `Invalid${secret}` }), 'AuthenticationFailedException')
  refused(await client.send({ ...request, pathPrefix: `${prefix}/invalid` }), 'InvalidUriPathException')
}

/** SHA-256 over what the value covers, without lengths ("Appendix C"). */
function integrityOf({ json }: XksAnswer, aad: string): string {
  const parts = [aad, json.ciphertextMetadata ?? '', json.initializationVector, json.ciphertext, json.authenticationTag]
  const hash = createHash('sha256')
  for (const part of parts) hash.update(Buffer.from(part ?? '', 'base64'))
  return hash.digest('base64')
}

export interface Target {
  readonly client: XksClient
  readonly pathPrefix: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** Declares the tests; `target` is asked when they run. The number in a title is how many cases of the public client it holds: 49 in all. */
export function xksBehaviours(target: () => Target): void {
  const send = (request: XksRequest) => target().client.send(request)
  const outsiders = (request: XksRequest) => {
    const { client, accessKeyId, secretAccessKey, pathPrefix } = target()
    return strangers(client, accessKeyId, secretAccessKey, pathPrefix, request)
  }

  test('health (6)', async () => {
    const { kmsRequestId, kmsOperation } = metadata('KmsHealthCheck')
    const request = { path: 'health', body: { requestMetadata: { kmsRequestId, kmsOperation } } }
    const health = JSON.parse(answered(await send(request)).text)
    assert.equal(health.ekmFleetDetails[0].healthStatus, 'ACTIVE')
    refused(await send({ path: 'health', body: {} }), 'ValidationException')
    refused(await send({ path: 'health', body: { requestMetadata: {} } }), 'ValidationException')
    await outsiders(request)
  })

  test('metadata (8)', async () => {
    const request = { path: 'keys/foo/metadata', body: { requestMetadata: metadata('DescribeKey') } }
    const found = JSON.parse(answered(await send(request)).text)
    assert.deepEqual(found, { keySpec: 'AES_256', keyUsage: ['ENCRYPT', 'DECRYPT'], keyStatus: 'ENABLED' })
    const { kmsKeyArn: _, ...create } = metadata('CreateKey')
    answered(await send({ ...request, body: { requestMetadata: create } }))
    refused(await send({ ...request, body: {} }), 'ValidationException')
    refused(await send({ ...request, body: { requestMetadata: {} } }), 'ValidationException')
    refused(await send({ ...request, path: 'keys/non_existing_key/metadata' }), 'KeyNotFoundException')
    await outsiders(request)
  })

  test('encrypt: what is refused (5)', async () => {
    const request = { path: 'keys/foo/encrypt', body: encryptBody(PLAINTEXT) }
    refused(await send({ ...request, path: 'keys/non_existing_key/encrypt' }), 'KeyNotFoundException')
    refused(await send({ ...request, body: { ...request.body, plaintext: undefined } }), 'ValidationException')
    await outsiders(request)
  })

  test('additional data binds: missing, twice, and different (6)', async () => {
    for (const more of [{}, {}, { additionalAuthenticatedData: OTHER_AAD }]) {
      const made = answered(await send({ path: 'keys/foo/encrypt', body: encryptBody(PLAINTEXT, withAad) }))
      refused(await send({ path: 'keys/foo/decrypt', body: decryptBody(made, more) }), 'InvalidCiphertextException')
    }
  })

  test('encrypt and decrypt, with and without additional data and integrity value, and large (10)', async () => {
    const large = { additionalAuthenticatedData: randomBytes(8192).toString('base64') }
    const cases: ReadonlyArray<readonly [Buffer, { additionalAuthenticatedData?: string }, boolean]> = [
      [PLAINTEXT, {}, false],
      [PLAINTEXT, withAad, false],
      [PLAINTEXT, withAad, true],
      [PLAINTEXT, {}, true],
      [randomBytes(4096), large, false],
    ]
    for (const [plaintext, aad, integrity] of cases) {
      const body = encryptBody(plaintext, { ...aad, ...(integrity ? INTEGRITY : {}) })
      const made = answered(await send({ path: 'keys/foo/encrypt', body }))
      const size = (name: string) => Buffer.from(made.json[name] ?? '', 'base64').length
      assert.deepEqual(
        [size('initializationVector'), size('ciphertext'), size('authenticationTag')],
        [12, plaintext.length, 16],
      )
      assert.ok(size('ciphertextMetadata') <= 20)
      const expected = integrity ? integrityOf(made, aad.additionalAuthenticatedData ?? '') : undefined
      assert.equal(made.json.ciphertextDataIntegrityValue, expected)
      const opened = answered(await send({ path: 'keys/foo/decrypt', body: decryptBody(made, aad) }))
      assert.deepEqual(JSON.parse(opened.text), { plaintext: plaintext.toString('base64') })
    }
  })

  test('a key that may only encrypt (6)', async () => {
    for (const aad of [{}, withAad]) {
      const made = answered(await send({ path: 'keys/encrypt_only_key/encrypt', body: encryptBody(PLAINTEXT, aad) }))
      const opened = await send({ path: 'keys/encrypt_only_key/decrypt', body: decryptBody(made, aad) })
      refused(opened, 'InvalidKeyUsageException')
      const vouched = encryptBody(PLAINTEXT, { ...aad, ...INTEGRITY })
      refused(await send({ path: 'keys/encrypt_only_key/encrypt', body: vouched }), 'InvalidKeyUsageException')
    }
  })

  for (const key of ['decrypt_only_key', 'impotent_key']) {
    test(`${key}: no encryption of any kind (4)`, async () => {
      for (const more of [withAad, {}, { ...withAad, ...INTEGRITY }, INTEGRITY]) {
        const body = encryptBody(PLAINTEXT, more)
        refused(await send({ path: `keys/${key}/encrypt`, body }), 'InvalidKeyUsageException')
      }
    })
  }
}
