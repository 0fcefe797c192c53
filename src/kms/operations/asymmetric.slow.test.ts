/** The rules of single operations that the table of specs does not hold: message types and lengths, RSA's limits, ReEncrypt between kinds of keys, peers. */
import assert from 'node:assert/strict'
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { type Answer, startTestKms, type TestKms, user } from '../testing.ts'

let kms: TestKms
const made = new Map<string, string>()

before(async () => {
  kms = await startTestKms()
})
after(async () => {
  await kms.stop()
  assert.deepEqual(kms.defects, [])
})

/** A key of its own for each spec and usage, made when it is first needed. */
async function key(KeySpec: string, KeyUsage: string): Promise<string> {
  const name = `${KeySpec} ${KeyUsage}`
  const KeyId = made.get(name) ?? (await kms.ok('CreateKey', { KeySpec, KeyUsage })).KeyMetadata.KeyId
  made.set(name, KeyId)
  return KeyId
}
const arnOf = async (KeyId: string): Promise<string> => (await kms.ok('DescribeKey', { KeyId })).KeyMetadata.Arn

const refused = ({ status, body }: Answer, code: string, message?: string | RegExp): void => {
  assert.equal(status, 400, JSON.stringify(body))
  assert.equal(body.__type, code, JSON.stringify(body))
  if (typeof message === 'string') assert.equal(body.message, message)
  else if (message !== undefined) assert.match(body.message, message)
}
const base64 = (bytes: Buffer | number): string =>
  (typeof bytes === 'number' ? Buffer.alloc(bytes, 7) : bytes).toString('base64')

test('message types go with some algorithms, and their lengths with the algorithm', async () => {
  const [rsa, ec, edwards, mlDsa] = await Promise.all([
    key('RSA_2048', 'SIGN_VERIFY'),
    key('ECC_NIST_P384', 'SIGN_VERIFY'),
    key('ECC_NIST_EDWARDS25519', 'SIGN_VERIFY'),
    key('ML_DSA_44', 'SIGN_VERIFY'),
  ])
  const cases: readonly (readonly [string, string, string, number, string | undefined])[] = [
    [rsa, 'RSASSA_PSS_SHA_384', 'DIGEST', 48, undefined],
    [rsa, 'RSASSA_PSS_SHA_384', 'DIGEST', 32, 'Digest is invalid length for algorithm RSASSA_PSS_SHA_384.'],
    [
      rsa,
      'RSASSA_PKCS1_V1_5_SHA_512',
      'DIGEST',
      63,
      'Digest is invalid length for algorithm RSASSA_PKCS1_V1_5_SHA_512.',
    ],
    [rsa, 'RSASSA_PSS_SHA_256', 'EXTERNAL_MU', 64, 'Message type EXTERNAL_MU is incompatible with key spec RSA_2048.'],
    [ec, 'ECDSA_SHA_384', 'RAW', 4096, undefined],
    [ec, 'ECDSA_SHA_384', 'DIGEST', 48, undefined],
    [ec, 'ECDSA_SHA_384', 'DIGEST', 49, 'Digest is invalid length for algorithm ECDSA_SHA_384.'],
    [ec, 'ECDSA_SHA_384', 'EXTERNAL_MU', 64, 'Message type EXTERNAL_MU is incompatible with key spec ECC_NIST_P384.'],
    [edwards, 'ED25519_SHA_512', 'RAW', 1, undefined],
    [edwards, 'ED25519_SHA_512', 'DIGEST', 64, 'Message type DIGEST is incompatible with algorithm ED25519_SHA_512.'],
    [edwards, 'ED25519_PH_SHA_512', 'RAW', 64, 'Message type RAW is incompatible with algorithm ED25519_PH_SHA_512.'],
    [edwards, 'ED25519_PH_SHA_512', 'DIGEST', 64, undefined],
    [edwards, 'ED25519_PH_SHA_512', 'DIGEST', 32, 'Digest is invalid length for algorithm ED25519_PH_SHA_512.'],
    [mlDsa, 'ML_DSA_SHAKE_256', 'RAW', 4096, undefined],
    [mlDsa, 'ML_DSA_SHAKE_256', 'EXTERNAL_MU', 64, undefined],
    [mlDsa, 'ML_DSA_SHAKE_256', 'EXTERNAL_MU', 63, 'External Mu is invalid length for algorithm ML_DSA_SHAKE_256.'],
    [mlDsa, 'ML_DSA_SHAKE_256', 'DIGEST', 64, 'Message type DIGEST is incompatible with key spec ML_DSA_44.'],
  ]
  for (const [KeyId, SigningAlgorithm, MessageType, bytes, text] of cases) {
    const input = { KeyId, SigningAlgorithm, MessageType, Message: base64(bytes) }
    const signed = await kms.call('Sign', input)
    const Signature = signed.body.Signature ?? 'AA=='
    const verified = await kms.call('Verify', { ...input, Signature })
    if (text === undefined) {
      assert.equal(signed.status, 200, `${SigningAlgorithm} ${MessageType}: ${JSON.stringify(signed.body)}`)
      assert.deepEqual(verified.body, { KeyId: await arnOf(KeyId), SignatureValid: true, SigningAlgorithm })
    } else {
      refused(signed, 'ValidationException', text)
      refused(verified, 'ValidationException', text)
    }
  }
})

