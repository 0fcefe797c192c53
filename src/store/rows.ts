/**
 * Rows and write sets as bytes: the form in which they cross to a writing thread, and the checks that every database makes before it takes them.
 */
import type { Reader, Writer } from '../boundary/bytes.ts'
import { ROW_KINDS, type Row, type RowKind, type WriteSet } from '../boundary/words.ts'
import { StoreError } from './errors.ts'
import type { Page } from './types.ts'

export const MAX_ID_BYTES = 512
export const MAX_PAGE = 10_000

const kindsByCode = new Map<number, RowKind>(
  Object.entries(ROW_KINDS).map(([kind, { code }]) => [code, kind as RowKind]),
)

export function kindOfCode(code: number): RowKind {
  const kind = kindsByCode.get(code)
  if (kind === undefined) throw new StoreError('Invalid', `row kind ${code}`)
  return kind
}

/** Whether a row can have this id. What strangers send as one may be anything. */
export function isId(id: string): boolean {
  return id !== '' && id.length <= MAX_ID_BYTES && Buffer.byteLength(id) <= MAX_ID_BYTES && isText(id)
}

function isText(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0')
}

/** Throws `Invalid` for a row that could not be kept byte for byte or found again. */
export function checkRow(row: Row): void {
  const { id, revision, tag } = row
  if (!isId(id)) throw new StoreError('Invalid', `${row.kind}: id`)
  for (const text of [row.scope, row.link]) {
    if (!isText(text)) throw new StoreError('Invalid', `${row.kind}: text`)
  }
  if (!Number.isSafeInteger(revision) || revision < 1) throw new StoreError('Invalid', `${row.kind}: revision`)
  if (tag.length !== 32) throw new StoreError('Invalid', `${row.kind}: tag`)
}

export function checkPage({ limit }: Page): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE) throw new StoreError('Invalid', 'page limit')
}

export function checkNumber(to: number): void {
  if (!Number.isSafeInteger(to) || to < 0) throw new StoreError('Invalid', 'write set number')
}

/** The first text, in order of bytes, above all that begin with the prefix. Throws `Invalid` for a prefix without one that is easily told. */
export function endOfPrefix(prefix: string): string {
  const last = prefix.charCodeAt(prefix.length - 1)
  if (!(last < 0x7e)) throw new StoreError('Invalid', 'prefix')
  return prefix.slice(0, -1) + String.fromCharCode(last + 1)
}

/** One call of `apply`, appended to `out`. Throws `Invalid`. */
export function writeSets(out: Writer, sets: readonly WriteSet[]): void {
  out.u32(sets.length)
  for (const { number, rows } of sets) {
    out.u64(number).u32(rows.length)
    for (const row of rows) {
      checkRow(row)
      out.u16(ROW_KINDS[row.kind].code).string(row.id).string(row.scope).string(row.link).u64(row.revision)
      if (row.body === null) out.u8(0)
      else out.u8(1).long(row.body)
      out.raw(row.tag)
    }
  }
}

/** What `writeSets` wrote; bodies and tags are views of the input. */
export function readSets(input: Reader): WriteSet[] {
  return Array.from({ length: input.u32() }, () => {
    const number = input.u64()
    const rows = Array.from({ length: input.u32() }, (): Row => {
      const kind = kindOfCode(input.u16())
      const id = input.string()
      const scope = input.string()
      const link = input.string()
      const revision = input.u64()
      const body = input.u8() === 0 ? null : input.long()
      return { kind, id, scope, link, revision, body, tag: input.raw(32) }
    })
    return { number, rows }
  })
}
