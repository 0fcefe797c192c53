/** What the operations on custom key stores share: where a store's row is, and which parameters an external key store has. aws-kms.md §3.11. */
import type { StoreCredential } from '../../stores/rows.ts'
import { KmsError } from '../../wire/errors.ts'
import type { Call } from '../types.ts'

/** `<account>/<region>`: the stores that a caller can name. */
export function scopeOf(call: Call): string {
  return `${call.caller.account}/${call.region}`
}

/** The row id of a store that the caller names. An id that no store can have is as good as one that none has. */
export function rowIdOf(call: Call, customKeyStoreId: string): string {
  call.subject = customKeyStoreId
  if (!/^cks-[0-9a-f]{17}$/.test(customKeyStoreId)) throw notFound(customKeyStoreId)
  return `${scopeOf(call)}/${customKeyStoreId}`
}

export function notFound(name: string): KmsError {
  return new KmsError('CustomKeyStoreNotFoundException', `Custom key store ${name} was not found.`)
}

export function notConnected(name: string): KmsError {
  return new KmsError('CustomKeyStoreInvalidStateException', `Custom key store ${name} is not connected.`)
}

/** The parameters of CreateCustomKeyStore and UpdateCustomKeyStore that concern the proxy, or another kind of store. */
export interface ProxyInput {
  readonly CloudHsmClusterId?: string
  readonly TrustAnchorCertificate?: string
  readonly KeyStorePassword?: string
  readonly XksProxyUriEndpoint?: string
  readonly XksProxyUriPath?: string
  readonly XksProxyVpcEndpointServiceName?: string
  readonly XksProxyVpcEndpointServiceOwner?: string
  readonly XksProxyAuthenticationCredential?: { readonly AccessKeyId: string; readonly RawSecretAccessKey: string }
  readonly XksProxyConnectivity?: 'PUBLIC_ENDPOINT' | 'VPC_ENDPOINT_SERVICE'
}

const CLOUD_HSM_ONLY = ['CloudHsmClusterId', 'TrustAnchorCertificate', 'KeyStorePassword'] as const
const VPC_ONLY = ['XksProxyVpcEndpointServiceName', 'XksProxyVpcEndpointServiceOwner'] as const

/** Refuses what an external key store with a public endpoint has not. There are no VPC endpoint services here. */
export function checkParameters(input: ProxyInput): void {
  for (const name of CLOUD_HSM_ONLY) {
    if (input[name] !== undefined) {
      throw new KmsError(
        'ValidationException',
        `${name} is not valid for a custom key store of type EXTERNAL_KEY_STORE.`,
      )
    }
  }
  if (input.XksProxyConnectivity === 'VPC_ENDPOINT_SERVICE') {
    throw new KmsError(
      'XksProxyVpcEndpointServiceNotFoundException',
      'This service has no VPC endpoint services. Use the XksProxyConnectivity PUBLIC_ENDPOINT.',
    )
  }
  for (const name of VPC_ONLY) {
    if (input[name] !== undefined) {
      throw new KmsError('ValidationException', `${name} is not valid with the XksProxyConnectivity PUBLIC_ENDPOINT.`)
    }
  }
}

const PROXY_ONLY = [
  'XksProxyUriEndpoint',
  'XksProxyUriPath',
  'XksProxyAuthenticationCredential',
  'XksProxyConnectivity',
  ...VPC_ONLY,
] as const

/** Refuses what a store of type AWS_CLOUDHSM has not. */
export function checkClusterParameters(input: ProxyInput): void {
  for (const name of PROXY_ONLY) {
    if (input[name] !== undefined)
      throw new KmsError('ValidationException', `${name} is not valid for a custom key store of type AWS_CLOUDHSM.`)
  }
}

export function credentialOf(input: ProxyInput): StoreCredential | undefined {
  const credential = input.XksProxyAuthenticationCredential
  if (credential === undefined) return undefined
  return { accessKeyId: credential.AccessKeyId, secret: Buffer.from(credential.RawSecretAccessKey, 'ascii') }
}
