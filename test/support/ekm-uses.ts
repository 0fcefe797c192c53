/**
 * Every use that a provider can make of an owner's key, over every protocol, as data: the tests of the promises are generated from it. Each is asked in the
 * name of a caller, and says `ok` or what the protocol said; an answer that is no refusal and not the right one either is an error.
 */
import assert from 'node:assert/strict'
import { constants, createPublicKey, publicEncrypt, randomUUID } from 'node:crypto'
import { versionGuid } from '../../src/ekm/protocols/dke/key-id.ts'
import { keyIdOf } from '../../src/ekm/protocols/kubernetes/key-id.ts'
import * as messages from '../../src/ekm/protocols/kubernetes/messages.ts'
import { decode, encode } from '../../src/ekm/protocols/kubernetes/protobuf.ts'
import { accountOf, type Caller } from './ekm-callers.ts'
import { DATA_KEY, NO_ANSWER, outcome, SECRET, type Use } from './ekm-use.ts'
import { kaclsUses } from './ekm-uses-kacls.ts'
import { certificateNames, type World } from './ekm-world.ts'
import type { GrpcAnswer, GrpcCaller } from './grpc.ts'
import { decryptBody, encryptBody, metadata } from './xks-clients.ts'

export async function usesOf(world: World, by: Caller): Promise<readonly Use[]> {
  return [
    ...(await xksUses(by)),
    ...(await azureUses(by)),
    ...(await kubernetesUses(world, by, 'socket')),
    ...(await kubernetesUses(world, by, 'plugin')),
    ...(await dkeUses(world, by)),
    ...(await kaclsUses(world, by)),
    ...(await googleUses(world, by)),
  ]
}

async function xksUses(by: Caller): Promise<readonly Use[]> {
  const send = ({ xks, tenant }: Caller, path: string, body: object) => xks.send({ path, body, pathPrefix: tenant })
  const made = await send(by, 'keys/vault/encrypt', encryptBody(SECRET))
  assert.equal(made.status, 200, made.text)
  const use = (
    operation: string,
    body: () => object,
    check: (json: Readonly<Record<string, string>>) => boolean,
  ): Use => ({
    name: `xks ${operation}`,
    protocol: 'xks',
    operation,
    keys: operation === 'health' ? [] : ['vault'],
    principal: by.xks.target.accessKeyId,
    namesKey: operation !== 'health',
    describes: operation === 'health' || operation === 'metadata',
    ask: (caller, key = 'vault') =>
      outcome(
        send(caller, operation === 'health' ? 'health' : `keys/${key}/${operation}`, body()),
        ({ json }) => json.errorName,
        ({ json, text }) => assert.ok(check(json), text),
      ),
  })
  return [
    use(
      'health',
      () => ({ requestMetadata: { kmsRequestId: randomUUID(), kmsOperation: 'KmsHealthCheck' } }),
      json => 'ekmFleetDetails' in json,
    ),
    use(
      'metadata',
      () => ({ requestMetadata: metadata('DescribeKey') }),
      json => json.keySpec === 'AES_256',
    ),
    use(
      'encrypt',
      () => encryptBody(SECRET),
      json => json.ciphertext !== undefined,
    ),
    use(
      'decrypt',
      () => decryptBody(made),
      json => json.plaintext === SECRET.toString('base64'),
    ),
  ]
}

const AZURE = { A256KW: 'vault', A256KWP: 'vault', 'RSA-OAEP': 'pair', 'RSA-OAEP-256': 'pair' } as const

async function azureUses(by: Caller): Promise<readonly Use[]> {
  const post = ({ azure, tenant }: Caller, path: string, body: object) => azure.post(`/${tenant}/${path}`, body)
  const principal = certificateNames(by.tenant).azure
  const common = { protocol: 'azure', principal } as const
  const ask =
    (
      path: (key: string) => string,
      own: string,
      body: object,
      check: (json: Readonly<Record<string, string>>) => boolean,
    ): Use['ask'] =>
    (caller, key = own) =>
      outcome(
        post(caller, path(key), body),
        ({ json }) => json.code,
        ({ json, text }) => assert.ok(check(json), text),
      )
  const uses: Use[] = [
    {
      ...common,
      name: 'azure info',
      operation: 'info',
      keys: [],
      describes: true,
      ask: ask(
        () => 'info',
        '',
        {},
        json => 'api_version' in json,
      ),
    },
    {
      ...common,
      name: 'azure metadata',
      operation: 'metadata',
      keys: ['vault'],
      namesKey: true,
      describes: true,
      ask: ask(
        key => `${key}/metadata`,
        'vault',
        {},
        json => json.key_type === 'oct',
      ),
    },
  ]
  for (const [alg, own] of Object.entries(AZURE)) {
    const value = DATA_KEY.toString('base64url')
    const { json, text } = await post(by, `${own}/wrapkey`, { alg, value })
    assert.ok(json.value, text)
    const use = (
      operation: string,
      given: string,
      check: (answer: Readonly<Record<string, string>>) => boolean,
    ): Use => ({
      ...common,
      name: `azure ${operation} ${alg}`,
      operation,
      keys: [own],
      namesKey: true,
      ask: ask(key => `${key}/${operation}`, own, { alg, value: given }, check),
    })
    uses.push(use('wrapkey', value, answer => answer.value !== undefined))
    uses.push(use('unwrapkey', json.value, answer => answer.value === value))
  }
  return uses
}

