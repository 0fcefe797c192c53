/** How a use names its key on the socket, and what is asserted of the request. */
import { rowDigest } from '../crypto/rows.ts'
import { encodeAsserted } from '../record.ts'
import { type Asserted, BoundaryError } from '../words.ts'
import type { KeyRow } from './api.ts'
import type { KeyRef } from './protocol/shapes.ts'
import { SentKeys } from './sent-keys.ts'

/** A process has one connection that uses keys; where it has more, this is a hint for all of them. */
export const sentKeys = new SentKeys()

/** `whole`: with the sealed key, because the boundary asked for it. */
export const refTo = (row: KeyRow, whole: boolean): KeyRef => ({
  id: row.id,
  revision: row.revision,
  digest: row.digest ?? rowDigest(row),
  row: whole || !sentKeys.add(row.id, row.revision) ? row : undefined,
})

export const asAsserted = (fields: Asserted) => {
  try {
    return encodeAsserted(fields)
  } catch (error) {
    throw new BoundaryError('InvalidRequest', error instanceof RangeError ? error.message : 'asserted fields')
  }
}
