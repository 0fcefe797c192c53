/** One tenant's key service under test, and whoever asks it. Issuers of tokens run while the tests of the file that imports this do. */
import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { after, before } from 'node:test'
import type { JWTPayload } from 'jose'
import { KeySet } from '../../access/jwks.ts'
import { Issuer } from '../../access/testing.ts'
import { TokenVerifier } from '../../access/token.ts'
import { type Got, protocolSetup, send } from '../testing.ts'
import { KACLS_ERRORS, type KaclsErrorName } from './errors.ts'
import { kaclsHandler } from './handler.ts'
import { Signer } from './signer.ts'
import { MIGRATION_AUDIENCE } from './tokens.ts'

export const URL_OF_ACME = 'https://kacls.example/acme/v1'
export const PEER = 'https://old.example/v1'
export const NOW = Date.now()
export const DEK = Buffer.from('a data key of thirty-two bytes..')
export const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
export const pem = pair.privateKey.export({ format: 'pem', type: 'pkcs8' })
export const spki = createHash('sha256')
  .update(pair.publicKey.export({ format: 'der', type: 'spki' }))
  .digest('base64')

export let idp: Issuer
export let google: Issuer
export let peer: Issuer
before(async () => {
  idp = await Issuer.start('https://id.acme.example/')
  google = await Issuer.start('gsuitecse-tokenissuer-drive@system.gserviceaccount.com')
  peer = await Issuer.start(PEER)
})
after(() => Promise.all([idp, google, peer].map(each => each.stop())))

export function setup({ signs = true, perimeters = false } = {}) {
  const made = protocolSetup()
  const { owner, context } = made
  owner.tenant('acme')
  owner.key('acme', 'workspace')
  if (signs) owner.key('acme', 'signer', { spec: 'RSA_2048', mayEncrypt: false, mayDecrypt: false })
  const wiring = { monotonic: () => performance.now(), onProblem: () => {} }
  const trusted = (issuer: Issuer, audience: string) => ({
    issuer: issuer.name,
    audiences: [audience],
    keys: new KeySet({ url: issuer.url }, wiring, { attemptMs: 0 }),
  })
  const signer = signs ? new Signer(context.core, 'acme', 'signer') : undefined
  const provider = trusted(idp, 'workspace')
  const own = signer === undefined ? [] : [{ issuer: URL_OF_ACME, audiences: [URL_OF_ACME], keys: signer }]
  const verifier = (issuers: ConstructorParameters<typeof TokenVerifier>[0]['issuers']) =>
    new TokenVerifier({ issuers, now: () => NOW })
  const rule = { emails: new Set(['bob@acme.example']), domains: new Set(['legal.example']) }
  const tenant = {
    name: 'acme',
    kaclsUrl: URL_OF_ACME,
    keyId: 'workspace',
    signer,
    users: verifier([provider, ...own]),
    administrators: verifier([provider]),
    peers: verifier([provider, trusted(peer, MIGRATION_AUDIENCE)]),
    authorization: verifier([trusted(google, 'cse-authorization')]),
    peerUrls: new Set([PEER]),
    peerHosts: new Map([[PEER, { url: PEER }]]),
    ownerDomain: 'acme.example',
    guests: new Set(['google-visitor']),
    admins: new Set(['root@acme.example']),
    perimeters: perimeters ? new Map([['closed', rule]]) : undefined,
  }
  const handler = kaclsHandler({
    ...context,
    tenants: new Map([['acme', tenant]]),
    name: 'Acme',
    origins: new Set(['https://client-side-encryption.google.com']),
    delegationSeconds: 900,
    now: () => NOW,
  })
  const post = (method: string, body: unknown): Promise<Got> => send(handler, { path: `/acme/v1/${method}`, body })
  return { ...made, tenant, handler, post }
}

export const authentication = (claims: JWTPayload = {}): Promise<string> =>
  idp.sign({ aud: 'workspace', sub: 'ada', email: 'Ada@acme.example', ...claims })
export const authorization = (role: string, claims: JWTPayload = {}): Promise<string> =>
  google.sign({
    aud: 'cse-authorization',
    email: 'ada@ACME.example',
    role,
    kacls_url: URL_OF_ACME,
    resource_name: 'document-1',
    perimeter_id: 'legal',
    ...claims,
  })
/** Both tokens of one person, and what else is sent. */
export const tokens = async (role: string, more: object = {}, claims: JWTPayload = {}) => ({
  authentication: await authentication(),
  authorization: await authorization(role, claims),
  reason: '{"client":"drive"}',
  ...more,
})
export const admin = async (more: object = {}) => ({
  authentication: await authentication({ email: 'root@acme.example', sub: 'root' }),
  reason: 'export',
  ...more,
})

export function is({ status, json }: Got, name: KaclsErrorName): void {
  assert.deepEqual(
    [json.details, status, json.code],
    [name, KACLS_ERRORS[name], KACLS_ERRORS[name]],
    String(json.message),
  )
}

export async function wrapped(post: ReturnType<typeof setup>['post'], claims: JWTPayload = {}): Promise<string> {
  const { status, json } = await post('wrap', await tokens('writer', { key: DEK.toString('base64') }, claims))
  assert.equal(status, 200, JSON.stringify(json))
  return String(json.wrapped_key)
}
