/** Grants through the AWS SDK, as its users use them: several principals and accounts, tokens right after creation, retiring, pages, a deleted key, a restart. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  type GrantListEntry,
  type GrantOperation,
  type KeySpec,
  type KeyUsageType,
  type KMS,
  paginateListGrants,
  paginateListRetirableGrants,
} from '@aws-sdk/client-kms'
import { serviceRoleArn } from '../src/kms/access/principal-names.ts'
import { createAccount, createCredential, createPrincipal, putPolicy } from '../src/kms/admin/index.ts'
import { recordsByRequest } from './support/journal.ts'
import { ApiClient, type Credentials, type Kms, REGION, startKms } from './support/kms.ts'
import { DAY_MS, newKey, refused, sdk } from './support/sdk.ts'

const MINE = '111122223333'
const THEIRS = '444455556666'
const OWNER = { accessKeyId: `AKIA${'G'.repeat(16)}`, secretAccessKey: 'g'.repeat(40) }
const ENV = { HOLDFAST_DEV_ACCESS_KEY_ID: OWNER.accessKeyId, HOLDFAST_DEV_SECRET_ACCESS_KEY: OWNER.secretAccessKey }
const Plaintext = Buffer.from('x')
const folder = mkdtempSync(join(tmpdir(), 'holdfast-grants-'))

let service: Kms
let owner: KMS
let control: ReturnType<Kms['control']>
const credentials = new Map<string, Credentials>()
let clients: KMS[] = []

const arnOf = (name: string, account = MINE): string => `arn:aws:iam::${account}:user/${name}`
const start = async (): Promise<void> => {
  service = await startKms(['--data', join(folder, 'kms'), '--account', MINE], ENV)
  control = service.control()
  owner = sdk(service.line.endpoint, OWNER)
  clients = [owner]
}
const stop = async (): Promise<void> => {
  for (const client of clients) client.destroy()
  control?.close()
  await service?.stop()
}

before(async () => {
  await start()
  await createAccount(control, { id: THEIRS })
  for (const [name, account] of [
    ['grantee', MINE],
    ['retirer', MINE],
    ['visitor', THEIRS],
  ] as const)
    await credential(arnOf(name, account))
})
after(async () => {
  await stop()
  rmSync(folder, { recursive: true, force: true })
})

async function credential(arn: string): Promise<void> {
  await createPrincipal(control, arn)
  const { accessKeyId, secretAccessKey } = await createCredential(control, arn)
  credentials.set(arn, { accessKeyId, secretAccessKey: secretAccessKey.reveal(bytes => bytes.toString('latin1')) })
}

function as(arn: string): KMS {
  const client = sdk(service.line.endpoint, credentials.get(arn) ?? OWNER)
  clients.push(client)
  return client
}

describe('a grant', () => {
  test('is in force when CreateGrant answers, with its token and without, until it is retired', async () => {
    const key = await newKey(owner)
    const grantee = as(arnOf('grantee'))
    await refused(grantee.encrypt({ KeyId: key.id, Plaintext }), 'AccessDenied')
    for (let round = 0; round < 20; round++) {
      const { GrantId, GrantToken } = await owner.createGrant({
        KeyId: key.arn,
        GranteePrincipal: arnOf('grantee'),
        RetiringPrincipal: arnOf('retirer'),
        Operations: ['Encrypt', 'Decrypt', 'GenerateDataKey', 'DescribeKey'],
        Constraints: { EncryptionContextSubset: { volume: 'v-1' } },
      })
      const EncryptionContext = { Volume: 'v-1', round: String(round) }
      const GrantTokens = round % 2 === 0 ? [GrantToken ?? ''] : undefined
      const { CiphertextBlob } = await grantee.generateDataKey({
        ...{ KeyId: key.id, NumberOfBytes: 16, EncryptionContext, GrantTokens },
      })
      await grantee.decrypt({ CiphertextBlob, EncryptionContext, GrantTokens })
      await grantee.describeKey({ KeyId: key.id, GrantTokens })
      await refused(grantee.generateDataKey({ KeyId: key.id, NumberOfBytes: 16 }), 'AccessDenied')
      await refused(grantee.retireGrant({ GrantToken }), 'AccessDenied')
      const retirer = as(arnOf('retirer'))
      await refused(retirer.retireGrant({ GrantToken, DryRun: true }), 'DryRunOperation')
      await retirer.retireGrant(round % 2 === 0 ? { GrantToken } : { KeyId: key.arn, GrantId })
      await refused(grantee.decrypt({ CiphertextBlob, EncryptionContext }), 'AccessDenied')
      await refused(
        grantee.decrypt({ CiphertextBlob, EncryptionContext, GrantTokens: [GrantToken ?? ''] }),
        'InvalidGrantToken',
      )
    }
  })

  test('reaches across accounts, shows in lists, and is revoked', async () => {
    const key = await newKey(owner)
    const visitor = as(arnOf('visitor', THEIRS))
    await refused(visitor.encrypt({ KeyId: key.arn, Plaintext }), 'AccessDenied')
    const { GrantId } = await owner.createGrant({
      KeyId: key.id,
      Name: 'visit',
      GranteePrincipal: arnOf('visitor', THEIRS),
      RetiringPrincipal: arnOf('visitor', THEIRS),
      Operations: ['Encrypt', 'CreateGrant'],
    })
    await visitor.encrypt({ KeyId: key.arn, Plaintext })
    const GranteePrincipal = arnOf('grantee')
    const { GrantId: child } = await visitor.createGrant({ KeyId: key.arn, GranteePrincipal, Operations: ['Encrypt'] })
    await refused(visitor.createGrant({ KeyId: key.arn, GranteePrincipal, Operations: ['Decrypt'] }), 'AccessDenied')
    const { Grants = [] } = await owner.listGrants({ KeyId: key.id })
    assert.deepEqual(Grants.map(entry => entry.GrantId).sort(), [GrantId, child].sort())
    const entry = Grants.find(each => each.GrantId === GrantId)
    assert.ok(entry?.CreationDate instanceof Date)
    assert.deepEqual(
      { ...entry, CreationDate: undefined },
      {
        ...{ KeyId: key.arn, GrantId, Name: 'visit', CreationDate: undefined },
        ...{ GranteePrincipal: arnOf('visitor', THEIRS), RetiringPrincipal: arnOf('visitor', THEIRS) },
        IssuingAccount: `arn:aws:iam::${MINE}:root`,
        Operations: ['Encrypt', 'CreateGrant'],
      },
    )
    assert.equal(Grants.find(each => each.GrantId === child)?.IssuingAccount, `arn:aws:iam::${THEIRS}:root`)
    await refused(visitor.listRetirableGrants({ RetiringPrincipal: arnOf('visitor', THEIRS) }), 'AccessDenied')
    await allow(arnOf('visitor', THEIRS), 'kms:ListRetirableGrants')
    const retirable = await visitor.listRetirableGrants({ RetiringPrincipal: arnOf('visitor', THEIRS) })
    assert.deepEqual(retirable.Grants, [entry])
    await owner.revokeGrant({ KeyId: key.id, GrantId })
    await refused(visitor.encrypt({ KeyId: key.arn, Plaintext }), 'AccessDenied')
    await as(arnOf('grantee')).encrypt({ KeyId: key.id, Plaintext })
    await refused(owner.revokeGrant({ KeyId: key.id, GrantId }), 'NotFound')
  })

  test('is in the record of every use that rests on it', async () => {
    const key = await newKey(owner)
    const GranteePrincipal = arnOf('grantee')
    const { GrantId } = await owner.createGrant({
      KeyId: key.id,
      GranteePrincipal,
      Operations: ['Encrypt', 'DescribeKey'],
    })
    const client = new ApiClient(service.line.endpoint, credentials.get(GranteePrincipal) ?? OWNER)
    const answers = [
      await client.call('Encrypt', { KeyId: key.id, Plaintext: 'AA==' }),
      await client.call('DescribeKey', { KeyId: key.id }),
      await client.call('Encrypt', { KeyId: key.id, Plaintext: 'AA==', DryRun: true }),
      await client.call('Decrypt', { KeyId: key.id, CiphertextBlob: 'AA==' }),
    ]
    client.close()
    const records = recordsByRequest(service.line.data)
    const granted = answers.map(({ requestId }) => records.get(requestId)?.map(({ asserted }) => asserted.grantId))
    assert.deepEqual(granted, [[GrantId], [GrantId], [GrantId], [undefined]])
  })

  test('gives the uses of keys of every other usage too, and their public keys', async () => {
    const client = as(arnOf('grantee'))
    const Message = Buffer.from('message')
    const made = async (KeySpec: KeySpec, KeyUsage: KeyUsageType, Operations: GrantOperation[]): Promise<string> => {
      const { id } = await newKey(owner, { KeySpec, KeyUsage })
      await refused(client.getPublicKey({ KeyId: id }), 'AccessDenied')
      await owner.createGrant({ KeyId: id, GranteePrincipal: arnOf('grantee'), Operations })
      return id
    }
    const signing = await made('ECC_NIST_P256', 'SIGN_VERIFY', ['Sign', 'Verify', 'GetPublicKey'])
    const SigningAlgorithm = 'ECDSA_SHA_256'
    const { Signature } = await client.sign({ KeyId: signing, Message, SigningAlgorithm })
    await client.verify({ KeyId: signing, Message, SigningAlgorithm, Signature })
    const { PublicKey } = await client.getPublicKey({ KeyId: signing })
    const mac = await made('HMAC_256', 'GENERATE_VERIFY_MAC', ['GenerateMac', 'VerifyMac'])
    const { Mac } = await client.generateMac({ KeyId: mac, Message, MacAlgorithm: 'HMAC_SHA_256' })
    await client.verifyMac({ KeyId: mac, Message, MacAlgorithm: 'HMAC_SHA_256', Mac })
    const agreement = await made('ECC_NIST_P256', 'KEY_AGREEMENT', ['DeriveSharedSecret'])
    await client.deriveSharedSecret({ KeyId: agreement, KeyAgreementAlgorithm: 'ECDH', PublicKey })
    const rsa = await made('RSA_2048', 'ENCRYPT_DECRYPT', ['Encrypt'])
    const EncryptionAlgorithm = 'RSAES_OAEP_SHA_256'
    const { CiphertextBlob } = await client.encrypt({ KeyId: rsa, Plaintext, EncryptionAlgorithm })
    await refused(client.decrypt({ KeyId: rsa, CiphertextBlob, EncryptionAlgorithm }), 'AccessDenied')
    const kem = await made('ML_KEM_512', 'ENCAPSULATE_DECAPSULATE', ['Encapsulate'])
    await client.encapsulate({ KeyId: kem, EncapsulationAlgorithm: 'ML_KEM' })
    const Operations: GrantOperation[] = ['Encrypt']
    await refused(owner.createGrant({ KeyId: kem, GranteePrincipal: arnOf('grantee'), Operations }), 'Validation')
    const Constraints = { EncryptionContextSubset: { a: 'b' } }
    const constrained = { KeyId: rsa, GranteePrincipal: arnOf('grantee'), Operations, Constraints }
    await refused(owner.createGrant(constrained), 'Validation')
    await client.generateDataKeyPairWithoutPlaintext({
      KeyId: await made('SYMMETRIC_DEFAULT', 'ENCRYPT_DECRYPT', ['GenerateDataKeyPairWithoutPlaintext']),
      KeyPairSpec: 'ECC_NIST_P256',
    })
  })

  test('for a service holds for the resource that it signs', async () => {
    const key = await newKey(owner)
    const role = serviceRoleArn(MINE, 'objects')
    if (!credentials.has(role)) await credential(role)
    const SourceArn = `arn:aws:s3:${REGION}:${MINE}:bucket`
    await owner.createGrant({
      KeyId: key.id,
      GranteeServicePrincipal: 'objects.amazonaws.com',
      RetiringPrincipal: arnOf('retirer'),
      Operations: ['Encrypt'],
      Constraints: { SourceArn },
    })
    const input = { KeyId: key.id, Plaintext: 'AA==' }
    const objects = new ApiClient(service.line.endpoint, credentials.get(role) ?? OWNER)
    const from = (arn: string) => objects.call('Encrypt', input, { headers: { 'x-amz-source-arn': arn } })
    assert.equal((await from(SourceArn)).status, 200)
    for (const answer of [await from(`${SourceArn}2`), await from('bucket'), await objects.call('Encrypt', input)])
      assert.equal(answer.json.__type, 'AccessDeniedException', answer.text)
    objects.close()
  })
})

async function allow(arn: string, Action: string): Promise<void> {
  const Statement = [{ Effect: 'Allow', Action, Resource: '*' }]
  await putPolicy(control, arn, 'own', JSON.stringify({ Version: '2012-10-17', Statement }))
}

describe('many grants', () => {
  const ids = (entries: readonly GrantListEntry[] = []): string[] => entries.map(({ GrantId }) => GrantId ?? '')

  test('come in pages by the SDK’s own paginators, outlive a restart, and go with their key', async () => {
    const key = await newKey(owner)
    await allow(arnOf('retirer'), 'kms:ListRetirableGrants')
    const input = { KeyId: key.id, GranteePrincipal: arnOf('grantee'), RetiringPrincipal: arnOf('retirer') }
    const made = await Promise.all(
      Array.from({ length: 120 }, async (_, n) => {
        const Operations = n % 2 === 0 ? (['Encrypt'] as const) : (['Decrypt'] as const)
        return (await owner.createGrant({ ...input, Operations: [...Operations] })).GrantId ?? ''
      }),
    )
    const lists = async (): Promise<string[][]> => {
      const [all, retirable]: string[][] = [[], []]
      for await (const page of paginateListGrants({ client: owner, pageSize: 7 }, { KeyId: key.id }))
        all?.push(...ids(page.Grants))
      const client = as(arnOf('retirer'))
      const RetiringPrincipal = arnOf('retirer')
      for await (const page of paginateListRetirableGrants({ client }, { RetiringPrincipal }))
        retirable?.push(...ids(page.Grants?.filter(({ KeyId }) => KeyId === key.arn)))
      return [all ?? [], retirable ?? []]
    }
    const sorted = made.toSorted()
    assert.deepEqual(await lists(), [sorted, sorted])
    await stop()
    await start()
    assert.deepEqual(await lists(), [sorted, sorted])
    await as(arnOf('grantee')).encrypt({ KeyId: key.id, Plaintext })
    const { GrantToken } = await owner.createGrant({ ...input, Operations: ['Encrypt'] })
    await owner.scheduleKeyDeletion({ KeyId: key.id, PendingWindowInDays: 7 })
    await control.advanceClock(8 * DAY_MS)
    while ((await lists().catch(() => [])).length > 0);
    await refused(as(arnOf('retirer')).retireGrant({ GrantToken }), 'InvalidGrantToken')
    const RetiringPrincipal = arnOf('retirer')
    const { Grants } = await as(RetiringPrincipal).listRetirableGrants({ RetiringPrincipal, Limit: 100 })
    assert.ok(Grants?.every(({ KeyId }) => KeyId !== key.arn))
  })
})
