/** How a use names its key on the socket, and what is asserted of the request. */
import { rowDigest } from '../crypto/rows.ts'
import { encodeAsserted } from '../record.ts'
import { type Asserted, BoundaryError } from '../words.ts'
import type { KeyRow } from './api.ts'
import type { KeyRef } from './protocol/shapes.ts'

/** `whole`: with the sealed key itself, for a boundary that has not opened it. */
export const refTo = (row: KeyRow, whole: boolean): KeyRef => ({
  id: row.id,
  revision: row.revision,
  digest: row.digest ?? rowDigest(row),
  row: whole ? row : undefined,
})

export const asAsserted = (fields: Asserted) => {
  try {
    return encodeAsserted(fields)
  } catch (error) {
    throw new BoundaryError('InvalidRequest', error instanceof RangeError ? error.message : 'asserted fields')
  }
}
