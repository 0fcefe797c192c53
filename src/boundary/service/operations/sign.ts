/** Sign and Verify (aws-kms.md §3.3). */
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import {
  checkMessage,
  signNow,
  signSlowly,
  signsFast,
  verifiesFast,
  verifyNow,
  verifySlowly,
} from '../../crypto/signing.ts'
import { BoundaryError } from '../../words.ts'
import type { Call, Core } from '../core.ts'
import { working } from '../slow.ts'
import { checkUsage, useKey } from './use.ts'

export function sign(core: Core, input: InputOf<'sign'>, call: Call): Promise<OutputOf<'sign'>> {
  const { algorithm, messageType, message } = input
  return useKey(core, { ...input, operation: 'sign', call }, (key, fields) => {
    checkUsage(key, 'SIGN_VERIFY', algorithm, fields)
    checkMessage(algorithm, messageType, message)
    fields.size = message.length
    const pair = key.pair()
    if (signsFast(key.spec)) return { signature: signNow(pair, algorithm, messageType, message) }
    return working.run(() => signSlowly(pair, algorithm, messageType, message)).then(signature => ({ signature }))
  })
}

export async function verify(core: Core, input: InputOf<'verify'>, call: Call): Promise<void> {
  const { algorithm, messageType, message, signature } = input
  const judge = (valid: boolean): void => {
    if (!valid) throw new BoundaryError('InvalidSignature')
  }
  await useKey(core, { ...input, operation: 'verify', call }, (key, fields) => {
    checkUsage(key, 'SIGN_VERIFY', algorithm, fields)
    checkMessage(algorithm, messageType, message)
    fields.size = message.length
    const pair = key.pair()
    if (verifiesFast(key.spec)) return judge(verifyNow(pair, algorithm, messageType, message, signature))
    return working.run(() => verifySlowly(pair, algorithm, messageType, message, signature)).then(judge)
  })
}
