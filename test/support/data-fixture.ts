/**
 * Data folders of a version of Holdfast, kept so that every later version can be shown to open them: made by the real program of that version
 * (scripts/make-fixture.ts), and looked at by the real program of today (test/data-folders.test.ts). Every key and credential in them is for this alone.
 */
import { spawnSync } from 'node:child_process'
import { createPublicKey, publicEncrypt } from 'node:crypto'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createCredential, createPrincipal, putPolicy } from '../../src/kms/admin/index.ts'
import { type Ekm, startEkm } from './ekm.ts'
import { ApiClient, type Credentials, type Kms, startKms } from './kms.ts'
import { decryptBody, encryptBody, SignerClient, type XksAnswer } from './xks-clients.ts'

export const FIXTURES = join(import.meta.dirname, '..', 'fixtures')
const ACCOUNT = '000000000000'
const REGIONS = ['us-east-1', 'eu-central-1']
const READER = { accessKeyId: 'AKIAFIXTUREREADER0000', secretAccessKey: 'fixture-reader-secret-0000000000000000000' }
const DEVELOPER = { accessKeyId: 'AKIAFIXTUREDEVELOPER0', secretAccessKey: 'fixture-developer-secret-0000000000000000' }
const XKS = { accessKeyId: 'AKIAFIXTUREXKSXKSXKSX', secretAccessKey: 'fixture0external0secret00000000000000000000000' }
const XKS_KEY = 'files'

/** A request whose answer has these members and perhaps others. */
export interface Check {
  readonly operation: string
  readonly input: object
  readonly region?: string
  /** The user that may only decrypt; otherwise the developer. */
  readonly reader?: true
  /** HTTP status; 200 where it is left out. */
  readonly status?: number
  readonly answer: object
}

export interface Expected {
  readonly version: string
  readonly kms: readonly Check[]
  /** Of the external key: an answer of XKS encrypt for each version of its material, and what was encrypted, base64. */
  readonly ekm: {
    readonly key: string
    readonly messages: readonly { readonly json: Readonly<Record<string, string>>; readonly plaintext: string }[]
  }
}

const credentialOf = ({ accessKeyId, secretAccessKey }: Credentials): NodeJS.ProcessEnv => ({
  HOLDFAST_DEV_ACCESS_KEY_ID: accessKeyId,
  HOLDFAST_DEV_SECRET_ACCESS_KEY: secretAccessKey,
})

export const startFixtureKms = (data: string): Promise<Kms> =>
  startKms(['--data', data, '--regions', REGIONS.join(',')], credentialOf(DEVELOPER))
export const startFixtureEkm = (data: string): Promise<Ekm> =>
  startEkm(['--dev', '--http', '--data', data, '--key', XKS_KEY], credentialOf(XKS))

export const developerOf = ({ line }: Kms): ApiClient => new ApiClient(line.endpoint, DEVELOPER)
export const readerOf = ({ line }: Kms): ApiClient => new ApiClient(line.endpoint, READER)

const plain = (text: string): string => Buffer.from(text).toString('base64')

