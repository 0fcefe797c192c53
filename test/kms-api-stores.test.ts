/** Custom key stores and the keys in them (aws-kms.md §3.11), against the real owner's proxy: what is refused, in which words, and what is recorded. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { CreateCustomKeyStoreCommandInput, KMS } from '@aws-sdk/client-kms'
import * as owners from '../src/ekm/admin/index.ts'
import { FAILURES } from '../src/kms/stores/failures.ts'
import { recordsByRequest } from './support/journal.ts'
import { type Pair, startPair } from './support/pair.ts'
import { newKey, refusalOf, refused, sdk } from './support/sdk.ts'

const Plaintext = Buffer.from('x')

let folder: string
let pair: Pair
let kms: KMS
let owner: ReturnType<Pair['ownerControl']>
let input: CreateCustomKeyStoreCommandInput & { CustomKeyStoreName: string }
let CustomKeyStoreId: string

const describe = async (id = CustomKeyStoreId) =>
  (await kms.describeCustomKeyStores({ CustomKeyStoreId: id })).CustomKeyStores?.[0]

async function connect(id = CustomKeyStoreId): Promise<string | undefined> {
  await kms.connectCustomKeyStore({ CustomKeyStoreId: id })
  for (;;) {
    const state = (await describe(id))?.ConnectionState
    if (state !== 'CONNECTING') return state
    await delay(5)
  }
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-stores-'))
  pair = await startPair(folder, ['one', 'two'])
  kms = sdk(pair.endpoint, pair.administrator)
  owner = pair.ownerControl()
  await owners.createTenant(owner, 'tenant')
  for (const [keyId, usage] of [
    ['vault', 'both'],
    ['second', 'both'],
    ['encrypt-only', 'encrypt'],
  ] as const) {
    await owners.createKey(owner, { tenant: 'tenant', keyId, usage, backing: 'software' })
  }
  const { accessKeyId, secretAccessKey } = await owners.createCredential(owner, 'tenant', undefined)
  input = {
    CustomKeyStoreName: 'owner',
    CustomKeyStoreType: 'EXTERNAL_KEY_STORE',
    XksProxyUriEndpoint: 'https://one.owner.example',
    XksProxyUriPath: '/tenant/kms/xks/v1',
    XksProxyConnectivity: 'PUBLIC_ENDPOINT',
    XksProxyAuthenticationCredential: {
      AccessKeyId: accessKeyId,
      RawSecretAccessKey: secretAccessKey.reveal(bytes => bytes.toString('latin1')),
    },
  }
  CustomKeyStoreId = (await kms.createCustomKeyStore(input)).CustomKeyStoreId ?? ''
})
after(async () => {
  owner?.close()
  kms?.destroy()
  await pair?.stop()
  await rm(folder, { recursive: true, force: true })
})

test('a store is made only where its proxy answers, with a name and an address of its own', async () => {
  const make = (change: Partial<CreateCustomKeyStoreCommandInput>) =>
    kms.createCustomKeyStore({ ...input, CustomKeyStoreName: 'other', ...change })
  const credential = input.XksProxyAuthenticationCredential
  const two = { XksProxyUriEndpoint: 'https://two.owner.example' }
  await refused(make({ CustomKeyStoreName: 'owner', ...two }), 'CustomKeyStoreNameInUse')
  await refused(make({}), 'XksProxyUriInUse')
  await refused(
    make({
      ...two,
      XksProxyAuthenticationCredential: { AccessKeyId: 'A'.repeat(20), RawSecretAccessKey: 'a'.repeat(43) },
    }),
    'XksProxyIncorrectAuthenticationCredential',
    FAILURES.AuthenticationFailedException.message,
  )
  await refused(make({ ...two, XksProxyUriPath: '/nobody/kms/xks/v1' }), 'XksProxyInvalidConfiguration')
  await refused(make({ XksProxyUriEndpoint: 'https://localhost' }), 'XksProxyUriUnreachable')
  await refused(make({ XksProxyUriEndpoint: 'https://one.owner.example:8443' }), 'Validation')
  await refused(make({ XksProxyUriPath: '/tenant' }), 'Validation')
  await refused(make({ CustomKeyStoreType: 'AWS_CLOUDHSM' }), 'Validation')
  await refused(make({ ...two, KeyStorePassword: 'password' }), 'Validation')
  await refused(make({ ...two, XksProxyAuthenticationCredential: undefined }), 'Validation')
  await refused(kms.describeCustomKeyStores({ CustomKeyStoreName: 'other' }), 'CustomKeyStoreNotFound')
  await refused(kms.describeCustomKeyStores({ CustomKeyStoreName: 'a', CustomKeyStoreId }), 'Validation')
  const { CreationDate, ...rest } = (await describe()) ?? {}
  assert.ok(CreationDate)
  assert.deepEqual(rest, {
    CustomKeyStoreId,
    CustomKeyStoreName: 'owner',
    CustomKeyStoreType: 'EXTERNAL_KEY_STORE',
    ConnectionState: 'DISCONNECTED',
    XksProxyConfiguration: {
      Connectivity: 'PUBLIC_ENDPOINT',
      AccessKeyId: credential?.AccessKeyId,
      UriEndpoint: input.XksProxyUriEndpoint,
      UriPath: input.XksProxyUriPath,
    },
  })
})

test('states of a store, and what each allows', async () => {
  await refused(kms.disconnectCustomKeyStore({ CustomKeyStoreId }), 'CustomKeyStoreInvalidState')
  const wanted = { Origin: 'EXTERNAL_KEY_STORE', CustomKeyStoreId, XksKeyId: 'vault' } as const
  await refused(kms.createKey(wanted), 'CustomKeyStoreInvalidState')
  assert.equal(await connect(), 'CONNECTED')
  await refused(kms.deleteCustomKeyStore({ CustomKeyStoreId }), 'CustomKeyStoreInvalidState')
  const XksProxyUriEndpoint = 'https://two.owner.example'
  await refused(kms.updateCustomKeyStore({ CustomKeyStoreId, XksProxyUriEndpoint }), 'CustomKeyStoreInvalidState')
  await refused(kms.updateCustomKeyStore({ CustomKeyStoreId }), 'Validation')
  await kms.updateCustomKeyStore({ CustomKeyStoreId, NewCustomKeyStoreName: 'renamed' })
  assert.equal((await describe())?.CustomKeyStoreName, 'renamed')
  const second = await kms.createCustomKeyStore({ ...input, XksProxyUriEndpoint })
  const named = (await kms.describeCustomKeyStores({ CustomKeyStoreName: 'owner' })).CustomKeyStores
  assert.deepEqual(
    named?.map(store => store.CustomKeyStoreId),
    [second.CustomKeyStoreId],
  )
  const page = await kms.describeCustomKeyStores({ Limit: 1 })
  const rest = await kms.describeCustomKeyStores({ Limit: 1, Marker: page.NextMarker })
  assert.deepEqual([page.Truncated, rest.Truncated], [true, false])
  pair.relays.two?.silence()
  assert.equal(await connect(second.CustomKeyStoreId), 'FAILED')
  const failed = await describe(second.CustomKeyStoreId)
  assert.equal(failed?.ConnectionErrorCode, 'XKS_PROXY_TIMED_OUT')
  const id = { CustomKeyStoreId: second.CustomKeyStoreId }
  await refused(kms.connectCustomKeyStore(id), 'CustomKeyStoreInvalidState')
  pair.relays.two?.heal()
  await kms.disconnectCustomKeyStore(id)
  await kms.deleteCustomKeyStore(id)
  await refused(kms.connectCustomKeyStore(id), 'CustomKeyStoreNotFound')
})

test('an external key: it must be there, for both directions, and one KMS key’s only', async () => {
  const of = (XksKeyId: string) => ({ Origin: 'EXTERNAL_KEY_STORE', CustomKeyStoreId, XksKeyId }) as const
  await refused(kms.createKey(of('nothing')), 'XksKeyNotFound')
  await refused(kms.createKey(of('encrypt-only')), 'XksKeyInvalidConfiguration')
  const { id: KeyId, arn } = await newKey(kms, of('vault'))
  await refused(kms.createKey(of('vault')), 'XksKeyAlreadyInUse')
  const { KeyMetadata } = await kms.describeKey({ KeyId })
  assert.equal(KeyMetadata?.KeyState, 'Enabled')
  assert.deepEqual(KeyMetadata?.XksKeyConfiguration, { Id: 'vault' })
  const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext, EncryptionContext: { a: 'b' } })
  await refused(kms.decrypt({ CiphertextBlob }), 'KMSInvalidState', FAILURES.InvalidCiphertextException.message)
  await kms.decrypt({ CiphertextBlob, EncryptionContext: { a: 'b' } })

  // The owner's act: every use fails from then on, with the owner's reason, and the failure is recorded.
  await owners.revoke(owner, { key: 'tenant/vault' })
  for (const use of [
    () => kms.encrypt({ KeyId, Plaintext }),
    () => kms.generateDataKey({ KeyId, NumberOfBytes: 32 }),
    () => kms.decrypt({ CiphertextBlob, EncryptionContext: { a: 'b' } }),
  ]) {
    await refused(use(), 'KMSInvalidState', FAILURES.InvalidStateException.message)
  }
  const outcomes = [...recordsByRequest(pair.providerData).values()]
    .map(records => records.at(-1))
    .filter(record => record?.asserted.operation === 'GenerateDataKey')
  assert.deepEqual(
    outcomes.map(record => [record?.outcome, record?.error]),
    [['failed', 'KMSInvalidStateException']],
  )
  await owners.restore(owner, { key: 'tenant/vault' })
  await kms.decrypt({ CiphertextBlob, EncryptionContext: { a: 'b' } })

  await kms.disconnectCustomKeyStore({ CustomKeyStoreId })
  await refused(kms.encrypt({ KeyId, Plaintext }), 'KMSInvalidState', `${arn} is unavailable.`)
  await refused(kms.deleteCustomKeyStore({ CustomKeyStoreId }), 'CustomKeyStoreHasCMKs')
  await kms.scheduleKeyDeletion({ KeyId, PendingWindowInDays: 7 })
  await refused(kms.deleteCustomKeyStore({ CustomKeyStoreId }), 'CustomKeyStoreHasCMKs')
  assert.equal(await connect(), 'CONNECTED')
  assert.equal((await refusalOf(kms.encrypt({ KeyId, Plaintext })))?.name, 'KMSInvalidStateException')
})
