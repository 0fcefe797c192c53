/** The real `holdfast ekm` with every listener that it can have, each as a door that scripts are played at, and a good request for each. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { signRequest } from '../../src/http/sigv4-sign.ts'
import { Secret } from '../../src/store/secret.ts'
import { type CertificateFiles, TestAuthority } from '../../test/support/certificates.ts'
import { type Ekm, PATIENT, startEkm } from '../../test/support/ekm.ts'
import type { ServiceLine } from '../../test/support/ekm-service.ts'
import { statusOfCall } from './grpc.ts'
import { answerTo, statusesIn } from './play.ts'

/** What is slow is cut off soon, and what is many is told so. */
const LIMITS = { headersMs: 400, requestMs: 800, idleMs: 400, connections: 256, inFlight: 128 }
const TENANT = 'acme'
const CLIENT = 'provider.example'
const READY_MS = 10_000
const GOOD_ATTEMPTS = 5
const PATIENT_DOORS: ReadonlySet<string> = new Set(['operations', 'admin'])

export type Speaks = 'http' | 'grpc' | 'frames'

export interface Door {
  readonly name: string
  readonly speaks: Speaks
  /** Takes longer to cut off what is slow than a run can wait: its bounds are no settings. */
  readonly patient: boolean
  /** With everything that a peer needs to be let in. Its own side is only ended by whoever has it. */
  readonly connect: () => Socket
  /** The bare connection; undefined where that is the same. */
  readonly bare: (() => Socket) | undefined
  /** Requests that are answered, or refused for what they ask. */
  readonly requests: () => readonly Buffer[]
  /** Throws unless a good request is answered. */
  readonly good: () => Promise<void>
}

export interface Use {
  /** Bytes. */
  readonly memory: number
  readonly handles: number
}

export interface Doors {
  readonly doors: readonly Door[]
  readonly ekm: Ekm<ServiceLine>
  /** Of front end and boundary. */
  use(): Readonly<Record<'frontEnd' | 'boundary', Use>>
  stop(): Promise<number | null>
}

