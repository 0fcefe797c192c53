/** What holds for every operation: its permission, its record, and what becomes of what is not built. Over a real boundary. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { BoundaryError, type Row } from '../../boundary/words.ts'
import type { Reply } from '../../http/types.ts'
import type { Replica } from '../../store/replica.ts'
import { accessOf } from '../access/permissions.ts'
import { ACCOUNT, type Answer, OTHER, REGION, REGIONS, startTestKms, type TestKms, user } from '../testing.ts'
import { OPERATION_INPUTS } from '../wire/model/model.ts'
import { grantable } from './grants/create.ts'
import { Runner } from './run.ts'
import { OPERATIONS } from './table.ts'
import type { AnyOperation, Services } from './types.ts'

const GRANTEE = `arn:aws:iam::${ACCOUNT}:user/grantee`
let kms: TestKms
let KeyId: string
let Arn: string
let CiphertextBlob: string
let external: string
/** Of several Regions. */
let regional: string
let GrantId: string

before(async () => {
  kms = await startTestKms()
  const { KeyMetadata } = await kms.ok('CreateKey', {})
  KeyId = KeyMetadata.KeyId
  Arn = KeyMetadata.Arn
  CiphertextBlob = (await kms.ok('Encrypt', { KeyId, Plaintext: 'AA==' })).CiphertextBlob
  await kms.ok('CreateAlias', { AliasName: 'alias/app', TargetKeyId: KeyId })
  regional = (await kms.ok('CreateKey', { MultiRegion: true })).KeyMetadata.KeyId
  await kms.ok('ReplicateKey', { KeyId: regional, ReplicaRegion: REGIONS[1] })
  await kms.advance(1)
  await kms.principal(GRANTEE)
  const GranteePrincipal = `arn:aws:iam::${ACCOUNT}:root`
  GrantId = (await kms.ok('CreateGrant', { KeyId, GranteePrincipal, Operations: ['Encrypt'] })).GrantId
  external = (await kms.ok('CreateKey', { Origin: 'EXTERNAL' })).KeyMetadata.KeyId
})
after(async () => {
  await kms.stop()
  assert.deepEqual(kms.defects, [])
})

const failed = (answer: Answer, type: string, message?: string | RegExp): void => {
  assert.equal(answer.body.__type, type, JSON.stringify(answer.body))
  if (typeof message === 'string') assert.equal(answer.body.message, message)
  else if (message !== undefined) assert.match(answer.body.message, message)
}

