/**
 * What a provider has of its data under an owner's key, by protocol, as data: how it is given away to be wrapped, how it is asked for again, and what the owner's
 * keys alone make of it. For the tests of promise 9.
 */
import assert from 'node:assert/strict'
import { constants, createPrivateKey, type KeyObject, privateDecrypt, publicEncrypt } from 'node:crypto'
import type { ExternalWrapAlgorithm } from '../../src/boundary/algorithms.ts'
import { decryptExternal } from '../../src/boundary/crypto/external.ts'
import { EXTERNAL_WRAPPINGS } from '../../src/boundary/crypto/external-wrap.ts'
import type { ProtocolName } from '../../src/ekm/keys/protocols.ts'
import { blobAad, decodeBlob } from '../../src/ekm/protocols/blob.ts'
import { versionGuid } from '../../src/ekm/protocols/dke/key-id.ts'
import { decodeKey, decodePrivateKey, keyAad, privateKeyAad } from '../../src/ekm/protocols/kacls/wrapped.ts'
import { keyIdOf } from '../../src/ekm/protocols/kubernetes/key-id.ts'
import * as messages from '../../src/ekm/protocols/kubernetes/messages.ts'
import { decode, encode } from '../../src/ekm/protocols/kubernetes/protobuf.ts'
import { type Caller, MINE, PAIR, PERIMETER, RESOURCE, type Tokens } from './ekm-callers.ts'
import { type KeyName, NO_ANSWER, outcome } from './ekm-use.ts'
import { encryptToPublished } from './ekm-uses.ts'
import { askKacls } from './ekm-uses-kacls.ts'
import type { World } from './ekm-world.ts'
import { decryptBody, encryptBody, type XksAnswer } from './xks-clients.ts'

/** The owner's key material, opened from its disk. */
export type OwnersKeys = Readonly<Record<Exclude<KeyName, 'signer'>, KeyObject>>

export interface Half {
  readonly name: string
  readonly protocol: ProtocolName
  /** Gives a data key away; answers what the provider keeps in its place. */
  wrap(world: World, by: Caller, dataKey: Buffer): Promise<Buffer>
  /** The data key, or what the protocol says. */
  unwrap(world: World, by: Caller, kept: Buffer): Promise<Buffer | string>
  /** What the owner's keys make of what the provider keeps. Throws where they make nothing. */
  byOwner(keys: OwnersKeys, kept: Buffer): Buffer
}

/** What an answer gives, or what it says. */
async function given<A extends { readonly status: number; readonly text: string }>(
  asking: Promise<A>,
  said: (answer: A) => unknown,
  bytes: (answer: A) => Buffer,
): Promise<Buffer | string> {
  let got: Buffer = Buffer.alloc(0)
  const word = await outcome(asking, said, answer => {
    got = bytes(answer)
  })
  return word === 'ok' ? got : word
}

const base64 = (text: unknown): Buffer => {
  assert.ok(typeof text === 'string' && text !== '')
  return Buffer.from(text, 'base64')
}
const aadOf = (kind: 'kubernetes' | 'google', bound: readonly Buffer[]): Buffer => {
  const aad = blobAad(kind, MINE, 'vault', bound)
  assert.ok(aad)
  return aad
}
const some = <T>(value: T | undefined): T => {
  assert.ok(value !== undefined)
  return value
}

/** The provider keeps the whole answer. */
const xks: Half = {
  name: 'xks encrypt and decrypt',
  protocol: 'xks',
  wrap: async (_, { xks }, dataKey) => {
    const { status, text } = await xks.send({ path: 'keys/vault/encrypt', body: encryptBody(dataKey) })
    assert.equal(status, 200, text)
    return Buffer.from(text)
  },
  unwrap: (_, { xks }, kept) =>
    given(
      xks.send({ path: 'keys/vault/decrypt', body: decryptBody({ json: JSON.parse(kept.toString()) } as XksAnswer) }),
      ({ json }) => json.errorName,
      ({ json }) => base64(json.plaintext),
    ),
  byOwner: ({ vault }, kept) => {
    const json = JSON.parse(kept.toString()) as Record<string, string>
    const parts = {
      ciphertext: base64(json.ciphertext),
      iv: base64(json.initializationVector),
      tag: base64(json.authenticationTag),
      metadata: base64(json.ciphertextMetadata),
      integrityValue: undefined,
    }
    return decryptExternal(vault, parts, Buffer.alloc(0))
  },
}

