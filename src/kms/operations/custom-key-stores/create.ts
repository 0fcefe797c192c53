/** CreateCustomKeyStore: of an owner's proxy, once that has answered that it is well, or of a configured cluster. aws-kms.md §3.11. */
import { randomBytes } from 'node:crypto'
import { authorizeAny } from '../../keys/allow.ts'
import { KmsError } from '../../wire/errors.ts'
import type { Call, Operation } from '../types.ts'
import { checkClusterParameters, checkParameters, credentialOf, type ProxyInput, scopeOf } from './shared.ts'

interface Input extends ProxyInput {
  readonly CustomKeyStoreName: string
  readonly CustomKeyStoreType?: 'AWS_CLOUDHSM' | 'EXTERNAL_KEY_STORE'
}

/** AWS's form: 17 hexadecimal digits. */
function newId(): string {
  return `cks-${randomBytes(9).toString('hex').slice(0, 17)}`
}

function required<T>(value: T | undefined, name: string, type: string): T {
  if (value !== undefined) return value
  throw new KmsError('ValidationException', `${name} is required for a custom key store of type ${type}.`)
}

export const CreateCustomKeyStore: Operation<Input, { readonly CustomKeyStoreId: string }> = {
  name: 'CreateCustomKeyStore',
  recordedBy: 'boundary',
  async run(call, input) {
    authorizeAny(call)
    const id = newId()
    call.subject = id
    if (input.CustomKeyStoreType === 'EXTERNAL_KEY_STORE') await createExternal(call, id, input)
    else await createCluster(call, id, input)
    return { CustomKeyStoreId: id }
  },
}

async function createExternal(call: Call, id: string, input: Input): Promise<void> {
  checkParameters(input)
  const need = <T>(value: T | undefined, name: string): T => required(value, name, 'EXTERNAL_KEY_STORE')
  need(input.XksProxyConnectivity, 'XksProxyConnectivity')
  const uriEndpoint = need(input.XksProxyUriEndpoint, 'XksProxyUriEndpoint')
  const uriPath = need(input.XksProxyUriPath, 'XksProxyUriPath')
  const credential = need(credentialOf(input), 'XksProxyAuthenticationCredential')
  const store = { name: input.CustomKeyStoreName, uriEndpoint, uriPath, created: call.services.clocks.lifecycle() }
  const asserted = { ...call.asserted, subject: id }
  await call.services.stores.create(`${scopeOf(call)}/${id}`, store, credential, asserted, call.requestId)
}

async function createCluster(call: Call, id: string, input: Input): Promise<void> {
  checkClusterParameters(input)
  const need = <T>(value: T | undefined, name: string): T => required(value, name, 'AWS_CLOUDHSM')
  const cluster = {
    name: input.CustomKeyStoreName,
    created: call.services.clocks.lifecycle(),
    clusterId: need(input.CloudHsmClusterId, 'CloudHsmClusterId'),
    trustAnchor: need(input.TrustAnchorCertificate, 'TrustAnchorCertificate'),
    password: need(input.KeyStorePassword, 'KeyStorePassword'),
  }
  await call.services.stores.createCluster(`${scopeOf(call)}/${id}`, cluster, { ...call.asserted, subject: id })
}
