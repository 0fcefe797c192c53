/** Answers that only a recipient can open. */
import type { Recipient } from '../../client/api.ts'
import { encryptForRecipient, recipientDigestOf } from '../../crypto/cms.ts'
import type { Gathered } from '../core.ts'

/**
 * What the answer holds in place of `plaintext`: the plaintext itself where there is no recipient. With one, its digest goes into the record, and
 * `plaintext` is wiped whatever happens. Throws InvalidPublicKey where the recipient's key is none that can be used.
 */
export function answerFor(recipient: Recipient, plaintext: Buffer, fields: Gathered): Buffer {
  if (recipient === undefined) return plaintext
  try {
    const answer = encryptForRecipient(recipient, plaintext)
    fields.recipientDigest = recipientDigestOf(recipient)
    return answer
  } finally {
    plaintext.fill(0)
  }
}
