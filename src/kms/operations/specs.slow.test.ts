/**
 * Every key spec and usage × every operation that uses a key, generated from the boundary's table of specs and from the API's enumerations of algorithms:
 * what goes together works, everything else is refused in AWS's words (aws-kms.md §3.4, §5.4), and a key's state is asked before either.
 */
import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { after, before, test } from 'node:test'
import { hasAlgorithm, isAsymmetric, SPECS } from '../../boundary/algorithms.ts'
import { KEY_SPECS, KEY_USAGES, type KeySpec, type KeyUsage } from '../../boundary/words.ts'
import { type Answer, startTestKms, type TestKms } from '../testing.ts'
import { OPERATION_INPUTS, shapeOf } from '../wire/model/model.ts'

interface TestKey {
  readonly spec: KeySpec
  readonly usage: KeyUsage
  readonly KeyId: string
  readonly arn: string
}

let kms: TestKms
const keys: TestKey[] = []
const specs = (Object.keys(KEY_SPECS) as KeySpec[]).filter(spec => spec !== 'EXTERNAL_AES_256')
const kinds = specs.flatMap(spec => (Object.keys(SPECS[spec].usages) as KeyUsage[]).map(usage => ({ spec, usage })))

before(async () => {
  kms = await startTestKms()
  await Promise.all(kinds.map(async kind => keys.push(await make(kind))))
  await makeRequests()
})
after(async () => {
  await kms.stop()
  assert.deepEqual(kms.defects, [])
})

async function make({ spec, usage }: { spec: KeySpec; usage: KeyUsage }): Promise<TestKey> {
  const { KeyMetadata } = await kms.ok('CreateKey', { KeySpec: spec, KeyUsage: usage })
  return { spec, usage, KeyId: KeyMetadata.KeyId, arn: KeyMetadata.Arn }
}

interface Use {
  readonly usage: KeyUsage
  /** The member that names the algorithm. */
  readonly member: string
  /** What else the request needs; `algorithm` is one that the key has. */
  readonly rest: (key: TestKey, algorithm: string) => Promise<object>
}

const Message = 'AAAA'
const pubOf = async (key: TestKey) => (await kms.ok('GetPublicKey', { KeyId: key.KeyId })).PublicKey
const typeOf = (algorithm: string) =>
  algorithm === 'ED25519_PH_SHA_512'
    ? { Message: Buffer.alloc(64, 1).toString('base64'), MessageType: 'DIGEST' }
    : { Message }

const USES: Readonly<Record<string, Use>> = {
  Encrypt: { usage: 'ENCRYPT_DECRYPT', member: 'EncryptionAlgorithm', rest: async () => ({ Plaintext: Message }) },
  Decrypt: {
    usage: 'ENCRYPT_DECRYPT',
    member: 'EncryptionAlgorithm',
    rest: async ({ KeyId }, EncryptionAlgorithm) => {
      const made = await kms.ok('Encrypt', { KeyId, Plaintext: Message, EncryptionAlgorithm })
      return { CiphertextBlob: made.CiphertextBlob }
    },
  },
  Sign: { usage: 'SIGN_VERIFY', member: 'SigningAlgorithm', rest: async (_, algorithm) => typeOf(algorithm) },
  Verify: {
    usage: 'SIGN_VERIFY',
    member: 'SigningAlgorithm',
    rest: async ({ KeyId }, SigningAlgorithm) => {
      const input = typeOf(SigningAlgorithm)
      return { ...input, Signature: (await kms.ok('Sign', { KeyId, ...input, SigningAlgorithm })).Signature }
    },
  },
  GenerateMac: { usage: 'GENERATE_VERIFY_MAC', member: 'MacAlgorithm', rest: async () => ({ Message }) },
  VerifyMac: {
    usage: 'GENERATE_VERIFY_MAC',
    member: 'MacAlgorithm',
    rest: async ({ KeyId }, MacAlgorithm) => ({
      Message,
      Mac: (await kms.ok('GenerateMac', { KeyId, Message, MacAlgorithm })).Mac,
    }),
  },
  DeriveSharedSecret: {
    usage: 'KEY_AGREEMENT',
    member: 'KeyAgreementAlgorithm',
    rest: async key => ({ PublicKey: await pubOf(key) }),
  },
  Encapsulate: { usage: 'ENCAPSULATE_DECAPSULATE', member: 'EncapsulationAlgorithm', rest: async () => ({}) },
  Decapsulate: {
    usage: 'ENCAPSULATE_DECAPSULATE',
    member: 'EncapsulationAlgorithm',
    rest: async ({ KeyId }, EncapsulationAlgorithm) => {
      const { SharedSecretCiphertextBlob } = await kms.ok('Encapsulate', { KeyId, EncapsulationAlgorithm })
      return { SharedSecretCiphertextBlob }
    },
  },
}

