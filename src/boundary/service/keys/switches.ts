/**
 * The kill switches of an owner's side: all keys, or all of one tenant, those included that are made later. In force as soon as the row is.
 */
import { FormatError, Reader, Writer } from '../../bytes.ts'
import type { Row } from '../../words.ts'

export const ALL_SWITCH = 'all'
export const tenantSwitch = (tenant: string): string => `tenant/${tenant}`

/** Body of a switch row: u8 state (1 revoked, 0 restored), u64 since when (lifecycle time, milliseconds). */
export const encodeSwitch = (revoked: boolean, since: number): Buffer =>
  new Writer(9)
    .u8(revoked ? 1 : 0)
    .u64(since)
    .done()

export function decodeSwitch(body: Buffer): { revoked: boolean; since: number } {
  const reader = new Reader(body)
  const state = reader.u8()
  const since = reader.u64()
  reader.end()
  if (state > 1) throw new FormatError('a switch that is neither on nor off')
  return { revoked: state === 1, since }
}

export class Switches {
  readonly #revoked = new Set<string>()

  /** Takes a row of kind `switch` that is in force. */
  take(row: Pick<Row, 'id' | 'body'>): void {
    if (row.body !== null && decodeSwitch(row.body).revoked) this.#revoked.add(row.id)
    else this.#revoked.delete(row.id)
  }

  revoked(id: string): boolean {
    return this.#revoked.has(id)
  }

  /** Whether the keys of a tenant may not be used. */
  stops(tenant: string): boolean {
    return this.#revoked.size > 0 && (this.#revoked.has(ALL_SWITCH) || this.#revoked.has(tenantSwitch(tenant)))
  }
}
