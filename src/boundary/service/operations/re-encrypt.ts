/** ReEncrypt (aws-kms.md §3.2): one operation over two keys, symmetric or RSA each. The plaintext never leaves. */
import type { EncryptResult } from '../../client/api.ts'
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import type { SentSide } from '../../client/protocol/shapes.ts'
import { encodeContext } from '../../crypto/context.ts'
import { BoundaryError } from '../../words.ts'
import { allowed, baseFields, type Call, type Core, type Gathered, refuse, spaceForUses } from '../core.ts'
import type { OpenKey } from '../keys/open-keys.ts'
import { decryptWith, encryptTo } from './asymmetric.ts'
import { openInCluster, sealInCluster } from './cluster.ts'
import { mayStillUse, mayUse } from './may-use.ts'
import { checkUsage } from './use.ts'
import { forMessages, open, seal } from './uses.ts'

const isMessage = (side: SentSide): boolean => side.algorithm === 'SYMMETRIC_DEFAULT'

/** Throws what is against the use of a side's key. The context's bytes, or undefined for a key that has none. */
function check(core: Core, key: OpenKey, side: SentSide): Buffer | undefined {
  if (isMessage(side)) {
    forMessages(core, key)
    return encodeContext(side.context)
  }
  mayUse(core, key)
  checkUsage(key, 'ENCRYPT_DECRYPT', side.algorithm, {})
  if (side.context.length > 0) throw new BoundaryError('InvalidRequest', 'an encryption context with an RSA key')
  return undefined
}

/** The plaintext, to be wiped, and the material of a symmetric key. */
async function opened(
  core: Core,
  key: OpenKey,
  { algorithm }: SentSide,
  { message, context }: { message: Buffer; context: Buffer | undefined },
): Promise<{ plaintext: Buffer; materialId: string }> {
  if (context === undefined) {
    const plaintext = await decryptWith(key, algorithm, message)
    mayStillUse(core, key)
    return { plaintext, materialId: '' }
  }
  return key.cluster === '' ? open(key, message, context) : openInCluster(core, key, message, context)
}

async function sealed(
  core: Core,
  key: OpenKey,
  { algorithm }: SentSide,
  plaintext: Buffer,
  context: Buffer | undefined,
): Promise<EncryptResult> {
  if (context !== undefined)
    return key.cluster === '' ? seal(key, plaintext, context) : sealInCluster(core, key, plaintext, context)
  return { ciphertext: encryptTo(key, algorithm, plaintext), materialId: '' }
}

export async function reEncrypt(core: Core, input: InputOf<'reEncrypt'>, call: Call): Promise<OutputOf<'reEncrypt'>> {
  spaceForUses(core)
  const fields: Gathered = baseFields(core, 'reEncrypt', call, input.asserted)
  fields.keyId = input.source.key.id
  fields.destinationKeyId = input.destination.key.id
  let result: OutputOf<'reEncrypt'>
  try {
    const source = core.open.open(input.source.key)
    const destination = core.open.open(input.destination.key)
    fields.keyRevision = source.revision
    fields.destinationKeyRevision = destination.revision
    if (!(isMessage(input.source) && isMessage(input.destination))) {
      fields.algorithm = `${input.source.algorithm}>${input.destination.algorithm}`
    }
    const context = check(core, source, input.source)
    const destinationContext = check(core, destination, input.destination)
    if (context !== undefined) fields.context = context
    if (destinationContext !== undefined) fields.destinationContext = destinationContext
    const { plaintext, materialId } = await opened(core, source, input.source, { message: input.message, context })
    try {
      mayStillUse(core, destination)
      fields.size = plaintext.length
      result = {
        ...(await sealed(core, destination, input.destination, plaintext, destinationContext)),
        sourceMaterialId: materialId,
      }
    } finally {
      plaintext.fill(0)
    }
    fields.materialId = result.sourceMaterialId
    fields.destinationMaterialId = result.materialId
    // What was made for the destination stays here: that it could be made is all that is told.
    if (input.dryRun) throw new BoundaryError('DryRun')
  } catch (error) {
    return refuse(core, fields, error)
  }
  await allowed(core, fields)
  return result
}
