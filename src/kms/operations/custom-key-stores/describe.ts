/** DescribeCustomKeyStores: all of the account in this Region in pages, or one by id or name. aws-kms.md §3.11, §10. */
import { authorizeAny } from '../../keys/allow.ts'
import type { KeyStore, KeyStoreType } from '../../stores/rows.ts'
import { KmsError } from '../../wire/errors.ts'
import { seconds } from '../common.ts'
import { pageOf, readMarker } from '../markers.ts'
import type { Call, Operation } from '../types.ts'
import { notFound, rowIdOf, scopeOf } from './shared.ts'

interface Input {
  readonly CustomKeyStoreId?: string
  readonly CustomKeyStoreName?: string
  readonly Limit?: number
  readonly Marker?: string
}

interface Entry {
  readonly CustomKeyStoreId: string
  readonly CustomKeyStoreName: string
  readonly ConnectionState: string
  readonly ConnectionErrorCode?: string
  readonly CreationDate: number
  readonly CustomKeyStoreType: KeyStoreType
  readonly CloudHsmClusterId?: string
  readonly TrustAnchorCertificate?: string
  readonly XksProxyConfiguration?: {
    readonly Connectivity: 'PUBLIC_ENDPOINT'
    readonly AccessKeyId: string
    readonly UriEndpoint: string
    readonly UriPath: string
  }
}

interface Output {
  readonly CustomKeyStores: readonly Entry[]
  readonly Truncated: boolean
  readonly NextMarker?: string
}

const DEFAULT_LIMIT = 100

export const DescribeCustomKeyStores: Operation<Input, Output> = {
  name: 'DescribeCustomKeyStores',
  recordedBy: 'runner',
  async run(call, input) {
    authorizeAny(call)
    const { CustomKeyStoreId: id, CustomKeyStoreName: name, Limit: limit = DEFAULT_LIMIT, Marker: marker } = input
    if (id !== undefined && name !== undefined) {
      throw new KmsError('ValidationException', 'Name a custom key store by its id or by its name, not by both.')
    }
    if (id !== undefined) return page(call, [await call.services.stores.find(rowIdOf(call, id))], limit)
    const stores = await call.services.stores.list(scopeOf(call))
    if (name === undefined) {
      const shown = readMarker(call, marker)
      return page(
        call,
        stores.filter(store => store.id > shown),
        limit,
      )
    }
    call.subject = name
    const named = stores.find(store => store.name === name)
    if (named === undefined) throw notFound(name)
    return page(call, [named], limit)
  },
}

function page(call: Call, stores: readonly KeyStore[], limit: number): Output {
  const { page, ...rest } = pageOf(call, stores, limit, store => store.id)
  return { CustomKeyStores: page.map(entry), ...rest }
}

function entry(store: KeyStore): Entry {
  return {
    CustomKeyStoreId: store.id,
    CustomKeyStoreName: store.name,
    ConnectionState: store.state,
    ...(store.state === 'FAILED' && store.error !== '' ? { ConnectionErrorCode: store.error } : {}),
    CreationDate: seconds(store.created),
    CustomKeyStoreType: store.type,
    ...(store.type === 'AWS_CLOUDHSM'
      ? { CloudHsmClusterId: store.clusterId, TrustAnchorCertificate: store.trustAnchor }
      : { XksProxyConfiguration: proxy(store) }),
  }
}

function proxy(store: KeyStore): NonNullable<Entry['XksProxyConfiguration']> {
  return {
    Connectivity: 'PUBLIC_ENDPOINT',
    AccessKeyId: store.accessKeyId,
    UriEndpoint: store.uriEndpoint,
    UriPath: store.uriPath,
  }
}