export function request(method: string, path: string, headers: Readonly<Record<string, string>>, body = ''): Buffer {
  const lines = Object.entries({ host: 'ekm.example', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  const length = body === '' ? '' : `content-length: ${Buffer.byteLength(body)}\r\n`
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}${length}\r\n${body}`)
}

const METADATA = {
  ...{ kmsRequestId: 'r', kmsOperation: 'Encrypt', awsPrincipalArn: 'arn:aws:iam::1:user/ada' },
  kmsKeyArn: 'arn:aws:kms:eu-west-1:1:key/1',
}
const CONTEXT = { correlation_id: 'c', pool_name: 'p' }

export async function startDoors(): Promise<Doors> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-fuzz-'))
  const authority = await TestAuthority.make(folder, 'ca')
  const names = { commonName: 'ekm', ipAddresses: ['127.0.0.1'] }
  const server = await authority.issue('server', { ...names, use: 'server' })
  const client = await authority.issue('client', { commonName: CLIENT, use: 'client' })
  const mutual = { ...server, clients: { caFile: authority.caFile } }
  const keys = join(folder, 'keys.json')
  writeFileSync(keys, '{"keys":[]}')
  mkdirSync(join(folder, 'run'), { mode: 0o700 })
  const socket = join(folder, 'run', 'kms.sock')
  const issuers = { 'https://issuer.example/': { audiences: ['a'], keys: `file://${keys}` } }
  const config = {
    data: join(folder, 'data'),
    listen: { port: 0 },
    azure: { port: 0, tls: mutual },
    kubernetes: { sockets: [{ path: socket, tenant: TENANT, key: 'k' }], listen: { port: 0, tls: mutual } },
    dke: {
      port: 0,
      tls: server,
      publicUrl: 'https://dke.example',
      tenants: { [TENANT]: { directory: DIRECTORY, issuers, audience: 'a', keys: {} } },
    },
    kacls: {
      port: 0,
      publicUrl: 'https://kacls.example',
      tenants: { [TENANT]: { key: 'k', authentication: issuers } },
    },
    googleExperimental: { port: 0, tenants: { [TENANT]: { issuers, serviceAccounts: ['a@b.example'] } } },
    admin: { port: 0, tls: mutual },
    boundary: { root: { kind: 'keyfile', file: join(folder, 'root.key') } },
    load: PATIENT,
    limits: LIMITS,
  }
  writeFileSync(join(folder, 'ekm.json'), JSON.stringify(config))
  const ekm = await startEkm<ServiceLine>(['--config', join(folder, 'ekm.json')])
  const stop = async (): Promise<number | null> => {
    const code = await ekm.stop()
    rmSync(folder, { recursive: true, force: true })
    return code
  }
  try {
    await ekm.cli('tenant', 'create', TENANT, '--client', CLIENT)
    await ekm.cli('tenant', 'create', 'open')
    for (const tenant of [TENANT, 'open']) await ekm.cli('key', 'create', 'k', '--tenant', tenant)
    await ekm.cli('key', 'create', 'pair', '--tenant', TENANT, '--spec', 'RSA_2048')
    const credential = await ekm.cli<{ accessKeyId: string; secretAccessKey: string }>(
      'credential',
      'create',
      '--tenant',
      'open',
    )
    const tls: Tls = { ...client, caFile: authority.caFile }
    const doors = doorsOf(ekm.line, tls, socket, credential)
    return { doors, ekm, use: () => useOf(ekm), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

const DIRECTORY = '11111111-2222-3333-4444-555555555555'

interface Tls extends CertificateFiles {
  readonly caFile: string
}

function doorsOf(
  line: ServiceLine,
  tls: Tls,
  socket: string,
  credential: { accessKeyId: string; secretAccessKey: string },
): Door[] {
  const portOf = (name: string): number => Number(new URL(line[name] ?? '').port)
  const over = (name: string, alpn?: string): Pick<Door, 'connect' | 'bare'> => {
    const port = portOf(name)
    const bare = () => connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    if (!(line[name] ?? '').startsWith('https:')) return { connect: bare, bare: undefined }
    const files = {
      ca: readFileSync(tls.caFile),
      cert: readFileSync(tls.certificateFile),
      key: readFileSync(tls.keyFile),
    }
    const options = { ...files, ...(alpn === undefined ? {} : { ALPNProtocols: [alpn] }) }
    return { connect: () => connectTls({ socket: bare(), host: '127.0.0.1', ...options }), bare }
  }
  const http = (name: string, requests: () => readonly Buffer[], status = 200): Door => {
    const way = over(name)
    const good = async (): Promise<void> => {
      let got: number | undefined
      // On a busy machine the first byte can come later than the service waits for it, here some hundred milliseconds: then it ends without a word.
      for (let attempts = 0; got === undefined && attempts < GOOD_ATTEMPTS; attempts++) {
        const [first = Buffer.alloc(0)] = requests()
        got = statusesIn(await answerTo(way.connect(), first, READY_MS))[0]
      }
      if (got !== status) throw new Error(`${name} answered a good request with ${got}`)
    }
    return { name, speaks: 'http', patient: PATIENT_DOORS.has(name), ...way, requests, good }
  }
  const grpc = (name: string, way: Pick<Door, 'connect' | 'bare'>): Door => ({
    ...{ name, speaks: 'grpc', patient: false, ...way, requests: () => [] },
    good: async () => {
      const status = await statusOfCall(way.connect(), READY_MS)
      if (status !== '0') throw new Error(`${name} answered a good call with ${status}`)
    },
  })
  const xks = xksRequests(credential)
  const local = { connect: () => connect({ path: socket, allowHalfOpen: true }), bare: undefined }
  const boundary = join(line.data, 'boundary', 'use.sock')
  const token = { authorization: 'Bearer e30.e30.e30' }
  const json = (value: object): string => JSON.stringify(value)
  const wrap = json({ request_context: CONTEXT, alg: 'A256KWP', value: 'AAAAAAAAAAAAAAAAAAAAAA' })
  const azurePath = (operation: string) => `/${TENANT}/${operation}?api-version=0.1-preview`
  const doors: Door[] = [
    http('endpoint', xks),
    http('azure', () => [
      request('POST', azurePath('k/wrapkey'), {}, wrap),
      request('POST', azurePath('info'), {}, json({ request_context: CONTEXT })),
    ]),
    http('dke', () => [
      request('GET', `/${TENANT}/pair`, {}),
      request('POST', `/${TENANT}/pair/${DIRECTORY}/decrypt`, token, '{}'),
    ]),
    http('kacls', () => [
      request('GET', `/${TENANT}/v1/status`, {}),
      request(
        'POST',
        `/${TENANT}/v1/wrap`,
        {},
        json({ authentication: 'e30.e30.e30', authorization: 'x', key: 'AA==' }),
      ),
      request('OPTIONS', `/${TENANT}/v1/wrap`, { origin: 'https://x.example' }),
    ]),
    http('google', () => [request('POST', `/${TENANT}/k:wrap`, token, json({ plaintext: 'AA==' }))], 401),
    http('operations', () => [request('GET', '/metrics', {}), request('GET', '/ping', {})]),
    http('admin', () => [
      request('GET', '/v1/switches', {}),
      request('POST', '/v1/restore', {}, json({ tenant: 'nobody' })),
    ]),
    grpc('kubernetes', over('kubernetes', 'h2')),
    grpc('socket', local),
    {
      name: 'boundary',
      speaks: 'frames',
      patient: true,
      connect: () => connect(boundary),
      bare: undefined,
      requests: () => [],
      good: async () => {},
    },
  ]
  return doors
}

/** Signed anew each time: what comes twice is a replay. */
function xksRequests({
  accessKeyId,
  secretAccessKey,
}: {
  accessKeyId: string
  secretAccessKey: string
}): () => readonly Buffer[] {
  const signer = { accessKeyId, secret: new Secret(Buffer.from(secretAccessKey)) }
  let count = 0
  const signed = (path: string, more: object): Buffer => {
    const body = JSON.stringify({ requestMetadata: { ...METADATA, kmsRequestId: String(++count) }, ...more })
    const rawPath = `/open/kms/xks/v1/${path}`
    const host = 'ekm.example'
    const headers = signRequest(
      { method: 'POST', path: rawPath, host, body: Buffer.from(body) },
      signer,
      'kms-xks-proxy',
      'eu-west-1',
      Date.now(),
    )
    return request('POST', rawPath, { ...headers }, body)
  }
  return () => [
    signed('keys/k/encrypt', { plaintext: 'AA==', encryptionAlgorithm: 'AES_GCM' }),
    signed('health', {}),
    signed('keys/k/metadata', {}),
  ]
}

function useOf(ekm: Ekm<ServiceLine>): Readonly<Record<'frontEnd' | 'boundary', Use>> {
  const { frontEnd, boundary } = ekm.children()
  const of = (pid: number): Use => {
    const [, kilobytes = '0'] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return { memory: Number(kilobytes) * 1024, handles: readdirSync(`/proc/${pid}/fd`).length }
  }
  return { frontEnd: of(frontEnd), boundary: of(boundary) }
}
