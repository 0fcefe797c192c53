/**
 * One use of one key, in the order that all of them have: open the key, its state, its usage and algorithm, the work, the record, the answer.
 */
import { hasAlgorithm } from '../../algorithms.ts'
import type { KeyRef } from '../../client/protocol/shapes.ts'
import type { BoundaryOperation, EncodedAsserted } from '../../record-fields.ts'
import { BoundaryError, type KeyUsage } from '../../words.ts'
import { allowed, baseFields, type Call, type Core, type Gathered, refuse, spaceForUses } from '../core.ts'
import type { OpenKey } from '../keys/open-keys.ts'
import { mayAsk, mayStillUse, mayUse } from './may-use.ts'

export interface Use {
  readonly operation: BoundaryOperation
  readonly key: KeyRef
  readonly asserted: EncodedAsserted
  readonly call: Call
  /** The answer is DryRun where the use would have succeeded. Its work leaves nothing that would have to be wiped. */
  readonly dryRun?: boolean
}

/**
 * Does `work` with the key open and usable, and answers once the record is durable. Work that takes its time is looked at again when it is done: a key that
 * was changed meanwhile is asked for anew.
 */
export async function useKey<T>(
  core: Core,
  { operation, key: ref, asserted, call, dryRun = false }: Use,
  work: (key: OpenKey, fields: Gathered) => T | Promise<T>,
): Promise<T> {
  spaceForUses(core)
  const fields = baseFields(core, operation, call, asserted)
  fields.keyId = ref.id
  let result: T
  try {
    const key = core.open.open(ref)
    fields.keyRevision = key.revision
    mayUse(core, key)
    mayAsk(core, key, asserted)
    const done = work(key, fields)
    if (done instanceof Promise) {
      result = await done
      mayStillUse(core, key)
      mayAsk(core, key, asserted)
    } else {
      result = done
    }
    if (dryRun) throw new BoundaryError('DryRun')
  } catch (error) {
    return refuse(core, fields, error)
  }
  await allowed(core, fields)
  return result
}

/** Throws InvalidKeyUsage unless the key is for this and has the algorithm; notes algorithm and material. */
export function checkUsage(key: OpenKey, usage: KeyUsage, algorithm: string, fields: Gathered): void {
  fields.algorithm = algorithm
  if (key.usage !== usage || !hasAlgorithm(key.spec, usage, algorithm)) throw new BoundaryError('InvalidKeyUsage')
  if (key.current !== undefined) fields.materialId = key.current.id
}
