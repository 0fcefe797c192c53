/** How often the current version of each external key has encrypted with AES-GCM, beside what it may (decision 0037). */
import type { BoundaryControl } from '../../boundary/client/api.ts'
import { counterId, decodeCounter } from '../../boundary/service/keys/counters.ts'
import { currentRow, type ReadControl } from '../../store/admin.ts'
import type { KeyInfo } from './keys.ts'

export interface Encryptions {
  /** There were at most so many: they are counted in blocks. */
  readonly counted: number
  readonly most: number
  /** After so many the key gets its next version by itself. */
  readonly renewAfter: number
}

/** `encryptions`: null of a key of another kind. */
export type CountedKey = KeyInfo & { readonly encryptions: Encryptions | null }

/** Of any number of keys: what the boundary allows is asked once. */
export async function counting(
  control: ReadControl & Pick<BoundaryControl, 'status'>,
): Promise<(key: KeyInfo) => Promise<CountedKey>> {
  const { maxEncryptions: most, renewAfter } = await control.status()
  return async key => {
    if (key.spec !== 'AES_256') return { ...key, encryptions: null }
    const row = await currentRow(control, 'counter', counterId(key.key, key.version))
    return { ...key, encryptions: { counted: row?.body ? decodeCounter(row.body) : 0, most, renewAfter } }
  }
}
