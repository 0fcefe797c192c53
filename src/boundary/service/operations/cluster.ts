/** Keys of custom key stores of type AWS_CLOUDHSM: made and used in the store's token, and destroyed there. */
import type { EncryptResult } from '../../client/api.ts'
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import { parseMessageHeader } from '../../crypto/message.ts'
import { secretBytes } from '../../crypto/random.ts'
import {
  decryptTokenMessage,
  encryptTokenMessage,
  type TokenCipher,
  type TokenMaterial,
  tokenMaterialId,
} from '../../crypto/token-message.ts'
import { type ObjectRef, type Token, TokenError } from '../../pkcs11/types.ts'
import { BoundaryError, type KeyHeader, type MaterialInfo } from '../../words.ts'
import { problemOf } from '../clusters.ts'
import { allowed, baseFields, type Call, type Core, refuse, spaceForUses } from '../core.ts'
import { counterId } from '../keys/counters.ts'
import { bareKeyId, type OpenKey, type OpenMaterial } from '../keys/open-keys.ts'
import { newMaterial } from './material-info.ts'
import { mayStillUse } from './may-use.ts'
import { answerFor } from './recipient.ts'
import { inOurWords } from './token.ts'

/** Keys of a cluster have one version. */
const VERSION = '1'
export const clusterCounter = (keyId: string): string => counterId(keyId, Number(VERSION))

async function tokenOf(core: Core, store: string): Promise<Token> {
  try {
    return await core.clusters.token(store)
  } catch (error) {
    throw inOurWords(error)
  }
}

/** A key in the store's token that never leaves it. */
export async function makeClusterKey(core: Core, id: string, store: string): Promise<MaterialInfo> {
  const token = await tokenOf(core, store)
  try {
    const made = await token.generateKey(id, secretBytes(16), { encrypt: true, decrypt: true })
    const object = `id:${made.id}`
    return { ...newMaterial(tokenMaterialId(bareKeyId(id), object), core.clocks.lifecycle()), description: object }
  } catch (error) {
    throw inOurWords(error)
  }
}

/** Destroys the object of a key that is gone. What cannot be destroyed now stays in the token, useless without its key. */
export async function destroyClusterKey(core: Core, header: KeyHeader): Promise<void> {
  for (const { description } of header.materials) {
    try {
      await (await core.clusters.token(header.keyStoreId)).destroyKey(description as ObjectRef)
    } catch (error) {
      if (!(error instanceof TokenError)) throw error
    }
  }
}

function cipherOf(token: Token, { place }: OpenMaterial): TokenCipher {
  if (place === undefined) throw new BoundaryError('Internal')
  return {
    encrypt: (iv, aad, plaintext) => token.gcmEncrypt(place.object, iv, aad, plaintext),
    decrypt: (iv, aad, ciphertext, tag) => token.gcmDecrypt(place.object, iv, aad, ciphertext, tag),
  }
}

const materialOf = (key: OpenKey, id: string): TokenMaterial => ({
  account: key.account,
  keyId: bareKeyId(key.id),
  materialId: id,
})

export async function sealInCluster(
  core: Core,
  key: OpenKey,
  plaintext: Buffer,
  context: Buffer,
): Promise<EncryptResult> {
  const { current } = key
  if (current === undefined) throw new BoundaryError('Internal')
  if (!(await core.counters.take(clusterCounter(key.id)))) throw new BoundaryError('LimitExceeded', 'make a new key')
  const token = await tokenOf(core, key.cluster)
  try {
    const material = materialOf(key, current.id)
    const ciphertext = await encryptTokenMessage(cipherOf(token, current), material, plaintext, context)
    mayStillUse(core, key)
    return { ciphertext, materialId: current.id }
  } catch (error) {
    throw inOurWords(error)
  }
}

export async function openInCluster(
  core: Core,
  key: OpenKey,
  message: Buffer,
  context: Buffer,
): Promise<{ plaintext: Buffer; materialId: string }> {
  const head = parseMessageHeader(message)
  const material = head.keyId === bareKeyId(key.id) ? key.material(head.materialId) : undefined
  if (material === undefined) throw new BoundaryError('InvalidCiphertext')
  const token = await tokenOf(core, key.cluster)
  try {
    const cipher = cipherOf(token, material)
    const plaintext = await decryptTokenMessage(cipher, materialOf(key, material.id), message, context)
    mayStillUse(core, key)
    return { plaintext, materialId: material.id }
  } catch (error) {
    throw inOurWords(error)
  }
}

/** Opens a store's token. The answer is empty, or why it does not open (ConnectionErrorCode). */
export async function connectCluster(
  core: Core,
  { store }: InputOf<'connectCluster'>,
): Promise<OutputOf<'connectCluster'>> {
  try {
    await core.clusters.token(store)
    return ''
  } catch (error) {
    return problemOf(error)
  }
}

export function disconnectCluster(core: Core, { store }: InputOf<'disconnectCluster'>): Promise<void> {
  return core.clusters.disconnect(store)
}

/** Random bytes of a store's token. */
export async function clusterRandom(core: Core, input: InputOf<'clusterRandom'>, call: Call): Promise<Buffer> {
  spaceForUses(core)
  const fields = baseFields(core, 'generateRandom', call, input.asserted)
  fields.size = input.bytes
  let random: Buffer
  try {
    const made = await (await tokenOf(core, input.store)).random(input.bytes)
    random = answerFor(input.recipient, made, fields)
  } catch (error) {
    return refuse(core, fields, inOurWords(error))
  }
  await allowed(core, fields)
  return random
}
