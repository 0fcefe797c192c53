/** GenerateDataKeyPair (aws-kms.md §3.5): a key pair for use elsewhere, whose private half is encrypted as a message. */
import { SPECS } from '../../algorithms.ts'
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import { encodeContext } from '../../crypto/context.ts'
import { makePair } from '../../crypto/pairs.ts'
import { BoundaryError } from '../../words.ts'
import type { Call, Core } from '../core.ts'
import { making } from '../slow.ts'
import { mayStillUse } from './may-use.ts'
import { answerFor } from './recipient.ts'
import { useKey } from './use.ts'
import { forMessages, seal } from './uses.ts'

export function generateDataKeyPair(
  core: Core,
  input: InputOf<'generateDataKeyPair'>,
  call: Call,
): Promise<OutputOf<'generateDataKeyPair'>> {
  return useKey(core, { ...input, operation: 'generateDataKeyPair', call }, async (key, fields) => {
    const context = encodeContext(input.context)
    fields.context = context
    fields.algorithm = input.spec
    forMessages(core, key)
    if (!key.mayEncrypt) throw new BoundaryError('InvalidKeyUsage')
    const { material, pair: isPair } = SPECS[input.spec]
    if (!isPair || material.kind === 'secret') throw new BoundaryError('InvalidRequest', 'no spec of a key pair')
    const pair = await making.run(() => makePair(material))
    mayStillUse(core, key)
    fields.size = pair.privateKey.length
    const sealed = seal(key, pair.privateKey, context)
    fields.materialId = sealed.materialId
    if (!input.wantPlaintext) pair.privateKey.fill(0)
    return {
      ...sealed,
      publicKey: pair.publicKey,
      plaintext: input.wantPlaintext ? answerFor(input.recipient, pair.privateKey, fields) : undefined,
    }
  })
}
