/** Wrapping of sealing roots under a 32-byte key held in memory: what a key file and a passphrase have in common. See docs/formats/root.md, "Wrapped roots". */
import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto'
import { publicSource, type RandomOption } from '../crypto/random.ts'
import { RootError, type RootErrorCode, Secret } from './types.ts'

const AAD = Buffer.from('holdfast wrapped root 1')
const IV_BYTES = 12
const TAG_BYTES = 16

/** IV 12 ‖ AES-256-GCM ciphertext ‖ tag 16. */
export function wrapWith(key: KeyObject, secret: Secret, options?: RandomOption): Buffer {
  const iv = Buffer.allocUnsafe(IV_BYTES)
  publicSource(options)(iv, 0, IV_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES })
  cipher.setAAD(AAD)
  const ciphertext = secret.use(bytes => cipher.update(bytes))
  cipher.final()
  return Buffer.concat([iv, ciphertext, cipher.getAuthTag()])
}

/** Throws `RootError` with the given code and message where the bytes were not wrapped under this key. */
export function unwrapWith(key: KeyObject, wrapped: Buffer, code: RootErrorCode, message: string): Secret {
  if (wrapped.length < IV_BYTES + TAG_BYTES) throw new RootError('Damaged', 'a wrapped root is cut short')
  const decipher = createDecipheriv('aes-256-gcm', key, wrapped.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES })
  decipher.setAAD(AAD)
  decipher.setAuthTag(wrapped.subarray(wrapped.length - TAG_BYTES))
  const bytes = decipher.update(wrapped.subarray(IV_BYTES, wrapped.length - TAG_BYTES))
  try {
    decipher.final()
  } catch {
    bytes.fill(0)
    throw new RootError(code, message)
  }
  return new Secret(bytes)
}
