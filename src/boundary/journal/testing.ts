/** For the journal's tests: a caller that keeps what it appended and replayed as its state, and what a folder's tiles must be by its records. */
import { createSecretKey, generateKeyPairSync } from 'node:crypto'
import path from 'node:path'
import { type Disk, readWhole } from './disk.ts'
import { HEADER_BYTES, leafOf, parseFrame, parseHeader } from './frame.ts'
import { openJournal } from './journal.ts'
import type { GenerationKeys } from './keys.ts'
import { leafHash, type Tile, Tree } from './merkle.ts'
import { tilePath } from './tiles.ts'
import type { Appended, Journal, JournalOptions } from './types.ts'

/** Keys of a generation of the root. */
export const keysOf = (generation: number, firstRecord: number): GenerationKeys => ({
  firstRecord,
  writeSet: createSecretKey(Buffer.alloc(32, 2 * generation)),
  snapshot: createSecretKey(Buffer.alloc(32, 2 * generation + 1)),
})

export const base: Omit<JournalOptions, 'dir' | 'disk' | 'onFatal' | 'state' | 'restore'> = {
  boundaryId: Buffer.alloc(16, 1),
  keys: [keysOf(1, 0)],
  signer: generateKeyPairSync('ed25519').privateKey,
  origin: 'test.example/log',
  now: () => 1_700_000_000_000,
  segmentBytes: 700,
  checkpointEveryMs: 3_600_000,
  reserveBytes: 16,
}

export interface Seen {
  readonly record: string
  readonly rows: string | null
}

/** A journal and what its caller knows: all records, from a snapshot, from replay, and as they are appended. */
export class Ledger {
  declare journal: Journal
  seen: Seen[] = []
  restored = 0

  static async open(disk: Disk, dir = '/b', over: Partial<JournalOptions> = {}): Promise<Ledger> {
    const ledger = new Ledger()
    const options: JournalOptions = {
      ...base,
      dir,
      disk,
      onFatal: () => {},
      state: () => Buffer.from(JSON.stringify(ledger.seen)),
      restore: state => {
        ledger.seen = JSON.parse(state.toString()) as Seen[]
        ledger.restored = ledger.seen.length
        return true
      },
      ...over,
    }
    ledger.journal = await openJournal(options, ({ record, writeSet }) => {
      ledger.seen.push({ record: record.toString(), rows: writeSet?.rows.toString() ?? null })
    })
    return ledger
  }

  async append(record: string, rows?: string): Promise<Appended> {
    const bytes = rows === undefined ? undefined : Buffer.from(rows)
    const appended = await this.journal.append(Buffer.from(record), bytes)
    this.seen.push({ record, rows: rows ?? null })
    return appended
  }
}

/** Every full tile that the records in a folder make, by its path. */
export async function tilesOf(disk: Disk, dir: string): Promise<Map<string, Buffer>> {
  const tiles = new Map<string, Buffer>()
  const tree = new Tree(({ level, index, width, bytes }: Tile) => tiles.set(tilePath(level, index, width), bytes))
  for (const name of await disk.readdir(path.join(dir, 'journal'))) {
    const bytes = (await readWhole(disk, path.join(dir, 'journal', name), 2 ** 30)) ?? Buffer.alloc(0)
    const { crc } = parseHeader(bytes)
    for (let at = HEADER_BYTES; at < bytes.length; ) {
      const frame = parseFrame(bytes, at, crc)
      if (typeof frame === 'string') throw new Error(frame)
      const leaf = leafOf(frame.seq, frame.time, frame.salted)
      tree.push(leaf, leafHash(leaf))
      at += frame.length
    }
  }
  for (const { level, index, width, bytes } of tree.partial()) tiles.set(tilePath(level, index, width), bytes)
  return tiles
}
