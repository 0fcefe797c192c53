/** Sign and Verify (aws-kms.md §3.3). */
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import * as signing from '../../crypto/signing.ts'
import { BoundaryError } from '../../words.ts'
import type { Call, Core } from '../core.ts'
import { threads } from '../threads/threads.ts'
import { checkUsage, useKey } from './use.ts'

export function sign(core: Core, input: InputOf<'sign'>, call: Call): Promise<OutputOf<'sign'>> {
  const { algorithm, messageType, message } = input
  return useKey(core, { ...input, operation: 'sign', call }, (key, fields) => {
    checkUsage(key, 'SIGN_VERIFY', algorithm, fields)
    signing.checkMessage(algorithm, messageType, message)
    fields.size = message.length
    const pair = key.pair()
    if (signing.signsFast(key.spec)) return { signature: signing.sign(pair, algorithm, messageType, message) }
    return threads.sign(pair, algorithm, messageType, message).then(signature => ({ signature }))
  })
}

export async function verify(core: Core, input: InputOf<'verify'>, call: Call): Promise<void> {
  const { algorithm, messageType, message, signature } = input
  const judge = (valid: boolean): void => {
    if (!valid) throw new BoundaryError('InvalidSignature')
  }
  await useKey(core, { ...input, operation: 'verify', call }, (key, fields) => {
    checkUsage(key, 'SIGN_VERIFY', algorithm, fields)
    signing.checkMessage(algorithm, messageType, message)
    fields.size = message.length
    const pair = key.pair()
    if (signing.verifiesFast(key.spec)) return judge(signing.verify(pair, algorithm, messageType, message, signature))
    return threads.verify(pair, algorithm, messageType, message, signature).then(judge)
  })
}
