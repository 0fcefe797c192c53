/** What is asked of an owner's key manager over HTTPS, by protocol: its part of the configuration, and its rows. */
import { constants, createPublicKey, publicEncrypt } from 'node:crypto'
import type { EkmConfigInput } from '../../src/config/ekm.ts'
import { Issuer } from '../../src/ekm/access/testing.ts'
import { signHeaders } from '../../src/http/sigv4-sign.ts'
import { Secret } from '../../src/store/secret.ts'
import type { LoadTls, Where } from '../load.ts'
import { xksBody } from '../services.ts'
import { type Asked, ask, bytesOf } from './http.ts'
import type { Files, RunningEkm } from './service.ts'

export interface EkmTarget {
  readonly name: string
  readonly where: Where
  /** Divides the count of a round. */
  readonly slowness: number
  requests(count: number): Buffer[]
}

/** Where keys are: what rows are called after it, and the names of its tenant, its key and its pair. */
export interface Place {
  readonly suffix: string
  readonly tenant: string
  readonly key: string
  readonly pair: string
  /** What goes through the token is measured with fewer requests. */
  readonly slowness: number
}
export const SOFTWARE: Place = { suffix: '', tenant: 'bench', key: 'aes', pair: 'rsa', slowness: 1 }
/** A tenant of its own, because KACLS has one key for each. */
export const SOFTHSM: Place = { suffix: ', SoftHSM2', tenant: 'token', key: 'aes', pair: 'rsa', slowness: 2 }

export interface Given {
  readonly folder: string
  readonly files: Files
}
export interface World {
  readonly ekm: RunningEkm
  readonly tls: LoadTls
  readonly places: readonly Place[]
}
export interface Prepared {
  readonly config: Partial<EkmConfigInput>
  targets(world: World): Promise<EkmTarget[]>
  stop(): Promise<void>
}
export type Protocol = (given: Given) => Promise<Prepared>

/** There are many rows: all but the ones that others are compared with have a part of a round's requests, so that the whole bench stays short. */
export const QUARTER = 4
/** What is done with the private half of a pair, and what takes a token several calls. */
const EIGHTH = 8

const VALUE = Buffer.alloc(32, 7)
const noStop = async (): Promise<void> => {}
const withClients = ({ certificate, key, clients }: Files) => ({
  certificateFile: certificate,
  keyFile: key,
  clients: { caFile: clients },
})
const withoutClients = ({ certificate, key }: Files) => ({ certificateFile: certificate, keyFile: key })
const portOf = ({ line }: RunningEkm, protocol: string): number => Number(new URL(line[protocol] ?? '').port)

/** One request again and again. */
function same(name: string, asked: Asked, tls: LoadTls, slowness: number): EkmTarget {
  const bytes = bytesOf(asked)
  return { name, where: { port: asked.port, tls }, slowness, requests: () => [bytes] }
}

const xks: Protocol = async ({ files }) => ({
  config: { listen: { port: 0, tls: withClients(files) } },
  stop: noStop,
  targets: async ({ ekm, tls, places }) => {
    const port = portOf(ekm, 'endpoint')
    const one = async ({ suffix, tenant, key }: Place): Promise<EkmTarget> => {
      const { accessKeyId = '', secretAccessKey = '' } = await ekm.cli('credential', 'create', '--tenant', tenant)
      const by = { accessKeyId, secret: new Secret(Buffer.from(secretAccessKey)) }
      const path = `/${tenant}/kms/xks/v1/keys/${key}/encrypt`
      const request = (): Buffer => {
        const body = xksBody()
        const headers = { host: `127.0.0.1:${port}`, 'content-type': 'application/json' }
        const what = { method: 'POST', rawPath: path, headers, body: Buffer.from(body) }
        const options = { service: 'kms-xks-proxy', region: 'us-east-1', now: Date.now() }
        return bytesOf({ port, path, body, headers: signHeaders(what, by, options) })
      }
      const name = `XKS encrypt 32 B, mutual TLS${suffix}`
      return { name, where: { port, tls }, slowness: 1, requests: count => Array.from({ length: count }, request) }
    }
    return Promise.all(places.map(one))
  },
})