/** A request of each operation that its validator passes. */
function requestOf(operation: string): object {
  const requests: Readonly<Record<string, object>> = {
    CreateKey: { Tags: [{ TagKey: 'a', TagValue: 'b' }] },
    Encrypt: { KeyId, Plaintext: 'AA==' },
    Decrypt: { CiphertextBlob, KeyId },
    ReEncrypt: { CiphertextBlob, SourceKeyId: KeyId, DestinationKeyId: KeyId },
    GenerateDataKey: { KeyId, NumberOfBytes: 1 },
    GenerateDataKeyWithoutPlaintext: { KeyId, NumberOfBytes: 1 },
    GenerateDataKeyPair: { KeyId, KeyPairSpec: 'ECC_NIST_P256' },
    GenerateDataKeyPairWithoutPlaintext: { KeyId, KeyPairSpec: 'ECC_NIST_P256' },
    GenerateRandom: { NumberOfBytes: 1 },
    Sign: { KeyId, Message: 'AA==', SigningAlgorithm: 'ECDSA_SHA_256' },
    Verify: { KeyId, Message: 'AA==', SigningAlgorithm: 'ECDSA_SHA_256', Signature: 'AA==' },
    GenerateMac: { KeyId, Message: 'AA==', MacAlgorithm: 'HMAC_SHA_256' },
    VerifyMac: { KeyId, Message: 'AA==', MacAlgorithm: 'HMAC_SHA_256', Mac: 'AA==' },
    DeriveSharedSecret: { KeyId, KeyAgreementAlgorithm: 'ECDH', PublicKey: 'AA==' },
    Encapsulate: { KeyId, EncapsulationAlgorithm: 'ML_KEM' },
    Decapsulate: { KeyId, EncapsulationAlgorithm: 'ML_KEM', SharedSecretCiphertextBlob: 'AA==' },
    CreateAlias: { AliasName: 'alias/new', TargetKeyId: KeyId },
    UpdateAlias: { AliasName: 'alias/app', TargetKeyId: KeyId },
    DeleteAlias: { AliasName: 'alias/app' },
    TagResource: { KeyId, Tags: [{ TagKey: 'a', TagValue: 'b' }] },
    UntagResource: { KeyId, TagKeys: ['a'] },
    PutKeyPolicy: { KeyId, Policy: '{"Version":"2012-10-17","Statement":[]}' },
    UpdateKeyDescription: { KeyId, Description: 'd' },
    GetParametersForImport: {
      KeyId: external,
      WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
      WrappingKeySpec: 'RSA_2048',
    },
    ImportKeyMaterial: { KeyId: external, ImportToken: 'AA==', EncryptedKeyMaterial: 'AA==' },
    ReplicateKey: { KeyId: regional, ReplicaRegion: REGIONS[2], Tags: [{ TagKey: 'a', TagValue: 'b' }] },
    UpdatePrimaryRegion: { KeyId: regional, PrimaryRegion: REGIONS[1] },
    CreateCustomKeyStore: {
      CustomKeyStoreName: 'owner',
      CustomKeyStoreType: 'EXTERNAL_KEY_STORE',
      XksProxyUriEndpoint: 'https://xks.example.com',
      XksProxyUriPath: '/kms/xks/v1',
      XksProxyConnectivity: 'PUBLIC_ENDPOINT',
      XksProxyAuthenticationCredential: { AccessKeyId: 'A'.repeat(20), RawSecretAccessKey: 'a'.repeat(43) },
    },
    CreateGrant: { KeyId, GranteePrincipal: GRANTEE, Operations: ['Encrypt'] },
    RetireGrant: { KeyId: Arn, GrantId },
    RevokeGrant: { KeyId, GrantId },
    ListRetirableGrants: { RetiringPrincipal: GRANTEE },
    ListKeys: {},
    ListAliases: {},
    DescribeCustomKeyStores: {},
  }
  if (operation.endsWith('CustomKeyStore')) return requests[operation] ?? { CustomKeyStoreId: 'cks-1' }
  return requests[operation] ?? { KeyId }
}

test('promise 5: each operation is denied to whoever holds every permission but the one needed', async () => {
  for (const { name } of OPERATIONS) {
    for (const { permission } of accessOf(name).permissions) {
      const almost = user('almost', [{ Effect: 'Allow', NotAction: permission, Resource: '*' }])
      const before = await kms.records()
      const answer = await kms.call(name, requestOf(name), almost)
      failed(answer, 'AccessDeniedException', new RegExp(`not authorized to perform: ${permission} on resource`))
      assert.equal(await kms.records(), before + 1, `${name} without ${permission}`)
    }
  }
})

