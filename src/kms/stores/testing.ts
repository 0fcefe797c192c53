/**
 * For the tests of this room: certificates, a proxy written for the tests over node:https with client certificates, and rows in memory.
 */
import {
  createCipheriv,
  createDecipheriv,
  generateKeyPairSync,
  hash,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PutRow } from '../../boundary/client/api.ts'
import { type Asserted, BoundaryError, type Row, type RowKind } from '../../boundary/words.ts'
import { Secret } from '../../store/secret.ts'
import type { KeyStoresOptions } from './key-stores.ts'
import type { XksHost } from './transport.ts'

// ---- Certificates in DER (RFC 5280), just enough of it ----

function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(contents)
  const long = body.length > 255 ? [0x82, body.length >> 8, body.length & 255] : [0x81, body.length]
  return Buffer.concat([Buffer.from([tag, ...(body.length < 128 ? [body.length] : long)]), body])
}
const sequence = (...contents: readonly Uint8Array[]) => der(0x30, ...contents)
const hex = (tag: number, value: string) => der(tag, Buffer.from(value, 'hex'))
const OID = {
  commonName: '550403',
  ecdsaSha256: '2a8648ce3d040302',
  basicConstraints: '551d13',
  subjectAltName: '551d11',
}
const ALGORITHM = sequence(hex(6, OID.ecdsaSha256))
const nameOf = (name: string) => sequence(der(0x31, sequence(hex(6, OID.commonName), der(0x0c, Buffer.from(name)))))
const time = (days: number) => {
  const at = new Date(Date.now() + days * 86_400_000)
  return der(0x17, Buffer.from(at.toISOString().replace(/^..(..)-(..)-(..)T(..):(..):(..).*$/, '$1$2$3$4$5$6Z')))
}

interface Made {
  readonly name: string
  readonly privateKey: KeyObject
  /** PEM. */
  readonly cert: string
  readonly key: string
}

