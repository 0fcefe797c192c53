/**
 * Every operation in every state of every kind of key, asked over the wire with the AWS SDK; what is to be refused, and in which words, is generated from
 * the table of states.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { KMS } from '@aws-sdk/client-kms'
import { createCredential, createKey, createTenant } from '../src/ekm/admin/index.ts'
import { REFUSALS, type ShownState, STATE_TABLE } from '../src/kms/keys/states.ts'
import { CUSTOMER, type Pair, startPair } from './support/pair.ts'
import { call, imported, type NewKey, newKey, type Refusal, refusalOf, sdk, wrapped } from './support/sdk.ts'

type Origin = 'AWS_KMS' | 'EXTERNAL' | 'EXTERNAL_KEY_STORE'

/** Which states a key of that origin can be in. */
const STATES: Readonly<Record<Origin, readonly ShownState[]>> = {
  AWS_KMS: ['Enabled', 'Disabled', 'PendingDeletion'],
  EXTERNAL: ['Enabled', 'Disabled', 'PendingDeletion', 'PendingImport'],
  EXTERNAL_KEY_STORE: ['Enabled', 'Disabled', 'PendingDeletion', 'Unavailable'],
}

/** Not about one key that the request names, or not for a symmetric one. */
const LEFT_OUT = new Set([
  ...['ListAliases', 'DeleteAlias', 'GetPublicKey', 'Sign', 'Verify', 'GenerateMac', 'VerifyMac'],
  ...['DeriveSharedSecret', 'Encapsulate', 'Decapsulate'],
])

const ADMIN = `arn:aws:iam::${CUSTOMER}:user/admin`

let folder: string
let pair: Pair
let kms: KMS
let store: string
let other: NewKey
let count = 0

async function connect(): Promise<void> {
  await kms.connectCustomKeyStore({ CustomKeyStoreId: store })
  for (let state = ''; state !== 'CONNECTED'; await delay(5)) {
    const { CustomKeyStores } = await kms.describeCustomKeyStores({ CustomKeyStoreId: store })
    state = CustomKeyStores?.[0]?.ConnectionState ?? ''
    assert.ok(state === 'CONNECTING' || state === 'CONNECTED', state)
  }
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-states-'))
  pair = await startPair(folder, ['owner'])
  kms = sdk(pair.endpoint, pair.administrator)
  const owner = pair.ownerControl()
  await createTenant(owner, 'states')
  // An external key belongs to one key of the store, so there is one for each key that is made.
  for (let n = 0; n < 160; n += 1) {
    await createKey(owner, { tenant: 'states', keyId: `key-${n}`, usage: 'both', backing: 'software' })
  }
  const { accessKeyId, secretAccessKey } = await createCredential(owner, 'states', undefined)
  owner.close()
  const made = await kms.createCustomKeyStore({
    CustomKeyStoreName: 'states',
    CustomKeyStoreType: 'EXTERNAL_KEY_STORE',
    XksProxyUriEndpoint: 'https://owner.owner.example',
    XksProxyUriPath: '/states/kms/xks/v1',
    XksProxyConnectivity: 'PUBLIC_ENDPOINT',
    XksProxyAuthenticationCredential: {
      AccessKeyId: accessKeyId,
      RawSecretAccessKey: secretAccessKey.reveal(bytes => bytes.toString('latin1')),
    },
  })
  store = made.CustomKeyStoreId ?? ''
  await connect()
  other = await newKey(kms)
})

after(async () => {
  kms?.destroy()
  await pair?.stop()
  await rm(folder, { recursive: true, force: true })
})

async function make(origin: Origin): Promise<NewKey> {
  if (origin === 'AWS_KMS') return newKey(kms)
  if (origin === 'EXTERNAL') return newKey(kms, { Origin: origin })
  const XksKeyId = `key-${count}`
  count += 1
  return newKey(kms, { Origin: origin, CustomKeyStoreId: store, XksKeyId })
}

