/** GenerateMac and VerifyMac (aws-kms.md §3.3): HMAC, RFC 2104, never cut short. */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { MacAlgorithm } from '../../algorithms.ts'
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import { BoundaryError } from '../../words.ts'
import type { Call, Core, Gathered } from '../core.ts'
import type { OpenKey } from '../keys/open-keys.ts'
import { checkUsage, useKey } from './use.ts'

const MAX_MESSAGE_BYTES = 4096
const HASHES: Readonly<Record<MacAlgorithm, string>> = {
  HMAC_SHA_224: 'sha224',
  HMAC_SHA_256: 'sha256',
  HMAC_SHA_384: 'sha384',
  HMAC_SHA_512: 'sha512',
}

function macOf(key: OpenKey, algorithm: MacAlgorithm, message: Buffer, fields: Gathered): Buffer {
  checkUsage(key, 'GENERATE_VERIFY_MAC', algorithm, fields)
  if (message.length === 0 || message.length > MAX_MESSAGE_BYTES) {
    throw new BoundaryError('InvalidRequest', `a message is 1 to ${MAX_MESSAGE_BYTES} bytes`)
  }
  fields.size = message.length
  return createHmac(HASHES[algorithm], key.secret()).update(message).digest()
}

export function generateMac(core: Core, input: InputOf<'generateMac'>, call: Call): Promise<OutputOf<'generateMac'>> {
  return useKey(core, { ...input, operation: 'generateMac', call }, (key, fields) => ({
    mac: macOf(key, input.algorithm, input.message, fields),
  }))
}

export function verifyMac(core: Core, input: InputOf<'verifyMac'>, call: Call): Promise<void> {
  return useKey(core, { ...input, operation: 'verifyMac', call }, (key, fields) => {
    const mac = macOf(key, input.algorithm, input.message, fields)
    if (mac.length !== input.mac.length || !timingSafeEqual(mac, input.mac)) throw new BoundaryError('InvalidMac')
    if (input.dryRun) throw new BoundaryError('DryRun')
  })
}
