/** Calls of the operations on custom key stores, for their tests: an authenticated caller, and the least of services. */
import assert from 'node:assert/strict'
import { callerOf } from '../access/testing.ts'
import { MarkerKey } from '../operations/markers.ts'
import type { Call, Services } from '../operations/types.ts'
import { KmsError } from '../wire/errors.ts'
import type { KeyStoresOptions } from './key-stores.ts'
import { HOST, PATH, REGION } from './testing.ts'

export const ACCOUNT = '111122223333'
export const CREDENTIAL = { AccessKeyId: 'BETWEEN2TENAND3TENCHARACTERS', RawSecretAccessKey: 'a'.repeat(43) }
export const PARAMETERS = {
  CustomKeyStoreName: 'owner',
  CustomKeyStoreType: 'EXTERNAL_KEY_STORE',
  XksProxyUriEndpoint: `https://${HOST}`,
  XksProxyUriPath: PATH,
  XksProxyAuthenticationCredential: CREDENTIAL,
  XksProxyConnectivity: 'PUBLIC_ENDPOINT',
} as const
export const REQUEST = {
  principalArn: 'arn:aws:iam::111122223333:root',
  keyArn: `arn:aws:kms:${REGION}:${ACCOUNT}:key/1`,
  operation: 'Encrypt',
  requestId: 'r',
  viaService: '',
}

const markers = new MarkerKey()
markers.take(Buffer.alloc(32, 1))

/** A call by `arn` of the account: `root`, or a user without rights. */
export function callOf(
  operation: string,
  services: { readonly stores: Services['stores']; readonly replica: KeyStoresOptions['replica'] },
  arn: string,
): Call {
  const caller = callerOf(`arn:aws:iam::${ACCOUNT}:${arn}`)
  const facts = { caller, region: REGION, sourceIp: '', secureTransport: true, userAgent: '', now: 0 }
  return {
    services: { ...services, markers, clocks: { lifecycle: () => 1_700_000_000_000, real: () => Date.now() } },
    operation,
    requestId: 'request-1',
    caller,
    region: REGION,
    asserted: { operation, requestId: 'request-1' },
    facts,
    keyId: '',
    subject: '',
    outcomePending: false,
  } as unknown as Call
}

export async function refused(work: Promise<unknown>, code: string): Promise<KmsError> {
  try {
    await work
  } catch (error) {
    assert.ok(error instanceof KmsError, String(error))
    assert.equal(error.code, code, error.message)
    return error
  }
  throw new assert.AssertionError({ message: `expected ${code}, and it succeeded` })
}
