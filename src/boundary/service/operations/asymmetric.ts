/** Encrypt and Decrypt with RSA keys (aws-kms.md §3.2). */
import type { EncryptionAlgorithm } from '../../algorithms.ts'
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import { type OaepHash, oaepEncrypt } from '../../crypto/oaep.ts'
import { BoundaryError } from '../../words.ts'
import type { Call, Core } from '../core.ts'
import type { OpenKey } from '../keys/open-keys.ts'
import { threads } from '../threads/threads.ts'
import { answerFor } from './recipient.ts'
import { checkUsage, useKey } from './use.ts'

const HASHES: Readonly<Record<EncryptionAlgorithm, OaepHash | undefined>> = {
  SYMMETRIC_DEFAULT: undefined,
  RSAES_OAEP_SHA_1: 'sha1',
  RSAES_OAEP_SHA_256: 'sha256',
}

function hashOf(algorithm: EncryptionAlgorithm): OaepHash {
  const hash = HASHES[algorithm]
  if (hash === undefined) throw new BoundaryError('InvalidKeyUsage')
  return hash
}

/** Throws InvalidRequest for a plaintext that the algorithm does not take. */
export function encryptTo(key: OpenKey, algorithm: EncryptionAlgorithm, plaintext: Buffer): Buffer {
  if (plaintext.length === 0) throw new BoundaryError('InvalidRequest', 'a plaintext is at least 1 byte')
  return oaepEncrypt(key.pair().publicKey, hashOf(algorithm), plaintext)
}

/** Throws InvalidCiphertext, always the same. */
export const decryptWith = (key: OpenKey, algorithm: EncryptionAlgorithm, ciphertext: Buffer): Promise<Buffer> =>
  threads.rsaDecrypt(key.pair().privateKey, { kind: 'oaep', hash: hashOf(algorithm) }, ciphertext)

export function asymmetricEncrypt(
  core: Core,
  input: InputOf<'asymmetricEncrypt'>,
  call: Call,
): Promise<OutputOf<'asymmetricEncrypt'>> {
  return useKey(core, { ...input, operation: 'encrypt', call }, (key, fields) => {
    checkUsage(key, 'ENCRYPT_DECRYPT', input.algorithm, fields)
    fields.size = input.plaintext.length
    const ciphertext = encryptTo(key, input.algorithm, input.plaintext)
    input.plaintext.fill(0)
    return { ciphertext }
  })
}

export function asymmetricDecrypt(
  core: Core,
  input: InputOf<'asymmetricDecrypt'>,
  call: Call,
): Promise<OutputOf<'asymmetricDecrypt'>> {
  return useKey(core, { ...input, operation: 'decrypt', call }, async (key, fields) => {
    checkUsage(key, 'ENCRYPT_DECRYPT', input.algorithm, fields)
    const plaintext = await decryptWith(key, input.algorithm, input.ciphertext)
    fields.size = plaintext.length
    const answer = answerFor(input.recipient, plaintext, fields)
    if (input.dryRun) answer.fill(0)
    return { plaintext: answer }
  })
}
