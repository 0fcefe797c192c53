/**
 * Both sides as they run in earnest, for tests that need more than the demo has: any number of names for the owner's proxy, each reached through a relay that
 * a test can make silent, and every log line of all four processes in a file.
 */

import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type ControlConnection, connectControl } from '../../src/boundary/client/control.ts'
import type { Service } from '../../src/boundary/supervisor/supervisor.ts'
import { ekmConfig } from '../../src/config/ekm.ts'
import { serviceFolders } from '../../src/config/folders.ts'
import * as owners from '../../src/ekm/admin/index.ts'
import { startEkmService } from '../../src/ekm/dev.ts'
import { type GivenCredential, makeAdministrator } from '../../src/kms/admin/index.ts'
import { defaultConfig, startKmsService } from '../../src/kms/dev.ts'
import { TestAuthority } from './certificates.ts'
import { PATIENT } from './ekm.ts'
import { ApiClient, type Credentials, freePort, REGION } from './kms.ts'

export const CUSTOMER = '111122223333'

/** TCP between the provider and the owner's proxy. */
export class Relay {
  readonly port: number
  readonly #server: net.Server
  readonly #sockets = new Set<net.Socket>()
  /** Connections whose answers are dropped until they end. */
  readonly #deaf = new Set<net.Socket>()
  #mode: 'pass' | 'silent' | 'lose' = 'pass'
  /** Bytes of answers that were dropped. */
  lost = 0

  private constructor(server: net.Server, port: number) {
    this.#server = server
    this.port = port
  }