const azure = (alg: ExternalWrapAlgorithm): Half => {
  const key = EXTERNAL_WRAPPINGS[alg].rsa ? 'pair' : 'vault'
  const ask = (by: Caller, operation: string, value: Buffer) =>
    given(
      by.azure.post(`/${MINE}/${key}/${operation}`, { alg, value: value.toString('base64url') }),
      ({ json }) => json.code,
      ({ json }) => Buffer.from(json.value ?? '', 'base64url'),
    )
  return {
    name: `azure wrapkey and unwrapkey ${alg}`,
    protocol: 'azure',
    wrap: async (_, by, dataKey) => bytes(await ask(by, 'wrapkey', dataKey)),
    unwrap: (_, by, kept) => ask(by, 'unwrapkey', kept),
    byOwner: (keys, kept) => EXTERNAL_WRAPPINGS[alg].unwrap(keys[key], kept),
  }
}
const bytes = (answer: Buffer | string): Buffer => {
  assert.ok(Buffer.isBuffer(answer), String(answer))
  return answer
}

const kubernetes = (over: 'socket' | 'plugin'): Half => ({
  name: `kubernetes Encrypt and Decrypt over the ${over}`,
  protocol: 'kubernetes',
  wrap: async (_, by, plaintext) => {
    const { status, message } = await by[over].call(
      'Encrypt',
      encode(messages.ENCRYPT_REQUEST, { plaintext, uid: 'u' }),
    )
    assert.equal(status, 'OK')
    return Buffer.from(decode(messages.ENCRYPT_RESPONSE, message).ciphertext)
  },
  unwrap: async (_, by, ciphertext) => {
    const request = { ciphertext, uid: 'u', key_id: keyIdOf(MINE, 'vault', 1), annotations: new Map() }
    const { status, message } = await by[over].call('Decrypt', encode(messages.DECRYPT_REQUEST, request))
    if (status !== 'OK') return status === 'NO_ANSWER' ? NO_ANSWER : status
    return decode(messages.DECRYPT_RESPONSE, message).plaintext
  },
  byOwner: ({ vault }, kept) => decryptExternal(vault, some(decodeBlob('kubernetes', kept)), aadOf('kubernetes', [])),
})

const dke: Half = {
  name: 'dke encrypt to the published key, and decrypt',
  protocol: 'dke',
  wrap: (world, _, dataKey) => encryptToPublished(world, MINE, dataKey),
  unwrap: (world, { tokens }, kept) => {
    const url = `${world.url('dke')}/${MINE}/pair/${versionGuid(MINE, 'pair', 1)}/decrypt`
    return given(
      world.https('POST', url, { alg: 'RSA-OAEP-256', value: kept.toString('base64') }, tokens.dke),
      ({ json }) => json.code,
      ({ json }) => base64(json.value),
    )
  },
  byOwner: ({ pair }, kept) => EXTERNAL_WRAPPINGS['RSA-OAEP-256'].unwrap(pair, kept),
}

const kaclsAsk = (world: World, method: string, body: object, member: string) =>
  given(
    askKacls(world, MINE, method, body),
    ({ json }) => json.details,
    ({ json }) => base64(json[member]),
  )
