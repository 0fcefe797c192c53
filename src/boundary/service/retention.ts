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

export class Retention {
  readonly #days: number | undefined
  readonly #rootFile: string
  readonly #stopping = new AbortController()
  #erasing: Promise<unknown> | undefined

  /** `days`: undefined where nothing may be erased. `rootFile`: its path. */
  constructor(days: number | undefined, rootFile: string) {
    this.#days = days
    this.#rootFile = rootFile
  }

  /** No rotation of the root begins meanwhile: both replace the root file. */
  get isErasing(): boolean {
    return this.#erasing !== undefined
  }

  /** One at a time. Refusals are recorded, except those of what is only asked. */
  async erase(core: Core, input: InputOf<'eraseSegments'>, call: Call): Promise<Erasing> {
    if (input.dryRun) return this.#plan(core, input.firstToKeep)
    const fields = baseFields(core, 'eraseSegments', call, undefined)
    let plan: Erasing
    try {
      plan = this.#agreed(core, input)
    } catch (error) {
      return refuse(core, fields, error)
    }
    const erasing = this.#erase(core, plan, call)
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
  #plan(core: Core, firstToKeep: number): Erasing {
    const days = this.#days
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

  #agreed(core: Core, { firstToKeep, expected }: InputOf<'eraseSegments'>): Erasing {
    if (this.#erasing !== undefined) throw new BoundaryError('InvalidState', 'segments are being erased already')
    if (core.rotation.isUnderWay(core))
      throw new BoundaryError('InvalidState', 'a rotation of the root is under way: wait until it is done')
    if (firstToKeep === 0) throw new BoundaryError('InvalidRequest', 'name the first record that is to stay')
    const plan = this.#plan(core, firstToKeep)
    if (plan.begins !== expected)
      throw new BoundaryError('Conflict', `the journal begins with record ${plan.begins}, and not with ${expected}`)
    if (plan.segments === 0) throw new BoundaryError('InvalidRequest', 'nothing stands before that record')
    return plan
  }

  async #erase(core: Core, plan: Erasing, call: Call): Promise<Erasing> {
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
    await core.book.journal.erase(firstToKeep, base => this.#begin(core, base))
    return { ...plan, rows }
  }

  /** From here on the journal begins there. */
  async #begin(core: Core, base: Base): Promise<void> {
    const { bytes, opened } = withBase(core.root, base)
    await replaceFile(realDisk, this.#rootFile, bytes)
    core.root = opened
  }
}
