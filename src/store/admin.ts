/** Reading and changing rows over the control socket: every change is a compare-and-set that is tried again when someone else was faster. */
import { userInfo } from 'node:os'
import type { BoundaryControl, PutRow } from '../boundary/client/api.ts'
import { type Asserted, BoundaryError, type Row, type RowKind } from '../boundary/words.ts'

/** What administration needs of the boundary. */
export type ReadControl = Pick<BoundaryControl, 'getRow' | 'listRows'>
export type AdminControl = ReadControl & Pick<BoundaryControl, 'putRows'>

/** Something that the administrator asked for and that cannot be done; the message says what to do instead. */
export class AdminError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'AdminError'
  }
}

export async function currentRow(control: ReadControl, kind: RowKind, id: string): Promise<Row | undefined> {
  const row = await control.getRow(kind, id)
  return row === undefined || row.body === null ? undefined : row
}

const PAGE = 500
const ATTEMPTS = 5

/** Every row of a kind, in id order. A page may hold fewer rows than asked for, because it is bounded in bytes; only an empty one is the end. */
export async function* allRows(control: ReadControl, kind: RowKind): AsyncGenerator<Row> {
  let after = ''
  for (;;) {
    const rows = await control.listRows(kind, after, PAGE)
    yield* rows
    const last = rows.at(-1)
    if (last === undefined) return
    after = last.id
  }
}

/** Writes what `make` returns, all or nothing; `make` is asked again, with fresh rows, when another change came between. */
export async function change<T>(
  control: AdminControl,
  operation: string,
  subject: string,
  make: () => Promise<{ rows: readonly PutRow[]; result: T }>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const { rows, result } = await make()
    try {
      if (rows.length > 0) await control.putRows(rows, operator(operation, subject))
      return result
    } catch (error) {
      const conflict = error instanceof BoundaryError && (error.code === 'Conflict' || error.code === 'AlreadyExists')
      if (!conflict || attempt === ATTEMPTS) throw error
    }
  }
}

/** Evidence for the record: what was asked, and who the operating system says that the administrator is. */
export function operator(operation: string, subject: string): Asserted {
  let user: string
  try {
    user = userInfo().username
  } catch {
    user = `uid ${process.getuid?.() ?? 'unknown'}`
  }
  return { operation: `admin:${operation}`, subject: subject.slice(0, 512), principal: `operator:${user}` }
}
