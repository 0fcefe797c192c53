/** keyLastUsage: what the log says of the last successful use of a key. Docs of the event's id: docs/formats/record.md. */
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import type { Core } from '../core.ts'
import { uuidText } from '../index/last-uses.ts'

/**
 * The id of a record as a UUID of version 8 (RFC 9562): 60 bits of the boundary's id, and the sequence number in the last 62 bits, so that it names the
 * same record for ever and whoever has the log finds it.
 */
export function eventId(boundaryId: Buffer, seq: number): string {
  const bytes = Buffer.alloc(16)
  boundaryId.copy(bytes, 0, 0, 8)
  bytes[6] = 0x80 | ((bytes[6] ?? 0) & 0x0f)
  bytes.writeBigUInt64BE((0b10n << 62n) | BigInt(seq), 8)
  return uuidText(bytes)
}

/** From when on a use would be known: a start without a snapshot knows nothing of records that were erased. */
function knownSince({ book: { journal }, root }: Core): number {
  const [first] = journal.segments()
  return journal.base.seq === 0 ? root.file.createdAt : (first?.timeBefore ?? root.file.createdAt)
}

export async function keyLastUsage(core: Core, id: InputOf<'keyLastUsage'>): Promise<OutputOf<'keyLastUsage'>> {
  const { boundaryId, createdAt } = core.root.file
  const use = core.book.lastUse(id)
  if (use === undefined) return { since: knownSince(core), use: undefined }
  const { operation, time, seq, requestId } = use
  return { since: createdAt, use: { operation, time, requestId, eventId: eventId(boundaryId, seq) } }
}