/** Wrapping with a pair is done with its public half, which is in no token. */
const azure: Protocol = async ({ files }) => ({
  config: { azure: { port: 0, tls: withClients(files) } },
  stop: noStop,
  targets: async ({ ekm, tls, places }) => {
    const port = portOf(ekm, 'azure')
    const asked = ({ tenant }: Place, key: string, operation: string, members: object): Asked => ({
      port,
      path: `/${tenant}/${key}/${operation}?api-version=0.1-preview`,
      body: JSON.stringify({
        request_context: { request_id: 'r', correlation_id: 'c', pool_name: 'bench' },
        ...members,
      }),
    })
    const targets: EkmTarget[] = []
    for (const place of places) {
      const { suffix, slowness } = place
      for (const [alg, key] of [
        ['A256KW', place.key],
        ['RSA-OAEP-256', place.pair],
      ] as const) {
        const wrap = asked(place, key, 'wrapkey', { alg, value: VALUE.toString('base64url') })
        const { value } = await ask(wrap, tls)
        const inToken = place === SOFTHSM
        const name = (operation: string): string => `Azure ${operation} ${alg}, mutual TLS${suffix}`
        if (alg === 'A256KW' || !inToken) targets.push(same(name('wrapkey'), wrap, tls, inToken ? EIGHTH : 1))
        const unwraps = (alg === 'A256KW' ? QUARTER : EIGHTH) * slowness
        targets.push(same(name('unwrapkey'), asked(place, key, 'unwrapkey', { alg, value }), tls, unwraps))
      }
    }
    return targets
  },
})

const DIRECTORY = 'a1b2c3d4-0000-1111-2222-333344445555'
const DKE_URL = 'https://dke.bench.example'
const PERSON = 'ada@bench.example'

const dke: Protocol = async ({ files }) => {
  const issuer = await Issuer.start(`https://sts.windows.net/${DIRECTORY}/`)
  const issuers = { [issuer.name]: { audiences: [DKE_URL], keys: issuer.url } }
  const keys = { rsa: { emails: [PERSON] } }
  const tenant = { directory: DIRECTORY, issuers, audience: DKE_URL, keys }
  return {
    config: {
      dke: { port: 0, tls: withoutClients(files), publicUrl: DKE_URL, tenants: { bench: tenant, token: tenant } },
    },
    stop: () => issuer.stop(),
    targets: async ({ ekm, tls, places }) => {
      const port = portOf(ekm, 'dke')
      const token = await issuer.sign({ aud: DKE_URL, sub: 'subject', tid: DIRECTORY, upn: PERSON })
      const one = async ({ suffix, tenant, pair, slowness }: Place): Promise<EkmTarget> => {
        const { key } = await ask({ port, path: `/${tenant}/${pair}`, method: 'GET' }, tls)
        const { n, kid } = key as { n: string; kid: string }
        const jwk = { kty: 'RSA', e: 'AQAB', n: Buffer.from(n, 'base64').toString('base64url') }
        const oaep = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
        const value = publicEncrypt({ key: createPublicKey({ key: jwk, format: 'jwk' }), ...oaep }, VALUE)
        const path = `${kid.slice(DKE_URL.length)}/decrypt`
        const body = JSON.stringify({ alg: 'RSA-OAEP-256', value: value.toString('base64') })
        const headers = { authorization: `Bearer ${token}` }
        return same(`DKE decrypt RSA-OAEP-256, TLS${suffix}`, { port, path, headers, body }, tls, EIGHTH * slowness)
      }
      return Promise.all(places.map(one))
    },
  }
}

const KACLS_URL = 'https://kacls.bench.example'

