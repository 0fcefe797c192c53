/** UpdateCustomKeyStore: a name, a cluster's password, or what concerns the proxy, which must then answer that it is well. aws-kms.md §3.11. */
import { authorizeAny } from '../../keys/allow.ts'
import { KmsError } from '../../wire/errors.ts'
import type { Operation } from '../types.ts'
import { checkClusterParameters, checkParameters, credentialOf, type ProxyInput, rowIdOf } from './shared.ts'

interface Input extends ProxyInput {
  readonly CustomKeyStoreId: string
  readonly NewCustomKeyStoreName?: string
}

export const UpdateCustomKeyStore: Operation<Input, Record<string, never>> = {
  name: 'UpdateCustomKeyStore',
  recordedBy: 'boundary',
  async run(call, input) {
    authorizeAny(call)
    const id = rowIdOf(call, input.CustomKeyStoreId)
    const ofCluster = input.CloudHsmClusterId !== undefined || input.KeyStorePassword !== undefined
    if (ofCluster) checkClusterParameters(input)
    else checkParameters(input)
    const change = {
      name: input.NewCustomKeyStoreName,
      uriEndpoint: input.XksProxyUriEndpoint,
      uriPath: input.XksProxyUriPath,
      credential: credentialOf(input),
      clusterId: input.CloudHsmClusterId,
      password: input.KeyStorePassword,
    }
    if (Object.values(change).every(value => value === undefined) && input.XksProxyConnectivity === undefined) {
      throw new KmsError('ValidationException', 'Name at least one property of the custom key store to change.')
    }
    await call.services.stores.update(id, change, { ...call.asserted, subject: call.subject }, call.requestId)
    return {}
  },
}
