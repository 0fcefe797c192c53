/**
 * Custom key stores of type AWS_CLOUDHSM on a SoftHSM token: made, connected, used, disconnected, refused a wrong password, lost its boundary, and emptied.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { KMS } from '@aws-sdk/client-kms'
import { connectControl } from '../src/boundary/client/control.ts'
import type { Service } from '../src/boundary/supervisor/supervisor.ts'
import { serviceFolders } from '../src/config/folders.ts'
import { kmsConfig } from '../src/config/kms.ts'
import { makeAdministrator } from '../src/kms/admin/index.ts'
import { startKmsService } from '../src/kms/dev.ts'
import { TestAuthority } from './support/certificates.ts'
import { REGION } from './support/kms.ts'
import { refusalOf, refused, sdk } from './support/sdk.ts'
import { SoftHsm } from './support/softhsm.ts'

const ACCOUNT = '111122223333'
const CLUSTER = 'cluster-2abcdefghij'
const PIN = 'kmsuser-password'
const folder = mkdtempSync(join(tmpdir(), 'holdfast-cloudhsm-'))
const hsm = new SoftHsm().use().addToken('cluster', PIN)

let service: Service
let kms: KMS
let anchor: string
let store: string

before(async () => {
  const certificates = join(folder, 'certificates')
  mkdirSync(certificates)
  const authority = await TestAuthority.make(certificates, 'cluster')
  anchor = readFileSync(authority.caFile, 'utf8')
  const data = join(folder, 'data')
  const config = kmsConfig.schema.parse({
    data,
    listen: { host: '127.0.0.1', port: 0 },
    regions: [REGION],
    boundary: { root: { kind: 'keyfile', file: join(folder, 'root.key') } },
    quotas: { requests: { enforced: false } },
    cloudHsm: {
      clusters: { [CLUSTER]: { module: hsm.module, tokenLabel: 'cluster', trustAnchorFile: authority.caFile } },
    },
  })
  assert.deepEqual(kmsConfig.check?.(config) ?? [], [])
  service = startKmsService(config, false)
  const { endpoint } = await service.ready
  const control = connectControl({ socket: join(serviceFolders(data).boundary, 'control.sock') })
  const made = await makeAdministrator(control, { account: ACCOUNT, user: 'admin', given: undefined })
  control.close()
  const { accessKeyId } = made
  const secretAccessKey = made.secretAccessKey.reveal(bytes => bytes.toString('latin1'))
  kms = sdk(String(endpoint), { accessKeyId, secretAccessKey })
})
after(async () => {
  kms?.destroy()
  await service?.stop()
  hsm.remove()
  rmSync(folder, { recursive: true, force: true })
})

const wanted = (more: object = {}) => ({
  CustomKeyStoreName: 'ours',
  CloudHsmClusterId: CLUSTER,
  TrustAnchorCertificate: anchor,
  KeyStorePassword: PIN,
  ...more,
})
const described = async () => {
  const { CustomKeyStores } = await kms.describeCustomKeyStores({ CustomKeyStoreId: store })
  return CustomKeyStores?.[0] ?? assert.fail('no store')
}
/** Connects and waits for how it went. */
async function connect(): Promise<{ state: string; error: string | undefined }> {
  await kms.connectCustomKeyStore({ CustomKeyStoreId: store })
  for (;;) {
    const { ConnectionState = '', ConnectionErrorCode } = await described()
    if (ConnectionState !== 'CONNECTING') return { state: ConnectionState, error: ConnectionErrorCode }
    await delay(10)
  }
}
const newKey = async () => {
  const { KeyMetadata } = await kms.createKey({ Origin: 'AWS_CLOUDHSM', CustomKeyStoreId: store })
  return KeyMetadata ?? assert.fail('no key')
}
/** Secret keys in the token, as another tool sees them. */
const objects = (): string =>
  execFileSync(
    'pkcs11-tool',
    [
      '--module',
      hsm.module,
      '--token-label',
      'cluster',
      '--login',
      '--pin',
      PIN,
      '--list-objects',
      '--type',
      'secrkey',
    ],
    { encoding: 'utf8', env: { ...process.env, SOFTHSM2_CONF: hsm.configuration } },
  )

