/**
 * Erasing the oldest segments of the journal, under the rule of the configuration: what is still in force of them is written again, the root file says
 * where the journal begins, and they are unlinked. Whoever asks, no record younger than the rule says is erased.
 */
import type { Erasing } from '../client/api.ts'
import type { InputOf } from '../client/protocol/operations.ts'
import { realDisk, replaceFile } from '../journal/disk.ts'
import type { Base } from '../journal/types.ts'
import { withBase } from '../root/rootfile.ts'
import { BoundaryError } from '../words.ts'
import { baseFields, type Call, type Core, refuse } from './core.ts'
import { rewriteBelow } from './rotation/rewrite.ts'

const DAY = 86_400_000

export interface RetentionParts {
  readonly core: Core
  /** Undefined where nothing may be erased. */
  readonly days: number | undefined
  /** Path of the root file. */
  readonly rootFile: string
}

export class Retention {
  readonly #parts: RetentionParts
  readonly #stopping = new AbortController()
  #erasing: Promise<unknown> | undefined

  constructor(parts: RetentionParts) {
    this.#parts = parts
  }

  /** One at a time. Refusals are recorded, except those of what is only asked. */
  async erase(input: InputOf<'eraseSegments'>, call: Call): Promise<Erasing> {
    const { core } = this.#parts
    if (input.dryRun) return this.#plan(input.firstToKeep)
    const fields = baseFields(core, 'eraseSegments', call, undefined)
    let plan: Erasing
    try {
      plan = this.#agreed(input)
    } catch (error) {
      return refuse(core, fields, error)
    }
    const erasing = this.#erase(plan, call)
    this.#erasing = erasing.catch(() => {})
    try {
      return await erasing
    } finally {
      this.#erasing = undefined
    }
  }

  /** Ends what is under way; nothing is lost by it, and it can be asked for again. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#erasing
  }

  /** What would go. Throws NotPermitted. */
  #plan(firstToKeep: number): Erasing {
    const { core, days } = this.#parts
    const { journal } = core.book
    if (days === undefined)
      throw new BoundaryError(
        'NotPermitted',
        'no retention rule: set log.retention.days in the service’s configuration',
      )
    const starts = journal.segments()
    const before = core.clocks.real() - days * DAY
    const young = starts.findIndex(({ timeBefore }, at) => at > 0 && timeBefore >= before)
    const goes = starts[(young < 0 ? starts.length : young) - 1]?.firstSeq ?? journal.base.seq
    const keep = firstToKeep === 0 ? goes : firstToKeep
    if (keep > goes)
      throw new BoundaryError(
        'NotPermitted',
        `records from ${goes} on are not all older than ${days} days, or are being written`,
      )
    const segments = starts.findIndex(({ firstSeq }) => firstSeq === keep)
    if (segments < 0) throw new BoundaryError('InvalidRequest', `no segment begins with record ${keep}`)
    const rows = segments === 0 ? 0 : core.book.countBelow(keep)
    return { days, begins: journal.base.seq, firstToKeep: keep, segments, rows }
  }

  #agreed({ firstToKeep, expected }: InputOf<'eraseSegments'>): Erasing {
    const { root } = this.#parts.core
    if (this.#erasing !== undefined) throw new BoundaryError('InvalidState', 'segments are being erased already')
    if (root.file.generations.length > 1)
      throw new BoundaryError('InvalidState', 'a rotation of the root is under way: wait until it is done')
    const plan = this.#plan(firstToKeep)
    if (plan.begins !== expected)
      throw new BoundaryError('Conflict', `the journal begins with record ${plan.begins}, and not with ${expected}`)
    if (plan.segments === 0) throw new BoundaryError('InvalidRequest', 'nothing stands before that record')
    return plan
  }

  async #erase(plan: Erasing, call: Call): Promise<Erasing> {
    const { core } = this.#parts
    const { begins, firstToKeep } = plan
    let rows = 0
    const why = `erasing before ${firstToKeep}`
    const onRows = (more: number): void => {
      rows += more
    }
    const moved = await rewriteBelow(core, firstToKeep, { why, signal: this.#stopping.signal, onRows })
    if (!moved) throw new BoundaryError('Unavailable', 'the boundary is stopping')
    await core.book.record({
      ...baseFields(core, 'eraseSegments', call, undefined),
      outcome: 'allowed',
      count: firstToKeep - begins,
      transition: `${begins}>${firstToKeep}`,
    })
    await core.book.journal.erase(firstToKeep, base => this.#begin(base))
    return { ...plan, rows }
  }

  /** From here on the journal begins there. */
  async #begin(base: Base): Promise<void> {
    const { core, rootFile } = this.#parts
    const { bytes, opened } = withBase(core.root, base)
    await replaceFile(realDisk, rootFile, bytes)
    core.root = opened
  }
}