/** Fills the folder of a running KMS; answers what is to be found in it. */
export async function fillKms(kms: Kms): Promise<Check[]> {
  const client = developerOf(kms)
  const checks: Check[] = []
  const create = async (input: object): Promise<string> => (await client.ok('CreateKey', input)).KeyMetadata.KeyId
  const encrypted = async (KeyId: string, text: string, more: object = {}): Promise<object> => {
    const { CiphertextBlob } = await client.ok('Encrypt', { KeyId, Plaintext: plain(text), ...more })
    const input = { CiphertextBlob, ...more }
    checks.push({ operation: 'Decrypt', input, answer: { Plaintext: plain(text) } })
    return input
  }
  const EncryptionContext = { purpose: 'fixture', number: '1' }
  const symmetric = await create({ Description: 'rotated', Tags: [{ TagKey: 'kept', TagValue: 'for ever' }] })
  await encrypted(symmetric, 'under the first material', { EncryptionContext })
  await client.ok('RotateKeyOnDemand', { KeyId: symmetric })
  const second = await encrypted(symmetric, 'under the second material')
  await client.ok('CreateAlias', { AliasName: 'alias/fixture', TargetKeyId: symmetric })
  await client.ok('UpdateKeyDescription', { KeyId: symmetric, Description: 'changed' })
  const answer = { Description: 'changed', KeyState: 'Enabled', Enabled: true }
  checks.push({ operation: 'DescribeKey', input: { KeyId: 'alias/fixture' }, answer: { KeyMetadata: answer } })
  checks.push({
    operation: 'ListResourceTags',
    input: { KeyId: symmetric },
    answer: { Tags: [{ TagKey: 'kept', TagValue: 'for ever' }] },
  })
  const { Rotations } = await client.ok('ListKeyRotations', { KeyId: symmetric })
  checks.push({ operation: 'ListKeyRotations', input: { KeyId: symmetric }, answer: { Rotations } })
  const { Policy } = await client.ok('GetKeyPolicy', { KeyId: symmetric })
  checks.push({ operation: 'GetKeyPolicy', input: { KeyId: symmetric }, answer: { Policy } })

  const user = `arn:aws:iam::${ACCOUNT}:user/reader`
  const control = kms.control()
  await createPrincipal(control, user)
  await createCredential(control, user, { ...READER, secretAccessKey: Buffer.from(READER.secretAccessKey) })
  const Statement = { Effect: 'Allow', Action: 'kms:Decrypt', Resource: '*' }
  await putPolicy(control, user, 'decrypt', JSON.stringify({ Version: '2012-10-17', Statement }))
  control.close()
  checks.push({
    operation: 'Decrypt',
    input: second,
    reader: true,
    answer: { Plaintext: plain('under the second material') },
  })
  const other = { operation: 'GenerateDataKey', input: { KeyId: symmetric, KeySpec: 'AES_256' }, reader: true } as const
  checks.push({ ...other, status: 400, answer: { __type: 'AccessDeniedException' } })
  const { GrantId } = await client.ok('CreateGrant', {
    KeyId: symmetric,
    GranteePrincipal: user,
    Operations: ['Encrypt'],
  })
  const Grants = [{ GrantId, GranteePrincipal: user, Operations: ['Encrypt'] }]
  checks.push({ operation: 'ListGrants', input: { KeyId: symmetric }, answer: { Grants } })

  const disabled = await create({ Description: 'disabled' })
  await encrypted(disabled, 'under a key that was disabled')
  const message = checks.pop()
  await client.ok('DisableKey', { KeyId: disabled })
  if (message !== undefined) checks.push({ ...message, status: 400, answer: { __type: 'DisabledException' } })

  const imported = await create({ Origin: 'EXTERNAL' })
  await importMaterial(client, imported)
  await encrypted(imported, 'under imported material')

  const primary = await create({ MultiRegion: true })
  const blob = await encrypted(primary, 'in every Region')
  await client.ok('ReplicateKey', { KeyId: primary, ReplicaRegion: REGIONS[1] })
  checks.push({
    operation: 'Decrypt',
    input: blob,
    region: REGIONS[1] ?? '',
    answer: { Plaintext: plain('in every Region') },
  })

  for (const [KeySpec, SigningAlgorithm] of [
    ['RSA_2048', 'RSASSA_PSS_SHA_256'],
    ['ECC_NIST_P256', 'ECDSA_SHA_256'],
    ['ECC_NIST_EDWARDS25519', 'ED25519_SHA_512'],
    ['ML_DSA_44', 'ML_DSA_SHAKE_256'],
  ]) {
    const KeyId = await create({ KeySpec, KeyUsage: 'SIGN_VERIFY' })
    const signed = { KeyId, Message: plain(`signed with ${KeySpec}`), SigningAlgorithm }
    const { Signature } = await client.ok('Sign', signed)
    checks.push({ operation: 'Verify', input: { ...signed, Signature }, answer: { SignatureValid: true } })
    const { PublicKey } = await client.ok('GetPublicKey', { KeyId })
    checks.push({ operation: 'GetPublicKey', input: { KeyId }, answer: { PublicKey } })
  }
  const rsa = {
    KeyId: await create({ KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' }),
    EncryptionAlgorithm: 'RSAES_OAEP_SHA_256',
  }
  const { CiphertextBlob } = await client.ok('Encrypt', { ...rsa, Plaintext: plain('for RSA') })
  checks.push({ operation: 'Decrypt', input: { ...rsa, CiphertextBlob }, answer: { Plaintext: plain('for RSA') } })
  const mac = {
    KeyId: await create({ KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' }),
    Message: plain('counted'),
    MacAlgorithm: 'HMAC_SHA_256',
  }
  const { Mac } = await client.ok('GenerateMac', mac)
  checks.push({ operation: 'VerifyMac', input: { ...mac, Mac }, answer: { MacValid: true } })
  return checks
}

async function importMaterial(client: ApiClient, KeyId: string): Promise<void> {
  const WrappingAlgorithm = 'RSAES_OAEP_SHA_256'
  const { ImportToken, PublicKey } = await client.ok('GetParametersForImport', {
    KeyId,
    WrappingAlgorithm,
    WrappingKeySpec: 'RSA_2048',
  })
  const key = createPublicKey({ key: Buffer.from(PublicKey, 'base64'), format: 'der', type: 'spki' })
  await client.ok('ImportKeyMaterial', {
    KeyId,
    ImportToken,
    EncryptedKeyMaterial: publicEncrypt({ key, oaepHash: 'sha256' }, Buffer.alloc(32, 7)).toString('base64'),
    ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
  })
}

/** Fills the folder of a running key manager: a key with two versions, that is revoked at the end. */
export async function fillEkm(ekm: Ekm): Promise<Expected['ekm']> {
  const client = new SignerClient(ekm.line)
  const messages: { json: Readonly<Record<string, string>>; plaintext: string }[] = []
  const key = `${ekm.line.pathPrefix}/${XKS_KEY}`
  const encrypt = async (text: string): Promise<void> => {
    const {
      json,
      status,
      text: said,
    } = await client.send({ path: `keys/${XKS_KEY}/encrypt`, body: encryptBody(Buffer.from(text)) })
    if (status !== 200) throw new Error(said)
    messages.push({ json, plaintext: plain(text) })
  }
  await encrypt('under the first version')
  await ekm.cli('key', 'rotate', key)
  await encrypt('under the second version')
  await ekm.cli('revoke', key)
  client.close()
  return { key, messages }
}

/** XKS decrypt of what `fillEkm` kept. */
export async function decryptXks(ekm: Ekm, json: Readonly<Record<string, string>>): Promise<XksAnswer> {
  const client = new SignerClient(ekm.line)
  try {
    return await client.send({
      path: `keys/${XKS_KEY}/decrypt`,
      body: decryptBody({ status: 200, text: '', json, headers: {} }),
    })
  } finally {
    client.close()
  }
}

/** Packs a folder that nothing runs on; what says nothing of the past is left out. */
export function pack(data: string, file: string): void {
  for (const name of readdirSync(data, { recursive: true, encoding: 'utf8' }))
    if (/(?:\.sock|reserve|lock)$/.test(name)) rmSync(join(data, name))
  tar(['--sort=name', '--owner=0', '--group=0', '-czf', file, '-C', data, '.'])
}

export const unpack = (file: string, data: string): void => tar(['--no-same-owner', '-xzf', file, '-C', data])

function tar(args: readonly string[]): void {
  const { status, stderr } = spawnSync('tar', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`tar: ${stderr}`)
}

export const expectedOf = (version: string): Expected =>
  JSON.parse(readFileSync(join(FIXTURES, version, 'expected.json'), 'utf8')) as Expected
