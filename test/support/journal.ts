/** The records of a boundary's folder, read from its journal by whoever may read the file: no key is needed, and nothing is running. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { HEADER_BYTES, parseFrame, parseHeader } from '../../src/boundary/journal/frame.ts'
import { decodeRecord } from '../../src/boundary/record.ts'
import type { DecodedRecord } from '../../src/boundary/record-fields.ts'

export interface FoundRecord {
  readonly seq: number
  readonly time: number
  readonly record: DecodedRecord
  readonly bytes: Buffer
}

/** Every record of `<data>/<boundary>`, oldest first. What stands behind the last whole frame (one that is just being written) is left out. */
export function readRecords(data: string, boundary = 'boundary'): FoundRecord[] {
  const folder = join(data, boundary, 'journal')
  const found: FoundRecord[] = []
  for (const name of readdirSync(folder).sort()) {
    if (!name.endsWith('.seg')) continue
    const bytes = readFileSync(join(folder, name))
    const { crc } = parseHeader(bytes)
    for (let at = HEADER_BYTES; at < bytes.length; ) {
      const frame = parseFrame(bytes, at, crc)
      if (typeof frame === 'string') break
      found.push({ seq: frame.seq, time: frame.time, record: decodeRecord(frame.record), bytes: frame.record })
      at += frame.length
    }
  }
  return found
}

/** Records by the id of their request; a request with an external key store can have two. */
export function recordsByRequest(data: string): Map<string, DecodedRecord[]> {
  const by = new Map<string, DecodedRecord[]>()
  for (const { record } of readRecords(data)) {
    const id = record.asserted.requestId
    if (id === undefined) continue
    const same = by.get(id)
    if (same === undefined) by.set(id, [record])
    else same.push(record)
  }
  return by
}