test('a store is made of a configured cluster alone, under its own trust anchor', async () => {
  await refused(
    kms.createCustomKeyStore(wanted({ CloudHsmClusterId: 'cluster-3abcdefghij' })),
    'CloudHsmClusterNotFound',
  )
  const other = await TestAuthority.make(folder, 'other')
  const TrustAnchorCertificate = readFileSync(other.caFile, 'utf8')
  await refused(kms.createCustomKeyStore(wanted({ TrustAnchorCertificate })), 'IncorrectTrustAnchor')
  await refused(kms.createCustomKeyStore({ CustomKeyStoreName: 'x', CloudHsmClusterId: CLUSTER }), 'Validation')
  await refused(kms.createCustomKeyStore(wanted({ XksProxyUriPath: '/kms/xks/v1' })), 'Validation')
  store = (await kms.createCustomKeyStore(wanted())).CustomKeyStoreId ?? ''
  await refused(kms.createCustomKeyStore(wanted({ CustomKeyStoreName: 'again' })), 'CloudHsmClusterInUse')
  const { ConnectionState, CloudHsmClusterId, CustomKeyStoreType, XksProxyConfiguration } = await described()
  assert.deepEqual(
    [ConnectionState, CloudHsmClusterId, CustomKeyStoreType, XksProxyConfiguration],
    ['DISCONNECTED', CLUSTER, 'AWS_CLOUDHSM', undefined],
  )
  await refused(newKey(), 'CustomKeyStoreInvalidState')
})

test('a wrong password: FAILED, until it is disconnected, changed and connected again', async () => {
  await kms.updateCustomKeyStore({ CustomKeyStoreId: store, KeyStorePassword: 'not-the-password' })
  assert.deepEqual(await connect(), { state: 'FAILED', error: 'INVALID_CREDENTIALS' })
  await refused(
    kms.updateCustomKeyStore({ CustomKeyStoreId: store, KeyStorePassword: PIN }),
    'CustomKeyStoreInvalidState',
  )
  await kms.disconnectCustomKeyStore({ CustomKeyStoreId: store })
  await kms.updateCustomKeyStore({ CustomKeyStoreId: store, KeyStorePassword: PIN })
  assert.deepEqual(await connect(), { state: 'CONNECTED', error: undefined })
})