test('a digest is signed as it is, a message is hashed once; a signature or tag that is wrong is an error, in a dry run too', async () => {
  const KeyId = await key('ECC_NIST_P256', 'SIGN_VERIFY')
  const message = randomBytes(100)
  const digest = createHash('sha256').update(message).digest()
  const SigningAlgorithm = 'ECDSA_SHA_256'
  const raw = { KeyId, SigningAlgorithm, Message: base64(message) }
  const hashed = { KeyId, SigningAlgorithm, Message: base64(digest), MessageType: 'DIGEST' }
  for (const signed of [raw, hashed]) {
    const { Signature } = await kms.ok('Sign', signed)
    for (const verified of [raw, hashed]) await kms.ok('Verify', { ...verified, Signature })
    const twice = { ...raw, Message: base64(digest), Signature }
    for (const DryRun of [false, true]) {
      const { status, body } = await kms.call('Verify', { ...twice, DryRun })
      assert.equal(status, 400)
      assert.deepEqual(body, { __type: 'KMSInvalidSignatureException' })
    }
  }
  const mac = { KeyId: await key('HMAC_256', 'GENERATE_VERIFY_MAC'), MacAlgorithm: 'HMAC_SHA_256', Message: 'AAAA' }
  const { Mac } = await kms.ok('GenerateMac', mac)
  assert.deepEqual(await kms.ok('VerifyMac', { ...mac, Mac }), {
    KeyId: await arnOf(mac.KeyId),
    MacValid: true,
    MacAlgorithm: 'HMAC_SHA_256',
  })
  for (const DryRun of [false, true]) {
    for (const wrong of [Mac.slice(4), base64(32)]) {
      const { body } = await kms.call('VerifyMac', { ...mac, Mac: wrong, DryRun })
      assert.deepEqual(body, { __type: 'KMSInvalidMacException' })
    }
  }
})

