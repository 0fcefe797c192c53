/**
 * Making, changing, connecting and removing custom key stores. A store's state is in its row and changes by compare-and-set, so that it survives restarts;
 * connecting goes on in the background, and is taken up again at the next start.
 */
import { type Asserted, BoundaryError } from '../../boundary/words.ts'
import { Secret } from '../../store/secret.ts'
import { KmsError } from '../wire/errors.ts'
import { checkCluster } from './clusters.ts'
import { connectionError, XksFailure } from './failures.ts'
import { type KeyStoresOptions, StoreUse } from './key-stores.ts'
import {
  hostNameOf,
  type KeyStore,
  type KeyStoreBody,
  NO_CLUSTER,
  NO_PROXY,
  putCredential,
  putKeyStore,
  putPassword,
  readKeyStore,
  type StoreCredential,
  scopeOf,
  tombstone,
} from './rows.ts'
import type { KeyStoreChange, KeyStores, NewCluster } from './types.ts'

/** How often a change is made on fresh rows when another came between. */
const ATTEMPTS = 4
const RETRY_MS = 1000
/** How soon loading is tried again while the replica is not ready: until then keys of these stores are not available. */
const NOT_READY_MS = 25

interface Change {
  readonly body: KeyStoreBody
  readonly credential?: StoreCredential | undefined
  readonly password?: string | undefined
}

export class ManagedKeyStores extends StoreUse implements KeyStores {
  /** One change at a time in an account and Region: names, URIs and the number of stores are checked and written as one. */
  readonly #turns = new Map<string, Promise<unknown>>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #closed = false

  /** Loads what there is and takes up connecting where it was cut off, in the background: as soon as the replica is ready. */
  start(): void {
    this.#takeUp().catch(() => this.#later(NOT_READY_MS, () => this.start()))
  }

