import type { KeyRow } from '../../boundary/client/api.ts'
import { readKeyHeader } from '../../boundary/crypto/sealed.ts'
import type { KeyHeader } from '../../boundary/words.ts'

/** What a key's row says. */
export function headerOf(row: KeyRow): KeyHeader {
  const { body } = row
  if (body === null) throw new Error('a deleted key has no header')
  return readKeyHeader(body)
}