test('RSA: limits of the plaintext, no encryption context, the key must be named, a ciphertext is opened as it was made', async () => {
  const limits = { RSA_2048: [214, 190], RSA_3072: [342, 318], RSA_4096: [470, 446] } as const
  for (const [spec, [sha1, sha256]] of Object.entries(limits)) {
    const KeyId = await key(spec, 'ENCRYPT_DECRYPT')
    for (const [EncryptionAlgorithm, most] of [
      ['RSAES_OAEP_SHA_1', sha1],
      ['RSAES_OAEP_SHA_256', sha256],
    ] as const) {
      const input = { KeyId, EncryptionAlgorithm }
      const { CiphertextBlob, ...rest } = await kms.ok('Encrypt', { ...input, Plaintext: base64(most) })
      const arn = await arnOf(KeyId)
      assert.deepEqual(rest, { KeyId: arn, EncryptionAlgorithm })
      const opened = await kms.ok('Decrypt', { ...input, CiphertextBlob })
      assert.deepEqual(opened, { KeyId: arn, Plaintext: base64(most), EncryptionAlgorithm })
      const text = `Algorithm ${EncryptionAlgorithm} and key spec ${spec} cannot encrypt data larger than ${most} bytes.`
      for (const DryRun of [false, true])
        refused(
          await kms.call('Encrypt', { ...input, Plaintext: base64(most + 1), DryRun }),
          'ValidationException',
          text,
        )
    }
  }
  const KeyId = await key('RSA_2048', 'ENCRYPT_DECRYPT')
  const EncryptionAlgorithm = 'RSAES_OAEP_SHA_256'
  const input = { KeyId, EncryptionAlgorithm }
  const { CiphertextBlob } = await kms.ok('Encrypt', { ...input, Plaintext: 'AAAA', EncryptionContext: {} })
  const noContext = 'EncryptionContext is not supported when encrypting/decrypting with asymmetric CMKs.'
  const EncryptionContext = { a: 'b' }
  refused(
    await kms.call('Encrypt', { ...input, Plaintext: 'AA==', EncryptionContext }),
    'ValidationException',
    noContext,
  )
  refused(await kms.call('Decrypt', { ...input, CiphertextBlob, EncryptionContext }), 'ValidationException', noContext)
  const unnamed = { CiphertextBlob, EncryptionAlgorithm }
  refused(await kms.call('Decrypt', unnamed), 'ValidationException', 'KeyId must not be null')
  const reEncrypt = { CiphertextBlob, SourceEncryptionAlgorithm: EncryptionAlgorithm, DestinationKeyId: KeyId }
  refused(await kms.call('ReEncrypt', reEncrypt), 'ValidationException', 'SourceKeyId must not be null')
  for (const wrong of [
    { ...input, EncryptionAlgorithm: 'RSAES_OAEP_SHA_1', CiphertextBlob },
    { ...input, CiphertextBlob: base64(255) },
    { ...input, CiphertextBlob: base64(256) },
    { ...input, KeyId: await key('RSA_3072', 'ENCRYPT_DECRYPT'), CiphertextBlob },
  ]) {
    const { body } = await kms.call('Decrypt', wrong)
    assert.deepEqual(body, { __type: 'InvalidCiphertextException' })
  }
  // A message of a symmetric key names its key: another one is the wrong one, whatever it is.
  const symmetric = await kms.ok('Encrypt', {
    KeyId: await key('SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT'),
    Plaintext: 'AA==',
  })
  refused(await kms.call('Decrypt', { CiphertextBlob: symmetric.CiphertextBlob, KeyId }), 'IncorrectKeyException')
})

test('ReEncrypt between keys of both kinds, with the material ids of the symmetric ones alone', async () => {
  const sym = { id: await key('SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT'), algorithm: 'SYMMETRIC_DEFAULT' }
  const rsa = { id: await key('RSA_2048', 'ENCRYPT_DECRYPT'), algorithm: 'RSAES_OAEP_SHA_1' }
  const more = { id: await key('RSA_3072', 'ENCRYPT_DECRYPT'), algorithm: 'RSAES_OAEP_SHA_256' }
  for (const from of [sym, rsa, more]) {
    for (const to of [sym, rsa, more]) {
      const Plaintext = randomBytes(20).toString('base64')
      const start = await kms.ok('Encrypt', { KeyId: from.id, EncryptionAlgorithm: from.algorithm, Plaintext })
      const request = {
        CiphertextBlob: start.CiphertextBlob,
        ...(from === sym ? {} : { SourceKeyId: from.id, SourceEncryptionAlgorithm: from.algorithm }),
        DestinationKeyId: to.id,
        ...(to === sym ? {} : { DestinationEncryptionAlgorithm: to.algorithm }),
      }
      const { CiphertextBlob, ...rest } = await kms.ok('ReEncrypt', request)
      const ids = rest as Record<string, string>
      assert.match(ids.SourceKeyMaterialId ?? '', from === sym ? /^[0-9a-f]{64}$/ : /^$/)
      assert.match(ids.DestinationKeyMaterialId ?? '', to === sym ? /^[0-9a-f]{64}$/ : /^$/)
      assert.equal(ids.SourceKeyId, await arnOf(from.id))
      assert.equal(ids.KeyId, await arnOf(to.id))
      assert.equal(ids.SourceEncryptionAlgorithm, from.algorithm)
      assert.equal(ids.DestinationEncryptionAlgorithm, to.algorithm)
      const opened = await kms.ok('Decrypt', { CiphertextBlob, KeyId: to.id, EncryptionAlgorithm: to.algorithm })
      assert.equal(opened.Plaintext, Plaintext)
      refused(await kms.call('ReEncrypt', { ...request, DryRun: true }), 'DryRunOperationException')
    }
  }
  const long = await kms.ok('Encrypt', { KeyId: sym.id, Plaintext: base64(215) })
  const tooLong = {
    CiphertextBlob: long.CiphertextBlob,
    DestinationKeyId: rsa.id,
    DestinationEncryptionAlgorithm: 'RSAES_OAEP_SHA_1',
  }
  refused(
    await kms.call('ReEncrypt', tooLong),
    'ValidationException',
    'Algorithm RSAES_OAEP_SHA_1 and key spec RSA_2048 cannot encrypt data larger than 214 bytes.',
  )
  refused(
    await kms.call('ReEncrypt', { ...tooLong, DestinationEncryptionContext: { a: 'b' } }),
    'ValidationException',
    /^EncryptionContext is not supported/,
  )
  refused(
    await kms.call('ReEncrypt', { ...tooLong, DestinationEncryptionAlgorithm: 'SYMMETRIC_DEFAULT' }),
    'InvalidKeyUsageException',
    'Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048.',
  )
})

