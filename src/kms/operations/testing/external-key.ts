/** For tests: a key in an external key store that is connected. What stands for the owner is what `startTestKms` was given. */
import { NO_CLUSTER, putKeyStore } from '../../stores/rows.ts'
import { ACCOUNT, REGION, type TestKms } from '../../testing.ts'

export const STORE = 'cks-0123456789abcdef0'
const ROW = `${ACCOUNT}/${REGION}/${STORE}`

/** Returns its KeyId; its store is `STORE`. Once for a `TestKms`. */
export async function externalKey(kms: TestKms): Promise<string> {
  const body = {
    v: 1,
    ...NO_CLUSTER,
    name: 'owner',
    created: 0,
    uriEndpoint: 'https://xks.example.com',
    uriPath: '/kms/xks/v1',
    accessKeyId: 'A'.repeat(20),
    state: 'CONNECTED',
    error: '',
  } as const
  await kms.services.boundary.putRows([putKeyStore(ROW, 0, body)], { operation: 'CreateCustomKeyStore' })
  kms.connected.add(ROW)
  const input = { Origin: 'EXTERNAL_KEY_STORE', CustomKeyStoreId: STORE, XksKeyId: 'vault' }
  return (await kms.ok('CreateKey', input)).KeyMetadata.KeyId
}