type Shown = (tokens: Tokens) => object
const kacls = (
  wrapping: string,
  unwrapping: string,
  shown: { readonly wrap: Shown; readonly unwrap: Shown },
): Half => ({
  name: `kacls ${wrapping} and ${unwrapping}`,
  protocol: 'kacls',
  wrap: async (world, { tokens }, dataKey) =>
    bytes(await kaclsAsk(world, wrapping, { ...shown.wrap(tokens), key: dataKey.toString('base64') }, 'wrapped_key')),
  unwrap: (world, { tokens }, kept) =>
    kaclsAsk(world, unwrapping, { ...shown.unwrap(tokens), wrapped_key: kept.toString('base64') }, 'key'),
  byOwner: ({ vault }, kept) =>
    decryptExternal(vault, some(decodeKey(kept)).ciphertext, keyAad(MINE, 'vault', RESOURCE, PERIMETER)),
})
const byUser = {
  wrap: (t: Tokens) => ({ authentication: t.user, authorization: t.granted.writer }),
  unwrap: (t: Tokens) => ({ authentication: t.user, authorization: t.granted.reader }),
}
const byAdmin = {
  wrap: (t: Tokens) => ({ authentication: t.admin, resource_name: RESOURCE, perimeter_id: PERIMETER }),
  unwrap: (t: Tokens) => ({ authentication: t.admin, resource_name: RESOURCE }),
}

/** Gmail: the data key is encrypted to a person's public key, and the private key is what the owner's key wraps. What is kept are both, with a length before. */
const OAEP = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
const ENCRYPTED_BYTES = 256
const privateKeys: Half = {
  name: 'kacls wrapprivatekey and privatekeydecrypt',
  protocol: 'kacls',
  wrap: async (world, { tokens }, dataKey) => {
    const private_key = PAIR.privateKey.export({ format: 'pem', type: 'pkcs8' })
    const body = { authentication: tokens.admin, private_key, perimeter_id: PERIMETER }
    const wrapped = bytes(await kaclsAsk(world, 'wrapprivatekey', body, 'wrapped_private_key'))
    return Buffer.concat([publicEncrypt({ key: PAIR.publicKey, ...OAEP }, dataKey), wrapped])
  },
  unwrap: (world, { tokens }, kept) => {
    const body = {
      authentication: tokens.user,
      authorization: tokens.granted.decrypter,
      algorithm: 'RSA/ECB/OAEPwithSHA-256andMGF1Padding',
      encrypted_data_encryption_key: kept.subarray(0, ENCRYPTED_BYTES).toString('base64'),
      wrapped_private_key: kept.subarray(ENCRYPTED_BYTES).toString('base64'),
    }
    return kaclsAsk(world, 'privatekeydecrypt', body, 'data_encryption_key')
  },
  byOwner: ({ vault }, kept) => {
    const { ciphertext, perimeter, spki } = some(decodePrivateKey(kept.subarray(ENCRYPTED_BYTES)))
    const der = decryptExternal(vault, ciphertext, privateKeyAad(MINE, 'vault', perimeter, spki))
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    return privateDecrypt({ key, ...OAEP }, kept.subarray(0, ENCRYPTED_BYTES))
  },
}

const google: Half = {
  name: 'google wrap and unwrap',
  protocol: 'google',
  wrap: async (world, by, dataKey) =>
    bytes(await askGoogle(world, by, 'wrap', { plaintext: dataKey.toString('base64') }, 'wrappedBlob')),
  unwrap: (world, by, kept) => askGoogle(world, by, 'unwrap', { wrappedBlob: kept.toString('base64') }, 'plaintext'),
  byOwner: ({ vault }, kept) =>
    decryptExternal(vault, some(decodeBlob('google', kept)), aadOf('google', [Buffer.alloc(0)])),
}
function askGoogle(
  world: World,
  { tokens }: Caller,
  operation: string,
  body: object,
  member: string,
): Promise<Buffer | string> {
  return given(
    world.https('POST', `${world.url('google')}/${MINE}/vault:${operation}`, body, tokens.google),
    ({ json }) => (json.error as { status?: string } | undefined)?.status,
    ({ json }) => base64(json[member]),
  )
}

export const HALVES: readonly Half[] = [
  xks,
  ...(['A256KW', 'A256KWP', 'RSA-OAEP', 'RSA-OAEP-256'] as const).map(azure),
  kubernetes('socket'),
  kubernetes('plugin'),
  dke,
  kacls('wrap', 'unwrap', byUser),
  kacls('privilegedwrap', 'privilegedunwrap', byAdmin),
  privateKeys,
  google,
]
