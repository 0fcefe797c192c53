/** Whose ciphertext it is (aws-kms.md §7): a symmetric key stands in its blob, an asymmetric one must be named; Decrypt and ReEncrypt ask the same. */
import { blobKind, parseEnvelope } from '../../boundary/crypto/envelope.ts'
import { parseMessageHeader } from '../../boundary/crypto/message.ts'
import type { KeyOrigin } from '../../boundary/words.ts'
import type { RequestFacts } from '../access/types.ts'
import { authorizeKey } from '../keys/allow.ts'
import { findKey, findKeyById } from '../keys/find.ts'
import { KmsError } from '../wire/errors.ts'
import { ALGORITHM, refuseDryRun } from './common.ts'
import type { Call, FoundKey } from './types.ts'

const NO_SUCH_KEY =
  'The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.'
const NOT_THAT_KEY = 'The key ID in the request does not identify a CMK that can perform this operation.'

type Side = 'key' | 'source-key'

/** A ciphertext as the caller brings it. `named`: the key that the caller names. */
export interface Brought {
  /** Undefined where a dry run leaves it out. */
  readonly blob: Buffer | undefined
  readonly named: string | undefined
  readonly algorithm: string
}

interface Input {
  readonly CiphertextBlob?: Buffer
  readonly DryRun?: boolean
  readonly DryRunModifiers?: readonly string[]
}

/** The ciphertext; a dry run may leave it out where it says so and names the key (IGNORE_CIPHERTEXT). */
export function blobOf(input: Input, named: string | undefined): Buffer | undefined {
  const ignored = input.DryRunModifiers?.includes('IGNORE_CIPHERTEXT') ?? false
  if (ignored && input.DryRun !== true)
    throw new KmsError('ValidationException', 'DryRunModifiers can be given with DryRun only')
  if (ignored && named === undefined)
    throw new KmsError('ValidationException', 'IGNORE_CIPHERTEXT needs the key to be named')
  return ignored ? undefined : given(input.CiphertextBlob)
}

function given(blob: Buffer | undefined): Buffer {
  if (blob !== undefined) return blob
  throw new KmsError(
    'ValidationException',
    "1 validation error detected: Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be null",
  )
}

/**
 * The ciphertext, which is opened in a dry run too. A dry run ends here where there is none to open, and where the owner would have to be asked: the
 * owner's protocol has no dry run, so the owner would decrypt in earnest (docs/decisions/0024).
 */
export function toOpen({ blob }: Brought, key: FoundKey, dryRun: boolean | undefined): Buffer {
  if (blob === undefined || key.header.xksKeyId !== '') refuseDryRun(dryRun)
  return given(blob)
}

/** Messages of keys in custom key stores have forms of their own, and no others have them. */
const KINDS: Readonly<Partial<Record<KeyOrigin, ReturnType<typeof blobKind>>>> = {
  EXTERNAL_KEY_STORE: 'envelope',
  AWS_CLOUDHSM: 'token-message',
}

export function checkKind(blob: Buffer, key: FoundKey): void {
  if (blobKind(blob) !== (KINDS[key.header.origin] ?? 'message')) throw new KmsError('InvalidCiphertextException')
}

/** The id of the key that a blob names. */
function keyIdOfBlob(blob: Buffer): string {
  const kind = blobKind(blob)
  if (kind === undefined) throw new KmsError('InvalidCiphertextException')
  return (kind === 'envelope' ? parseEnvelope(blob) : parseMessageHeader(blob)).keyId
}

/** `member`: the one that names a key, for the message where an asymmetric key is not named. */
export async function keyOfCiphertext(call: Call, brought: Brought, on: Side, member: string): Promise<FoundKey> {
  const { named } = brought
  if (isSelfNaming(brought)) return keyOfBlob(call, brought.blob, named, on)
  if (named === undefined) throw new KmsError('ValidationException', `${member} must not be null`)
  return findKey(call, named, { aliases: true, on })
}

const isSelfNaming = (brought: Brought): brought is Brought & { readonly blob: Buffer } =>
  brought.algorithm === ALGORITHM && brought.blob !== undefined

/** The key of a blob. A caller who also names one must name that one; its bare id is enough, also for a key of another account. */
async function keyOfBlob(call: Call, blob: Buffer, named: string | undefined, on: Side): Promise<FoundKey> {
  const keyId = keyIdOfBlob(blob)
  let key: FoundKey | undefined
  if (named === undefined || named === keyId) key = await findKeyById(call, keyId)
  else {
    key = await findKey(call, named, { aliases: true, on })
    if (key.keyId !== keyId) {
      // Who may not use the named key does not learn that it exists.
      authorizeKey(call, key, { encryptionAlgorithm: ALGORITHM }, on)
      throw new KmsError('IncorrectKeyException', NOT_THAT_KEY)
    }
  }
  if (key === undefined) throw new KmsError('AccessDeniedException', NO_SUCH_KEY)
  call.keyId = key.rowId
  return key
}

/** To a caller who did not name the key and its account, a forbidden one is no different from one that does not exist (aws-kms.md §7). */
export function allowedOrHidden(
  call: Call,
  key: FoundKey,
  brought: Brought,
  on: Side,
  facts: Partial<RequestFacts>,
): void {
  const { named } = brought
  try {
    authorizeKey(call, key, facts, on)
  } catch (error) {
    const seen =
      !isSelfNaming(brought) ||
      (named !== undefined && (named.startsWith('arn:') || key.account === call.caller.account))
    if (!seen && error instanceof KmsError && error.code === 'AccessDeniedException')
      throw new KmsError('AccessDeniedException', NO_SUCH_KEY)
    throw error
  }
}
