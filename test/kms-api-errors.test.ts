/** What the KMS refuses and in which words (aws-kms.md §3, §5, §6, §7, §10), and the members of what it answers: the real service, the AWS SDK. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { KMS, ListAliasesCommandOutput } from '@aws-sdk/client-kms'
import { ApiClient, type Kms, startKms } from './support/kms.ts'
import { constraint, type NewKey, newKey, refused, sdk } from './support/sdk.ts'

const Plaintext = Buffer.from('x')
const UUID = '00000000-0000-4000-8000-000000000000'
const ACCOUNT = '000000000000'

let service: Kms
let kms: KMS
let raw: ApiClient
let key: NewKey
let imported: NewKey
let CiphertextBlob: Uint8Array | undefined

before(async () => {
  service = await startKms(['--regions', 'us-east-1,eu-west-1'])
  kms = sdk(service.line.endpoint, service.line)
  raw = new ApiClient(service.line.endpoint, service.line)
  key = await newKey(kms)
  imported = await newKey(kms, { Origin: 'EXTERNAL' })
  CiphertextBlob = (await kms.encrypt({ KeyId: key.id, Plaintext })).CiphertextBlob
})
after(async () => {
  kms?.destroy()
  raw?.close()
  await service?.stop()
})

describe('identifiers (§6)', () => {
  test('what names no key says which way', async () => {
    const of = (KeyId: string) => kms.describeKey({ KeyId })
    await refused(of('fake-key-id'), 'NotFound', "Invalid keyId 'fake-key-id'")
    await refused(of('mrk-fake-key-id'), 'NotFound', "Invalid keyId 'mrk-fake-key-id'")
    await refused(of(UUID.replaceAll('-', '')), 'NotFound', /^Invalid keyId '/)
    const arn = `arn:aws:kms:us-east-1:${ACCOUNT}:key/${UUID}`
    await refused(of(UUID), 'NotFound', `Key '${arn}' does not exist`)
    await refused(of(arn), 'NotFound', `Key '${arn}' does not exist`)
    await refused(of(`mrk-${'0'.repeat(32)}`), 'NotFound', /^Key 'arn:.*:key\/mrk-0{32}' does not exist$/)
    await refused(of('alias/none'), 'NotFound', `Alias arn:aws:kms:us-east-1:${ACCOUNT}:alias/none is not found.`)
    await refused(of(key.arn.replace('us-east-1', 'ap-south-1')), 'NotFound', 'Invalid arn ap-south-1')
    await refused(of(`arn:aws:s3:us-east-1:${ACCOUNT}:key/${UUID}`), 'InvalidArn')
  })

  test('a key answers to its id, its ARN, its aliases and their ARNs; in another Region to none of them', async () => {
    await kms.createAlias({ AliasName: 'alias/forms', TargetKeyId: key.arn })
    const aliasArn = `arn:aws:kms:us-east-1:${ACCOUNT}:alias/forms`
    for (const KeyId of [key.id, key.arn, 'alias/forms', aliasArn]) {
      const answer = await kms.encrypt({ KeyId, Plaintext })
      assert.equal(answer.KeyId, key.arn)
      assert.equal(answer.EncryptionAlgorithm, 'SYMMETRIC_DEFAULT')
      if (KeyId.includes('alias')) {
        await refused(kms.disableKey({ KeyId }), 'NotFound', /^Invalid keyId /)
        await refused(kms.getKeyPolicy({ KeyId }), 'NotFound', /^Invalid keyId /)
      }
    }
    const elsewhere = sdk(service.line.endpoint, service.line, 'eu-west-1')
    const local = `Key 'arn:aws:kms:eu-west-1:${ACCOUNT}:key/${key.id}' does not exist`
    await refused(elsewhere.describeKey({ KeyId: key.id }), 'NotFound', local)
    await refused(elsewhere.describeKey({ KeyId: key.arn }), 'NotFound', 'Invalid arn us-east-1')
    await refused(elsewhere.describeKey({ KeyId: 'alias/forms' }), 'NotFound', /alias\/forms is not found/)
    await refused(elsewhere.decrypt({ CiphertextBlob }), 'AccessDenied', /does not exist in this region/)
    assert.deepEqual((await elsewhere.listKeys({})).Keys, [])
    elsewhere.destroy()
  })

  test('a Region that is not served, and another service, are refused with the signature', async () => {
    const nowhere = sdk(service.line.endpoint, service.line, 'ap-south-1')
    await refused(nowhere.listKeys({}), 'InvalidSignature', /Credential should be scoped to a valid region/)
    nowhere.destroy()
  })
})

describe('CreateKey (§3.1, §3.4)', () => {
  test('the members of KeyMetadata', async () => {
    const { KeyMetadata } = await kms.createKey({ Description: 'mine', KeySpec: 'SYMMETRIC_DEFAULT' })
    const { CreationDate, CurrentKeyMaterialId, KeyId, Arn, ...rest } = KeyMetadata ?? {}
    assert.ok(Math.abs(Number(CreationDate) - Date.now()) < 60_000)
    assert.match(CurrentKeyMaterialId ?? '', /^[0-9a-f]{64}$/)
    assert.equal(Arn, `arn:aws:kms:us-east-1:${ACCOUNT}:key/${KeyId}`)
    assert.deepEqual(rest, {
      AWSAccountId: ACCOUNT,
      CustomerMasterKeySpec: 'SYMMETRIC_DEFAULT',
      Description: 'mine',
      Enabled: true,
      EncryptionAlgorithms: ['SYMMETRIC_DEFAULT'],
      KeyManager: 'CUSTOMER',
      KeySpec: 'SYMMETRIC_DEFAULT',
      KeyState: 'Enabled',
      KeyUsage: 'ENCRYPT_DECRYPT',
      MultiRegion: false,
      Origin: 'AWS_KMS',
    })
    assert.deepEqual((await kms.describeKey({ KeyId })).KeyMetadata, KeyMetadata)
    const waiting = (await kms.describeKey({ KeyId: imported.id })).KeyMetadata
    assert.equal(waiting?.KeyState, 'PendingImport')
    assert.equal(waiting?.Enabled, false)
    assert.equal(waiting?.CurrentKeyMaterialId, undefined)
  })

  test('combinations that cannot be', async () => {
    const mismatch = (spec: string, usage: string) => `KeyUsage ${usage} is not compatible with KeySpec ${spec}`
    await refused(kms.createKey({ KeySpec: 'RSA_2048', CustomerMasterKeySpec: 'RSA_2048' }), 'Validation')
    await refused(
      kms.createKey({ KeySpec: 'RSA_2048' }),
      'Validation',
      'You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.',
    )
    for (const [KeySpec, KeyUsage] of [
      ['RSA_2048', 'KEY_AGREEMENT'],
      ['SYMMETRIC_DEFAULT', 'SIGN_VERIFY'],
      ['HMAC_256', 'ENCRYPT_DECRYPT'],
      ['ECC_SECG_P256K1', 'KEY_AGREEMENT'],
      ['ML_DSA_44', 'ENCAPSULATE_DECAPSULATE'],
    ] as const) {
      await refused(kms.createKey({ KeySpec, KeyUsage }), 'Validation', mismatch(KeySpec, KeyUsage))
    }
    await refused(kms.createKey({ KeySpec: 'SM2', KeyUsage: 'SIGN_VERIFY' }), 'UnsupportedOperation', /SM2/)
    const stored = { Origin: 'EXTERNAL_KEY_STORE', CustomKeyStoreId: 'cks-1234567890abcdef0', XksKeyId: 'x' } as const
    await refused(kms.createKey({ MultiRegion: true, ...stored }), 'UnsupportedOperation')
    await refused(kms.createKey({ Origin: 'AWS_CLOUDHSM' }), 'Validation')
    await refused(kms.createKey({ Origin: 'EXTERNAL_KEY_STORE' }), 'Validation')
    await refused(kms.createKey({ XksKeyId: 'a' }), 'Validation')
    await refused(kms.createKey({ CustomKeyStoreId: 'cks-1234567890abcdef0' }), 'Validation')
    const nowhere = { Origin: 'EXTERNAL_KEY_STORE', CustomKeyStoreId: 'cks-1234567890abcdef0', XksKeyId: 'a' } as const
    await refused(kms.createKey(nowhere), 'CustomKeyStoreNotFound')
    await refused(kms.createKey({ Description: 'd'.repeat(8193) }), 'Validation', constraint("at 'description'"))
    await refused(
      kms.createKey({ KeySpec: 'AES' as never }),
      'Validation',
      constraint("Value 'AES' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: ["),
    )
  })

  test('policies: well-formed, of principals that exist, within 32 KB, and not shutting out their author', async () => {
    const text = (statement: object, more: object = {}) =>
      JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Resource: '*', ...statement }], ...more })
    const me = { Action: 'kms:*', Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` } }
    const lockedOut = 'The new key policy will not allow you to update the key policy in the future.'
    for (const put of [
      (Policy: string, more = {}) => kms.createKey({ Policy, ...more }),
      (Policy: string, more = {}) => kms.putKeyPolicy({ KeyId: key.id, Policy, ...more }),
    ]) {
      await refused(put('my policy'), 'MalformedPolicyDocument')
      await refused(put('{}'), 'MalformedPolicyDocument')
      await refused(put(text({ ...me, Effect: 'Maybe' })), 'MalformedPolicyDocument')
      const unknown = { AWS: `arn:aws:iam::${ACCOUNT}:user/nobody` }
      await refused(put(text({ ...me, Principal: unknown })), 'MalformedPolicyDocument', /nobody|invalid principal/i)
      await refused(put(text({ ...me, Action: 'kms:Encrypt' })), 'MalformedPolicyDocument', lockedOut)
      await refused(put(text(me, { Id: 'x'.repeat(33_000) })), 'LimitExceeded')
      await put(text({ ...me, Action: ['kms:PutKeyPolicy', 'kms:Describe*', 'kms:Get*'] }))
      await put(text(me))
    }
    const closed = await newKey(kms, {
      Policy: text({ ...me, Action: 'kms:DescribeKey' }),
      BypassPolicyLockoutSafetyCheck: true,
    })
    await refused(kms.getKeyPolicy({ KeyId: closed.id }), 'AccessDenied', /no resource-based policy allows the kms:Get/)
    await refused(kms.getKeyPolicy({ KeyId: key.id, PolicyName: 'mine' }), 'NotFound', 'No such policy exists')
    await refused(kms.putKeyPolicy({ KeyId: key.id, PolicyName: 'mine', Policy: text(me) }), 'NotFound')
    assert.deepEqual((await kms.listKeyPolicies({ KeyId: key.id })).PolicyNames, ['default'])
    const { Policy, PolicyName } = await kms.getKeyPolicy({ KeyId: imported.id })
    assert.equal(PolicyName, 'default')
    assert.equal(JSON.parse(Policy ?? '').Id, 'key-default-1')
  })
})

describe('aliases, tags, descriptions (§3.9)', () => {
  test('alias names', async () => {
    const create = (AliasName: string) => kms.createAlias({ AliasName, TargetKeyId: key.id })
    await refused(
      create('mine'),
      'Validation',
      'Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html',
    )
    await refused(create('alias/'), 'InvalidAliasName')
    await refused(
      create('alias/my:alias'),
      'InvalidAliasName',
      'alias/my:alias contains invalid characters for an alias',
    )
    await refused(create('alias/my alias'), 'Validation', constraint("at 'aliasName'"))
    await refused(create(`alias/${'a'.repeat(251)}`), 'Validation', constraint("at 'aliasName'"))
    await refused(create('alias/aws/mine'), 'NotAuthorized')
    await refused(kms.deleteAlias({ AliasName: 'alias/aws/objects' }), 'NotAuthorized')
    await refused(kms.deleteAlias({ AliasName: 'alias/none' }), 'NotFound', /alias\/none is not found/)
    await refused(kms.updateAlias({ AliasName: 'alias/none', TargetKeyId: key.id }), 'NotFound', /alias\/none/)
    await create('alias/twice')
    await refused(create('alias/twice'), 'AlreadyExists', /alias\/twice already exists/)
    await refused(
      kms.createAlias({ AliasName: 'alias/of-alias', TargetKeyId: 'alias/twice' }),
      'NotFound',
      /^Invalid keyId/,
    )
  })

  test('50 aliases a key, listed in pages, with dates; and those that the provider has in store', async () => {
    const { id } = await newKey(kms)
    const names = Array.from({ length: 50 }, (_, n) => `alias/many/${String(n).padStart(2, '0')}`)
    await Promise.all(names.map(AliasName => kms.createAlias({ AliasName, TargetKeyId: id })))
    await refused(kms.createAlias({ AliasName: 'alias/many/more', TargetKeyId: id }), 'LimitExceeded')
    const seen: string[] = []
    let Marker: string | undefined
    do {
      const page: ListAliasesCommandOutput = await kms.listAliases({
        KeyId: id,
        Limit: 20,
        ...(Marker === undefined ? {} : { Marker }),
      })
      for (const { AliasName, AliasArn, TargetKeyId, CreationDate, LastUpdatedDate } of page.Aliases ?? []) {
        seen.push(AliasName ?? '')
        assert.equal(AliasArn, `arn:aws:kms:us-east-1:${ACCOUNT}:${AliasName}`)
        assert.equal(TargetKeyId, id)
        assert.equal(CreationDate?.getTime(), LastUpdatedDate?.getTime())
      }
      assert.equal(page.Truncated, page.NextMarker !== undefined)
      Marker = page.NextMarker
    } while (Marker !== undefined)
    assert.deepEqual(seen, names)
    const all = (await kms.listAliases({ Limit: 100 })).Aliases ?? []
    const predefined = all.find(({ AliasName }) => AliasName === 'alias/aws/objects')
    assert.equal(predefined?.TargetKeyId, undefined)
    assert.deepEqual(
      all.map(({ AliasName }) => AliasName),
      all.map(({ AliasName }) => AliasName).sort(),
    )
    await kms.updateAlias({ AliasName: names[0], TargetKeyId: key.id })
    const moved = (await kms.listAliases({ KeyId: key.id })).Aliases?.find(({ AliasName }) => AliasName === names[0])
    assert.ok(Number(moved?.LastUpdatedDate) > Number(moved?.CreationDate))
  })

  test('tags: 50 a key, no name twice, none of AWS’s', async () => {
    const KeyId = (await newKey(kms, { Tags: [{ TagKey: 'first', TagValue: '' }] })).id
    const tag = (...names: string[]) =>
      kms.tagResource({ KeyId, Tags: names.map(TagKey => ({ TagKey, TagValue: 'v' })) })
    await refused(tag('a', 'a'), 'Tag', 'Duplicate tag keys')
    await refused(tag('aws:mine'), 'Tag', 'Tags beginning with aws: are reserved')
    await refused(kms.createKey({ Tags: [{ TagKey: 'AWS:x', TagValue: '' }] }), 'Tag', /reserved/)
    await refused(tag('k'.repeat(129)), 'Validation', constraint("at 'tags.1.member.tagKey'"))
    const many = Array.from({ length: 49 }, (_, n) => `n${String(n).padStart(2, '0')}`)
    await tag(...many)
    await refused(tag('one more'), 'Tag', 'Too many tags')
    await tag('first')
    const first = await kms.listResourceTags({ KeyId, Limit: 30 })
    const rest = await kms.listResourceTags({ KeyId, Marker: first.NextMarker })
    assert.equal(first.Truncated, true)
    assert.equal(rest.Truncated, false)
    const names = [...(first.Tags ?? []), ...(rest.Tags ?? [])].map(({ TagKey }) => TagKey)
    assert.deepEqual(names, ['first', ...many])
    await refused(kms.listResourceTags({ KeyId, Limit: 51 }), 'Validation', constraint("at 'limit'"))
    await kms.untagResource({ KeyId, TagKeys: ['first', 'never there'] })
    assert.equal((await kms.listResourceTags({ KeyId })).Tags?.length, 49)
    await kms.updateKeyDescription({ KeyId, Description: '' })
    await refused(
      kms.updateKeyDescription({ KeyId, Description: 'd'.repeat(8193) }),
      'Validation',
      constraint('Member must have length less than or equal to 8192'),
    )
  })
})

describe('uses (§3.2, §3.5, §7, §3.13)', () => {
  const KeyId = () => key.id

  test('sizes', async () => {
    const tooLong =
      "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096"
    await refused(kms.encrypt({ KeyId: KeyId(), Plaintext: Buffer.alloc(4097) }), 'Validation', tooLong)
    await refused(
      kms.encrypt({ KeyId: KeyId(), Plaintext: Buffer.alloc(0) }),
      'Validation',
      /greater than or equal to 1/,
    )
    const { CiphertextBlob: largest } = await kms.encrypt({ KeyId: KeyId(), Plaintext: Buffer.alloc(4096) })
    assert.equal((await kms.decrypt({ CiphertextBlob: largest })).Plaintext?.length, 4096)
    await refused(kms.decrypt({ CiphertextBlob: Buffer.alloc(6145) }), 'Validation', constraint("at 'ciphertextBlob'"))
    const EncryptionContext = { a: 'v'.repeat(8193) }
    await refused(kms.encrypt({ KeyId: KeyId(), Plaintext, EncryptionContext }), 'Validation', /8192/)
  })

  test('data keys: KeySpec or NumberOfBytes', async () => {
    const either = 'Please specify either number of bytes or key spec.'
    await refused(kms.generateDataKey({ KeyId: KeyId() }), 'Validation', either)
    await refused(kms.generateDataKey({ KeyId: KeyId(), KeySpec: 'AES_256', NumberOfBytes: 32 }), 'Validation', either)
    await refused(
      kms.generateDataKey({ KeyId: KeyId(), NumberOfBytes: 1025 }),
      'Validation',
      "1 validation error detected: Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal to 1024",
    )
    for (const [input, length] of [
      [{ KeySpec: 'AES_128' }, 16],
      [{ KeySpec: 'AES_256' }, 32],
      [{ NumberOfBytes: 1024 }, 1024],
    ] as const) {
      const made = await kms.generateDataKey({ KeyId: KeyId(), ...input })
      assert.equal(made.Plaintext?.length, length)
      assert.equal(made.KeyId, key.arn)
      assert.match(made.KeyMaterialId ?? '', /^[0-9a-f]{64}$/)
      const opened = await kms.decrypt({ CiphertextBlob: made.CiphertextBlob })
      assert.deepEqual(opened.Plaintext, made.Plaintext)
      assert.equal(opened.KeyMaterialId, made.KeyMaterialId)
    }
    const without = await kms.generateDataKeyWithoutPlaintext({ KeyId: KeyId(), KeySpec: 'AES_256' })
    assert.ok(!('Plaintext' in without))
  })

  test('random bytes', async () => {
    await refused(kms.generateRandom({}), 'Validation', 'NumberOfBytes is required.')
    await refused(
      kms.generateRandom({ NumberOfBytes: 1025 }),
      'Validation',
      constraint("Value '1025' at 'numberOfBytes'"),
    )
    const CustomKeyStoreId = 'cks-1234567890abcdef0'
    await refused(kms.generateRandom({ NumberOfBytes: 1, CustomKeyStoreId }), 'CustomKeyStoreNotFound')
    assert.equal((await kms.generateRandom({ NumberOfBytes: 1024 })).Plaintext?.length, 1024)
  })

  test('ciphertexts: the key that they name, and nothing else', async () => {
    const other = await newKey(kms)
    const wrongKey = 'The key ID in the request does not identify a CMK that can perform this operation.'
    await refused(kms.decrypt({ CiphertextBlob, KeyId: other.id }), 'IncorrectKey', wrongKey)
    await refused(
      kms.reEncrypt({ CiphertextBlob, SourceKeyId: other.id, DestinationKeyId: other.id }),
      'IncorrectKey',
      wrongKey,
    )
    await refused(kms.decrypt({ CiphertextBlob, KeyId: UUID }), 'NotFound', /does not exist$/)
    const bare = async (input: object) => {
      const { text, status } = await raw.call('Decrypt', input)
      assert.equal(status, 400)
      assert.equal(text, '{"__type":"InvalidCiphertextException"}')
    }
    const blob = Buffer.from(CiphertextBlob ?? [])
    await bare({ CiphertextBlob: Buffer.from('garbage').toString('base64') })
    await bare({ CiphertextBlob: blob.toString('base64'), EncryptionContext: { a: 'b' } })
    blob[blob.length - 1] = (blob.at(-1) ?? 0) ^ 1
    await bare({ CiphertextBlob: blob.toString('base64') })
    const moved = await kms.reEncrypt({
      CiphertextBlob,
      DestinationKeyId: other.id,
      DestinationEncryptionContext: { a: 'ö', ö: 'a' },
    })
    const { CiphertextBlob: _, $metadata: __, ...members } = moved
    assert.deepEqual(members, {
      SourceKeyId: key.arn,
      KeyId: other.arn,
      SourceEncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
      DestinationEncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
      SourceKeyMaterialId: (await kms.describeKey({ KeyId: key.id })).KeyMetadata?.CurrentKeyMaterialId,
      DestinationKeyMaterialId: (await kms.describeKey({ KeyId: other.id })).KeyMetadata?.CurrentKeyMaterialId,
    })
    const opened = await kms.decrypt({ CiphertextBlob: moved.CiphertextBlob, EncryptionContext: { ö: 'a', a: 'ö' } })
    assert.deepEqual(Buffer.from(opened.Plaintext ?? []), Plaintext)
  })

  test('algorithms of other keys, grants, attestation', async () => {
    const EncryptionAlgorithm = 'RSAES_OAEP_SHA_256'
    await refused(kms.encrypt({ KeyId: KeyId(), Plaintext, EncryptionAlgorithm }), 'InvalidKeyUsage')
    const incompatible = 'Algorithm RSAES_OAEP_SHA_256 is incompatible with key spec SYMMETRIC_DEFAULT.'
    const named = { CiphertextBlob, EncryptionAlgorithm, KeyId: KeyId() } as const
    await refused(kms.decrypt(named), 'InvalidKeyUsage', incompatible)
    await refused(kms.decrypt({ CiphertextBlob, EncryptionAlgorithm }), 'Validation', 'KeyId must not be null')
    await refused(kms.encrypt({ KeyId: KeyId(), Plaintext, GrantTokens: ['token'] }), 'InvalidGrantToken')
    const Recipient = { KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256', AttestationDocument: Buffer.from('x') } as const
    await refused(kms.generateRandom({ NumberOfBytes: 1, Recipient }), 'UnsupportedOperation')
  })

  test('a dry run says what would have been, after every other check', async () => {
    const would = 'The request would have succeeded, but the DryRun option is set.'
    const dry = { DryRun: true }
    await refused(kms.encrypt({ KeyId: KeyId(), Plaintext, ...dry }), 'DryRunOperation', would)
    await refused(kms.decrypt({ CiphertextBlob, ...dry }), 'DryRunOperation', would)
    await refused(kms.reEncrypt({ CiphertextBlob, DestinationKeyId: KeyId(), ...dry }), 'DryRunOperation', would)
    await refused(kms.generateDataKey({ KeyId: KeyId(), NumberOfBytes: 1, ...dry }), 'DryRunOperation', would)
    await refused(kms.encrypt({ KeyId: imported.id, Plaintext, ...dry }), 'KMSInvalidState', /is pending import\.$/)
    const ignoring = { DryRunModifiers: ['IGNORE_CIPHERTEXT' as const], CiphertextBlob: undefined }
    await refused(kms.decrypt({ KeyId: KeyId(), ...ignoring, ...dry }), 'DryRunOperation', would)
    await refused(kms.decrypt({ KeyId: KeyId(), ...ignoring }), 'Validation')
  })
})
