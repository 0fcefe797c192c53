/**
 * What every operation of an unlocked boundary stands on, and the two ways in which one is done: a use (record, then answer) and a transition of a
 * key (decide, then record and write set in one frame, then answer).
 */
import { FormatError } from '../bytes.ts'
import type { Token, TokenStatus } from '../pkcs11/types.ts'
import type { BoundaryOperation, EncodedAsserted, RecordFields, RecordSource } from '../record-fields.ts'
import type { Keyring } from '../root/keyring.ts'
import type { OpenedRoot } from '../root/rootfile.ts'
import { BoundaryError, type BoundaryErrorCode } from '../words.ts'
import type { Book } from './book.ts'
import type { Clocks } from './clock.ts'
import type { ClockWatch } from './clock-watch.ts'
import type { Clusters } from './clusters.ts'
import type { Counters } from './keys/counters.ts'
import type { Holds } from './keys/holds.ts'
import type { Locks } from './keys/locks.ts'
import type { OpenKeys } from './keys/open-keys.ts'
import type { Switches } from './keys/switches.ts'
import type { Retention } from './retention.ts'
import type { Rewritten } from './rotation/rewritten.ts'
import type { Rotation } from './rotation/rotation.ts'

export interface Core {
  readonly service: 'kms' | 'ekm'
  /** As the root file is now: a rotation replaces it. */
  root: OpenedRoot
  readonly keyring: Keyring
  readonly book: Book
  readonly clocks: Clocks
  readonly watch: ClockWatch
  readonly open: OpenKeys
  readonly locks: Locks
  readonly switches: Switches
  readonly holds: Holds
  readonly counters: Counters
  /** Rows that a rotation of the root has written again with what they said. */
  readonly rewritten: Rewritten
  readonly rotation: Rotation
  readonly retention: Retention
  /** The tokens that an owner's keys may be in, by name; that of the root of trust, where it is in one, has the empty name. */
  readonly tokens: Map<string, Token>
  /** The tokens of custom key stores. */
  readonly clusters: Clusters
  /** CKA_ID (hex) of the token's object that is the root of trust; empty where there is none. */
  rootObjectId: string
  /** Told when the token of the root of trust is lost or is back. */
  readonly onRootToken: (status: TokenStatus) => void
  readonly quotas: CoreQuotas
}

/** How much customers may have. */
export interface CoreQuotas {
  /** Keys in one scope. */
  readonly keys: number
  /** On-demand rotations of one key. */
  readonly onDemandRotations: number
}

/** One request: who asked, and what its answer must wait for. */
export interface Call {
  readonly source: RecordSource
  /** Number of the write set that the answer must not overtake; 0 for none. */
  writeSet: number
}

/** What nobody asked for: start, due dates. */
export const ownCall = (): Call => ({ source: 'boundary', writeSet: 0 })

/** Refusals that are not the end of an operation: the client repeats it, and that has the record. Nothing can be recorded of the others. */
const UNRECORDED: ReadonlySet<BoundaryErrorCode> = new Set([
  'StaleKey',
  'NeedSealedKey',
  'Locked',
  'Unavailable',
  'DiskFull',
])

/** What was thrown, as an error that can be answered. What nobody foresaw says nothing of itself. */
export function answerable(error: unknown): BoundaryError {
  if (error instanceof BoundaryError) return error
  if (error instanceof RangeError || error instanceof FormatError)
    return new BoundaryError('InvalidRequest', error.message)
  return new BoundaryError('Internal')
}

/** Fields of a record while an operation gathers them. */
export type Gathered = { -readonly [F in keyof RecordFields]: RecordFields[F] }

/** The fields that every record of an operation has. Lifecycle time stands in a record only where it is not the record's own time. */
export function baseFields(
  core: Core,
  operation: BoundaryOperation,
  call: Call,
  asserted: EncodedAsserted | undefined,
): Gathered {
  const fields: Gathered = { boundaryOperation: operation, source: call.source }
  if (asserted !== undefined) fields.asserted = asserted
  if (core.book.clockOffset !== 0 || core.watch.behind) fields.lifecycleTime = core.clocks.lifecycle()
  return fields
}

/** The record of what was done: durable when the promise resolves. */
export function allowed(core: Core, fields: Gathered): Promise<unknown> {
  fields.outcome = 'allowed'
  return core.book.record(fields)
}

/** Records a refusal and throws it, once the record is durable. */
export async function refuse(core: Core, fields: RecordFields, error: unknown): Promise<never> {
  const refusal = answerable(error)
  if (!UNRECORDED.has(refusal.code)) {
    await core.book.record({ ...fields, outcome: 'failed', error: refusal.code })
  }
  throw error instanceof BoundaryError
    ? error
    : error instanceof RangeError || error instanceof FormatError
      ? refusal
      : error
}

/** Uses are refused below the floor of free space; revoking goes on from reserved space. */
export function spaceForUses(core: Core): void {
  if (core.book.journal.lowOnSpace) throw new BoundaryError('DiskFull')
}
