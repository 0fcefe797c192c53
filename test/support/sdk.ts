/** The AWS SDK against the real `holdfast kms --dev`, and what tests of the API keep asking it. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type ImportKeyMaterialCommandInput, type KeyMetadata, KMS } from '@aws-sdk/client-kms'
import { type Credentials, REGION, ROOT } from './kms.ts'

export const DAY_MS = 86_400_000

/** A client that asks once and says what it got. */
export function sdk(endpoint: string, { accessKeyId, secretAccessKey }: Credentials, region = REGION): KMS {
  return new KMS({ endpoint, region, credentials: { accessKeyId, secretAccessKey }, maxAttempts: 1 })
}

type Method = (input: object) => Promise<Record<string, unknown>>

/** An operation by the name that the API gives it. */
export function call(kms: KMS, operation: string, input: object): Promise<Record<string, unknown>> {
  const method = (kms as unknown as Record<string, Method>)[operation.charAt(0).toLowerCase() + operation.slice(1)]
  assert.ok(method, operation)
  return method.call(kms, input)
}

export interface Refusal {
  readonly name: string
  readonly message: string
  readonly status: number
}

/** What the service answered instead of a result; undefined where it succeeded. */
export async function refusalOf(answer: Promise<unknown>): Promise<Refusal | undefined> {
  try {
    await answer
    return undefined
  } catch (error) {
    const { name, message, $metadata } = error as Error & { $metadata?: { httpStatusCode?: number } }
    if ($metadata?.httpStatusCode === undefined) throw error
    return { name, message, status: $metadata.httpStatusCode }
  }
}

/** Asserts a refusal by its name (without `Exception`) and, where given, its text: whole for a string. */
export async function refused(answer: Promise<unknown>, name: string, text?: string | RegExp): Promise<void> {
  const refusal = await refusalOf(answer)
  assert.ok(refusal, `expected ${name}, and it succeeded`)
  assert.equal(refusal.name, `${name}Exception`, refusal.message)
  assert.equal(refusal.status, 400)
  if (typeof text === 'string') assert.equal(refusal.message, text)
  else if (text !== undefined) assert.match(refusal.message, text)
}

/** The text of one broken constraint (aws-kms.md §5.3) that holds these words. */
export const constraint = (text: string): RegExp =>
  new RegExp(`^1 validation error detected: .*${text.replace(/[.()[\]$^\\]/g, '\\$&')}`)

/** The key's metadata once its Regions have settled. */
export async function settled(kms: KMS, KeyId: string): Promise<KeyMetadata> {
  for (;;) {
    const { KeyMetadata } = await kms.describeKey({ KeyId })
    assert.ok(KeyMetadata)
    if (KeyMetadata.KeyState !== 'Creating' && KeyMetadata.KeyState !== 'Updating') return KeyMetadata
  }
}

export interface NewKey {
  readonly id: string
  readonly arn: string
}

export async function newKey(kms: KMS, input: Parameters<KMS['createKey']>[0] = {}): Promise<NewKey> {
  const { KeyMetadata } = await kms.createKey(input)
  return { id: KeyMetadata?.KeyId ?? '', arn: KeyMetadata?.Arn ?? '' }
}

export interface Wrapping {
  readonly algorithm?: 'RSAES_OAEP_SHA_1' | 'RSAES_OAEP_SHA_256'
  readonly spec?: 'RSA_2048' | 'RSA_3072' | 'RSA_4096'
}

/** Parameters for an import and the material wrapped under them: what ImportKeyMaterial takes, without its dates. */
export async function wrapped(
  kms: KMS,
  KeyId: string,
  material: Buffer = randomBytes(32),
  { algorithm = 'RSAES_OAEP_SHA_256', spec = 'RSA_2048' }: Wrapping = {},
): Promise<ImportKeyMaterialCommandInput> {
  const { PublicKey, ImportToken } = await kms.getParametersForImport({
    KeyId,
    WrappingAlgorithm: algorithm,
    WrappingKeySpec: spec,
  })
  const key = createPublicKey({ key: Buffer.from(PublicKey ?? []), format: 'der', type: 'spki' })
  const oaepHash = algorithm === 'RSAES_OAEP_SHA_1' ? 'sha1' : 'sha256'
  const padding = constants.RSA_PKCS1_OAEP_PADDING
  return { KeyId, ImportToken, EncryptedKeyMaterial: publicEncrypt({ key, padding, oaepHash }, material) }
}

/** Brings material into a key; it never expires unless told otherwise. */
export async function imported(
  kms: KMS,
  KeyId: string,
  material: Buffer = randomBytes(32),
  more: Partial<ImportKeyMaterialCommandInput> = {},
): Promise<string> {
  const given = await wrapped(kms, KeyId, material)
  const model = { ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' } as const
  return (await kms.importKeyMaterial({ ...given, ...model, ...more })).KeyMaterialId ?? ''
}

const run = promisify(execFile)

/** The `holdfast` command, as a person runs it. */
export function holdfast(...args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  return run(join(ROOT, 'bin/holdfast'), [...args])
}
