/** CreateCustomKeyStore: of type EXTERNAL_KEY_STORE, after its proxy has answered that it is well. aws-kms.md §3.11. */
import { randomBytes } from 'node:crypto'
import { authorizeAny } from '../../keys/allow.ts'
import { KmsError } from '../../wire/errors.ts'
import type { Operation } from '../types.ts'
import { checkParameters, credentialOf, type ProxyInput, scopeOf } from './shared.ts'

interface Input extends ProxyInput {
  readonly CustomKeyStoreName: string
  readonly CustomKeyStoreType?: 'AWS_CLOUDHSM' | 'EXTERNAL_KEY_STORE'
}

/** AWS's form: 17 hexadecimal digits. */
function newId(): string {
  return `cks-${randomBytes(9).toString('hex').slice(0, 17)}`
}

function required<T>(value: T | undefined, name: string): T {
  if (value !== undefined) return value
  throw new KmsError('ValidationException', `${name} is required for a custom key store of type EXTERNAL_KEY_STORE.`)
}

export const CreateCustomKeyStore: Operation<Input, { readonly CustomKeyStoreId: string }> = {
  name: 'CreateCustomKeyStore',
  recordedBy: 'boundary',
  async run(call, input) {
    authorizeAny(call)
    if (input.CustomKeyStoreType !== 'EXTERNAL_KEY_STORE') {
      throw new KmsError('UnsupportedOperationException', 'Custom key stores of type AWS_CLOUDHSM are not supported.')
    }
    checkParameters(input)
    required(input.XksProxyConnectivity, 'XksProxyConnectivity')
    const uriEndpoint = required(input.XksProxyUriEndpoint, 'XksProxyUriEndpoint')
    const uriPath = required(input.XksProxyUriPath, 'XksProxyUriPath')
    const credential = required(credentialOf(input), 'XksProxyAuthenticationCredential')
    const id = newId()
    call.subject = id
    const store = { name: input.CustomKeyStoreName, uriEndpoint, uriPath, created: call.services.clocks.lifecycle() }
    const asserted = { ...call.asserted, subject: id }
    await call.services.stores.create(`${scopeOf(call)}/${id}`, store, credential, asserted, call.requestId)
    return { CustomKeyStoreId: id }
  },
}