/** Data keys: of symmetric keys alone. */
const DATA_KEYS: Readonly<Record<string, object>> = {
  GenerateDataKey: { KeySpec: 'AES_256' },
  GenerateDataKeyWithoutPlaintext: { NumberOfBytes: 7 },
  GenerateDataKeyPair: { KeyPairSpec: 'ECC_NIST_P384' },
  GenerateDataKeyPairWithoutPlaintext: { KeyPairSpec: 'ML_KEM_512' },
}

/** Each use of its own usage, of a key that is there, whatever key it is asked of. */
const everywhere = new Map<string, object>()
async function makeRequests(): Promise<void> {
  for (const [operation, { usage, member, rest }] of Object.entries(USES)) {
    const key = keys.find(each => each.usage === usage && each.spec !== 'SYMMETRIC_DEFAULT') as TestKey
    const algorithm = SPECS[key.spec].usages[usage]?.[0] as string
    everywhere.set(operation, { [member]: algorithm, ...(await rest(key, algorithm)) })
  }
  for (const [operation, input] of Object.entries(DATA_KEYS)) everywhere.set(operation, input)
}

const refused = ({ status, body }: Answer, code: string, message: string | undefined, where: string): void => {
  assert.equal(status, 400, where)
  assert.deepEqual(body, { __type: code, ...(message === undefined ? {} : { message }) }, where)
}

/** All that the API calls an algorithm of that member. */
function algorithmsOf(operation: string, member: string): readonly string[] {
  const { members = {} } = shapeOf(OPERATION_INPUTS.get(operation) ?? '')
  return shapeOf(members[member]?.shape ?? '').enum ?? []
}

test('every spec and usage of the table is made, and no other', async () => {
  assert.equal(keys.length, 25)
  for (const spec of specs) {
    for (const usage of Object.keys(KEY_USAGES) as KeyUsage[]) {
      if (SPECS[spec].usages[usage] !== undefined) continue
      const answer = await kms.call('CreateKey', { KeySpec: spec, KeyUsage: usage })
      refused(answer, 'ValidationException', `KeyUsage ${usage} is not compatible with KeySpec ${spec}`, spec)
    }
  }
})

/** Which member lists the algorithms. */
const LISTS: Readonly<Record<KeyUsage, string>> = {
  ENCRYPT_DECRYPT: 'EncryptionAlgorithms',
  SIGN_VERIFY: 'SigningAlgorithms',
  GENERATE_VERIFY_MAC: 'MacAlgorithms',
  KEY_AGREEMENT: 'KeyAgreementAlgorithms',
  ENCAPSULATE_DECAPSULATE: 'EncapsulationAlgorithms',
}
/** The specs of the enumeration that KeySpec has taken the place of. */
const OLD = /^(SYMMETRIC_DEFAULT|RSA_|HMAC_|ECC_NIST_P|ECC_SECG)/

