/**
 * Lists from the store in which every row was verified, whole pages of them.
 */
import type { Row, RowKind } from '../boundary/words.ts'
import { StoreError } from './errors.ts'
import { checkPage } from './rows.ts'
import type { Page } from './types.ts'

export interface ListQuery {
  readonly kind: RowKind
  readonly load: (page: Page) => Promise<readonly Row[]>
  /** Whether a current row belongs to the list; the store may have listed it for what it is not. */
  readonly matches: (row: Row) => boolean
}

/**
 * Up to `limit` current rows with ids above `after`, in order of bytes. `current` verifies one row. Rows that the store leaves out stay out: whoever can
 * write it can deny service.
 */
export async function listVerified(
  { kind, load, matches }: ListQuery,
  { after, limit }: Page,
  current: (row: Row) => Row | undefined | Promise<Row | undefined>,
): Promise<readonly Row[]> {
  checkPage({ after, limit })
  const found: Row[] = []
  let last = after
  for (;;) {
    const wanted = limit - found.length
    const loaded = await load({ after: last, limit: wanted })
    for (const row of loaded) {
      // Out of order, a page would repeat or skip rows, or never end.
      if (row.kind !== kind || !follows(last, row.id)) throw new StoreError('Failed', 'a list out of order')
      last = row.id
    }
    for (const row of await Promise.all(loaded.map(current))) {
      if (row !== undefined && row.body !== null && matches(row)) found.push(row)
    }
    if (loaded.length < wanted || found.length === limit) return found
  }
}

function follows(a: string, b: string): boolean {
  return Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0
}
