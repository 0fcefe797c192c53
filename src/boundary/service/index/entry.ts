/** What the index says of rows. */
import type { Location } from '../../journal/types.ts'
import type { RowKind } from '../../words.ts'

/** Where a row stands now. */
export interface Entry {
  readonly revision: number
  readonly deleted: boolean
  /** SHA-256 of the row's canonical bytes: 32 bytes, a copy. */
  readonly digest: Buffer
  readonly location: Location
}

/** A row by its name, and where it stands. */
export interface Standing {
  readonly kind: RowKind
  readonly id: string
  readonly entry: Entry
}

/** Some of the rows that were looked for, and the place to go on from; undefined at the end. */
export interface Below {
  readonly rows: readonly Standing[]
  readonly next: number | undefined
}