  async #takeUp(): Promise<void> {
    const limit = 1000
    for (let after = ''; ; ) {
      const rows = await this.options.replica.listAll('keystore', { after, limit })
      for (const row of rows) {
        const store = readKeyStore(row)
        this.known(row.id, store)
        if (store.state === 'CONNECTING') {
          this.#connectInBackground(row.id, { operation: 'ConnectCustomKeyStore', subject: store.id }, 'resumed')
        }
      }
      const last = rows.at(-1)
      if (last === undefined || rows.length < limit) return
      after = last.id
    }
  }

  #later(ms: number, work: () => void): void {
    if (this.#closed) return
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      work()
    }, ms)
    timer.unref()
    this.#timers.add(timer)
  }

  async find(id: string): Promise<KeyStore> {
    const store = await this.load(id)
    if (store === undefined) {
      throw new KmsError(
        'CustomKeyStoreNotFoundException',
        `Custom key store ${id.slice(id.lastIndexOf('/') + 1)} was not found.`,
      )
    }
    return store
  }

  async list(scope: string): Promise<readonly KeyStore[]> {
    const rows = await this.options.replica.list('keystore', scope, { after: '', limit: this.options.most + 1 })
    return rows.map(readKeyStore)
  }

  async create(
    id: string,
    wanted: Pick<KeyStore, 'name' | 'uriEndpoint' | 'uriPath' | 'created'>,
    credential: StoreCredential,
    asserted: Asserted,
    requestId: string,
  ): Promise<void> {
    const mustFit = async () => {
      const others = await this.list(scopeOf(id))
      mustHaveRoom(others, this.options.most)
      mustBeFree(others, wanted)
    }
    await mustFit()
    const [, region = ''] = id.split('/')
    await this.#tryOut(id, { region, ...wanted }, credential, 'CreateCustomKeyStore', requestId)
    await this.#inTurn(scopeOf(id), async () => {
      await mustFit()
      const { name, uriEndpoint, uriPath, created } = wanted
      const { accessKeyId } = credential
      const body: KeyStoreBody = {
        v: 1,
        ...NO_CLUSTER,
        name,
        created,
        uriEndpoint,
        uriPath,
        accessKeyId,
        state: 'DISCONNECTED',
        error: '',
      }
      await this.options.boundary.putRows([putKeyStore(id, 0, body), putCredential(id, 0, credential)], asserted)
    })
  }

  async createCluster(id: string, cluster: NewCluster, asserted: Asserted): Promise<void> {
    const { name, created, clusterId, trustAnchor, password } = cluster
    await this.#inTurn('clusters', () =>
      this.#inTurn(scopeOf(id), async () => {
        const others = await this.list(scopeOf(id))
        mustHaveRoom(others, this.options.most)
        mustBeFree(others, { name, ...NO_PROXY })
        checkCluster(this.options.clusters, await this.#everyStore(), cluster)
        const proxy = { ...NO_PROXY, state: 'DISCONNECTED', error: '' } as const
        const body: KeyStoreBody = { v: 1, type: 'AWS_CLOUDHSM', name, created, clusterId, trustAnchor, ...proxy }
        await this.options.boundary.putRows(
          [putKeyStore(id, 0, body), putPassword(id, 0, clusterId, password)],
          asserted,
        )
      }),
    )
  }

  /** Stores of every account and Region. */
  async #everyStore(): Promise<readonly KeyStore[]> {
    const limit = 1000
    const stores: KeyStore[] = []
    for (let after = ''; ; ) {
      const rows = await this.options.replica.listAll('keystore', { after, limit })
      stores.push(...rows.map(readKeyStore))
      if (rows.length < limit) return stores
      after = rows.at(-1)?.id ?? ''
    }
  }

  async update(id: string, change: KeyStoreChange, asserted: Asserted, requestId: string): Promise<void> {
    const changed = (store: KeyStore, all: readonly KeyStore[]): KeyStore => {
      checkChange(store, change)
      const { name = store.name, uriEndpoint = store.uriEndpoint, uriPath = store.uriPath, credential } = change
      if (uriEndpoint !== store.uriEndpoint) mustBeDisconnected(store)
      const others = all.filter(other => other.row.id !== id)
      mustBeFree(others, { name, uriEndpoint, uriPath })
      return { ...store, name, uriEndpoint, uriPath, accessKeyId: credential?.accessKeyId ?? store.accessKeyId }
    }
    const wanted = changed(await this.find(id), await this.list(scopeOf(id)))
    if (change.uriEndpoint !== undefined || change.uriPath !== undefined || change.credential !== undefined) {
      await this.#tryOut(id, wanted, change.credential, 'UpdateCustomKeyStore', requestId)
    }
    await this.#inTurn(scopeOf(id), async () => {
      const all = await this.list(scopeOf(id))
      await this.#change(id, asserted, store => ({
        body: changed(store, all),
        credential: change.credential,
        password: change.password,
      }))
    })
  }

  /** Asks the proxy for its health with what is to become of the store. Without a credential, with the one that the store has. */
  #tryOut(
    id: string,
    { region, uriEndpoint, uriPath }: Pick<KeyStore, 'region' | 'uriEndpoint' | 'uriPath'>,
    credential: StoreCredential | undefined,
    operation: string,
    requestId: string,
  ): Promise<void> {
    return this.guarded(id, 'store', async () => {
      const signer =
        credential === undefined
          ? (await this.access(await this.find(id))).signer
          : { accessKeyId: credential.accessKeyId, secret: new Secret(credential.secret) }
      await this.health(hostNameOf(uriEndpoint), { region, uriPath, signer }, operation, requestId)
    })
  }

  async connect(id: string, asserted: Asserted, requestId: string): Promise<boolean> {
    let begin = false
    await this.#change(id, asserted, store => {
      if (store.state === 'FAILED') {
        throw invalidState(store, 'Disconnect it, correct the cause, and connect it again.')
      }
      begin = store.state === 'DISCONNECTED'
      return begin ? { body: { ...store, state: 'CONNECTING', error: '' } } : undefined
    })
    if (begin) this.#connectInBackground(id, asserted, requestId)
    return begin
  }

  async disconnect(id: string, asserted: Asserted): Promise<void> {
    await this.#change(id, asserted, store => {
      if (store.state === 'DISCONNECTED') throw invalidState(store, 'It is disconnected already.')
      return { body: { ...store, state: 'DISCONNECTED', error: '' } }
    })
    this.forget(id)
    if ((await this.find(id)).type === 'AWS_CLOUDHSM') await this.options.boundary.disconnectCluster(id)
  }

  remove(id: string, asserted: Asserted): Promise<void> {
    return this.#inTurn(scopeOf(id), () =>
      this.#repeated(async () => {
        const store = await this.find(id)
        mustBeDisconnected(store)
        const keys = await this.options.replica.listLinked('key', id, { after: '', limit: 1 })
        if (keys.length > 0) {
          throw new KmsError('CustomKeyStoreHasCMKsException', `Custom key store ${store.id} contains KMS keys.`)
        }
        const credential = await this.options.replica.get('keystore-credential', id)
        await this.options.boundary.putRows(
          [
            tombstone('keystore', id, store.name, store.row.revision),
            ...(credential === undefined ? [] : [tombstone('keystore-credential', id, '', credential.revision)]),
          ],
          asserted,
        )
        this.known(id, undefined)
        this.forget(id)
      }),
    )
  }

  /** Resolves after all that was asked for before in this account and Region. */
  #inTurn<T>(scope: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(scope) ?? Promise.resolve()).then(work)
    const settled = turn.then(
      () => undefined,
      () => undefined,
    )
    this.#turns.set(scope, settled)
    settled.then(() => {
      if (this.#turns.get(scope) === settled) this.#turns.delete(scope)
    })
    return turn
  }

  /** Compare-and-set of the store's row, on fresh rows again where another change came between. `make` returns undefined for no change. */
  #change(id: string, asserted: Asserted, make: (store: KeyStore) => Change | undefined): Promise<void> {
    return this.#repeated(async () => {
      const store = await this.find(id)
      const made = make(store)
      if (made === undefined) return
      const rows = [putKeyStore(id, store.row.revision, made.body)]
      if (made.credential !== undefined || made.password !== undefined) {
        const revision = (await this.options.replica.get('keystore-credential', id))?.revision ?? 0
        if (made.credential !== undefined) rows.push(putCredential(id, revision, made.credential))
        if (made.password !== undefined) rows.push(putPassword(id, revision, store.clusterId, made.password))
      }
      const [row] = await this.options.boundary.putRows(rows, asserted)
      if (row !== undefined) this.known(id, readKeyStore(row))
    })
  }

  async #repeated(work: () => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work()
      } catch (error) {
        const conflict = error instanceof BoundaryError && error.code === 'Conflict'
        if (!conflict || attempt === ATTEMPTS) throw error
      }
    }
  }

  // ---- Connecting ----

  #connectInBackground(id: string, asserted: Asserted, requestId: string): void {
    // The boundary is away: the row still says CONNECTING, so it is tried again, here or at the next start.
    this.#tryToConnect(id, asserted, requestId).catch(() =>
      this.#later(this.options.retryMs ?? RETRY_MS, () => this.#connectInBackground(id, asserted, requestId)),
    )
  }

  async #tryToConnect(id: string, asserted: Asserted, requestId: string): Promise<void> {
    const before = await this.load(id)
    if (before?.state !== 'CONNECTING' || this.#closed) return
    const error = await this.#healthError(before, requestId)
    if (this.#closed) return
    this.forget(id)
    await this.#change(id, asserted, store => {
      // Disconnected, or changed, while we asked: what was found is about something else.
      if (store.state !== 'CONNECTING' || store.row.revision !== before.row.revision) return undefined
      return { body: { ...store, state: error === '' ? 'CONNECTED' : 'FAILED', error } }
    })
    const after = await this.load(id)
    if (after?.state === 'CONNECTING' && after.row.revision !== before.row.revision) {
      this.#connectInBackground(id, asserted, requestId)
    }
  }

  async #healthError(store: KeyStore, requestId: string): Promise<KeyStoreBody['error']> {
    if (store.type === 'AWS_CLOUDHSM') return this.options.boundary.connectCluster(store.row.id)
    try {
      await this.health(store.hostName, await this.access(store), 'ConnectCustomKeyStore', requestId)
      return ''
    } catch (error) {
      if (!(error instanceof XksFailure)) throw error
      this.options.onFailure?.(store.row.id, error)
      return connectionError(error)
    }
  }

  override close(): void {
    this.#closed = true
    for (const timer of this.#timers) clearTimeout(timer)
    super.close()
  }
}

