/**
 * A story in which every operation of the AWS KMS API is called and must do what it is for: told to any client that takes operation names and members as
 * the API's model has them. Blobs are Base64 texts both ways.
 */
import assert from 'node:assert/strict'
import {
  constants,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  encapsulate,
  generateKeyPairSync,
  publicEncrypt,
  randomBytes,
  verify,
} from 'node:crypto'

// biome-ignore lint/suspicious/noExplicitAny: stories look into answers as clients do
export type Members = Record<string, any>
/** Calls one operation; rejects with an Error whose message names the API's error. `region` where it is not the client's own. */
export type Ask = (operation: string, input: Members, region?: string) => Promise<Members>

export interface Place {
  /** The Region that is called, and another one that is served. */
  readonly region: string
  readonly otherRegion: string
  /** An IAM principal of the account that exists. */
  readonly principal: string
  /** What makes an external key store, and a key in it. */
  readonly store: Members & { readonly credential: Members }
  readonly xksKeyId: string
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
const bytes = (text: unknown): Buffer => Buffer.from(String(text), 'base64')
const TEXT = Buffer.from('what every client must get back')
const spki = (text: unknown) => createPublicKey({ key: bytes(text), format: 'der', type: 'spki' })

/** Asserts that the API's error of this name comes. */
async function refused(answer: Promise<unknown>, name: string): Promise<void> {
  await assert.rejects(answer, (error: Error) => {
    assert.ok(error.message.includes(name), `expected ${name}: ${error.message}`)
    return true
  })
}

const newKey = async (ask: Ask, input: Members = {}, region?: string): Promise<Members> =>
  (await ask('CreateKey', input, region)).KeyMetadata

/** Waits until a key is in a state that it reaches by itself. */
async function until(ask: Ask, KeyId: string, state: string, region?: string): Promise<void> {
  while ((await ask('DescribeKey', { KeyId }, region)).KeyMetadata.KeyState !== state);
}

type Chapter = (ask: Ask, place: Place) => Promise<void>

const lifecycle: Chapter = async ask => {
  const { KeyId, Arn } = await newKey(ask, { Description: 'first', Tags: [{ TagKey: 'team', TagValue: 'a' }] })
  assert.equal((await ask('DescribeKey', { KeyId: Arn })).KeyMetadata.KeyState, 'Enabled')
  assert.ok((await ask('ListKeys', { Limit: 1000 })).Keys.some((key: Members) => key.KeyArn === Arn))
  await ask('UpdateKeyDescription', { KeyId, Description: 'second' })
  await ask('DisableKey', { KeyId })
  const disabled = (await ask('DescribeKey', { KeyId })).KeyMetadata
  assert.deepEqual([disabled.Enabled, disabled.KeyState, disabled.Description], [false, 'Disabled', 'second'])
  await refused(ask('Encrypt', { KeyId, Plaintext: base64(TEXT) }), 'DisabledException')
  await ask('EnableKey', { KeyId })
  const scheduled = await ask('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 })
  assert.deepEqual([scheduled.KeyId, scheduled.KeyState, scheduled.PendingWindowInDays], [Arn, 'PendingDeletion', 7])
  assert.equal((await ask('CancelKeyDeletion', { KeyId })).KeyId, Arn)
  assert.equal((await ask('DescribeKey', { KeyId })).KeyMetadata.KeyState, 'Disabled')
  await refused(ask('DescribeKey', { KeyId: 'alias/nobody' }), 'NotFoundException')
}

const symmetric: Chapter = async ask => {
  const { KeyId, Arn } = await newKey(ask)
  const other = await newKey(ask)
  const EncryptionContext = { purpose: 'story', größe: 'ünï' }
  const { CiphertextBlob } = await ask('Encrypt', { KeyId, Plaintext: base64(TEXT), EncryptionContext })
  const opened = await ask('Decrypt', { CiphertextBlob, EncryptionContext })
  assert.deepEqual([bytes(opened.Plaintext), opened.KeyId], [TEXT, Arn])
  await refused(ask('Decrypt', { CiphertextBlob }), 'InvalidCiphertextException')
  await refused(ask('Decrypt', { CiphertextBlob, EncryptionContext, DryRun: true }), 'DryRunOperationException')
  const moved = await ask('ReEncrypt', {
    CiphertextBlob,
    SourceEncryptionContext: EncryptionContext,
    DestinationKeyId: other.KeyId,
  })
  assert.deepEqual([moved.SourceKeyId, moved.KeyId], [Arn, other.Arn])
  assert.deepEqual(bytes((await ask('Decrypt', { CiphertextBlob: moved.CiphertextBlob })).Plaintext), TEXT)

  const dataKey = await ask('GenerateDataKey', { KeyId, KeySpec: 'AES_256' })
  assert.equal(bytes(dataKey.Plaintext).length, 32)
  assert.deepEqual((await ask('Decrypt', { CiphertextBlob: dataKey.CiphertextBlob })).Plaintext, dataKey.Plaintext)
  const hidden = await ask('GenerateDataKeyWithoutPlaintext', { KeyId, NumberOfBytes: 64 })
  assert.equal(hidden.Plaintext, undefined)
  assert.equal(bytes((await ask('Decrypt', { CiphertextBlob: hidden.CiphertextBlob })).Plaintext).length, 64)

  const pair = await ask('GenerateDataKeyPair', { KeyId, KeyPairSpec: 'ECC_NIST_P256' })
  const privateKey = createPrivateKey({ key: bytes(pair.PrivateKeyPlaintext), format: 'der', type: 'pkcs8' })
  assert.deepEqual(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }), bytes(pair.PublicKey))
  const half = await ask('GenerateDataKeyPairWithoutPlaintext', { KeyId, KeyPairSpec: 'RSA_2048' })
  assert.equal(half.PrivateKeyPlaintext, undefined)
  const privateHalf = await ask('Decrypt', { CiphertextBlob: half.PrivateKeyCiphertextBlob })
  const rsa = createPrivateKey({ key: bytes(privateHalf.Plaintext), format: 'der', type: 'pkcs8' })
  assert.deepEqual(createPublicKey(rsa).export({ format: 'der', type: 'spki' }), bytes(half.PublicKey))
  assert.equal(bytes((await ask('GenerateRandom', { NumberOfBytes: 33 })).Plaintext).length, 33)