const kacls: Protocol = async ({ files }) => {
  const idp = await Issuer.start('https://id.bench.example/')
  const google = await Issuer.start('gsuitecse-tokenissuer-drive@system.gserviceaccount.com')
  const tenant = {
    key: SOFTWARE.key,
    authentication: { [idp.name]: { audiences: ['workspace'], keys: idp.url } },
    authorization: { [google.name]: { audiences: ['cse-authorization'], keys: google.url } },
  }
  const tokens = async ({ tenant: name }: Place, role: string): Promise<object> => ({
    authentication: await idp.sign({ aud: 'workspace', sub: 'ada', email: PERSON }),
    authorization: await google.sign({
      ...{ aud: 'cse-authorization', email: PERSON, role, kacls_url: `${KACLS_URL}/${name}/v1` },
      ...{ resource_name: 'document', perimeter_id: 'legal' },
    }),
    reason: '{"client":"drive"}',
  })
  return {
    config: {
      kacls: { port: 0, tls: withoutClients(files), publicUrl: KACLS_URL, tenants: { bench: tenant, token: tenant } },
    },
    stop: async () => {
      await Promise.all([idp.stop(), google.stop()])
    },
    targets: async ({ ekm, tls, places }) => {
      const port = portOf(ekm, 'kacls')
      const both = async (place: Place): Promise<EkmTarget[]> => {
        const asked = async (method: string, role: string, members: object): Promise<Asked> => ({
          port,
          path: `/${place.tenant}/v1/${method}`,
          body: JSON.stringify({ ...(await tokens(place, role)), ...members }),
        })
        const wrap = await asked('wrap', 'writer', { key: VALUE.toString('base64') })
        const { wrapped_key } = await ask(wrap, tls)
        const slowness = QUARTER * place.slowness
        return [
          same(`KACLS wrap, TLS${place.suffix}`, wrap, tls, slowness),
          same(`KACLS unwrap, TLS${place.suffix}`, await asked('unwrap', 'reader', { wrapped_key }), tls, slowness),
        ]
      }
      return (await Promise.all(places.map(both))).flat()
    },
  }
}

const GOOGLE_AUDIENCE = 'https://google.bench.example'
const SERVICE_ACCOUNT = 'service-111111@gcp-sa-ekms.iam.gserviceaccount.com'
const CONTEXT = {
  fullResourceName: 'projects/bench/locations/europe-west3/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1',
  accessReasonContext: { reason: 'CUSTOMER_INITIATED_ACCESS' },
}

const google: Protocol = async ({ files }) => {
  const issuer = await Issuer.start('https://accounts.google.com')
  const tenant = {
    issuers: { [issuer.name]: { audiences: [GOOGLE_AUDIENCE], keys: issuer.url } },
    serviceAccounts: [SERVICE_ACCOUNT],
  }
  return {
    config: { googleExperimental: { port: 0, tls: withoutClients(files), tenants: { bench: tenant, token: tenant } } },
    stop: () => issuer.stop(),
    targets: async ({ ekm, tls, places }) => {
      const port = portOf(ekm, 'google')
      const by = { aud: GOOGLE_AUDIENCE, sub: '42', email: SERVICE_ACCOUNT, email_verified: true }
      const headers = { authorization: `Bearer ${await issuer.sign(by)}` }
      const both = async ({ tenant, key, suffix, slowness }: Place): Promise<EkmTarget[]> => {
        const asked = (operation: string, members: object): Asked => ({
          ...{ port, path: `/${tenant}/${key}:${operation}`, headers },
          body: JSON.stringify({ ...members, additionalContext: CONTEXT }),
        })
        const wrap = asked('wrap', { plaintext: VALUE.toString('base64') })
        const { wrappedBlob } = await ask(wrap, tls)
        return [
          same(`Google wrap, TLS${suffix}`, wrap, tls, QUARTER * slowness),
          same(`Google unwrap, TLS${suffix}`, asked('unwrap', { wrappedBlob }), tls, QUARTER * slowness),
        ]
      }
      return (await Promise.all(places.map(both))).flat()
    },
  }
}

export const OVER_HTTPS: readonly Protocol[] = [xks, azure, dke, kacls, google]
