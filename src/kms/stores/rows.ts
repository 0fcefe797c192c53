/**
 * What rows of custom key stores hold.
 *
 * | kind | id | scope | link | body |
 * | --- | --- | --- | --- | --- |
 * | keystore | `<account>/<region>/<cks-id>` | `<account>/<region>` | its name | `KeyStoreBody` as JSON |
 * | keystore-credential | the same | the same | empty | `{"v":1,"accessKeyId":…}`, a line feed, the secret access key; of a cluster: its id, a line feed, the password |
 */
import type { PutRow } from '../../boundary/client/api.ts'
import type { Row } from '../../boundary/words.ts'
import type { Signer } from '../../http/sigv4-sign.ts'
import { Secret } from '../../store/secret.ts'

export type ConnectionState = 'CONNECTED' | 'CONNECTING' | 'DISCONNECTED' | 'FAILED'

export type KeyStoreType = 'EXTERNAL_KEY_STORE' | 'AWS_CLOUDHSM'

/** Of a store of type AWS_CLOUDHSM the members of the proxy are empty, and of an external one the cluster's. */
export interface KeyStoreBody {
  readonly v: 1
  readonly type: KeyStoreType
  /** `cluster-…` */
  readonly clusterId: string
  /** PEM. */
  readonly trustAnchor: string
  readonly name: string
  /** Milliseconds since 1970. */
  readonly created: number
  /** `https://<host name>` */
  readonly uriEndpoint: string
  /** `/[<prefix>/]kms/xks/v1` */
  readonly uriPath: string
  /** Of the credential in force; the secret is in the other row. */
  readonly accessKeyId: string
  readonly state: ConnectionState
  /** Only with FAILED; else empty. */
  readonly error: string
}

/** A store as loaded: its row says where it is, its body what it is. */
export interface KeyStore extends KeyStoreBody {
  readonly row: Row
  /** `cks-…` */
  readonly id: string
  readonly region: string
  /** Host name of the endpoint, in lower case. */
  readonly hostName: string
}

const PREFIX = 'https://'

export function hostNameOf(uriEndpoint: string): string {
  return uriEndpoint.slice(PREFIX.length).toLowerCase()
}

/** What rows of external stores do not say. */
export const NO_CLUSTER = { type: 'EXTERNAL_KEY_STORE', clusterId: '', trustAnchor: '' } as const
export const NO_PROXY = { uriEndpoint: '', uriPath: '', accessKeyId: '' } as const

const parsed = new WeakMap<Row, KeyStore>()

/** What a row says, read once for each row object. */
export function readKeyStore(row: Row): KeyStore {
  const known = parsed.get(row)
  if (known !== undefined) return known
  if (row.body === null) throw new Error('a tombstone holds no key store')
  const body = JSON.parse(row.body.toString('utf8')) as KeyStoreBody
  if (body.v !== 1)
    throw new Error(`this keystore row has version ${body.v}, which this version of Holdfast cannot read`)
  const [, region = '', id = ''] = row.id.split('/')
  const store = { ...NO_CLUSTER, ...body, row, id, region, hostName: hostNameOf(body.uriEndpoint) }
  parsed.set(row, store)
  return store
}

/** The row that makes `body` the store's new body; `expected` 0 makes a new store. */
export function putKeyStore(id: string, expected: number, body: KeyStoreBody): PutRow {
  const { v, type, name, created, uriEndpoint, uriPath, accessKeyId, clusterId, trustAnchor, state, error } = body
  const cluster = type === 'AWS_CLOUDHSM' ? { type, clusterId, trustAnchor } : {}
  const members = { v, name, created, uriEndpoint, uriPath, accessKeyId, ...cluster, state, error }
  const bytes = Buffer.from(JSON.stringify(members))
  return { kind: 'keystore', id, scope: scopeOf(id), link: name, expected, body: bytes }
}

export interface StoreCredential {
  readonly accessKeyId: string
  /** ASCII. */
  readonly secret: Buffer
}

export function putCredential(id: string, expected: number, { accessKeyId, secret }: StoreCredential): PutRow {
  const body = Buffer.concat([Buffer.from(`${JSON.stringify({ v: 1, accessKeyId })}\n`), secret])
  return { kind: 'keystore-credential', id, scope: scopeOf(id), link: '', expected, body }
}

/** The credential of a cluster's store, from which the boundary logs in. */
export function putPassword(id: string, expected: number, clusterId: string, password: string): PutRow {
  const body = Buffer.from(`${clusterId}\n${password}`)
  return { kind: 'keystore-credential', id, scope: scopeOf(id), link: '', expected, body }
}

const signers = new WeakMap<Secret, Signer>()

/** Who signs with an opened credential row: one object for each opened secret, so that its signing keys are derived once. */
export function signerOf(credential: Secret): Signer {
  const known = signers.get(credential)
  if (known !== undefined) return known
  const signer = credential.reveal(bytes => {
    const end = bytes.indexOf(0x0a)
    const head = JSON.parse(bytes.toString('utf8', 0, end)) as { v: number; accessKeyId: string }
    if (head.v !== 1) throw new Error(`this keystore-credential row has version ${head.v}, which cannot be read here`)
    return { accessKeyId: head.accessKeyId, secret: new Secret(bytes.subarray(end + 1)) }
  })
  signers.set(credential, signer)
  return signer
}

export function scopeOf(id: string): string {
  return id.slice(0, id.lastIndexOf('/'))
}

export function tombstone(
  kind: 'keystore' | 'keystore-credential',
  id: string,
  link: string,
  expected: number,
): PutRow {
  return { kind, id, scope: scopeOf(id), link, expected, body: null }
}
