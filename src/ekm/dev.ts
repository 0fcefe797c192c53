/**
 * Starting the owner's service: from its configuration, or (`--dev`) with a folder, a port, a certificate, a tenant, a credential and keys of its
 * own, so that a laptop or a CI job has a whole external key store proxy after one command. For development: the root of trust is a file beside
 * the data.
 */
import { X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { BoundaryControl } from '../boundary/client/api.ts'
import { connectControl } from '../boundary/client/control.ts'
import { entryFile } from '../boundary/installed.ts'
import type { AdminSpec, FrontEndSpec } from '../boundary/supervisor/programs.ts'
import { type Service, startService } from '../boundary/supervisor/supervisor.ts'
import { boundarySettings } from '../config/boundary.ts'
import { type EkmConfig, ekmConfig } from '../config/ekm.ts'
import { serviceFolders } from '../config/folders.ts'
import { parseConfig } from '../config/load.ts'
import { heapMegabytes } from '../config/shared.ts'
import * as admin from './admin/index.ts'
import { uriPath } from './keys/names.ts'

const CERTIFICATE_DAYS = 365
/** A certificate that ends sooner is made anew. */
const RENEW_BEFORE_MS = 30 * 86_400_000

export interface DevKey {
  readonly keyId: string
  readonly usage: admin.KeyUse
}

export interface DevOptions {
  /** Kept after the end; undefined: a temporary folder, which is removed. */
  readonly data: string | undefined
  /** 0 takes a free one, which is then kept for this run. */
  readonly port: number
  /** Plain HTTP instead of TLS. */
  readonly http: boolean
  readonly tenant: string
  readonly keys: readonly DevKey[]
  readonly credential: admin.GivenCredential | undefined
  /** See the boundary's configuration. */
  readonly acceptClock?: number | undefined
}

/** What is printed when the service is ready: one line of JSON. */
export interface DevLine {
  readonly endpoint: string
  /** Without slashes at its ends; empty for none. */
  readonly pathPrefix: string
  /** `XksProxyUriPath`. */
  readonly uriPath: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** PEM file of the root for the server's certificate; null over plain HTTP. */
  readonly caFile: string | null
  /** URL of the operator's listener. */
  readonly operations: string
  readonly keys: readonly string[]
  readonly data: string
  readonly pid: number
}

export interface DevService {
  readonly line: DevLine
  readonly service: Service
  /** Stops both processes, and removes a temporary folder. */
  stop(): Promise<void>
}

/** Starts front end and boundary of a service. */
export function startEkmService(config: EkmConfig, dev: boolean, stderr?: number, acceptClock?: number): Service {
  return startService({
    ...(stderr === undefined ? {} : { stderr }),
    boundary: { ...boundarySettings('ekm', config, dev), ...(acceptClock === undefined ? {} : { acceptClock }) },
    frontEnd: ekmFrontEnd(config),
    ...(config.admin === undefined ? {} : { admin: ekmAdminApi(config) }),
  })
}

export function ekmFrontEnd(config: EkmConfig): FrontEndSpec {
  return {
    entry: entryFile('ekm/main'),
    heapMegabytes: heapMegabytes(config.cache),
    config,
    folders: [serviceFolders(config.data).frontEnd],
  }
}

export function ekmAdminApi(config: EkmConfig): AdminSpec {
  return { entry: entryFile('ekm/admin-api/main'), config }
}

/** Resolves when everything that was asked for is there. `started` is told of the service as soon as there is one to stop. */
export async function startEkmDev(
  options: DevOptions,
  started: (service: Service) => void = () => {},
): Promise<DevService> {
  const data = options.data === undefined ? mkdtempSync(join(tmpdir(), 'holdfast-ekm-')) : resolve(options.data)
  const remove = (): void => {
    if (options.data === undefined) rmSync(data, { recursive: true, force: true })
  }
  let service: Service | undefined
  try {
    mkdirSync(data, { recursive: true, mode: 0o700 })
    const tls = options.http ? undefined : await devCertificate(data)
    service = startEkmService(await devConfig(data, options.port, tls), true, undefined, options.acceptClock)
    started(service)
    const running = service
    const ready = await running.ready
    const control = connectControl({ socket: join(serviceFolders(data).boundary, 'control.sock') })
    const made = await devContents(control, options).finally(() => control.close())
    const { tenant, keys } = options
    const line: DevLine = {
      endpoint: String(ready.endpoint),
      pathPrefix: tenant === '/' ? '' : tenant,
      uriPath: uriPath(tenant),
      accessKeyId: made.accessKeyId,
      secretAccessKey: made.secretAccessKey.reveal(bytes => bytes.toString('latin1')),
      caFile: tls?.caFile ?? null,
      operations: String(ready.operations),
      keys: keys.map(key => key.keyId),
      data,
      pid: process.pid,
    }
    return { line, service: running, stop: () => running.stop().finally(remove) }
  } catch (error) {
    await service?.stop()
    remove()
    throw error
  }
}

interface DevTls {
  readonly caFile: string
  readonly certificateFile: string
  readonly keyFile: string
}

async function devConfig(data: string, port: number, tls: DevTls | undefined): Promise<EkmConfig> {
  return parseConfig(ekmConfig, {
    data,
    listen: {
      host: '127.0.0.1',
      port: port === 0 ? await freePort() : port,
      ...(tls === undefined ? {} : { tls: { certificateFile: tls.certificateFile, keyFile: tls.keyFile } }),
    },
    boundary: { root: { kind: 'keyfile', file: join(data, 'root.key') } },
    // No quota worth the name, and time for a laptop that is busy with something else.
    load: { perSecond: 1_000_000, inFlight: 1024, withinMs: 5000 },
  })
}

/** What is there from an earlier run stays; only credentials, which cannot be shown again, are replaced by one of this run. */
async function devContents(control: BoundaryControl, options: DevOptions): Promise<admin.NewCredential> {
  const { tenant, keys, credential } = options
  const tenants = await admin.listTenants(control)
  const known = tenants.find(each => each.tenant === tenant) ?? (await admin.createTenant(control, tenant))
  const existing = new Set<string>()
  for await (const key of admin.listKeys(control, tenant)) existing.add(key.keyId)
  for (const { keyId, usage } of keys) {
    if (!existing.has(keyId)) await admin.createKey(control, { tenant, keyId, usage, backing: 'software' })
  }
  for (const accessKeyId of known.credentials) await admin.deleteCredential(control, accessKeyId)
  return admin.createCredential(control, tenant, credential)
}

/** Makes certificate and root under the data folder, or takes those of an earlier run. */
async function devCertificate(data: string): Promise<DevTls> {
  const folder = join(data, 'tls')
  const files = {
    caFile: join(folder, 'ca.pem'),
    certificateFile: join(folder, 'server.pem'),
    keyFile: join(folder, 'server.key'),
  }
  if (Object.values(files).every(file => existsSync(file))) {
    const { validToDate } = new X509Certificate(readFileSync(files.certificateFile))
    if (validToDate.getTime() - Date.now() > RENEW_BEFORE_MS) return files
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  // Loaded here only: a service that has its certificate does not wait for the library that makes one.
  const { makeAuthority } = await import('../http/certificates.ts')
  const authority = await makeAuthority('Holdfast development root', CERTIFICATE_DAYS)
  const issued = await authority.issue({
    commonName: 'localhost',
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1', '::1'],
    use: 'server',
  })
  writeFileSync(files.caFile, authority.certificate, { mode: 0o644 })
  writeFileSync(files.certificateFile, issued.certificate, { mode: 0o644 })
  writeFileSync(files.keyFile, issued.key, { mode: 0o600 })
  return files
}

/** A port that is free now: fixed before the start, so that a front end that is started anew listens on the same one. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((done, failed) => {
    server.once('error', failed)
    server.listen(0, '127.0.0.1', done)
  })
  const address = server.address()
  await new Promise(done => server.close(done))
  if (address === null || typeof address === 'string') throw new Error('no port is free')
  return address.port
}
