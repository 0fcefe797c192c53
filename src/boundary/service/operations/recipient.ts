/** Answers that only a recipient can open. */
import type { Recipient } from '../../client/api.ts'
import { BoundaryError } from '../../words.ts'
import type { Gathered } from '../core.ts'

/** What the answer holds in place of `plaintext`: the plaintext itself where there is no recipient. */
export function answerFor(recipient: Recipient, plaintext: Buffer, _fields: Gathered): Buffer {
  if (recipient === undefined) return plaintext
  plaintext.fill(0)
  throw new BoundaryError('NotPermitted', 'recipients')
}