async function kubernetesUses(world: World, by: Caller, over: 'socket' | 'plugin'): Promise<readonly Use[]> {
  const principal = over === 'socket' ? `unix://${world.socketOf(by.tenant)}` : certificateNames(by.tenant).kubernetes
  const encryptRequest = encode(messages.ENCRYPT_REQUEST, { plaintext: DATA_KEY, uid: 'uid' })
  const made = await by[over].call('Encrypt', encryptRequest)
  assert.equal(made.status, 'OK')
  const { ciphertext } = decode(messages.ENCRYPT_RESPONSE, made.message)
  const decryptRequest = (tenant: string) =>
    encode(messages.DECRYPT_REQUEST, {
      ciphertext,
      uid: 'uid',
      key_id: keyIdOf(tenant, 'vault', 1),
      annotations: new Map(),
    })
  const use = (
    method: messages.Method,
    request: (tenant: string) => Buffer,
    said: (message: Buffer) => string,
  ): Use => ({
    name: `kubernetes ${method} over the ${over}`,
    protocol: 'kubernetes',
    operation: method.toLowerCase(),
    keys: ['vault'],
    principal,
    describes: method === 'Status',
    ask: async caller => {
      const { status, message }: GrpcAnswer = await (caller[over] as GrpcCaller).call(method, request(caller.tenant))
      if (status !== 'OK') return status === 'NO_ANSWER' ? NO_ANSWER : status
      return said(message)
    },
  })
  return [
    // The plugin answers in place of a key manager that refuses, and says by what name.
    use(
      'Status',
      () => Buffer.alloc(0),
      message => {
        const { healthz } = decode(messages.STATUS_RESPONSE, message)
        return /^([A-Z_]+): /.exec(healthz)?.[1] ?? healthz
      },
    ),
    use(
      'Encrypt',
      () => encryptRequest,
      message => (decode(messages.ENCRYPT_RESPONSE, message).ciphertext.length > 0 ? 'ok' : 'nothing'),
    ),
    use('Decrypt', decryptRequest, message => {
      assert.deepEqual(decode(messages.DECRYPT_RESPONSE, message).plaintext, DATA_KEY)
      return 'ok'
    }),
  ]
}

/** As Office encrypts to the key that is published. */
export async function encryptToPublished(world: World, tenant: string, plaintext: Buffer): Promise<Buffer> {
  const { json, text } = await world.https('GET', `${world.url('dke')}/${tenant}/pair`)
  const { n = '' } = (json.key ?? {}) as { n?: string }
  assert.ok(n, text)
  const key = createPublicKey({
    key: { kty: 'RSA', e: 'AQAB', n: Buffer.from(n, 'base64').toString('base64url') },
    format: 'jwk',
  })
  return publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }, plaintext)
}

async function dkeUses(world: World, by: Caller): Promise<readonly Use[]> {
  const value = (await encryptToPublished(world, by.tenant, SECRET)).toString('base64')
  return [
    {
      name: 'dke decrypt',
      protocol: 'dke',
      operation: 'decrypt',
      keys: ['pair'],
      principal: `ada@${by.tenant}.example`,
      namesKey: true,
      ask: ({ tenant, tokens }, key = 'pair') =>
        outcome(
          world.https(
            'POST',
            `${world.url('dke')}/${tenant}/${key}/${versionGuid(tenant, key, 1)}/decrypt`,
            { alg: 'RSA-OAEP-256', value },
            tokens.dke,
          ),
          ({ json }) => json.code,
          ({ json }) => assert.equal(json.value, SECRET.toString('base64')),
        ),
    },
  ]
}

async function googleUses(world: World, by: Caller): Promise<readonly Use[]> {
  const plaintext = SECRET.toString('base64')
  const post = ({ tenant, tokens }: Caller, key: string, operation: string, body: object) =>
    world.https('POST', `${world.url('google')}/${tenant}/${key}:${operation}`, body, tokens.google)
  const { json, text } = await post(by, 'vault', 'wrap', { plaintext })
  assert.ok(json.wrappedBlob, text)
  const use = (
    operation: string,
    body: object,
    check: (answer: Readonly<Record<string, unknown>>) => boolean,
  ): Use => ({
    name: `google ${operation}`,
    protocol: 'google',
    operation,
    keys: ['vault'],
    principal: accountOf(by.tenant),
    namesKey: true,
    ask: (caller, key = 'vault') =>
      outcome(
        post(caller, key, operation, body),
        answer => (answer.json.error as { status?: string } | undefined)?.status,
        answer => assert.ok(check(answer.json), answer.text),
      ),
  })
  return [
    use('wrap', { plaintext }, answer => answer.wrappedBlob !== undefined),
    use('unwrap', { wrappedBlob: json.wrappedBlob }, answer => answer.plaintext === plaintext),
  ]
}