/** Opens the stores: certificates are read here (throws where one cannot be), rows as soon as the replica is ready. */
export function openKeyStores(options: KeyStoresOptions): ManagedKeyStores {
  const stores = new ManagedKeyStores(options)
  stores.start()
  return stores
}

function invalidState(store: KeyStore, advice: string): KmsError {
  return new KmsError(
    'CustomKeyStoreInvalidStateException',
    `Custom key store ${store.id} is in the ${store.state} state, in which this is not possible. ${advice}`,
  )
}

function mustHaveRoom(others: readonly KeyStore[], most: number): void {
  if (others.length < most) return
  throw new KmsError(
    'LimitExceededException',
    `The request was rejected because a quota was exceeded. An account has at most ${most} custom key stores in a Region.`,
  )
}

function mustBeDisconnected(store: KeyStore): void {
  if (store.state !== 'DISCONNECTED') throw invalidState(store, 'Disconnect it first.')
}

/** What a change may name follows from the store's type; all of a cluster's but the name needs DISCONNECTED. */
function checkChange(store: KeyStore, change: KeyStoreChange): void {
  const ofProxy = change.uriEndpoint !== undefined || change.uriPath !== undefined || change.credential !== undefined
  const ofCluster = change.clusterId !== undefined || change.password !== undefined
  const wrong = store.type === 'AWS_CLOUDHSM' ? ofProxy : ofCluster
  if (wrong)
    throw new KmsError('ValidationException', `A parameter is not valid for a custom key store of type ${store.type}.`)
  if (!ofCluster) return
  mustBeDisconnected(store)
  if (change.clusterId !== undefined && change.clusterId !== store.clusterId) {
    throw new KmsError(
      'CloudHsmClusterNotRelatedException',
      `The AWS CloudHSM cluster ${change.clusterId} is not related to the cluster of this custom key store.`,
    )
  }
}

function mustBeFree(
  others: readonly KeyStore[],
  { name, uriEndpoint, uriPath }: Pick<KeyStoreBody, 'name' | 'uriEndpoint' | 'uriPath'>,
): void {
  if (others.some(other => other.name === name)) {
    throw new KmsError('CustomKeyStoreNameInUseException', `The custom key store name ${name} is in use.`)
  }
  if (uriEndpoint === '') return
  if (others.some(other => other.hostName === hostNameOf(uriEndpoint) && other.uriPath === uriPath)) {
    throw new KmsError(
      'XksProxyUriInUseException',
      'Another external key store in this account and Region has this XksProxyUriEndpoint and XksProxyUriPath.',
    )
  }
}
