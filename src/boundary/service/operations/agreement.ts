/** DeriveSharedSecret (aws-kms.md §3.3). */
import { hash } from 'node:crypto'
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import { agree, peerKey } from '../../crypto/agreement.ts'
import type { Call, Core } from '../core.ts'
import { threads } from '../threads/threads.ts'
import { answerFor } from './recipient.ts'
import { checkUsage, useKey } from './use.ts'

export function deriveSharedSecret(
  core: Core,
  input: InputOf<'deriveSharedSecret'>,
  call: Call,
): Promise<OutputOf<'deriveSharedSecret'>> {
  return useKey(core, { ...input, operation: 'deriveSharedSecret', call }, (key, fields) => {
    fields.peerKeyDigest = hash('sha256', input.publicKey, 'buffer')
    checkUsage(key, 'KEY_AGREEMENT', 'ECDH', fields)
    const { privateKey } = key.pair()
    const peer = peerKey(privateKey, input.publicKey)
    const answer = (secret: Buffer) => ({ sharedSecret: answerFor(input.recipient, secret, fields) })
    if (key.spec === 'ECC_NIST_P256') return answer(agree(privateKey, peer))
    return threads.agree(privateKey, peer).then(answer)
  })
}