/** Permissions that a grant can take the place of: what a grantee with a grant of all operations but that one is refused all the same. */
test('promise 5: each operation is denied to whoever is granted every operation but the one needed', async () => {
  const grantee = user('grantee', [])
  for (const { name } of OPERATIONS) {
    for (const { permission } of accessOf(name).permissions) {
      const operation = permission.slice('kms:'.length)
      const all: ReadonlySet<string> = new Set(grantable({ spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT' }))
      const Operations = [...all].filter(each => each !== operation)
      const made = await kms.ok('CreateGrant', { KeyId, GranteePrincipal: GRANTEE, Operations })
      const answer = await kms.call(name, requestOf(name), grantee)
      // What no grant gives is told first, where it is asked first.
      const [asked] = accessOf(name).permissions
      const first =
        asked === undefined || all.has(asked.permission.slice('kms:'.length)) ? permission : asked.permission
      failed(answer, 'AccessDeniedException', new RegExp(`not authorized to perform: ${first} on resource`))
      await kms.ok('RevokeGrant', { KeyId, GrantId: made.GrantId })
    }
  }
})

test('promise 5: an operation that declares no permission does not start', () => {
  const undeclared = { name: 'DoAnything', recordedBy: 'runner', run: async () => {} } as AnyOperation
  const watch = { onDefect: () => {}, onAnswer: () => {} }
  assert.throws(() => new Runner(kms.services, [undeclared], watch), /declare no permission.*DoAnything/)
})

test('operations of the API that are not built say so; what is no operation is unknown', async () => {
  const built = new Set(OPERATIONS.map(({ name }) => name))
  for (const name of OPERATION_INPUTS.keys()) {
    if (!built.has(name)) failed(await kms.call(name), 'UnsupportedOperationException', `${name} is not supported yet.`)
  }
  failed(await kms.call('NoSuchOperation'), 'UnknownOperationException')
  failed(await kms.call(''), 'UnknownOperationException')
})

test('promise 2: each request ends in exactly one record, however it ends', async () => {
  const other = (await kms.ok('CreateKey', {})).KeyMetadata.KeyId
  const keyFor = async (KeySpec: string, KeyUsage: string): Promise<string> =>
    (await kms.ok('CreateKey', { KeySpec, KeyUsage })).KeyMetadata.KeyId
  const sign = {
    KeyId: await keyFor('ECC_NIST_P256', 'SIGN_VERIFY'),
    Message: 'AA==',
    SigningAlgorithm: 'ECDSA_SHA_256',
  }
  const { Signature } = await kms.ok('Sign', sign)
  const mac = { KeyId: await keyFor('HMAC_256', 'GENERATE_VERIFY_MAC'), Message: 'AA==', MacAlgorithm: 'HMAC_SHA_256' }
  const { Mac } = await kms.ok('GenerateMac', mac)
  const agree = { KeyId: await keyFor('ECC_NIST_P256', 'KEY_AGREEMENT'), KeyAgreementAlgorithm: 'ECDH' }
  const { PublicKey } = await kms.ok('GetPublicKey', agree)
  const kem = { KeyId: await keyFor('ML_KEM_512', 'ENCAPSULATE_DECAPSULATE'), EncapsulationAlgorithm: 'ML_KEM' }
  const { SharedSecretCiphertextBlob } = await kms.ok('Encapsulate', kem)
  const rsa = { KeyId: await keyFor('RSA_2048', 'ENCRYPT_DECRYPT'), EncryptionAlgorithm: 'RSAES_OAEP_SHA_256' }
  const rsaBlob = (await kms.ok('Encrypt', { ...rsa, Plaintext: 'AA==' })).CiphertextBlob
  const pair = { KeyId, KeyPairSpec: 'ECC_NIST_P256' }
  const requests: readonly (readonly [operation: string, input: object, type: string])[] = [
    ['Encrypt', { KeyId, Plaintext: 'AA==' }, ''],
    ['Decrypt', { CiphertextBlob }, ''],
    ['ReEncrypt', { CiphertextBlob, DestinationKeyId: other }, ''],
    ['GenerateRandom', { NumberOfBytes: 8 }, ''],
    ['DescribeKey', { KeyId }, ''],
    ['ListKeys', {}, ''],
    ['TagResource', { KeyId, Tags: [{ TagKey: 'x', TagValue: 'y' }] }, ''],
    ['DisableKey', { KeyId: other }, ''],
    ['Encrypt', { KeyId: other, Plaintext: 'AA==' }, 'DisabledException'],
    ['EnableKey', { KeyId: other }, ''],
    ['Encrypt', { KeyId }, 'ValidationException'],
    ['Encrypt', { KeyId: 5, Plaintext: 'AA==' }, 'SerializationException'],
    ['Encrypt', { KeyId: 'nope', Plaintext: 'AA==' }, 'NotFoundException'],
    ['Encrypt', { KeyId, Plaintext: 'AA==', DryRun: true }, 'DryRunOperationException'],
    ['Decrypt', { CiphertextBlob, EncryptionContext: { a: 'b' } }, 'InvalidCiphertextException'],
    ['Decrypt', { CiphertextBlob: 'AAAA' }, 'InvalidCiphertextException'],
    ['CreateAlias', { AliasName: 'alias/app', TargetKeyId: KeyId }, 'AlreadyExistsException'],
    ['CancelKeyDeletion', { KeyId }, 'KMSInvalidStateException'],
    ['RotateKeyOnDemand', { KeyId }, ''],
    ['Sign', sign, ''],
    ['Sign', { ...sign, DryRun: true }, 'DryRunOperationException'],
    ['Sign', { ...sign, KeyId }, 'InvalidKeyUsageException'],
    ['Verify', { ...sign, Signature }, ''],
    ['Verify', { ...sign, Signature: 'AA==' }, 'KMSInvalidSignatureException'],
    ['Verify', { ...sign, Signature, DryRun: true }, 'DryRunOperationException'],
    ['GenerateMac', mac, ''],
    ['VerifyMac', { ...mac, Mac }, ''],
    ['VerifyMac', { ...mac, Mac: 'AA==' }, 'KMSInvalidMacException'],
    ['VerifyMac', { ...mac, Mac, DryRun: true }, 'DryRunOperationException'],
    ['DeriveSharedSecret', { ...agree, PublicKey }, ''],
    ['DeriveSharedSecret', { ...agree, PublicKey: 'AA==' }, 'ValidationException'],
    ['Encapsulate', kem, ''],
    ['Decapsulate', { ...kem, SharedSecretCiphertextBlob }, ''],
    ['Decapsulate', { ...kem, SharedSecretCiphertextBlob: 'AA==' }, 'InvalidCiphertextException'],
    ['GetPublicKey', { KeyId: agree.KeyId }, ''],
    ['GetPublicKey', { KeyId }, 'UnsupportedOperationException'],
    ['GenerateDataKeyPair', pair, ''],
    ['GenerateDataKeyPairWithoutPlaintext', pair, ''],
    ['Encrypt', { ...rsa, Plaintext: 'AA==' }, ''],
    ['Decrypt', { ...rsa, CiphertextBlob: rsaBlob }, ''],
    ['Decrypt', { ...rsa, CiphertextBlob: 'AA==' }, 'InvalidCiphertextException'],
    [
      'ReEncrypt',
      { CiphertextBlob, DestinationKeyId: rsa.KeyId, DestinationEncryptionAlgorithm: 'RSAES_OAEP_SHA_1' },
      '',
    ],
    ['CreateGrant', { KeyId, GranteePrincipal: GRANTEE, Operations: ['Encrypt'], Name: 'n' }, ''],
    ['CreateGrant', { KeyId, GranteePrincipal: GRANTEE, Operations: ['Encrypt'], Name: 'n' }, ''],
    ['CreateGrant', { KeyId, GranteePrincipal: `${GRANTEE}x`, Operations: ['Encrypt'] }, 'InvalidArnException'],
    ['CreateGrant', { KeyId, GranteePrincipal: GRANTEE, Operations: ['Sign'] }, 'ValidationException'],
    ['ListGrants', { KeyId }, ''],
    ['ListRetirableGrants', { RetiringPrincipal: GRANTEE }, ''],
    ['RetireGrant', { KeyId: Arn, GrantId }, 'AccessDeniedException'],
    ['RevokeGrant', { KeyId, GrantId, DryRun: true }, 'DryRunOperationException'],
    ['RevokeGrant', { KeyId, GrantId }, ''],
    ['RevokeGrant', { KeyId, GrantId }, 'NotFoundException'],
    ['NoSuchOperation', {}, 'UnknownOperationException'],
  ]
  for (const [operation, input, type] of requests) {
    const before = await kms.records()
    const { body } = await kms.call(operation, input)
    assert.equal(body.__type ?? '', type, `${operation}: ${JSON.stringify(body)}`)
    assert.equal(await kms.records(), before + 1, `${operation} ${type}`)
  }
})

test('promise 2: what cannot be recorded is not answered', async () => {
  const { boundary, ...rest } = kms.services
  const away = new BoundaryError('Unavailable')
  const services = { ...rest, boundary: { ...boundary, record: () => Promise.reject(away) } }
  const runner = new Runner(services, OPERATIONS, { onDefect: () => {}, onAnswer: () => {} })
  const { status } = await runner.answer({
    operation: 'DescribeKey',
    requestId: 'r',
    accessKeyId: 'a',
    body: Buffer.from(JSON.stringify({ KeyId })),
    facts: { caller: user('u'), region: REGION, sourceIp: '', secureTransport: true, userAgent: '', now: 0 },
  })
  assert.equal(status, 500)
})

test('a stale key is not the caller’s business: everything is decided again', async () => {
  const { boundary, ...rest } = kms.services
  let stale = 1
  const services = {
    ...rest,
    boundary: {
      ...boundary,
      encrypt: (...args: Parameters<typeof boundary.encrypt>) =>
        stale-- > 0 ? Promise.reject(new BoundaryError('StaleKey')) : boundary.encrypt(...args),
    },
  }
  const runner = new Runner(services, OPERATIONS, { onDefect: () => {}, onAnswer: () => {} })
  const encrypt = () =>
    runner.answer({
      operation: 'Encrypt',
      requestId: 'r',
      accessKeyId: 'a',
      body: Buffer.from(JSON.stringify({ KeyId, Plaintext: 'AA==' })),
      facts: { caller: user('u'), region: REGION, sourceIp: '', secureTransport: true, userAgent: '', now: 0 },
    })
  assert.equal((await encrypt()).status, 200)
  stale = 8
  assert.equal((await encrypt()).status, 200)
  stale = 9
  assert.match((await encrypt()).body.toString(), /ThrottlingException/)
})

/** Encrypt with the key by a runner over other services; what the operator is told of is added to `told`. */
function encryptOver(services: Services, told: unknown[]): Promise<Reply> {
  const runner = new Runner(services, OPERATIONS, { onDefect: error => told.push(error), onAnswer: () => {} })
  return runner.answer({
    operation: 'Encrypt',
    requestId: 'r',
    accessKeyId: 'a',
    body: Buffer.from(JSON.stringify({ KeyId, Plaintext: 'AA==' })),
    facts: { caller: user('u'), region: REGION, sourceIp: '', secureTransport: true, userAgent: '', now: 0 },
  })
}

test('a key that others change before every use is the caller’s to wait for', async () => {
  const { boundary } = kms.services
  let looks = 0
  const changing: typeof boundary = {
    ...boundary,
    encrypt: async (...args) => {
      await kms.ok(looks++ % 2 === 0 ? 'EnableKeyRotation' : 'DisableKeyRotation', { KeyId })
      return boundary.encrypt(...args)
    },
  }
  const told: unknown[] = []
  const before = await kms.records()
  const { status, body } = await encryptOver({ ...kms.services, boundary: changing }, told)
  assert.equal(status, 400)
  assert.match(body.toString(), /ThrottlingException/)
  assert.deepEqual(told, [])
  assert.equal(looks, 9)
  assert.equal(await kms.records(), before + looks + 1)
  await kms.ok('DisableKeyRotation', { KeyId })
})

test('a key that nobody changes and that stays stale is a defect of ours: the caller is answered 500, and the operator is told', async () => {
  const { replica } = kms.services
  const held = await replica.get('key', `${REGION}/${KeyId}`)
  assert.ok(held?.body)
  const { kind, id, scope, link, revision, body, tag } = held
  const old: Row = { kind, id, scope, link, revision, body: Buffer.from(body), tag: Buffer.from(tag) }
  await kms.ok('EnableKeyRotation', { KeyId })
  await kms.ok('DisableKeyRotation', { KeyId })
  // The defect: a replica that goes on giving what it had.
  const defective = new Proxy(replica, {
    get: (target, name) => {
      const value = Reflect.get(target, name, target)
      if (name === 'peek')
        return (...args: Parameters<Replica['peek']>) =>
          args[1] === id && args[0] === 'key' ? old : target.peek(...args)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const told: unknown[] = []
  const before = await kms.records()
  const { status, body: answer } = await encryptOver({ ...kms.services, replica: defective }, told)
  assert.equal(status, 500)
  assert.match(answer.toString(), /KMSInternalException/)
  assert.doesNotMatch(answer.toString(), /stale/)
  assert.equal(told.length, 1)
  assert.match(String(told[0]), new RegExp(`the key row ${id} stays stale: revision ${revision + 2} is the newest`))
  assert.equal(await kms.records(), before + 1)
  assert.equal((await encryptOver(kms.services, told)).status, 200, 'without the defect it is used')
})

test('keys of other accounts: named by ARN they are denied, by id they do not exist, by ciphertext nobody learns of them', async () => {
  const stranger = user('stranger', undefined, OTHER)
  failed(await kms.call('DescribeKey', { KeyId }, stranger), 'NotFoundException')
  failed(await kms.call('DescribeKey', { KeyId: Arn }, stranger), 'AccessDeniedException')
  const hidden =
    'The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.'
  failed(await kms.call('Decrypt', { CiphertextBlob }, stranger), 'AccessDeniedException', hidden)
  failed(await kms.call('Decrypt', { CiphertextBlob, KeyId }, stranger), 'AccessDeniedException', hidden)
  const none = user('none', [])
  failed(await kms.call('Decrypt', { CiphertextBlob }, none), 'AccessDeniedException', hidden)
  failed(await kms.call('Decrypt', { CiphertextBlob, KeyId: Arn }, none), 'AccessDeniedException', /kms:Decrypt on/)
  const policy = {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Principal: { AWS: '*' }, Action: 'kms:*', Resource: '*' }],
  }
  const shared = (await kms.ok('CreateKey', { Policy: JSON.stringify(policy) })).KeyMetadata
  const blob = (await kms.ok('Encrypt', { KeyId: shared.Arn, Plaintext: 'AA==' }, stranger)).CiphertextBlob
  await kms.ok('Decrypt', { CiphertextBlob: blob, KeyId: shared.KeyId }, stranger)
  failed(await kms.call('DisableKey', { KeyId: shared.Arn }, stranger), 'AccessDeniedException')
})

test('policies may ask for the aliases of a key', async () => {
  const byAlias = user('by-alias', [
    {
      Effect: 'Allow',
      Action: 'kms:Encrypt',
      Resource: '*',
      Condition: { 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': 'alias/team-a' } },
    },
  ])
  const id = (await kms.ok('CreateKey', {})).KeyMetadata.KeyId
  const input = { KeyId: id, Plaintext: 'AA==' }
  failed(await kms.call('Encrypt', input, byAlias), 'AccessDeniedException')
  await kms.ok('CreateAlias', { AliasName: 'alias/team-a', TargetKeyId: id })
  await kms.ok('Encrypt', input, byAlias)
  await kms.ok('DeleteAlias', { AliasName: 'alias/team-a' })
  failed(await kms.call('Encrypt', input, byAlias), 'AccessDeniedException')
})

test('changes at the same time are made one after the other', async () => {
  const id = (await kms.ok('CreateKey', {})).KeyMetadata.KeyId
  const numbers = Array.from({ length: 20 }, (_, n) => n)
  const tag = (n: number) => kms.ok('TagResource', { KeyId: id, Tags: [{ TagKey: `t${n}`, TagValue: '' }] })
  await Promise.all(numbers.map(tag))
  assert.equal((await kms.ok('ListResourceTags', { KeyId: id })).Tags.length, 20)
  const same = () => kms.call('CreateAlias', { AliasName: 'alias/race', TargetKeyId: id })
  const answers = await Promise.all(numbers.map(same))
  assert.equal(answers.filter(({ status }) => status === 200).length, 1)
  assert.equal(answers.filter(({ body }) => body.__type === 'AlreadyExistsException').length, 19)
})