test('a dry run without a ciphertext asks for the permission alone, of symmetric and of RSA keys', async () => {
  const DryRunModifiers = ['IGNORE_CIPHERTEXT']
  const sym = await key('SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT')
  const rsa = await key('RSA_2048', 'ENCRYPT_DECRYPT')
  const EncryptionAlgorithm = 'RSAES_OAEP_SHA_256'
  for (const input of [{ KeyId: sym }, { KeyId: rsa, EncryptionAlgorithm }, { KeyId: sym, CiphertextBlob: 'AA==' }]) {
    const asked = { ...input, DryRunModifiers, DryRun: true }
    refused(await kms.call('Decrypt', asked), 'DryRunOperationException')
    refused(await kms.call('Decrypt', asked, user('none', [])), 'AccessDeniedException')
    refused(await kms.call('Decrypt', { ...asked, DryRun: false }), 'ValidationException')
  }
  const source = { SourceKeyId: rsa, SourceEncryptionAlgorithm: EncryptionAlgorithm, DestinationKeyId: sym }
  refused(await kms.call('ReEncrypt', { ...source, DryRunModifiers, DryRun: true }), 'DryRunOperationException')
  refused(await kms.call('Decrypt', { DryRunModifiers, DryRun: true }), 'ValidationException')
  const wrong = { KeyId: rsa, DryRunModifiers, DryRun: true }
  refused(
    await kms.call('Decrypt', wrong),
    'InvalidKeyUsageException',
    'Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048.',
  )
})

test('a peer’s key that is none of the curve is refused without a word, in a dry run too', async () => {
  const KeyId = await key('ECC_NIST_P256', 'KEY_AGREEMENT')
  const der = { format: 'der', type: 'spki' } as const
  const peers = [
    Buffer.from('no key'),
    generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export(der),
    generateKeyPairSync('x25519').publicKey.export(der),
    Buffer.concat([generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export(der), Buffer.alloc(1)]),
  ]
  for (const peer of peers) {
    for (const DryRun of [false, true]) {
      const input = { KeyId, KeyAgreementAlgorithm: 'ECDH', PublicKey: base64(peer), DryRun }
      const { status, body } = await kms.call('DeriveSharedSecret', input)
      assert.equal(status, 400)
      assert.deepEqual(body, { __type: 'ValidationException' })
    }
  }
  const { body } = await kms.call('Decapsulate', {
    KeyId: await key('ML_KEM_768', 'ENCAPSULATE_DECAPSULATE'),
    EncapsulationAlgorithm: 'ML_KEM',
    SharedSecretCiphertextBlob: base64(768),
    DryRun: true,
  })
  assert.deepEqual(body, { __type: 'InvalidCiphertextException' })
})