  const usage = await ask('GetKeyLastUsage', { KeyId })
  assert.equal(usage.KeyLastUsage.Operation, 'Decrypt')
}

const asymmetric: Chapter = async ask => {
  const signing = await newKey(ask, { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' })
  const by = { KeyId: signing.KeyId, SigningAlgorithm: 'ECDSA_SHA_256' }
  const { Signature } = await ask('Sign', { ...by, Message: base64(TEXT) })
  const published = await ask('GetPublicKey', { KeyId: signing.KeyId })
  assert.ok(verify('sha256', TEXT, spki(published.PublicKey), bytes(Signature)))
  const digest = { Message: base64(createHash('sha256').update(TEXT).digest()), MessageType: 'DIGEST' }
  assert.equal((await ask('Verify', { ...by, ...digest, Signature })).SignatureValid, true)
  await refused(ask('Verify', { ...by, Message: base64(randomBytes(5)), Signature }), 'KMSInvalidSignatureException')

  const mac = await newKey(ask, { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' })
  const withMac = { KeyId: mac.KeyId, MacAlgorithm: 'HMAC_SHA_256', Message: base64(TEXT) }
  const { Mac } = await ask('GenerateMac', withMac)
  assert.equal((await ask('VerifyMac', { ...withMac, Mac })).MacValid, true)
  await refused(ask('VerifyMac', { ...withMac, Mac: base64(randomBytes(32)) }), 'KMSInvalidMacException')

  const agreeing = await newKey(ask, { KeySpec: 'ECC_NIST_P384', KeyUsage: 'KEY_AGREEMENT' })
  const peer = generateKeyPairSync('ec', { namedCurve: 'secp384r1' })
  const PublicKey = base64(peer.publicKey.export({ format: 'der', type: 'spki' }))
  const agreed = await ask('DeriveSharedSecret', { KeyId: agreeing.KeyId, KeyAgreementAlgorithm: 'ECDH', PublicKey })
  const published2 = await ask('GetPublicKey', { KeyId: agreeing.KeyId })
  const secret = diffieHellman({ privateKey: peer.privateKey, publicKey: spki(published2.PublicKey) })
  assert.deepEqual(bytes(agreed.SharedSecret), secret)

  const kem = await newKey(ask, { KeySpec: 'ML_KEM_768', KeyUsage: 'ENCAPSULATE_DECAPSULATE' })
  const withKem = { KeyId: kem.KeyId, EncapsulationAlgorithm: 'ML_KEM' }
  const made = await ask('Encapsulate', withKem)
  const SharedSecretCiphertextBlob = made.SharedSecretCiphertextBlob
  const same = await ask('Decapsulate', { ...withKem, SharedSecretCiphertextBlob })
  assert.equal(same.SharedSecret, made.SharedSecret)
  const outside = encapsulate(spki((await ask('GetPublicKey', { KeyId: kem.KeyId })).PublicKey))
  const inside = await ask('Decapsulate', {
    ...withKem,
    SharedSecretCiphertextBlob: base64(outside.ciphertext),
  })
  assert.deepEqual(bytes(inside.SharedSecret), Buffer.from(outside.sharedKey))
}

const rotationAndImport: Chapter = async ask => {
  const { KeyId, Arn } = await newKey(ask)
  await ask('EnableKeyRotation', { KeyId, RotationPeriodInDays: 90 })
  const status = await ask('GetKeyRotationStatus', { KeyId })
  assert.deepEqual([status.KeyRotationEnabled, status.RotationPeriodInDays], [true, 90])
  await ask('DisableKeyRotation', { KeyId })
  assert.equal((await ask('RotateKeyOnDemand', { KeyId })).KeyId, Arn)
  const { Rotations } = await ask('ListKeyRotations', { KeyId })
  assert.deepEqual(
    Rotations.map((rotation: Members) => rotation.RotationType),
    ['ON_DEMAND'],
  )

  const imported = (await newKey(ask, { Origin: 'EXTERNAL' })).KeyId
  const parameters = await ask('GetParametersForImport', {
    KeyId: imported,
    WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
    WrappingKeySpec: 'RSA_2048',
  })
  const material = randomBytes(32)
  const wrapping = {
    key: spki(parameters.PublicKey),
    padding: constants.RSA_PKCS1_OAEP_PADDING,
    oaepHash: 'sha256',
  }
  const brought = await ask('ImportKeyMaterial', {
    KeyId: imported,
    ImportToken: parameters.ImportToken,
    EncryptedKeyMaterial: base64(publicEncrypt(wrapping, material)),
    ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
  })
  assert.match(brought.KeyMaterialId, /^[0-9a-f]{64}$/)
  await ask('Encrypt', { KeyId: imported, Plaintext: base64(TEXT) })
  await ask('DeleteImportedKeyMaterial', { KeyId: imported })
  assert.equal((await ask('DescribeKey', { KeyId: imported })).KeyMetadata.KeyState, 'PendingImport')
}

const names: Chapter = async ask => {
  const { KeyId, Arn } = await newKey(ask)
  const other = await newKey(ask)
  const AliasName = `alias/story-${randomBytes(4).toString('hex')}`
  await ask('CreateAlias', { AliasName, TargetKeyId: KeyId })
  await refused(ask('CreateAlias', { AliasName, TargetKeyId: KeyId }), 'AlreadyExistsException')
  const listed = (await ask('ListAliases', { KeyId })).Aliases
  assert.deepEqual([listed.length, listed[0].AliasName, listed[0].TargetKeyId], [1, AliasName, KeyId])
  await ask('UpdateAlias', { AliasName, TargetKeyId: other.KeyId })
  assert.equal((await ask('DescribeKey', { KeyId: AliasName })).KeyMetadata.Arn, other.Arn)
  await ask('DeleteAlias', { AliasName })
  await refused(ask('DescribeKey', { KeyId: AliasName }), 'NotFoundException')

  await ask('TagResource', { KeyId, Tags: [{ TagKey: 'stage', TagValue: 'test' }] })
  assert.deepEqual((await ask('ListResourceTags', { KeyId })).Tags, [{ TagKey: 'stage', TagValue: 'test' }])
  await ask('UntagResource', { KeyId, TagKeys: ['stage'] })
  assert.deepEqual((await ask('ListResourceTags', { KeyId })).Tags, [])

  assert.deepEqual((await ask('ListKeyPolicies', { KeyId })).PolicyNames, ['default'])
  const Policy = (await ask('GetKeyPolicy', { KeyId, PolicyName: 'default' })).Policy
  await ask('PutKeyPolicy', { KeyId, PolicyName: 'default', Policy })
  assert.ok(Arn.includes(':key/'))
}

const grants: Chapter = async (ask, { principal }) => {
  const { KeyId } = await newKey(ask)
  const grant = {
    KeyId,
    GranteePrincipal: principal,
    RetiringPrincipal: principal,
    Operations: ['Decrypt', 'Encrypt'],
    Constraints: { EncryptionContextSubset: { app: 'story' } },
  }
  const one = await ask('CreateGrant', { ...grant, Name: 'one' })
  const again = await ask('CreateGrant', { ...grant, Name: 'one' })
  assert.equal(again.GrantId, one.GrantId)
  const two = await ask('CreateGrant', grant)
  const listed = (await ask('ListGrants', { KeyId })).Grants
  assert.deepEqual(new Set(listed.map((each: Members) => each.GrantId)), new Set([one.GrantId, two.GrantId]))
  const retirable = (await ask('ListRetirableGrants', { RetiringPrincipal: principal })).Grants
  assert.ok(retirable.some((each: Members) => each.GrantId === one.GrantId))
  await ask('Encrypt', { KeyId, Plaintext: base64(TEXT), GrantTokens: [one.GrantToken] })
  await ask('RetireGrant', { GrantToken: one.GrantToken })
  await ask('RevokeGrant', { KeyId, GrantId: two.GrantId })
  assert.deepEqual((await ask('ListGrants', { KeyId })).Grants, [])
}

const regions: Chapter = async (ask, { region, otherRegion }) => {
  const { KeyId, Arn } = await newKey(ask, { MultiRegion: true })
  assert.match(KeyId, /^mrk-[0-9a-f]{32}$/)
  const { ReplicaKeyMetadata } = await ask('ReplicateKey', { KeyId, ReplicaRegion: otherRegion })
  assert.equal(ReplicaKeyMetadata.Arn, Arn.replace(region, otherRegion))
  await until(ask, KeyId, 'Enabled', otherRegion)
  const { CiphertextBlob } = await ask('Encrypt', { KeyId, Plaintext: base64(TEXT) })
  assert.deepEqual(bytes((await ask('Decrypt', { CiphertextBlob }, otherRegion)).Plaintext), TEXT)
  await ask('UpdatePrimaryRegion', { KeyId, PrimaryRegion: otherRegion })
  await until(ask, KeyId, 'Enabled')
  const { MultiRegionConfiguration } = (await ask('DescribeKey', { KeyId })).KeyMetadata
  assert.equal(MultiRegionConfiguration.MultiRegionKeyType, 'REPLICA')
}

const stores: Chapter = async (ask, { store, xksKeyId }) => {
  const { credential, otherPath, otherCredential, ...parts } = store
  const { CustomKeyStoreId } = await ask('CreateCustomKeyStore', {
    ...parts,
    CustomKeyStoreType: 'EXTERNAL_KEY_STORE',
    XksProxyAuthenticationCredential: credential,
  })
  const state = async () => (await ask('DescribeCustomKeyStores', { CustomKeyStoreId })).CustomKeyStores[0]
  await ask('ConnectCustomKeyStore', { CustomKeyStoreId })
  while ((await state()).ConnectionState === 'CONNECTING');
  assert.equal((await state()).ConnectionState, 'CONNECTED')
  const { KeyId } = await newKey(ask, { Origin: 'EXTERNAL_KEY_STORE', CustomKeyStoreId, XksKeyId: xksKeyId })
  const { CiphertextBlob } = await ask('Encrypt', { KeyId, Plaintext: base64(TEXT) })
  assert.deepEqual(bytes((await ask('Decrypt', { CiphertextBlob })).Plaintext), TEXT)
  await refused(ask('DeleteCustomKeyStore', { CustomKeyStoreId }), 'CustomKeyStoreInvalidStateException')
  await ask('DisconnectCustomKeyStore', { CustomKeyStoreId })
  await refused(ask('DeleteCustomKeyStore', { CustomKeyStoreId }), 'CustomKeyStoreHasCMKsException')
  await ask('UpdateCustomKeyStore', { CustomKeyStoreId, NewCustomKeyStoreName: `${parts.CustomKeyStoreName}-2` })
  assert.equal((await state()).CustomKeyStoreName, `${parts.CustomKeyStoreName}-2`)

  const empty = await ask('CreateCustomKeyStore', {
    ...parts,
    CustomKeyStoreName: `${parts.CustomKeyStoreName}-empty`,
    XksProxyUriPath: otherPath,
    CustomKeyStoreType: 'EXTERNAL_KEY_STORE',
    XksProxyAuthenticationCredential: otherCredential,
  })
  await ask('DeleteCustomKeyStore', { CustomKeyStoreId: empty.CustomKeyStoreId })
}

/** By what they are about. Every operation of the API is in one of them. */
export const CHAPTERS: Readonly<Record<string, Chapter>> = {
  'the life of a key': lifecycle,
  'symmetric keys, data keys and key pairs': symmetric,
  'signatures, MACs, key agreement and encapsulation': asymmetric,
  'rotation and imported material': rotationAndImport,
  'aliases, tags and policies': names,
  grants,
  'keys in several Regions': regions,
  'external key stores': stores,
}
