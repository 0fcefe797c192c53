/** GenerateMac and VerifyMac (aws-kms.md §3.3). */
import type { MacAlgorithm } from '../../algorithms.ts'
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import { macOf, sameMac } from '../../crypto/mac.ts'
import { BoundaryError } from '../../words.ts'
import type { Call, Core, Gathered } from '../core.ts'
import type { OpenKey } from '../keys/open-keys.ts'
import { checkUsage, useKey } from './use.ts'

const MAX_MESSAGE_BYTES = 4096

function macWith(key: OpenKey, algorithm: MacAlgorithm, message: Buffer, fields: Gathered): Buffer {
  checkUsage(key, 'GENERATE_VERIFY_MAC', algorithm, fields)
  if (message.length === 0 || message.length > MAX_MESSAGE_BYTES) {
    throw new BoundaryError('InvalidRequest', `a message is 1 to ${MAX_MESSAGE_BYTES} bytes`)
  }
  fields.size = message.length
  return macOf(key.secret(), algorithm, message)
}

export function generateMac(core: Core, input: InputOf<'generateMac'>, call: Call): Promise<OutputOf<'generateMac'>> {
  return useKey(core, { ...input, operation: 'generateMac', call }, (key, fields) => ({
    mac: macWith(key, input.algorithm, input.message, fields),
  }))
}

export function verifyMac(core: Core, input: InputOf<'verifyMac'>, call: Call): Promise<void> {
  return useKey(core, { ...input, operation: 'verifyMac', call }, (key, fields) => {
    if (!sameMac(macWith(key, input.algorithm, input.message, fields), input.mac)) throw new BoundaryError('InvalidMac')
  })
}
