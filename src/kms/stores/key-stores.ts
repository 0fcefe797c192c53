/**
 * The owners' stores as keys use them: the row says whether a store is connected, the client of its endpoint asks the proxy.
 * Each store has a client of its own, so that connections, bound and breaker of one never concern another.
 */
import type { BoundaryUse, ExternalCiphertext } from '../../boundary/client/api.ts'
import type { Replica } from '../../store/replica.ts'
import type { ExternalRequest, ExternalStores } from '../operations/types.ts'
import { KmsError } from '../wire/errors.ts'
import { PublicAddresses, type Resolve, systemResolve } from './addresses.ts'
import { type Access, type ClientSettings, type ClientStatus, DEFAULT_CLIENT, XksClient } from './client.ts'
import { kmsError, type OperationClass, XksFailure } from './failures.ts'
import {
  checkHealth,
  checkKeyMetadata,
  decryptRequest,
  encryptRequest,
  healthRequest,
  MAX_AAD,
  MAX_PLAINTEXT,
  metadataRequest,
  readDecryptAnswer,
  readEncryptAnswer,
} from './protocol.ts'
import { Routes } from './routes.ts'
import { type KeyStore, readKeyStore, signerOf } from './rows.ts'
import type { XksHost } from './transport.ts'

export interface KeyStoresOptions {
  readonly replica: Pick<Replica, 'get' | 'peek' | 'list' | 'listLinked' | 'listAll' | 'secret' | 'peekSecret'>
  readonly boundary: Pick<BoundaryUse, 'putRows' | 'connectCluster' | 'disconnectCluster'>
  /** `cloudHsm.clusters` of the configuration: the trust anchor of each, PEM, by the cluster's id. */
  readonly clusters: ReadonlyMap<string, string>
  /** `xks.hosts` of the configuration, by host name in lower case. */
  readonly hosts: Readonly<Record<string, XksHost>>
  readonly client?: ClientSettings
  /** For the operator's log: which store (row id), and why; `detail` of the failure holds the proxy's own words. Must not throw. */
  readonly onFailure?: (store: string, failure: XksFailure) => void
  /** For the operator's log, when the certificates of a configured host have changed: undefined, or why the old ones stay in use. Must not throw. */
  readonly onReload?: (hostName: string, error: Error | undefined) => void
  /** How many stores an account may have in a Region. */
  readonly most: number
  /** How names that the configuration does not map are resolved. */
  readonly resolve?: Resolve
  /** Milliseconds after which work in the background is tried again while the boundary is away. Default 1000. */
  readonly retryMs?: number
}

export class StoreUse implements ExternalStores {
  protected readonly options: KeyStoresOptions
  readonly #routes: Routes
  readonly #clients = new Map<string, XksClient>()
  /** The last that is known of each store, for the question that cannot wait. */
  readonly #states = new Map<string, KeyStore>()

