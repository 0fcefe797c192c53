/**
 * Uses of the KMS's symmetric keys: encrypt, decrypt, data keys, random bytes. Each is synchronous cryptography, then the record, then the answer.
 */
import type { EncryptResult } from '../../client/api.ts'
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import { encodeContext } from '../../crypto/context.ts'
import { decryptMessage, encryptMessage, type MessageKey, parseMessageHeader } from '../../crypto/message.ts'
import { secretBytes } from '../../crypto/random.ts'
import { BoundaryError } from '../../words.ts'
import { allowed, baseFields, type Call, type Core, type Gathered, refuse, spaceForUses } from '../core.ts'
import { bareKeyId, type OpenKey } from '../keys/open-keys.ts'
import { openInCluster, sealInCluster } from './cluster.ts'
import { mayUse } from './may-use.ts'
import { answerFor } from './recipient.ts'

type UseInput = Pick<InputOf<'encrypt'>, 'key' | 'asserted'>

/** Throws what is against any use of a key for messages. */
export function forMessages(core: Core, key: OpenKey): void {
  mayUse(core, key)
  if (key.spec !== 'SYMMETRIC_DEFAULT') throw new BoundaryError('InvalidKeyUsage')
}

/** Encrypts under the current material. */
export function seal(key: OpenKey, plaintext: Buffer, context: Buffer): EncryptResult {
  if (!key.mayEncrypt) throw new BoundaryError('InvalidKeyUsage')
  const messageKey = key.messageKey(key.current)
  if (messageKey === undefined) throw new BoundaryError('KeyPendingImport')
  return { ciphertext: encryptMessage(messageKey, plaintext, context), materialId: messageKey.materialId }
}

/** The material that a message names, which must be of this key. */
export function materialOf(key: OpenKey, message: Buffer): MessageKey {
  if (!key.mayDecrypt) throw new BoundaryError('InvalidKeyUsage')
  const head = parseMessageHeader(message)
  const messageKey = head.keyId === bareKeyId(key.id) ? key.messageKey(key.material(head.materialId)) : undefined
  if (messageKey === undefined) throw new BoundaryError('InvalidCiphertext')
  return messageKey
}

/** Opens a message of this key. */
export function open(key: OpenKey, message: Buffer, context: Buffer): { plaintext: Buffer; materialId: string } {
  const messageKey = materialOf(key, message)
  return { plaintext: decryptMessage(messageKey, message, context), materialId: messageKey.materialId }
}

function usesOf(
  core: Core,
  operation: 'encrypt' | 'decrypt' | 'generateDataKey',
  call: Call,
  input: UseInput,
): Gathered {
  const fields = baseFields(core, operation, call, input.asserted)
  fields.keyId = input.key.id
  return fields
}

export async function encrypt(core: Core, input: InputOf<'encrypt'>, call: Call): Promise<OutputOf<'encrypt'>> {
  spaceForUses(core)
  const fields = usesOf(core, 'encrypt', call, input)
  let result: EncryptResult
  try {
    const key = core.open.open(input.key)
    const context = encodeContext(input.context)
    fields.keyRevision = key.revision
    fields.context = context
    fields.size = input.plaintext.length
    forMessages(core, key)
    result =
      key.cluster === ''
        ? seal(key, input.plaintext, context)
        : await sealInCluster(core, key, input.plaintext, context)
    input.plaintext.fill(0)
  } catch (error) {
    return refuse(core, fields, error)
  }
  fields.materialId = result.materialId
  await allowed(core, fields)
  return result
}

export async function decrypt(core: Core, input: InputOf<'decrypt'>, call: Call): Promise<OutputOf<'decrypt'>> {
  spaceForUses(core)
  const fields = usesOf(core, 'decrypt', call, input)
  let result: OutputOf<'decrypt'>
  try {
    const key = core.open.open(input.key)
    const context = encodeContext(input.context)
    fields.keyRevision = key.revision
    fields.context = context
    forMessages(core, key)
    const { plaintext, materialId } =
      key.cluster === '' ? open(key, input.message, context) : await openInCluster(core, key, input.message, context)
    fields.size = plaintext.length
    fields.materialId = materialId
    const answer = answerFor(input.recipient, plaintext, fields)
    if (input.dryRun) {
      answer.fill(0)
      throw new BoundaryError('DryRun')
    }
    result = { plaintext: answer, materialId }
  } catch (error) {
    return refuse(core, fields, error)
  }
  await allowed(core, fields)
  return result
}

const MAX_RANDOM = 1024
const countOf = (bytes: number): number => {
  if (bytes < 1 || bytes > MAX_RANDOM) throw new BoundaryError('InvalidRequest', `${bytes} random bytes`)
  return bytes
}

export async function generateDataKey(
  core: Core,
  input: InputOf<'generateDataKey'>,
  call: Call,
): Promise<OutputOf<'generateDataKey'>> {
  spaceForUses(core)
  const fields = usesOf(core, 'generateDataKey', call, input)
  fields.size = input.bytes
  let result: OutputOf<'generateDataKey'>
  try {
    const key = core.open.open(input.key)
    const context = encodeContext(input.context)
    fields.keyRevision = key.revision
    fields.context = context
    forMessages(core, key)
    const plaintext = secretBytes(countOf(input.bytes))
    const sealed =
      key.cluster === '' ? seal(key, plaintext, context) : await sealInCluster(core, key, plaintext, context)
    if (!input.wantPlaintext) plaintext.fill(0)
    result = { ...sealed, plaintext: input.wantPlaintext ? answerFor(input.recipient, plaintext, fields) : undefined }
  } catch (error) {
    return refuse(core, fields, error)
  }
  fields.materialId = result.materialId
  await allowed(core, fields)
  return result
}

export async function generateRandom(core: Core, input: InputOf<'generateRandom'>, call: Call): Promise<Buffer> {
  spaceForUses(core)
  const fields = baseFields(core, 'generateRandom', call, input.asserted)
  fields.size = input.bytes
  let random: Buffer
  try {
    random = answerFor(input.recipient, secretBytes(countOf(input.bytes)), fields)
  } catch (error) {
    return refuse(core, fields, error)
  }
  await allowed(core, fields)
  return random
}
