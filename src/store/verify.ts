/**
 * Rows from the store, checked by the boundary before anyone trusts them (promise 12): all that is asked in one turn of the event loop in one request.
 */
import { BoundaryError, type Row, type RowKind } from '../boundary/words.ts'
import { StoreError } from './errors.ts'
import { checkRow } from './rows.ts'

/** What the boundary says of a row. */
export type CheckRows = (rows: readonly Row[]) => Promise<ReadonlyArray<'ok' | Row | undefined>>

interface Question {
  readonly row: Row
  readonly resolve: (current: Row | undefined) => void
  readonly reject: (error: unknown) => void
}

const MAX_TEXT_BYTES = 4096
const MAX_BODY_BYTES = 512 * 1024
const NO_TAG = Buffer.alloc(32)

export class Verifier {
  readonly #checkRows: CheckRows
  #questions: Question[] = []

  constructor(checkRows: CheckRows) {
    this.#checkRows = checkRows
  }

  /**
   * The current row of that kind and id, whatever the store said of it: `loaded` itself where it is current, the boundary's where not, and undefined
   * where there never was one or it is forgotten; a deleted one has no body. That a row is missing in the store proves nothing, so the boundary is asked then too.
   */
  current(kind: RowKind, id: string, loaded: Row | undefined): Promise<Row | undefined> {
    const row = loaded !== undefined && isWhole(loaded, kind, id) ? loaded : probe(kind, id)
    return new Promise((resolve, reject) => {
      if (this.#questions.length === 0) setImmediate(() => this.#ask())
      this.#questions.push({ row, resolve, reject })
    })
  }

  async #ask(): Promise<void> {
    const questions = this.#questions
    this.#questions = []
    try {
      const answers = await this.#checkRows(questions.map(question => question.row))
      if (answers.length !== questions.length)
        throw new BoundaryError('Internal', 'checkRows answered another number of rows')
      questions.forEach(({ row, resolve }, i) => {
        const answer = answers[i]
        const current = answer === 'ok' ? row : answer
        if (current !== undefined && (current.kind !== row.kind || current.id !== row.id)) {
          throw new BoundaryError('Internal', 'checkRows answered another row')
        }
        resolve(current)
      })
    } catch (error) {
      for (const { reject } of questions) reject(error)
    }
  }
}

/** A row that no boundary ever made: asking for it brings the current one, or none. */
function probe(kind: RowKind, id: string): Row {
  return { kind, id, scope: '', link: '', revision: 0, body: null, tag: NO_TAG }
}

/** Whether the row can be put to the boundary as it is. What the store made up in another shape is not. */
function isWhole(row: Row, kind: RowKind, id: string): boolean {
  if (row.kind !== kind || row.id !== id || (row.body?.length ?? 0) > MAX_BODY_BYTES) return false
  if (row.scope.length > MAX_TEXT_BYTES || row.link.length > MAX_TEXT_BYTES) return false
  try {
    checkRow(row)
    return true
  } catch (error) {
    if (error instanceof StoreError) return false
    throw error
  }
}
