/**
 * Uses of the KMS's keys: encrypt, decrypt, re-encrypt, data keys, random bytes. Each is synchronous cryptography, then the record, then the answer.
 */
import type { EncryptResult } from '../../client/api.ts'
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import { encodeContext } from '../../crypto/context.ts'
import { decryptMessage, encryptMessage, type MessageKey, parseMessageHeader } from '../../crypto/message.ts'
import { secretBytes } from '../../crypto/random.ts'
import type { RecordFields } from '../../record.ts'
import { BoundaryError } from '../../words.ts'
import { baseFields, type Call, type Core, refuse, spaceForUses } from '../core.ts'
import { bareKeyId, type OpenKey } from '../keys/open-keys.ts'
import { USE_STATES } from '../keys/states.ts'

/** Throws what the key's state, dates and the kill switches say against any use of it. */
export function mayUse(core: Core, key: OpenKey): void {
  const { header } = key
  const refusal = USE_STATES[header.state]
  if (refusal !== undefined) throw new BoundaryError(refusal)
  if (core.switches.stops(header.account)) throw new BoundaryError('KeyRevoked')
  if (key.expiresAt !== 0 && key.expiresAt <= core.clocks.lifecycle()) throw new BoundaryError('KeyPendingImport')
}

function forMessages(core: Core, key: OpenKey): void {
  mayUse(core, key)
  if (key.header.spec !== 'SYMMETRIC_DEFAULT' || key.header.usage !== 'ENCRYPT_DECRYPT') {
    throw new BoundaryError('InvalidKeyUsage')
  }
}

/** Encrypts under the current material. */
function seal(key: OpenKey, plaintext: Buffer, context: Buffer): EncryptResult {
  if (!key.header.mayEncrypt) throw new BoundaryError('InvalidKeyUsage')
  const materialId = key.current?.id ?? ''
  const messageKey = key.messageKey(materialId)
  if (messageKey === undefined) throw new BoundaryError('KeyPendingImport')
  return { ciphertext: encryptMessage(messageKey, plaintext, context), materialId }
}

/** The material that a message names, which must be of this key. */
function materialOf(key: OpenKey, message: Buffer): MessageKey {
  if (!key.header.mayDecrypt) throw new BoundaryError('InvalidKeyUsage')
  const head = parseMessageHeader(message)
  const messageKey = head.keyId === bareKeyId(key.id) ? key.messageKey(head.materialId) : undefined
  if (messageKey === undefined) throw new BoundaryError('InvalidCiphertext')
  return messageKey
}

const ofKey = (key: OpenKey): RecordFields => ({ keyId: key.id, keyRevision: key.revision })

export async function encrypt(core: Core, input: InputOf<'encrypt'>, call: Call): Promise<OutputOf<'encrypt'>> {
  spaceForUses(core)
  let fields: RecordFields = { ...baseFields(core, 'encrypt', call, input.asserted), keyId: input.key.id }
  let result: EncryptResult
  try {
    const key = core.open.open(input.key)
    const context = encodeContext(input.context)
    fields = { ...fields, ...ofKey(key), context, size: input.plaintext.length }
    forMessages(core, key)
    result = seal(key, input.plaintext, context)
  } catch (error) {
    return refuse(core, fields, error)
  }
  await core.book.record({ ...fields, outcome: 'allowed', materialId: result.materialId })
  return result
}

export async function decrypt(core: Core, input: InputOf<'decrypt'>, call: Call): Promise<OutputOf<'decrypt'>> {
  spaceForUses(core)
  let fields: RecordFields = { ...baseFields(core, 'decrypt', call, input.asserted), keyId: input.key.id }
  let result: OutputOf<'decrypt'>
  try {
    const key = core.open.open(input.key)
    const context = encodeContext(input.context)
    fields = { ...fields, ...ofKey(key), context }
    forMessages(core, key)
    const messageKey = materialOf(key, input.message)
    result = { plaintext: decryptMessage(messageKey, input.message, context), materialId: messageKey.materialId }
  } catch (error) {
    return refuse(core, fields, error)
  }
  await core.book.record({
    ...fields,
    outcome: 'allowed',
    materialId: result.materialId,
    size: result.plaintext.length,
  })
  return result
}

export async function reEncrypt(core: Core, input: InputOf<'reEncrypt'>, call: Call): Promise<OutputOf<'reEncrypt'>> {
  spaceForUses(core)
  let fields: RecordFields = {
    ...baseFields(core, 'reEncrypt', call, input.asserted),
    keyId: input.source.id,
    destinationKeyId: input.destination.id,
  }
  let result: OutputOf<'reEncrypt'>
  try {
    const source = core.open.open(input.source)
    const destination = core.open.open(input.destination)
    const context = encodeContext(input.sourceContext)
    const destinationContext = encodeContext(input.destinationContext)
    fields = {
      ...fields,
      ...ofKey(source),
      context,
      destinationKeyRevision: destination.revision,
      destinationContext,
    }
    forMessages(core, source)
    forMessages(core, destination)
    const messageKey = materialOf(source, input.message)
    const plaintext = decryptMessage(messageKey, input.message, context)
    try {
      const sealed = seal(destination, plaintext, destinationContext)
      fields = { ...fields, size: plaintext.length, destinationMaterialId: sealed.materialId }
      result = { ...sealed, sourceMaterialId: messageKey.materialId }
    } finally {
      plaintext.fill(0)
    }
  } catch (error) {
    return refuse(core, fields, error)
  }
  await core.book.record({ ...fields, outcome: 'allowed', materialId: result.sourceMaterialId })
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
  let fields: RecordFields = {
    ...baseFields(core, 'generateDataKey', call, input.asserted),
    keyId: input.key.id,
    size: input.bytes,
  }
  let result: OutputOf<'generateDataKey'>
  try {
    const key = core.open.open(input.key)
    const context = encodeContext(input.context)
    fields = { ...fields, ...ofKey(key), context }
    forMessages(core, key)
    const plaintext = secretBytes(countOf(input.bytes))
    const sealed = seal(key, plaintext, context)
    if (!input.wantPlaintext) plaintext.fill(0)
    result = { ...sealed, plaintext: input.wantPlaintext ? plaintext : undefined }
  } catch (error) {
    return refuse(core, fields, error)
  }
  await core.book.record({ ...fields, outcome: 'allowed', materialId: result.materialId })
  return result
}

export async function generateRandom(core: Core, input: InputOf<'generateRandom'>, call: Call): Promise<Buffer> {
  spaceForUses(core)
  const fields: RecordFields = { ...baseFields(core, 'generateRandom', call, input.asserted), size: input.bytes }
  let random: Buffer
  try {
    random = secretBytes(countOf(input.bytes))
  } catch (error) {
    return refuse(core, fields, error)
  }
  await core.book.record({ ...fields, outcome: 'allowed' })
  return random
}