test('a key is made in the token, cannot leave it, and does what symmetric keys do', async () => {
  const key = await newKey()
  assert.deepEqual(
    [key.Origin, key.CustomKeyStoreId, key.CloudHsmClusterId, key.KeyState, key.CurrentKeyMaterialId],
    ['AWS_CLOUDHSM', store, CLUSTER, 'Enabled', undefined],
  )
  const listed = objects()
  assert.ok(listed.includes(`${REGION}/${key.KeyId}`))
  assert.match(listed, /never extractable/)
  const KeyId = key.KeyId ?? ''
  const EncryptionContext = { a: 'b' }
  const Plaintext = Buffer.from('in the token')
  const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext, EncryptionContext })
  assert.deepEqual(Buffer.from((await kms.decrypt({ CiphertextBlob, EncryptionContext })).Plaintext ?? []), Plaintext)
  await refused(kms.decrypt({ CiphertextBlob }), 'InvalidCiphertext')
  // A dry run asks the token as well: it opens what would be opened in earnest, and refuses the rest in the same words.
  const DryRun = true
  await refused(kms.decrypt({ CiphertextBlob, EncryptionContext, DryRun }), 'DryRunOperation')
  await refused(kms.decrypt({ CiphertextBlob, DryRun }), 'InvalidCiphertext')
  const changed = Uint8Array.from(CiphertextBlob ?? [])
  for (const at of [1, 20, 55, 70, 100, 115, changed.length - 1]) {
    const copy = Uint8Array.from(changed)
    copy[at] = (copy[at] ?? 0) ^ 1
    const earnest = await refusalOf(kms.decrypt({ CiphertextBlob: copy, EncryptionContext }))
    assert.notEqual(earnest, undefined, `byte ${at}`)
    assert.deepEqual(await refusalOf(kms.decrypt({ CiphertextBlob: copy, EncryptionContext, DryRun })), earnest)
  }
  const dataKey = await kms.generateDataKey({ KeyId, KeySpec: 'AES_256' })
  assert.deepEqual((await kms.decrypt({ CiphertextBlob: dataKey.CiphertextBlob })).Plaintext, dataKey.Plaintext)
  const other = (await kms.createKey({})).KeyMetadata?.KeyId
  const out = await kms.reEncrypt({
    CiphertextBlob,
    SourceEncryptionContext: EncryptionContext,
    DestinationKeyId: other,
  })
  const into = { DestinationKeyId: KeyId, DryRun }
  await refused(kms.reEncrypt({ CiphertextBlob: out.CiphertextBlob, ...into }), 'DryRunOperation')
  const cut = Uint8Array.from(out.CiphertextBlob ?? []).subarray(0, -1)
  await refused(kms.reEncrypt({ CiphertextBlob: cut, ...into }), 'InvalidCiphertext')
  const back = await kms.reEncrypt({ CiphertextBlob: out.CiphertextBlob, DestinationKeyId: KeyId })
  assert.deepEqual(Buffer.from((await kms.decrypt({ CiphertextBlob: back.CiphertextBlob })).Plaintext ?? []), Plaintext)
  const random = await kms.generateRandom({ NumberOfBytes: 24, CustomKeyStoreId: store })
  assert.equal(random.Plaintext?.length, 24)
  await refused(kms.enableKeyRotation({ KeyId }), 'UnsupportedOperation')
  await refused(kms.rotateKeyOnDemand({ KeyId }), 'UnsupportedOperation')
  await refused(kms.generateDataKeyPair({ KeyId, KeyPairSpec: 'ECC_NIST_P256' }), 'UnsupportedOperation')
  await refused(
    kms.createKey({
      Origin: 'AWS_CLOUDHSM',
      CustomKeyStoreId: store,
      KeySpec: 'HMAC_256',
      KeyUsage: 'GENERATE_VERIFY_MAC',
    }),
    'UnsupportedOperation',
  )
  await kms.disableKey({ KeyId })
  await refused(kms.encrypt({ KeyId, Plaintext }), 'Disabled')
})

/** Ids of the processes below this one whose command line holds a text. */
function children(text: string): number[] {
  const ids = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ').map(Number)
  return ids.filter(id => readFileSync(`/proc/${id}/cmdline`, 'utf8').includes(text))
}

test('the boundary is killed: the token is opened again by the next use', async () => {
  const { KeyId = '' } = await newKey()
  const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext: Buffer.from('before') })
  const [boundary] = children('/service/main')
  process.kill(boundary ?? assert.fail('no boundary'), 'SIGKILL')
  for (;;) {
    try {
      const { Plaintext } = await kms.decrypt({ CiphertextBlob })
      assert.equal(Buffer.from(Plaintext ?? []).toString(), 'before')
      return
    } catch (error) {
      // 5xx while it is away, and nothing else.
      assert.ok(
        ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? 0) >= 500,
        String(error),
      )
      await delay(20)
    }
  }
})

test('disconnected: its keys are unavailable; connected again, they open what they encrypted', async () => {
  const { KeyId = '' } = await newKey()
  const { CiphertextBlob } = await kms.encrypt({ KeyId, Plaintext: Buffer.from('kept') })
  await kms.disconnectCustomKeyStore({ CustomKeyStoreId: store })
  assert.equal((await kms.describeKey({ KeyId })).KeyMetadata?.KeyState, 'Unavailable')
  await refused(kms.decrypt({ CiphertextBlob }), 'KMSInvalidState', /is unavailable\.$/)
  await refused(kms.generateRandom({ NumberOfBytes: 8, CustomKeyStoreId: store }), 'CustomKeyStoreInvalidState')
  assert.equal((await connect()).state, 'CONNECTED')
  assert.equal(Buffer.from((await kms.decrypt({ CiphertextBlob })).Plaintext ?? []).toString(), 'kept')
  await refused(kms.deleteCustomKeyStore({ CustomKeyStoreId: store }), 'CustomKeyStoreInvalidState')
})
