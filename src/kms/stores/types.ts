/**
 * What the operations on custom key stores need of the stores, besides what keys need of them (`ExternalStores`).
 */
import type { Asserted } from '../../boundary/words.ts'
import type { ExternalStores } from '../operations/types.ts'
import type { KeyStore, StoreCredential } from './rows.ts'

/** What of a store can be tried out before it is written. */
export interface Candidate {
  readonly region: string
  readonly uriEndpoint: string
  readonly uriPath: string
  /** Undefined: the credential that the store `credentialOf` has. */
  readonly credential: StoreCredential | undefined
  readonly credentialOf: string
}

/** What an update changes; members that are undefined stay. */
export interface KeyStoreChange {
  readonly name?: string | undefined
  readonly uriEndpoint?: string | undefined
  readonly uriPath?: string | undefined
  readonly credential?: StoreCredential | undefined
}

/** Store ids are row ids, `<account>/<region>/<cks-id>`. Every method rejects with `KmsError` in AWS's words, or with `BoundaryError`. */
export interface KeyStores extends ExternalStores {
  /** CustomKeyStoreNotFoundException where there is none. */
  find(id: string): Promise<KeyStore>
  /** Stores of an account and Region in order of id; at most ten. */
  list(scope: string): Promise<readonly KeyStore[]>
  /** Asks the proxy for its health, as `operation`, with what is to become of the store. */
  tryOut(candidate: Candidate, operation: string, requestId: string): Promise<void>
  /** Makes a store, DISCONNECTED, if name and URI are free and there are not ten yet. */
  create(
    id: string,
    store: { readonly name: string; readonly uriEndpoint: string; readonly uriPath: string; readonly created: number },
    credential: StoreCredential,
    asserted: Asserted,
  ): Promise<void>
  /** A change of the endpoint needs DISCONNECTED. */
  update(id: string, change: KeyStoreChange, asserted: Asserted): Promise<void>
  /** CONNECTING, and in the background CONNECTED or FAILED. Not out of FAILED. */
  connect(id: string, asserted: Asserted, requestId: string): Promise<void>
  disconnect(id: string, asserted: Asserted): Promise<void>
  /** Needs DISCONNECTED and no key in it. */
  remove(id: string, asserted: Asserted): Promise<void>
}
