/**
 * What the operations on custom key stores need of the stores, besides what keys need of them (`ExternalStores`).
 */
import type { Asserted } from '../../boundary/words.ts'
import type { ExternalStores } from '../operations/types.ts'
import type { KeyStore, StoreCredential } from './rows.ts'

/** What makes a store of type AWS_CLOUDHSM. */
export interface NewCluster {
  readonly name: string
  readonly created: number
  readonly clusterId: string
  /** PEM. */
  readonly trustAnchor: string
  /** The PIN of the cluster's token. */
  readonly password: string
}

/** What an update changes; members that are undefined stay. */
export interface KeyStoreChange {
  readonly name?: string | undefined
  readonly uriEndpoint?: string | undefined
  readonly uriPath?: string | undefined
  readonly credential?: StoreCredential | undefined
  /** Of a store of type AWS_CLOUDHSM. */
  readonly clusterId?: string | undefined
  readonly password?: string | undefined
}

/** Store ids are row ids, `<account>/<region>/<cks-id>`. Every method rejects with `KmsError` in AWS's words, or with `BoundaryError`. */
export interface KeyStores extends ExternalStores {
  /** CustomKeyStoreNotFoundException where there is none. */
  find(id: string): Promise<KeyStore>
  /** Stores of an account and Region in order of id; at most ten. */
  list(scope: string): Promise<readonly KeyStore[]>
  /** Makes a store, DISCONNECTED, if name and URI are free, there are not ten yet, and the proxy answers that it is well. */
  create(
    id: string,
    store: Pick<KeyStore, 'name' | 'uriEndpoint' | 'uriPath' | 'created'>,
    credential: StoreCredential,
    asserted: Asserted,
    requestId: string,
  ): Promise<void>
  /** Makes a store of a configured cluster, DISCONNECTED. The password is tried when it connects, as AWS does. */
  createCluster(id: string, cluster: NewCluster, asserted: Asserted): Promise<void>
  /** A change of the endpoint needs DISCONNECTED; whatever concerns the proxy is tried out on it first. */
  update(id: string, change: KeyStoreChange, asserted: Asserted, requestId: string): Promise<void>
  /** CONNECTING, and in the background CONNECTED or FAILED; not out of FAILED. False where it is connected, or on its way, already. */
  connect(id: string, asserted: Asserted, requestId: string): Promise<boolean>
  disconnect(id: string, asserted: Asserted): Promise<void>
  /** Needs DISCONNECTED and no key in it. */
  remove(id: string, asserted: Asserted): Promise<void>
}