interface Case {
  readonly key: NewKey
  readonly input: object
}

/** A key in that state, and a request of the operation that succeeds wherever the state allows it. */
async function arrange(operation: string, origin: Origin, state: ShownState): Promise<Case> {
  const key = await make(origin)
  const KeyId = key.id
  const material = randomBytes(32)
  if (origin === 'EXTERNAL' && state !== 'PendingImport') await imported(kms, KeyId, material)
  const usable = state !== 'PendingImport'
  // What a key without material could have made once: its header names the key.
  const { ciphertext, GrantId } = usable ? await madeBy(KeyId) : await onceMade(KeyId, material)
  const alias = `alias/case-${KeyId}`
  if (operation === 'UpdateAlias') await kms.createAlias({ AliasName: alias, TargetKeyId: other.id })
  const forImport =
    operation === 'ImportKeyMaterial' && origin === 'EXTERNAL'
      ? { ...(await wrapped(kms, KeyId, material)), ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' }
      : {
          KeyId,
          ImportToken: Buffer.from('x'),
          EncryptedKeyMaterial: Buffer.from('x'),
          ValidTo: new Date(Date.now() + 9e6),
        }
  if (state === 'Disabled') await kms.disableKey({ KeyId })
  if (state === 'PendingDeletion') await kms.scheduleKeyDeletion({ KeyId, PendingWindowInDays: 7 })
  const inputs: Readonly<Record<string, object>> = {
    Encrypt: { KeyId, Plaintext: Buffer.from('x') },
    Decrypt: { CiphertextBlob: ciphertext },
    ReEncrypt: { CiphertextBlob: ciphertext, DestinationKeyId: other.id },
    GenerateDataKey: { KeyId, NumberOfBytes: 32 },
    GenerateDataKeyWithoutPlaintext: { KeyId, KeySpec: 'AES_128' },
    GenerateDataKeyPair: { KeyId, KeyPairSpec: 'ECC_NIST_P256' },
    GenerateDataKeyPairWithoutPlaintext: { KeyId, KeyPairSpec: 'ECC_NIST_EDWARDS25519' },
    PutKeyPolicy: { KeyId, Policy: (await kms.getKeyPolicy({ KeyId })).Policy },
    CreateAlias: { AliasName: alias, TargetKeyId: KeyId },
    UpdateAlias: { AliasName: alias, TargetKeyId: KeyId },
    TagResource: { KeyId, Tags: [{ TagKey: 'a', TagValue: 'b' }] },
    UntagResource: { KeyId, TagKeys: ['a'] },
    UpdateKeyDescription: { KeyId, Description: 'new' },
    GetParametersForImport: { KeyId, WrappingAlgorithm: 'RSAES_OAEP_SHA_1', WrappingKeySpec: 'RSA_2048' },
    ImportKeyMaterial: forImport,
    ReplicateKey: { KeyId, ReplicaRegion: 'eu-west-1' },
    UpdatePrimaryRegion: { KeyId, PrimaryRegion: 'eu-west-1' },
    CreateGrant: { KeyId, GranteePrincipal: ADMIN, Operations: ['Encrypt'] },
    RetireGrant: { KeyId: key.arn, GrantId },
    RevokeGrant: { KeyId, GrantId },
  }
  return { key, input: inputs[operation] ?? { KeyId } }
}

interface Made {
  readonly ciphertext: Uint8Array | undefined
  readonly GrantId: string | undefined
}

/** A ciphertext and a grant of a usable key. */
async function madeBy(KeyId: string): Promise<Made> {
  const { CiphertextBlob: ciphertext } = await kms.encrypt({ KeyId, Plaintext: Buffer.from('secret') })
  const parties = { GranteePrincipal: ADMIN, RetiringPrincipal: ADMIN }
  const { GrantId } = await kms.createGrant({ KeyId, ...parties, Operations: ['DescribeKey'] })
  return { ciphertext, GrantId }
}

async function onceMade(KeyId: string, material: Buffer): Promise<Made> {
  await imported(kms, KeyId, material)
  const made = await madeBy(KeyId)
  await kms.deleteImportedKeyMaterial({ KeyId })
  return made
}

/** The first footnote of the table that concerns a key of that origin. */
function expected(operation: string, origin: Origin, state: ShownState, arn: string): Refusal | undefined {
  for (const footnote of STATE_TABLE[operation]?.[state] ?? []) {
    const refusal = REFUSALS[footnote](arn, origin, operation, 'SYMMETRIC_DEFAULT')
    if (refusal !== undefined) return { name: refusal.code, message: refusal.text ?? '', status: 400 }
  }
  // The states allow it, and there is nothing to rotate to.
  if (operation === 'RotateKeyOnDemand' && origin === 'EXTERNAL') {
    const message = `No available key material pending rotation for the key: ${arn}.`
    return { name: 'KMSInvalidStateException', message, status: 400 }
  }
  // The states allow it, and keys of one Region have no primary.
  if (operation === 'ReplicateKey' || operation === 'UpdatePrimaryRegion') {
    const message = `${arn} is not a multi-region primary key.`
    return { name: 'UnsupportedOperationException', message, status: 400 }
  }
  if (operation.startsWith('GenerateDataKeyPair') && origin === 'EXTERNAL_KEY_STORE') {
    const message = `${arn} is in a custom key store, which is not valid for this operation.`
    return { name: 'UnsupportedOperationException', message, status: 400 }
  }
  return undefined
}

const OPERATIONS = Object.keys(STATE_TABLE).filter(operation => !LEFT_OUT.has(operation))

describe('each operation in each state answers what the table says', () => {
  for (const origin of Object.keys(STATES) as Origin[]) {
    for (const state of STATES[origin]) {
      test(`${origin}, ${state}`, async () => {
        const cases: (Case & { operation: string })[] = []
        for (const operation of OPERATIONS) cases.push({ operation, ...(await arrange(operation, origin, state)) })
        if (state === 'Unavailable') await kms.disconnectCustomKeyStore({ CustomKeyStoreId: store })
        try {
          for (const { operation, key, input } of cases) {
            const { KeyMetadata } = await kms.describeKey({ KeyId: key.id })
            assert.equal(KeyMetadata?.KeyState, state)
            assert.equal(KeyMetadata?.Enabled, state === 'Enabled')
            const answer = await refusalOf(call(kms, operation, input))
            assert.deepEqual(answer, expected(operation, origin, state, key.arn), operation)
          }
        } finally {
          if (state === 'Unavailable') await connect()
        }
      })
    }
  }

  test('ReEncrypt asks both keys; UpdateAlias only its new target; DeleteAlias none', async () => {
    const gone = await newKey(kms)
    const off = await newKey(kms)
    const { CiphertextBlob } = await kms.encrypt({ KeyId: other.id, Plaintext: Buffer.from('x') })
    await kms.createAlias({ AliasName: 'alias/of-gone', TargetKeyId: gone.id })
    await kms.createAlias({ AliasName: 'alias/of-gone-too', TargetKeyId: gone.id })
    await kms.scheduleKeyDeletion({ KeyId: gone.id })
    await kms.disableKey({ KeyId: off.id })
    const move = (DestinationKeyId: string) => refusalOf(kms.reEncrypt({ CiphertextBlob, DestinationKeyId }))
    assert.equal((await move(gone.id))?.name, 'KMSInvalidStateException')
    assert.equal((await move(off.id))?.name, 'DisabledException')
    await kms.updateAlias({ AliasName: 'alias/of-gone', TargetKeyId: off.id })
    await kms.deleteAlias({ AliasName: 'alias/of-gone-too' })
    assert.equal((await kms.describeKey({ KeyId: 'alias/of-gone' })).KeyMetadata?.KeyId, off.id)
  })
})