function certificate(name: string, dnsName: string | undefined, issuer?: Made): Made {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const constraints = sequence(...(issuer === undefined ? [hex(1, 'ff')] : []))
  const extensions = [sequence(hex(6, OID.basicConstraints), hex(1, 'ff'), der(4, constraints))]
  if (dnsName !== undefined) {
    extensions.push(sequence(hex(6, OID.subjectAltName), der(4, sequence(der(0x82, Buffer.from(dnsName))))))
  }
  const body = sequence(
    der(0xa0, hex(2, '02')),
    der(2, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ALGORITHM,
    nameOf(issuer?.name ?? name),
    sequence(time(-1), time(1)),
    nameOf(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  )
  const signature = sign('sha256', body, issuer?.privateKey ?? privateKey)
  const whole = sequence(body, ALGORITHM, der(3, Buffer.from([0]), signature))
  const lines = whole.toString('base64').replace(/(.{64})(?=.)/g, '$1\n')
  return {
    name,
    privateKey,
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

export const HOST = 'xks.owner.example'
export const PATH = '/tenant-one/kms/xks/v1'
export const REGION = 'eu-central-1'
export const SIGNER = {
  accessKeyId: 'BETWEEN2TENAND3TENCHARACTERS',
  secret: new Secret(Buffer.from('PleaseReplaceThisWithSomeSecretOfLength43To64')),
}

/** Certificates of an owner's proxy and of a KMS, in files, under two roots. */
export class Certificates {
  readonly folder = mkdtempSync(join(tmpdir(), 'holdfast-xks-'))
  readonly server: { readonly ca: string; readonly cert: string; readonly key: string }

  constructor() {
    const [ownerRoot, kmsRoot] = [certificate('owner root', undefined), certificate('kms root', undefined)]
    const server = certificate('proxy', HOST, ownerRoot)
    const client = certificate(`cks.kms.${REGION}.amazonaws.com`, undefined, kmsRoot)
    this.server = { ca: kmsRoot.cert, cert: server.cert, key: server.key }
    const files = {
      'ca.pem': ownerRoot.cert,
      'other-ca.pem': kmsRoot.cert,
      'client.pem': client.cert,
      'client.key': client.key,
    }
    for (const [name, content] of Object.entries(files))
      writeFileSync(join(this.folder, name), content, { mode: 0o600 })
  }

  host(port: number, files: { ca?: string; client?: boolean } = {}): XksHost {
    const { ca = 'ca.pem', client = true } = files
    const at = (name: string) => join(this.folder, name)
    return {
      connect: `127.0.0.1:${port}`,
      caFile: at(ca),
      ...(client ? { certificateFile: at('client.pem'), keyFile: at('client.key') } : {}),
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export interface Received {
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: Record<string, unknown>
  readonly raw: string
  readonly peer: string
}

/** Answers one request; throws nothing. Returns what to send, or undefined where it has answered, or never will. */
export type Behaviour = (
  received: Received,
  response: ServerResponse,
  socket: Socket,
) => Answer | undefined | Promise<Answer | undefined>
export interface Answer {
  readonly status: number
  readonly body: unknown
}

/** A proxy that keeps to the specification, unless `behaviour` says otherwise. */
export class TestProxy {
  readonly received: Received[] = []
  readonly key = randomBytes(32)
  behaviour: Behaviour = received => this.answer(received)
  connections = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  constructor(certificates: Certificates, clientCertificates = true) {
    this.#server = createServer(
      { ...certificates.server, requestCert: clientCertificates, rejectUnauthorized: clientCertificates },
      (request, response) => this.#handle(request, response),
    )
    this.#server.on('secureConnection', () => {
      this.connections += 1
    })
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  async listen(port = 0): Promise<number> {
    this.#server.listen(port, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const raw = Buffer.concat(parts).toString('utf8')
    const { socket } = request as IncomingMessage & {
      socket: Socket & { getPeerCertificate(): { subject?: { CN?: string } } }
    }
    const received: Received = {
      url: request.url ?? '',
      headers: request.headers,
      body: JSON.parse(raw) as Record<string, unknown>,
      raw,
      peer: socket.getPeerCertificate().subject?.CN ?? '',
    }
    this.received.push(received)
    const answer = await this.behaviour(received, response, socket)
    if (answer === undefined) return
    const body = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body)
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(body)
  }

  /** What the specification says. Deterministic in nothing: IVs are random. */
  answer({ url, body }: Received): Answer {
    const bytes = (member: string) => Buffer.from(String(body[member] ?? ''), 'base64')
    const aadOf = (metadata: Buffer) => {
      const aad = bytes('additionalAuthenticatedData')
      const lengths = Buffer.from([aad.length >> 8, aad.length & 255])
      return Buffer.concat([lengths, aad, Buffer.from([metadata.length]), metadata])
    }
    if (url.endsWith('/health')) return { status: 200, body: HEALTH }
    if (url.endsWith('/metadata')) return { status: 200, body: METADATA }
    if (url.endsWith('/encrypt')) {
      const [iv, metadata] = [randomBytes(12), Buffer.from([1, 0, 0, 0, 1])]
      const cipher = createCipheriv('aes-256-gcm', this.key, iv).setAAD(aadOf(metadata))
      const ciphertext = Buffer.concat([cipher.update(bytes('plaintext')), cipher.final()])
      const tag = cipher.getAuthTag()
      const covered = Buffer.concat([bytes('additionalAuthenticatedData'), metadata, iv, ciphertext, tag])
      return {
        status: 200,
        body: {
          ciphertext: ciphertext.toString('base64'),
          ciphertextMetadata: metadata.toString('base64'),
          initializationVector: iv.toString('base64'),
          authenticationTag: tag.toString('base64'),
          ciphertextDataIntegrityValue: hash('sha256', covered, 'base64'),
        },
      }
    }
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.key, bytes('initializationVector'))
        .setAAD(aadOf(bytes('ciphertextMetadata')))
        .setAuthTag(bytes('authenticationTag'))
      const plaintext = Buffer.concat([decipher.update(bytes('ciphertext')), decipher.final()])
      return { status: 200, body: { plaintext: plaintext.toString('base64') } }
    } catch {
      return { status: 400, body: { errorName: 'InvalidCiphertextException' } }
    }
  }

  /** Ends every connection without a word. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.#server.close()
    this.cut()
    await once(this.#server, 'close').catch(() => undefined)
  }
}

export const HEALTH = {
  xksProxyFleetSize: 1,
  xksProxyVendor: 'Test',
  xksProxyModel: 'Test 1.0',
  ekmVendor: 'Test',
  ekmFleetDetails: [{ id: 'one', model: 'M', healthStatus: 'ACTIVE' }],
}
export const METADATA = { keySpec: 'AES_256', keyUsage: ['ENCRYPT', 'DECRYPT'], keyStatus: 'ENABLED' }

/** Replica and boundary in memory: rows with revisions, compare-and-set as the boundary does it. */
export class MemoryRows {
  readonly rows = new Map<string, Row>()
  readonly #secrets = new WeakMap<Row, Secret>()
  readonly asserted: Asserted[] = []
  /** Called before each `putRows`; may throw, or change rows in between. */
  before: (rows: readonly PutRow[]) => void = () => {}

  readonly #key = (kind: RowKind, id: string) => `${kind} ${id}`
  readonly #find = (kind: RowKind, id: string): Row | undefined => {
    const row = this.rows.get(this.#key(kind, id))
    return row === undefined || row.body === null ? undefined : row
  }
  readonly #all = (kind: RowKind) =>
    [...this.rows.values()]
      .filter(row => row.kind === kind && row.body !== null)
      .sort((one, other) => Buffer.compare(Buffer.from(one.id), Buffer.from(other.id)))

  readonly boundary: KeyStoresOptions['boundary'] = {
    connectCluster: () => Promise.reject(new Error('no clusters here')),
    disconnectCluster: () => Promise.reject(new Error('no clusters here')),
    putRows: async (rows, asserted) => {
      this.before(rows)
      for (const row of rows) {
        const current = this.rows.get(this.#key(row.kind, row.id))
        const revision = current === undefined || current.body === null ? 0 : current.revision
        if (revision !== row.expected) throw new BoundaryError('Conflict', `${row.kind} ${row.id}`)
      }
      this.asserted.push(asserted)
      return rows.map(({ kind, id, scope, link, body }) => {
        const revision = (this.rows.get(this.#key(kind, id))?.revision ?? 0) + 1
        const row: Row = { kind, id, scope, link, body, revision, tag: randomBytes(32) }
        this.rows.set(this.#key(kind, id), row)
        return row
      })
    },
  }

  readonly #secret = (kind: RowKind, id: string): Secret | undefined => {
    const row = this.#find(kind, id)
    if (row?.body == null) return undefined
    const secret = this.#secrets.get(row) ?? new Secret(row.body)
    this.#secrets.set(row, secret)
    return secret
  }

  readonly replica: KeyStoresOptions['replica'] = {
    get: async (kind, id) => this.#find(kind, id),
    peek: (kind, id) => this.#find(kind, id) ?? null,
    list: async (kind, scope, { after, limit }) =>
      this.#all(kind)
        .filter(row => row.scope === scope && row.id > after)
        .slice(0, limit),
    listLinked: async (kind, link, { after, limit }) =>
      this.#all(kind)
        .filter(row => row.link === link && row.id > after)
        .slice(0, limit),
    listAll: async (kind, { after, limit }) =>
      this.#all(kind)
        .filter(row => row.id > after)
        .slice(0, limit),
    secret: async (kind, id) => this.#secret(kind, id),
    peekSecret: (kind, id) => this.#secret(kind, id) ?? null,
  }
}
