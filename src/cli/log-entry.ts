/** One entry of a log for people and for programs: what is shown of it, and which are wanted. */
import { decodeContext } from '../boundary/crypto/context.ts'
import { decodeRecord } from '../boundary/record.ts'
import type { DecodedRecord } from '../boundary/record-fields.ts'

export interface EntryFilter {
  readonly key?: string
  readonly principal?: string
  readonly outcome?: string
  readonly operation?: string
  /** Milliseconds since 1970. */
  readonly since?: number
}

export interface ShownEntry {
  readonly seq: number
  readonly time: number
  readonly record: DecodedRecord
}

/** Throws `FormatError` for a record that is none. */
export function shown(seq: number, time: number, record: Buffer): ShownEntry {
  return { seq, time, record: decodeRecord(record) }
}

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** A time, or how long before `now`: in milliseconds since 1970; undefined for anything else. */
export function readSince(text: string, now: number): number | undefined {
  const [, count, unit = ''] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  if (count !== undefined) return now - Number(count) * (UNITS[unit] ?? 0)
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(time) ? undefined : time
}

function has(wanted: string | undefined, ...values: (string | undefined)[]): boolean {
  return wanted === undefined || values.some(value => value?.includes(wanted) === true)
}

export function matches({ time, record }: ShownEntry, filter: EntryFilter): boolean {
  const { asserted } = record
  return (
    (filter.since === undefined || time >= filter.since) &&
    has(filter.key, record.keyId, record.destinationKeyId, asserted.claimedKeyArn, asserted.subject) &&
    has(filter.principal, asserted.principal, asserted.claimedPrincipal) &&
    (filter.outcome === undefined || record.outcome === filter.outcome) &&
    (filter.operation === undefined ||
      [asserted.operation, record.boundaryOperation, asserted.claimedOperation].includes(filter.operation))
  )
}

function contextOf(bytes: Buffer | undefined): Record<string, string> | undefined {
  return bytes === undefined ? undefined : Object.fromEntries(decodeContext(bytes))
}

/** Every field, digests in hex, encryption contexts as objects. */
export function entryJson({ seq, time, record }: ShownEntry): object {
  const { context, destinationContext, ...rest } = record
  const fields = Object.entries(rest).map(([name, value]) => [
    name,
    Buffer.isBuffer(value) ? value.toString('hex') : value,
  ])
  const contexts = { context: contextOf(context), destinationContext: contextOf(destinationContext) }
  return { entry: seq, time: new Date(time).toISOString(), ...Object.fromEntries(fields), ...contexts }
}

/** What a terminal would act on is shown as an escape: much of a record was chosen by strangers. */
export function plain(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    found => `\\u${(found.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  )
}

/** Number, time, outcome, operation, key, principal, error, who was attested, context: what is there of it. */
export function entryLine({ seq, time, record }: ShownEntry): string {
  const { asserted, outcome = '-', boundaryOperation = '-' } = record
  const context = Object.entries(contextOf(record.context) ?? {}).map(([name, value]) => `${name}=${value}`)
  const parts = [
    String(seq).padStart(8),
    new Date(time).toISOString(),
    outcome.padEnd(7),
    asserted.operation ?? boundaryOperation,
    record.keyId ?? asserted.subject,
    record.destinationKeyId === undefined ? undefined : `to ${record.destinationKeyId}`,
    asserted.principal ?? asserted.claimedPrincipal,
    record.error,
    record.transition,
    asserted.attestedModule === undefined
      ? undefined
      : `attested ${asserted.attestedModule} ${asserted.attestedRegisters ?? ''}`,
    record.count === undefined ? undefined : `count ${record.count}`,
    context.length === 0 ? undefined : `{${context.join(', ')}}`,
  ]
  return plain(parts.filter(part => part !== undefined && part !== '').join('  '))
}
