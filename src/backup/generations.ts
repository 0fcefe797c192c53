/**
 * Whether a backup and a root file belong together. What is sealed opens under the generations of the root that the file holds: a backup of before a
 * rotation is of no use with the file of after it, nor one of after it with the file of before. Told here, by name, because a start could tell less of it.
 */
import { decodeRecord, operationCode } from '../boundary/record.ts'
import { BOUNDARY_OPERATIONS } from '../boundary/record-fields.ts'
import { BackupError } from './errors.ts'
import type { GivenRoot } from './kit.ts'
import type { ReadResult } from './read.ts'

const { rotateRoot, rewriteRows, destroyGeneration, start, unlock } = BOUNDARY_OPERATIONS
const TOLD: ReadonlySet<number> = new Set([rotateRoot, rewriteRows, destroyGeneration, start, unlock])

/** What records say of the generations of the root, one after another. */
export class Generations {
  /** Newest that has sealed something for certain, 0 where nothing says so. */
  #certain = 0
  /** Asked for. Its record stands before it is in force: a loss of power in between leaves none, and the next record is of a start. */
  #asked = 0
  #destroyed = 0

  get newest(): number {
    return Math.max(this.#certain, this.#asked)
  }

  /** The newest that was destroyed, after everything in force was sealed anew. */
  get destroyed(): number {
    return this.#destroyed
  }

  record(bytes: Buffer): void {
    const code = operationCode(bytes)
    if (code === undefined || !TOLD.has(code)) return
    if (code === start || code === unlock) {
      this.#asked = 0
      return
    }
    const { outcome, transition = '' } = decodeRecord(bytes)
    if (outcome !== 'allowed') return
    const [, before = '', after = ''] = /^([\d,]+)>(\d*)$/.exec(transition) ?? []
    if (code === rotateRoot) this.#asked = Number(after)
    else if (code === rewriteRows) this.#certain = Math.max(this.#certain, Number(after))
    else {
      this.#destroyed = Math.max(this.#destroyed, ...before.split(',').map(Number))
      this.#certain = Math.max(this.#certain, this.#destroyed + 1)
    }
  }
}

/** Throws BackupError `Refused` where the root file opens nothing of the backup, or not all of it. */
export function mustFit({ file, where }: GivenRoot, { begins, end, generations }: ReadResult): void {
  const refused = (what: string) => new BackupError('Refused', what)
  const { destroyed, destroyedAt } = file
  const newest = file.generations.at(-1)
  if (newest === undefined) return
  const { size } = end.to
  if (generations.newest > newest.generation)
    throw refused(
      `the backup has generation ${generations.newest} of the root, and ${where} holds none after ${newest.generation}: it was saved before that rotation. Take a newer kit (holdfast root save makes one after each rotation)`,
    )
  // A rotation that is under way forbids erasing: what begins behind its first record was sealed anew before.
  const isWhole = generations.destroyed >= destroyed || begins.size > newest.firstRecord
  if (destroyed > 0 && file.generations.length === 1 && !isWhole)
    throw refused(
      `the backup ends with record ${size}, before its rows were all sealed anew: its root generation ${destroyed} was destroyed on ${new Date(destroyedAt).toISOString()}, and nothing opens it. Take a later backup, or a kit of that time while there is one`,
    )
  if (size < newest.firstRecord)
    throw refused(
      `the backup ends with record ${size}, and generation ${newest.generation} of the root in ${where} begins with record ${newest.firstRecord}: they do not belong together. Take a later backup, or a kit from before that rotation`,
    )
}
