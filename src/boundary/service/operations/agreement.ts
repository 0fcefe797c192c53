/** DeriveSharedSecret (aws-kms.md §3.3). */
import { hash } from 'node:crypto'
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import { agreeNow, agreeSlowly, peerKey } from '../../crypto/agreement.ts'
import type { Call, Core } from '../core.ts'
import { working } from '../slow.ts'
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
    if (key.spec === 'ECC_NIST_P256') return answer(agreeNow(privateKey, peer))
    return working.run(() => agreeSlowly(privateKey, peer)).then(answer)
  })
}
