/** What leaves a use that hands out plaintext: the plaintext, or the same encrypted for the recipient that the request names. */
import { encryptForRecipient, recipientDigestOf } from '../../crypto/cms.ts'
import type { Gathered } from '../core.ts'

/**
 * With a recipient, its digest goes into the record and `plaintext` is wiped. Throws InvalidPublicKey where the key is none that can be used.
 */
export function forRecipient(fields: Gathered, recipient: Buffer | undefined, plaintext: Buffer): Buffer {
  if (recipient === undefined) return plaintext
  try {
    const sealed = encryptForRecipient(recipient, plaintext)
    fields.recipientDigest = recipientDigestOf(recipient)
    return sealed
  } finally {
    plaintext.fill(0)
  }
}
