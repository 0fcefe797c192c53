/**
 * The kill switches of an owner's side: everything, one tenant, one protocol, or one principal; what is made or comes later included. In force as soon as
 * the row is. Tenants are the boundary's own knowledge; protocol and principal are what the front end says of a request, so those two hold as far as it
 * tells the truth.
 */
import { FormatError, Reader, Writer } from '../../bytes.ts'
import { decodeAsserted } from '../../record.ts'
import type { EncodedAsserted } from '../../record-fields.ts'
import type { Row } from '../../words.ts'

export const ALL_SWITCH = 'all'
export const tenantSwitch = (tenant: string): string => `tenant/${tenant}`
export const protocolSwitch = (protocol: string): string => `protocol/${protocol}`
/** A principal as far as one tenant is concerned. */
export const ofTenant = (tenant: string, principal: string): string => `${tenant}:${principal}`
/** Of whoever authenticates by this name, or is named by a provider as the one who asks; `ofTenant`: there only. */
export const principalSwitch = (principal: string): string => `principal/${principal}`
const OF_CALLERS = /^(?:protocol|principal)\//

export interface SwitchState {
  readonly revoked: boolean
  /** Lifecycle time, milliseconds since 1970. */
  readonly since: number
  /** The rule that turned it by itself, and what it saw; empty where a person did. */
  readonly cause: string
}

/** Body of a switch row: u8 state (1 revoked, 0 restored), u64 since when (lifecycle time, milliseconds), and a string where a rule turned it. */
export function encodeSwitch(revoked: boolean, since: number, cause = ''): Buffer {
  const writer = new Writer(9).u8(revoked ? 1 : 0).u64(since)
  if (cause !== '') writer.string(cause)
  return writer.done()
}

export function decodeSwitch(body: Buffer): SwitchState {
  const reader = new Reader(body)
  const state = reader.u8()
  const since = reader.u64()
  const cause = reader.left === 0 ? '' : reader.string()
  reader.end()
  if (state > 1) throw new FormatError('a switch that is neither on nor off')
  return { revoked: state === 1, since, cause }
}

export class Switches {
  readonly #revoked = new Set<string>()
  /** How many of them are of protocols and principals. */
  #ofCallers = 0

  /** Takes a row of kind `switch` that is in force. */
  take(row: Pick<Row, 'id' | 'body'>): void {
    const revoked = row.body !== null && decodeSwitch(row.body).revoked
    if (revoked === this.#revoked.has(row.id)) return
    if (revoked) this.#revoked.add(row.id)
    else this.#revoked.delete(row.id)
    if (OF_CALLERS.test(row.id)) this.#ofCallers += revoked ? 1 : -1
  }

  revoked(id: string): boolean {
    return this.#revoked.has(id)
  }

  /** Whether the keys of a tenant may not be used. */
  stops(tenant: string): boolean {
    return this.#revoked.size > 0 && (this.#revoked.has(ALL_SWITCH) || this.#revoked.has(tenantSwitch(tenant)))
  }

  /** Whether whoever asks may not use any key. */
  stopsCaller(asserted: EncodedAsserted): boolean {
    if (this.#ofCallers === 0) return false
    const { operation = '', account = '', ...names } = decodeAsserted(asserted)
    if (this.#revoked.has(protocolSwitch(operation.slice(0, Math.max(0, operation.indexOf(':')))))) return true
    const { accessKeyId, principal, claimedPrincipal, claimedEmail, claimedPool } = names
    return [accessKeyId, principal, claimedPrincipal, claimedEmail, claimedPool].some(
      name =>
        name !== undefined &&
        (this.#revoked.has(principalSwitch(name)) || this.#revoked.has(principalSwitch(ofTenant(account, name)))),
    )
  }
}