for (const { spec, usage } of kinds) {
  const keyOf = () => keys.find(each => each.spec === spec && each.usage === usage) as TestKey
  const old = OLD.test(spec) ? { CustomerMasterKeySpec: spec } : {}
  const list = { [LISTS[usage]]: SPECS[spec].usages[usage] }

  test(`${spec} for ${usage}: DescribeKey and GetPublicKey`, async () => {
    const { KeyId, arn } = keyOf()
    const { KeyMetadata } = await kms.ok('DescribeKey', { KeyId })
    const { CreationDate, CurrentKeyMaterialId, AWSAccountId, ...rest } = KeyMetadata
    assert.deepEqual(rest, {
      KeyId,
      Arn: arn,
      Enabled: true,
      Description: '',
      KeyUsage: usage,
      KeyState: 'Enabled',
      Origin: 'AWS_KMS',
      KeyManager: 'CUSTOMER',
      ...old,
      KeySpec: spec,
      ...list,
      MultiRegion: false,
    })
    assert.equal(typeof CurrentKeyMaterialId, spec === 'SYMMETRIC_DEFAULT' ? 'string' : 'undefined')
    const answer = await kms.call('GetPublicKey', { KeyId })
    if (!isAsymmetric(spec)) {
      refused(answer, 'UnsupportedOperationException', undefined, spec)
      return
    }
    const { PublicKey, ...members } = answer.body
    assert.deepEqual(members, { KeyId: arn, ...old, KeySpec: spec, KeyUsage: usage, ...list })
    createPublicKey({ key: Buffer.from(PublicKey, 'base64'), format: 'der', type: 'spki' })
  })

  test(`${spec} for ${usage}: what is not for it is refused`, async () => {
    const { KeyId, arn } = keyOf()
    for (const [operation, input] of everywhere) {
      const own = USES[operation]?.usage ?? 'ENCRYPT_DECRYPT'
      const answer = await kms.call(operation, { ...input, KeyId, DryRun: true })
      if (own !== usage) {
        const text = `${arn} key usage is ${usage} which is not valid for ${operation}.`
        refused(answer, 'InvalidKeyUsageException', text, operation)
      } else if (operation in DATA_KEYS && spec !== 'SYMMETRIC_DEFAULT') {
        const text = 'You cannot generate a data key with an asymmetric CMK'
        refused(answer, 'InvalidKeyUsageException', text, operation)
      } else if (operation in DATA_KEYS) {
        assert.equal(answer.body.__type, 'DryRunOperationException', operation)
      }
    }
  })

  test(`${spec} for ${usage}: its algorithms work, also in a dry run, and no others`, async () => {
    const key = keyOf()
    for (const [operation, { usage: own, member, rest }] of Object.entries(USES)) {
      if (own !== usage) continue
      for (const algorithm of algorithmsOf(operation, member)) {
        const where = `${operation} ${algorithm}`
        const has = hasAlgorithm(spec, usage, algorithm)
        const input = {
          KeyId: key.KeyId,
          [member]: algorithm,
          ...(has ? await rest(key, algorithm) : everywhere.get(operation)),
        }
        Object.assign(input, { [member]: algorithm })
        const answer = await kms.call(operation, input)
        if (has) {
          assert.equal(answer.status, 200, `${where}: ${JSON.stringify(answer.body)}`)
          assert.equal(answer.body.KeyId, key.arn, where)
          assert.equal(answer.body[member], algorithm, where)
          const dry = await kms.call(operation, { ...input, DryRun: true })
          refused(
            dry,
            'DryRunOperationException',
            'The request would have succeeded, but the DryRun option is set.',
            where,
          )
        } else if (operation === 'Decrypt' && algorithm === 'SYMMETRIC_DEFAULT') {
          // What is no message of a symmetric key is refused as such before its key's algorithm is.
          assert.match(answer.body.__type, /^(InvalidCiphertext|IncorrectKey|AccessDenied)Exception$/, where)
        } else {
          const text = `Algorithm ${algorithm} is incompatible with key spec ${spec}.`
          refused(answer, 'InvalidKeyUsageException', text, where)
        }
      }
    }
  })
}

test('the state of a key is asked before what it is for', async () => {
  const some = [
    { spec: 'RSA_2048', usage: 'ENCRYPT_DECRYPT' },
    { spec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY' },
    { spec: 'ECC_NIST_P256', usage: 'KEY_AGREEMENT' },
    { spec: 'HMAC_256', usage: 'GENERATE_VERIFY_MAC' },
    { spec: 'ML_KEM_512', usage: 'ENCAPSULATE_DECAPSULATE' },
    { spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT' },
  ] as const
  for (const kind of some) {
    const { KeyId, arn } = await make(kind)
    const all = async (code: string, text: string): Promise<void> => {
      for (const [operation, input] of [...everywhere, ['GetPublicKey', {}] as const]) {
        refused(await kms.call(operation, { ...input, KeyId }), code, text, `${kind.spec} ${operation}`)
      }
    }
    await kms.ok('DisableKey', { KeyId })
    await all('DisabledException', `${arn} is disabled.`)
    await kms.ok('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 })
    await all('KMSInvalidStateException', `${arn} is pending deletion (or pending replica deletion).`)
  }
})
