/**
 * The demo's principals and its four keys, made through the doors that a customer, an owner and a provider have: the provider's and the owner's
 * administration for credentials, the AWS KMS API for keys.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { KMS } from '@aws-sdk/client-kms'
import type { BoundaryControl } from '../../boundary/client/api.ts'
import { createCredential, createKey, createTenant } from '../../ekm/admin/index.ts'
import { makeAdministrator, makeServicePrincipal } from '../../kms/admin/index.ts'
import { kmsClient } from '../data-service/envelope.ts'
import { importOwnersKey } from '../drill/acts.ts'
import { CUSTOMER, PROXY_HOST, REGION, TENANT } from './sides.ts'

interface Credential {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** What the demo remembers from start to start; a file of mode 0600, because it holds credentials. */
export interface DemoState {
  readonly owner: Credential
  readonly service: Credential
  /** The provider's credential at the owner's proxy. */
  readonly proxy: Credential
  readonly dataService: { readonly token: string; readonly operatorToken: string }
  readonly keys: {
    readonly providerManaged: string
    readonly customerManaged: string
    readonly broughtByOwner: string
    readonly heldByOwner: string
  }
}

/** The owner's keys, at the owner's side. */
export const HELD_KEY = `${TENANT}/files`
export const KEPT_COPY = `${TENANT}/copy-of-imported`
export const URI_PATH = `/${TENANT}/kms/xks/v1`

export async function demoState(
  folder: string,
  endpoint: string,
  provider: BoundaryControl,
  owner: BoundaryControl,
): Promise<DemoState> {
  const file = join(folder, 'state.json')
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as DemoState
  const administrator = revealed(await makeAdministrator(provider, { account: CUSTOMER, user: 'owner' }))
  const service = revealed(await makeServicePrincipal(provider, { account: CUSTOMER, service: 'objects' }))
  await createTenant(owner, TENANT)
  await createKey(owner, { tenant: TENANT, keyId: 'files', usage: 'both', backing: 'software' })
  const proxy = revealed(await createCredential(owner, TENANT, undefined))
  const customer = kmsClient({ endpoint, region: REGION, ...administrator }, 3)
  const objects = kmsClient({ endpoint, region: REGION, ...service }, 3)
  try {
    const state: DemoState = {
      owner: administrator,
      service,
      proxy,
      dataService: {
        token: randomBytes(24).toString('base64url'),
        operatorToken: randomBytes(24).toString('base64url'),
      },
      keys: {
        providerManaged: await providerManaged(objects),
        customerManaged: await made(customer, { Description: 'customer-managed' }),
        broughtByOwner: await imported(customer, owner),
        heldByOwner: await held(customer, proxy),
      },
    }
    writeFileSync(file, JSON.stringify(state, null, 1), { mode: 0o600 })
    return state
  } finally {
    customer.destroy()
    objects.destroy()
  }
}

function revealed(made: {
  accessKeyId: string
  secretAccessKey: { reveal<T>(use: (bytes: Buffer) => T): T }
}): Credential {
  return {
    accessKeyId: made.accessKeyId,
    secretAccessKey: made.secretAccessKey.reveal(bytes => bytes.toString('latin1')),
  }
}

/** First use by the provider's service makes it. */
async function providerManaged(objects: KMS): Promise<string> {
  const { KeyId } = await objects.generateDataKeyWithoutPlaintext({ KeyId: 'alias/aws/objects', KeySpec: 'AES_256' })
  return KeyId ?? ''
}

async function made(customer: KMS, input: Parameters<KMS['createKey']>[0]): Promise<string> {
  const { KeyMetadata } = await customer.createKey(input)
  return KeyMetadata?.Arn ?? ''
}

/** Generated in the owner's boundary, wrapped there under the provider's import key, imported. */
async function imported(customer: KMS, owner: BoundaryControl): Promise<string> {
  const keyArn = await made(customer, { Origin: 'EXTERNAL', Description: 'bring your own key' })
  await importOwnersKey({ kms: customer, keyArn, ownerKey: KEPT_COPY, ownerBoundary: async () => owner })
  return keyArn
}

/** A custom key store in front of the owner's key manager, and a key in it. */
async function held(customer: KMS, proxy: Credential): Promise<string> {
  const { CustomKeyStoreId } = await customer.createCustomKeyStore({
    CustomKeyStoreName: 'owner',
    CustomKeyStoreType: 'EXTERNAL_KEY_STORE',
    XksProxyUriEndpoint: `https://${PROXY_HOST}`,
    XksProxyUriPath: URI_PATH,
    XksProxyConnectivity: 'PUBLIC_ENDPOINT',
    XksProxyAuthenticationCredential: { AccessKeyId: proxy.accessKeyId, RawSecretAccessKey: proxy.secretAccessKey },
  })
  await customer.connectCustomKeyStore({ CustomKeyStoreId })
  await untilConnected(customer)
  return made(customer, {
    Origin: 'EXTERNAL_KEY_STORE',
    CustomKeyStoreId,
    XksKeyId: 'files',
    Description: 'hold your own key',
  })
}

/** Waits for the custom key store to be connected; it connects by itself after a restart. */
export async function untilConnected(customer: KMS): Promise<void> {
  for (const deadline = Date.now() + 15_000; ; await delay(30)) {
    const store = (await customer.describeCustomKeyStores({})).CustomKeyStores?.[0]
    if (store?.ConnectionState === 'CONNECTED') return
    if (store?.ConnectionState === 'FAILED' || Date.now() > deadline) {
      throw new Error(
        `the custom key store is ${store?.ConnectionState}: ${store?.ConnectionErrorCode ?? 'no answer yet'}`,
      )
    }
  }
}