  /** Reads the certificates of the configured hosts; throws where one cannot be used. */
  constructor(options: KeyStoresOptions) {
    this.options = options
    const timeoutMs = (options.client ?? DEFAULT_CLIENT).deadlineMs
    this.#routes = new Routes({
      hosts: options.hosts,
      others: { addresses: new PublicAddresses(options.resolve ?? systemResolve(timeoutMs)) },
      onChange: (hostName, route) => {
        for (const client of this.#clients.values()) if (client.hostName === hostName) client.renew(route)
      },
      onReload: options.onReload,
    })
  }

  /** A client for a host name, not kept. */
  protected newClient(hostName: string): XksClient {
    return new XksClient(hostName, this.#routes.of(hostName), this.options.client)
  }

  /** The client of a store; a new one when the endpoint has changed. */
  #client(store: KeyStore): XksClient {
    const known = this.#clients.get(store.row.id)
    if (known?.hostName === store.hostName) return known
    known?.close()
    const client = this.newClient(store.hostName)
    this.#clients.set(store.row.id, client)
    return client
  }

  /** The store's connections and the memory of its breaker go; the next request starts anew. */
  protected forget(id: string): void {
    this.#clients.get(id)?.close()
    this.#clients.delete(id)
  }

  /** The store as it is, or undefined. */
  protected async load(id: string): Promise<KeyStore | undefined> {
    const { replica } = this.options
    const row = replica.peek('keystore', id) ?? (await replica.get('keystore', id))
    return this.known(id, row === undefined ? undefined : readKeyStore(row))
  }

  protected known(id: string, store: KeyStore | undefined): KeyStore | undefined {
    if (store === undefined) this.#states.delete(id)
    else this.#states.set(id, store)
    return store
  }

  protected async access(store: KeyStore): Promise<Access> {
    const { replica } = this.options
    const id = store.row.id
    const secret = replica.peekSecret('keystore-credential', id) ?? (await replica.secret('keystore-credential', id))
    if (secret === undefined) throw new XksFailure('notConnected', 'the store has no credential')
    return { uriPath: store.uriPath, region: store.region, signer: signerOf(secret) }
  }

  /** Failures become AWS's errors, and are told to the operator. */
  protected async guarded<T>(id: string, operation: OperationClass, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof XksFailure)) throw error
      this.options.onFailure?.(id, error)
      throw kmsError(error, operation)
    }
  }

  #ask<T>(id: string, operation: OperationClass, use: (client: XksClient, access: Access) => Promise<T>): Promise<T> {
    return this.guarded(id, operation, async () => {
      const store = await this.load(id)
      if (store?.state !== 'CONNECTED') throw new XksFailure('notConnected', 'the store is not CONNECTED')
      return use(this.#client(store), await this.access(store))
    })
  }

  /** From memory: exact once a store has been used or loaded in this process; an unknown one counts as not connected and is loaded meanwhile. */
  connected(id: string): boolean {
    const row = this.options.replica.peek('keystore', id)
    if (row === null) return false
    if (row !== undefined) return readKeyStore(row).state === 'CONNECTED'
    this.load(id).catch(() => undefined)
    return this.#states.get(id)?.state === 'CONNECTED'
  }

  checkKey(id: string, xksKeyId: string, request: ExternalRequest): Promise<void> {
    return this.#ask(id, 'createKey', (client, access) =>
      client.request(access, `/keys/${xksKeyId}/metadata`, metadataRequest(request), checkKeyMetadata),
    )
  }

  encrypt(
    id: string,
    xksKeyId: string,
    plaintext: Buffer,
    aad: Buffer,
    request: ExternalRequest,
  ): Promise<ExternalCiphertext> {
    if (plaintext.length > MAX_PLAINTEXT || aad.length > MAX_AAD) {
      throw new KmsError('KMSInternalException', 'more than an external key store takes')
    }
    return this.#ask(id, 'crypto', (client, access) =>
      client.request(access, `/keys/${xksKeyId}/encrypt`, encryptRequest(plaintext, aad, request), answer =>
        readEncryptAnswer(answer, plaintext.length, aad),
      ),
    )
  }

  decrypt(
    id: string,
    xksKeyId: string,
    ciphertext: ExternalCiphertext,
    aad: Buffer,
    request: ExternalRequest,
  ): Promise<Buffer> {
    return this.#ask(id, 'crypto', (client, access) =>
      client.request(access, `/keys/${xksKeyId}/decrypt`, decryptRequest(ciphertext, aad, request), answer =>
        readDecryptAnswer(answer, ciphertext.ciphertext.length),
      ),
    )
  }

  /** Asks for health over connections of its own. Rejects with `XksFailure`. */
  protected async health(hostName: string, access: Access, operation: string, requestId: string): Promise<void> {
    const client = this.newClient(hostName)
    try {
      await client.request(access, '/health', healthRequest(operation, requestId), checkHealth)
    } finally {
      client.close()
    }
  }

  /** For metrics: each store that has been used, by row id. */
  status(): ReadonlyMap<string, ClientStatus> {
    return new Map(Array.from(this.#clients, ([id, client]) => [id, client.status()]))
  }

  /** Ends all connections when their requests have ended. */
  close(): void {
    this.#routes.close()
    for (const id of [...this.#clients.keys()]) this.forget(id)
  }
}
