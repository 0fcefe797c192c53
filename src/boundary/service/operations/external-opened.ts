/**
 * What an owner's external key has encrypted, opened for one operation and never handed out: a data key that only its digest leaves of, a private key that
 * signs or decrypts once.
 */
import { createHash, createHmac } from 'node:crypto'
import type { InputOf } from '../../client/protocol/operations.ts'
import { usePrivateKey } from '../../crypto/private-key.ts'
import { BoundaryError } from '../../words.ts'
import type { Call, Core, Gathered } from '../core.ts'
import type { OpenKey } from '../keys/open-keys.ts'
import { threads } from '../threads/threads.ts'
import { openExternal, type Sealed } from './external-decrypt.ts'
import { useKey } from './use.ts'

/** The bytes are the caller's to wipe. */
async function open(core: Core, key: OpenKey, { ciphertext, aad }: Sealed, fields: Gathered): Promise<Buffer> {
  if (core.service !== 'ekm' || key.spec !== 'EXTERNAL_AES_256' || !key.mayDecrypt)
    throw new BoundaryError('InvalidKeyUsage')
  fields.aadDigest = createHash('sha256').update(aad).digest()
  return openExternal(core, key, { ciphertext, aad }, fields)
}

export function externalDigest(core: Core, input: InputOf<'externalDigest'>, call: Call): Promise<Buffer> {
  return useKey(core, { ...input, operation: 'externalDigest', call }, async (key, fields) => {
    const secret = await open(core, key, input, fields)
    try {
      return createHmac('sha256', secret).update(input.message).digest()
    } finally {
      secret.fill(0)
    }
  })
}

export function externalPrivateKey(core: Core, input: InputOf<'externalPrivateKey'>, call: Call): Promise<Buffer> {
  return useKey(core, { ...input, operation: 'externalPrivateKey', call }, async (key, fields) => {
    const { spki, algorithm, message, label } = input
    fields.algorithm = algorithm
    const secret = await open(core, key, input, fields)
    try {
      const made = await usePrivateKey(secret, spki, algorithm, message, label, threads)
      fields.size = made.length
      return made
    } finally {
      secret.fill(0)
    }
  })
}