  static async start(target: number): Promise<Relay> {
    const server = net.createServer()
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
    const relay = new Relay(server, (server.address() as net.AddressInfo).port)
    server.on('connection', client => relay.#take(client, target))
    return relay
  }

  #take(client: net.Socket, target: number): void {
    const owner = net.connect(target, '127.0.0.1')
    for (const socket of [client, owner]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#sockets.delete(socket)
        client.destroy()
        owner.destroy()
      })
    }
    client.on('data', chunk => {
      if (this.#mode !== 'silent') owner.write(chunk)
    })
    owner.on('data', chunk => {
      if (this.#mode === 'lose') {
        this.#mode = 'pass'
        this.#deaf.add(client)
      }
      if (this.#deaf.has(client)) this.lost += chunk.length
      else if (this.#mode === 'pass') client.write(chunk)
    })
  }

  /** Nothing passes in either direction from now on; connections are taken and never answered. */
  silence(): void {
    this.#mode = 'silent'
  }

  /** The owner's next answer is dropped, with everything after it on that connection; new connections work. */
  loseNextAnswer(): void {
    this.#mode = 'lose'
  }

  /** What was silent is cut off, and new connections work. */
  heal(): void {
    this.#mode = 'pass'
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise(done => this.#server.close(done))
  }
}

export interface Pair {
  readonly owner: Service
  readonly provider: Service
  readonly ownerData: string
  readonly providerData: string
  readonly endpoint: string
  /** The owner's proxy, over mutual TLS. */
  readonly proxyPort: number
  readonly caFile: string
  readonly clientCertificate: { readonly certificateFile: string; readonly keyFile: string }
  /** The operators' listeners. */
  readonly operations: readonly string[]
  /** By the names that were asked for, each one host name of the proxy. */
  readonly relays: Readonly<Record<string, Relay>>
  readonly administrator: Credentials
  readonly client: ApiClient
  ownerControl(): ControlConnection
  providerControl(): ControlConnection
  /** All log lines so far. */
  log(): string
  stop(): Promise<void>
}

const hostOf = (name: string): string => `${name}.owner.example`

/** `attestationRoots`: PEM files of the roots that documents in a Recipient may chain to. */
export async function startPair(
  folder: string,
  names: readonly string[],
  given?: GivenCredential,
  regions: readonly string[] = [REGION],
  attestationRoots: readonly string[] = [],
): Promise<Pair> {
  const ownerData = join(folder, 'owner')
  const providerData = join(folder, 'provider')
  const certificates = join(folder, 'certificates')
  for (const dir of [ownerData, providerData, certificates]) mkdirSync(dir, { recursive: true, mode: 0o700 })
  const authority = await TestAuthority.make(certificates, 'root')
  const dnsNames = names.map(hostOf)
  const server = await authority.issue('proxy', { commonName: dnsNames[0] ?? 'proxy', dnsNames, use: 'server' })
  const subject = `cks.kms.${REGION}.amazonaws.com`
  const client = await authority.issue('client', { commonName: subject, dnsNames: [subject], use: 'client' })
  const proxyPort = await freePort()
  const relays: Record<string, Relay> = {}
  for (const name of names) relays[name] = await Relay.start(proxyPort)
  const logFile = join(folder, 'stderr.log')
  const stderr = openSync(logFile, 'a', 0o600)
  const owner = startEkmService(
    ekmConfig.schema.parse({
      data: ownerData,
      listen: {
        host: '127.0.0.1',
        port: proxyPort,
        tls: { ...server, clients: { caFile: authority.caFile, subjects: [subject] } },
      },
      load: PATIENT,
      boundary: { root: { kind: 'keyfile', file: join(ownerData, 'root.key') } },
    }),
    false,
    stderr,
  )
  const hosts = Object.fromEntries(
    names.map(name => [
      hostOf(name),
      { connect: `127.0.0.1:${relays[name]?.port}`, caFile: authority.caFile, ...client },
    ]),
  )
  const config = {
    ...defaultConfig({ data: providerData, port: 0, regions, account: CUSTOMER, hosts }),
    attestation: { roots: [...attestationRoots] },
  }
  const provider = startKmsService(config, false, stderr)
  let stopped = false
  const stopServices = async (): Promise<void> => {
    if (stopped) return
    stopped = true
    await Promise.all([owner.stop(), provider.stop()])
    await Promise.all(Object.values(relays).map(relay => relay.close()))
    closeSync(stderr)
  }
  try {
    const [ownerLine, providerLine] = await Promise.all([owner.ready, provider.ready])
    const controlOf = (data: string): ControlConnection =>
      connectControl({ socket: join(serviceFolders(data).boundary, 'control.sock') })
    const control = controlOf(providerData)
    const made = await makeAdministrator(control, { account: CUSTOMER, user: 'admin', given })
    control.close()
    const administrator = {
      accessKeyId: made.accessKeyId,
      secretAccessKey: made.secretAccessKey.reveal(bytes => bytes.toString('latin1')),
    }
    const endpoint = String(providerLine.endpoint)
    const api = new ApiClient(endpoint, administrator)
    return {
      owner,
      provider,
      ownerData,
      providerData,
      endpoint,
      proxyPort,
      caFile: authority.caFile,
      clientCertificate: client,
      operations: [String(ownerLine.operations), String(providerLine.operations)],
      relays,
      administrator,
      client: api,
      ownerControl: () => controlOf(ownerData),
      providerControl: () => controlOf(providerData),
      log: () => readFileSync(logFile, 'utf8'),
      stop: async () => {
        api.close()
        await stopServices()
      },
    }
  } catch (error) {
    await stopServices()
    throw error
  }
}

export interface OwnedStore {
  readonly CustomKeyStoreId: string
  /** A KMS key whose owner's half is `vault` of the tenant of the same name. */
  readonly KeyId: string
  readonly credential: Credentials
}

/** The owner makes a tenant, a key `vault` and a credential; the customer makes a custom key store of them, connects it, and makes a KMS key in it. */
export async function connectOwner(pair: Pair, name: string, given?: owners.GivenCredential): Promise<OwnedStore> {
  const control = pair.ownerControl()
  await owners.createTenant(control, name)
  await owners.createKey(control, { tenant: name, keyId: 'vault', usage: 'both', backing: 'software' })
  const made = await owners.createCredential(control, name, given)
  control.close()
  const credential = {
    accessKeyId: made.accessKeyId,
    secretAccessKey: made.secretAccessKey.reveal(bytes => bytes.toString('latin1')),
  }
  const { CustomKeyStoreId } = await pair.client.ok('CreateCustomKeyStore', {
    CustomKeyStoreName: name,
    CustomKeyStoreType: 'EXTERNAL_KEY_STORE',
    XksProxyUriEndpoint: `https://${hostOf(name)}`,
    XksProxyUriPath: `/${name}/kms/xks/v1`,
    XksProxyConnectivity: 'PUBLIC_ENDPOINT',
    XksProxyAuthenticationCredential: {
      AccessKeyId: credential.accessKeyId,
      RawSecretAccessKey: credential.secretAccessKey,
    },
  })
  await connected(pair.client, CustomKeyStoreId)
  const { KeyMetadata } = await pair.client.ok('CreateKey', {
    Origin: 'EXTERNAL_KEY_STORE',
    CustomKeyStoreId,
    XksKeyId: 'vault',
  })
  return { CustomKeyStoreId, KeyId: KeyMetadata.KeyId, credential }
}

/** Connects a custom key store and waits until it is; rejects where that fails. */
export async function connected(client: ApiClient, CustomKeyStoreId: string): Promise<void> {
  await client.ok('ConnectCustomKeyStore', { CustomKeyStoreId })
  for (;;) {
    const { CustomKeyStores } = await client.ok('DescribeCustomKeyStores', { CustomKeyStoreId })
    const { ConnectionState, ConnectionErrorCode } = CustomKeyStores[0]
    if (ConnectionState === 'CONNECTED') return
    if (ConnectionState === 'FAILED') throw new Error(`the key store does not connect: ${ConnectionErrorCode}`)
    await delay(10)
  }
}