test('data key pairs: the private half opens with Decrypt and belongs to the public one', async () => {
  const KeyId = await key('SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT')
  const EncryptionContext = { for: 'a pair' }
  const input = { KeyId, KeyPairSpec: 'ECC_NIST_EDWARDS25519', EncryptionContext }
  for (const operation of ['GenerateDataKeyPair', 'GenerateDataKeyPairWithoutPlaintext']) {
    const pair = await kms.ok(operation, input)
    const members = ['KeyId', 'KeyMaterialId', 'KeyPairSpec', 'PrivateKeyCiphertextBlob', 'PublicKey']
    const has = operation === 'GenerateDataKeyPair' ? [...members, 'PrivateKeyPlaintext'].sort() : members
    assert.deepEqual(Object.keys(pair).sort(), has)
    const opened = await kms.ok('Decrypt', { CiphertextBlob: pair.PrivateKeyCiphertextBlob, EncryptionContext })
    if (pair.PrivateKeyPlaintext !== undefined) assert.equal(opened.Plaintext, pair.PrivateKeyPlaintext)
    const privateKey = createPrivateKey({ key: Buffer.from(opened.Plaintext, 'base64'), format: 'der', type: 'pkcs8' })
    const own = createPublicKey(privateKey)
    assert.equal(own.export({ format: 'der', type: 'spki' }).toString('base64'), pair.PublicKey)
    const blind = { CiphertextBlob: pair.PrivateKeyCiphertextBlob }
    refused(await kms.call('Decrypt', blind), 'InvalidCiphertextException')
    refused(await kms.call(operation, { ...input, KeyPairSpec: 'SM2' }), 'UnsupportedOperationException', /SM2/)
    refused(await kms.call(operation, { ...input, KeyPairSpec: 'HMAC_256' }), 'ValidationException', /keyPairSpec/)
  }
})

test('an alias moves between keys of one type and usage only', async () => {
  const AliasName = 'alias/kind'
  const symmetric = await key('SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT')
  const signing = await key('ECC_NIST_P256', 'SIGN_VERIFY')
  const move = (TargetKeyId: string) => kms.call('UpdateAlias', { AliasName, TargetKeyId })
  await kms.ok('CreateAlias', { AliasName, TargetKeyId: symmetric })
  refused(await move(await key('RSA_2048', 'ENCRYPT_DECRYPT')), 'ValidationException', /same type/)
  refused(await move(signing), 'ValidationException', /same key usage/)
  refused(await move(await key('HMAC_256', 'GENERATE_VERIFY_MAC')), 'ValidationException')
  await kms.ok('DeleteAlias', { AliasName })
  await kms.ok('CreateAlias', { AliasName, TargetKeyId: signing })
  assert.equal((await move(await key('RSA_2048', 'SIGN_VERIFY'))).status, 200)
  refused(await move(await key('ECC_NIST_P256', 'KEY_AGREEMENT')), 'ValidationException')
})

test('what rotates are symmetric keys: of others it is told that they do not, and nothing else works', async () => {
  for (const KeyId of [await key('ECC_NIST_P256', 'SIGN_VERIFY'), await key('HMAC_256', 'GENERATE_VERIFY_MAC')]) {
    assert.deepEqual(await kms.ok('GetKeyRotationStatus', { KeyId }), {
      KeyId: await arnOf(KeyId),
      KeyRotationEnabled: false,
    })
    for (const operation of ['EnableKeyRotation', 'DisableKeyRotation', 'RotateKeyOnDemand', 'ListKeyRotations']) {
      const { status, body } = await kms.call(operation, { KeyId })
      assert.equal(status, 400, operation)
      assert.deepEqual(body, { __type: 'UnsupportedOperationException' }, operation)
    }
  }
})

