/** The provider's KMS and the owner's key manager as they run in earnest: four processes, XKS over mutual TLS between them. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { KMS } from '@aws-sdk/client-kms'
import { connectControl } from '../src/boundary/client/control.ts'
import { serviceFolders } from '../src/config/folders.ts'
import { CUSTOMER, PROXY_HOST, REGION, type Sides, startSides, stopSides, TENANT } from '../src/custody/demo/sides.ts'
import * as owners from '../src/ekm/admin/index.ts'
import { makeAdministrator, makeServicePrincipal } from '../src/kms/admin/index.ts'

let folder: string
let sides: Sides
let kms: KMS

const controlOf = (data: string) => connectControl({ socket: join(serviceFolders(data).boundary, 'control.sock') })

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-sides-'))
  sides = await startSides(folder)
  const provider = controlOf(sides.providerData)
  const made = await makeAdministrator(provider, { account: CUSTOMER, user: 'admin' })
  provider.close()
  const secretAccessKey = made.secretAccessKey.reveal(bytes => bytes.toString('latin1'))
  kms = new KMS({
    endpoint: sides.kmsEndpoint,
    region: REGION,
    credentials: { accessKeyId: made.accessKeyId, secretAccessKey },
    maxAttempts: 1,
  })
})

after(async () => {
  kms?.destroy()
  if (sides) await stopSides(sides)
  await rm(folder, { recursive: true, force: true })
})

test('promise 9: with hold-your-own-key the owner decides — an external key encrypts, is revoked at once, and comes back', async () => {
  const owner = controlOf(sides.ownerData)
  await owners.createTenant(owner, TENANT)
  await owners.createKey(owner, { tenant: TENANT, keyId: 'vault', usage: 'both', backing: 'software' })
  const credential = await owners.createCredential(owner, TENANT, undefined)
  const { CustomKeyStoreId } = await kms.createCustomKeyStore({
    CustomKeyStoreName: 'owner',
    CustomKeyStoreType: 'EXTERNAL_KEY_STORE',
    XksProxyUriEndpoint: `https://${PROXY_HOST}`,
    XksProxyUriPath: `/${TENANT}/kms/xks/v1`,
    XksProxyConnectivity: 'PUBLIC_ENDPOINT',
    XksProxyAuthenticationCredential: {
      AccessKeyId: credential.accessKeyId,
      RawSecretAccessKey: credential.secretAccessKey.reveal(bytes => bytes.toString('latin1')),
    },
  })
  await kms.connectCustomKeyStore({ CustomKeyStoreId })
  for (let state = ''; state !== 'CONNECTED'; await delay(20)) {
    const { CustomKeyStores } = await kms.describeCustomKeyStores({ CustomKeyStoreId })
    state = CustomKeyStores?.[0]?.ConnectionState ?? ''
    assert.notEqual(state, 'FAILED', String(CustomKeyStores?.[0]?.ConnectionErrorCode))
  }
  const { KeyMetadata } = await kms.createKey({ Origin: 'EXTERNAL_KEY_STORE', CustomKeyStoreId, XksKeyId: 'vault' })
  assert.equal(KeyMetadata?.Origin, 'EXTERNAL_KEY_STORE')
  const KeyId = KeyMetadata?.Arn ?? ''
  const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext: Buffer.alloc(4096, 7) })
  assert.equal(
    Buffer.compare((await kms.decrypt({ CiphertextBlob })).Plaintext ?? Buffer.alloc(0), Buffer.alloc(4096, 7)),
    0,
  )
  await owner.revoke({ key: `${TENANT}/vault` }, { operation: 'revoke', principal: 'owner' })
  await assert.rejects(kms.decrypt({ CiphertextBlob }), (error: Error) => error.name === 'KMSInvalidStateException')
  await owner.restore({ key: `${TENANT}/vault` }, { operation: 'restore', principal: 'owner' })
  await kms.decrypt({ CiphertextBlob })
  owner.close()
})

test('a provider-managed key is made on first use by its service, and its owner can only look at it', async () => {
  const provider = controlOf(sides.providerData)
  const made = await makeServicePrincipal(provider, { account: CUSTOMER, service: 'objects' })
  provider.close()
  const credentials = {
    accessKeyId: made.accessKeyId,
    secretAccessKey: made.secretAccessKey.reveal(bytes => bytes.toString('latin1')),
  }
  const service = new KMS({ endpoint: sides.kmsEndpoint, region: REGION, credentials, maxAttempts: 1 })
  const KeyId = 'alias/aws/objects'
  const { CiphertextBlob } = await service.generateDataKeyWithoutPlaintext({ KeyId, KeySpec: 'AES_256' })
  await service.decrypt({ CiphertextBlob })
  service.destroy()
  const { KeyMetadata } = await kms.describeKey({ KeyId })
  assert.equal(KeyMetadata?.KeyManager, 'AWS')
  const refused = (error: Error): boolean => error.name === 'AccessDeniedException'
  await assert.rejects(kms.decrypt({ CiphertextBlob }), refused)
  await assert.rejects(kms.disableKey({ KeyId: KeyMetadata?.KeyId }), refused)
  await assert.rejects(kms.scheduleKeyDeletion({ KeyId: KeyMetadata?.KeyId }), refused)
  await assert.rejects(
    kms.putKeyPolicy({ KeyId: KeyMetadata?.KeyId, Policy: '{"Version":"2012-10-17","Statement":[]}' }),
    refused,
  )
})
