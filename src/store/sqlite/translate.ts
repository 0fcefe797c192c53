/**
 * SQLite's errors in the words of the store.
 */
import { StoreError, type StoreErrorCode } from '../errors.ts'

export const BUSY = 5

/** Primary result codes of SQLite whose causes are known; everything else means that the file cannot be relied on. */
const CODES: Readonly<Record<number, StoreErrorCode>> = { 5: 'Locked', 13: 'Full', 26: 'NotAStore' }

export function sqliteCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown }).errcode
  return typeof code === 'number' ? code & 0xff : undefined
}

/** SQLite's errors as ours; messages of SQLite name no content. */
export function translate(error: unknown): StoreError {
  if (error instanceof StoreError) return error
  const code = sqliteCode(error)
  const text = error instanceof Error ? error.message : String(error)
  return new StoreError((code === undefined ? undefined : CODES[code]) ?? 'Failed', text)
}