test('policies may ask for the algorithms of a request', async () => {
  const only = (condition: object) =>
    user('only', [{ Effect: 'Allow', Action: 'kms:*', Resource: '*', Condition: { StringEquals: condition } }])
  const sign = {
    KeyId: await key('RSA_2048', 'SIGN_VERIFY'),
    Message: base64(32),
    SigningAlgorithm: 'RSASSA_PSS_SHA_256',
  }
  const mac = { KeyId: await key('HMAC_256', 'GENERATE_VERIFY_MAC'), Message: 'AA==', MacAlgorithm: 'HMAC_SHA_256' }
  const agree = { KeyId: await key('ECC_NIST_P256', 'KEY_AGREEMENT'), KeyAgreementAlgorithm: 'ECDH' }
  const { PublicKey } = await kms.ok('GetPublicKey', { KeyId: agree.KeyId })
  const pair = { KeyId: await key('SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT'), KeyPairSpec: 'ECC_NIST_P256' }
  const rsa = {
    KeyId: await key('RSA_2048', 'ENCRYPT_DECRYPT'),
    Plaintext: 'AA==',
    EncryptionAlgorithm: 'RSAES_OAEP_SHA_1',
  }
  const cases: readonly (readonly [operation: string, input: object, key: string, right: string])[] = [
    ['Sign', sign, 'kms:SigningAlgorithm', 'RSASSA_PSS_SHA_256'],
    ['Sign', sign, 'kms:MessageType', 'RAW'],
    ['Sign', { ...sign, MessageType: 'DIGEST' }, 'kms:MessageType', 'DIGEST'],
    ['Sign', sign, 'kms:KeySpec', 'RSA_2048'],
    ['Sign', sign, 'kms:KeyUsage', 'SIGN_VERIFY'],
    ['GenerateMac', mac, 'kms:MacAlgorithm', 'HMAC_SHA_256'],
    ['DeriveSharedSecret', { ...agree, PublicKey }, 'kms:KeyAgreementAlgorithm', 'ECDH'],
    ['GenerateDataKeyPair', pair, 'kms:DataKeyPairSpec', 'ECC_NIST_P256'],
    ['GenerateDataKeyPair', pair, 'kms:EncryptionAlgorithm', 'SYMMETRIC_DEFAULT'],
    ['Encrypt', rsa, 'kms:EncryptionAlgorithm', 'RSAES_OAEP_SHA_1'],
    ['CreateKey', { KeySpec: 'ML_DSA_44', KeyUsage: 'SIGN_VERIFY' }, 'kms:KeySpec', 'ML_DSA_44'],
  ]
  for (const [operation, input, name, right] of cases) {
    await kms.ok(operation, input, only({ [name]: right }))
    refused(await kms.call(operation, input, only({ [name]: `${right}x` })), 'AccessDeniedException')
  }
})

test('CreateKey: what no Region here has, and what cannot be imported or be in an owner’s store', async () => {
  const create = (input: object) => kms.call('CreateKey', input)
  const text = 'You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.'
  refused(await create({ KeySpec: 'ML_KEM_512' }), 'ValidationException', text)
  refused(await create({ KeySpec: 'SM2' }), 'ValidationException', text)
  refused(await create({ KeySpec: 'SM2', KeyUsage: 'SIGN_VERIFY' }), 'UnsupportedOperationException', /SM2/)
  refused(
    await create({ KeySpec: 'ML_KEM_512', KeyUsage: 'ENCAPSULATE_DECAPSULATE', Origin: 'EXTERNAL' }),
    'UnsupportedOperationException',
    'KeySpec ML_KEM_512 is not supported for Origin EXTERNAL.',
  )
  const store = { Origin: 'EXTERNAL_KEY_STORE', CustomKeyStoreId: 'cks-1', XksKeyId: 'a' }
  refused(
    await create({ KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC', ...store }),
    'UnsupportedOperationException',
    'KeySpec HMAC_256 is not supported for Origin EXTERNAL_KEY_STORE.',
  )
  refused(await create({ CustomerMasterKeySpec: 'ML_DSA_44', KeyUsage: 'SIGN_VERIFY' }), 'ValidationException', /enum/)
  const { KeyMetadata } = await kms.ok('CreateKey', {
    CustomerMasterKeySpec: 'HMAC_384',
    KeyUsage: 'GENERATE_VERIFY_MAC',
  })
  assert.equal(KeyMetadata.KeySpec, 'HMAC_384')
})
