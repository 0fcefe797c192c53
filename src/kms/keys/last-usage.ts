/** When a key was last used: the boundary knows it from the log (aws-kms.md §3.1, GetKeyLastUsage). */
import type { KeyUse } from '../../boundary/client/api.ts'
import type { Call } from '../operations/types.ts'
import { headerOf } from './header.ts'

const DAY = 86_400_000

export interface LastUsage {
  /** Undefined for a key that was never used. */
  readonly use: KeyUse | undefined
  /** From when on uses are known: a key that is older than this boundary's log does not exist. Milliseconds since 1970. */
  readonly since: number
  readonly created: number
}

/** The last successful use of the key of a row. */
export async function lastUsage(call: Call, rowId: string): Promise<LastUsage> {
  const { boundary, replica } = call.services
  const [{ use, since }, row] = await Promise.all([boundary.keyLastUsage(rowId), replica.get('key', rowId)])
  const created = row === undefined ? 0 : headerOf(row as Parameters<typeof headerOf>[0]).createdAt
  return { use, since: Math.max(since, created), created }
}

/** Whole days since the last use; of a key that was never used, since uses are known. */
export async function daysWithoutUsage(call: Call, rowId: string): Promise<number> {
  const { use, since } = await lastUsage(call, rowId)
  return Math.max(0, Math.floor((call.services.clocks.lifecycle() - (use?.time ?? since)) / DAY))
}
