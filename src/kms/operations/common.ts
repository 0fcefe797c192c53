/** What several operations share: encryption contexts, and the refusals of what cannot be done here. */
import type { EncryptionContext } from '../../boundary/client/api.ts'
import { KmsError } from '../wire/errors.ts'

export const ALGORITHM = 'SYMMETRIC_DEFAULT'

export type ContextMap = Readonly<Record<string, string>>

const NO_PAIRS: EncryptionContext = []
/** Of names and values together (aws-kms.md §8). */
const MAX_CONTEXT_BYTES = 8192

/** The pairs of a context, bounded before the boundary sees them. */
export function pairsOf(context: ContextMap | undefined): EncryptionContext {
  if (context === undefined) return NO_PAIRS
  const pairs = Object.entries(context)
  let bytes = 0
  for (const [name, value] of pairs) bytes += Buffer.byteLength(name) + Buffer.byteLength(value)
  if (bytes > MAX_CONTEXT_BYTES)
    throw new KmsError('ValidationException', `The encryption context is larger than ${MAX_CONTEXT_BYTES} bytes.`)
  return pairs
}

/** The last check before the boundary: everything else would have succeeded (aws-kms.md §3.13). */
export function refuseDryRun(dryRun: boolean | undefined): void {
  if (dryRun === true) {
    throw new KmsError('DryRunOperationException', 'The request would have succeeded, but the DryRun option is set.')
  }
}

/** AWS's refusal of what is above a resource quota; `detail` says which. */
export function overQuota(detail: string): KmsError {
  return new KmsError('LimitExceededException', `The request was rejected because a quota was exceeded. ${detail}`)
}

/** AWS's timestamps: seconds since 1970, with a fraction. */
export function seconds(milliseconds: number): number {
  return milliseconds / 1000
}
