/**
 * The rotation of the root: a new generation, everything that is in force sealed anew under it, the generations before destroyed. Its whole state is the
 * root file: while that names two generations a rotation is under way, and every start goes on with it. See docs/root.md and docs/decisions/0039.
 */
import type { RootStatus } from '../../client/root.ts'
import { JournalDead } from '../../journal/types.ts'
import { prepareGeneration, withoutOldGenerations } from '../../root/rootfile.ts'
import type { RootOfTrust } from '../../root/types.ts'
import { BoundaryError } from '../../words.ts'
import { baseFields, type Call, type Core, ownCall, refuse, spaceForUses } from '../core.ts'
import { type Log, placeOf } from '../log.ts'
import { rewriteBelow } from './rewrite.ts'
import { putRootFile, wipeOld } from './root-store.ts'
import { inOperatorsWords } from './trust.ts'

/** Milliseconds before what failed is tried again. */
const RETRY_MS = 30_000

const NO_SPACE = 'free space is below the floor: make room on the file system of the data folder'

/** How the warning begins that a rotation is held up. */
export const ROTATION_RESTS = 'the rotation of the root does not go on'

export class Rotation {
  readonly #file: string
  readonly #log: Log
  readonly #ending = new AbortController()
  #running: Promise<void> | undefined
  #retry: NodeJS.Timeout | undefined
  #beginning = false
  #done = 0
  #total = 0
  #problem = ''

  /** `file`: the root file. */
  constructor(file: string, log: Log) {
    this.#file = file
    this.#log = log
  }

  /** Goes on with a rotation that an earlier process began. */
  async start(core: Core): Promise<void> {
    await wipeOld(this.#file)
    if (core.root.file.generations.length > 1) this.#goOn(core)
  }

  /**
   * Begins a rotation, which then goes on by itself. With `trust` another root of trust wraps the sealing roots from now on. Resolves when the new
   * generation is in force: a start needs the new root of trust from then on.
   */
  async begin(core: Core, { trust }: { readonly trust?: RootOfTrust | undefined }, call: Call): Promise<void> {
    const old = core.root.file
    const why = `${core.keyring.current}>${core.keyring.current + 1}`
    const fields = { ...baseFields(core, 'rotateRoot', call, undefined), transition: why }
    const prepared = await this.#prepare(core, trust).catch(error => refuse(core, fields, inOperatorsWords(error)))
    try {
      await core.book.record({ ...fields, outcome: 'allowed' })
      if (trust !== undefined) {
        const changed = baseFields(core, 'changeRoot', call, undefined)
        await core.book.record({ ...changed, outcome: 'allowed', transition: `${old.kind}>${trust.kind}` })
      }
      await wipeOld(this.#file)
      await core.book.journal.rekey(async (at, durable) => {
        // At once: what is sealed from here on stands in frames from `at` on, whose write sets are sealed alike.
        core.keyring.add(prepared.generation, prepared.root)
        const { bytes, opened } = prepared.finish({ createdAt: core.clocks.real(), ...at })
        await durable
        // Everything waits for this, so it is no more than it must be.
        await putRootFile(this.#file, bytes)
        core.root = opened
        return { writeSet: core.keyring.key('write-set'), snapshot: core.keyring.key('snapshot') }
      })
      await wipeOld(this.#file)
    } finally {
      this.#beginning = false
    }
    this.#log('info', 'a rotation of the root has begun', {
      generation: prepared.generation,
      kind: core.root.file.kind,
    })
    this.#goOn(core)
  }

  /** From the moment at which it is asked for until the generations before are destroyed. */
  isUnderWay(core: Core): boolean {
    return this.#beginning || core.root.file.generations.length > 1
  }

  async #prepare(core: Core, trust: RootOfTrust | undefined) {
    if (this.isUnderWay(core))
      throw new BoundaryError('InvalidState', 'a rotation of the root is under way: it goes on by itself')
    if (core.retention.isErasing)
      throw new BoundaryError('InvalidState', 'segments of the journal are being erased: rotate when that is done')
    this.#beginning = true
    try {
      spaceForUses(core)
      return await prepareGeneration(core.root, trust)
    } catch (error) {
      this.#beginning = false
      throw error
    }
  }

  #goOn(core: Core): void {
    this.#running = this.#all(core).catch(error => this.#failed(core, error))
  }

  async #all(core: Core): Promise<void> {
    const { generations } = core.root.file
    const newest = generations.at(-1)
    if (newest === undefined || generations.length < 2) return
    const segment = await core.book.journal.segmentFrom(newest.firstRecord)
    this.#done = 0
    this.#total = core.book.countBelow(segment)
    const why = `${newest.generation - 1}>${newest.generation}`
    const all = await rewriteBelow(core, segment, {
      why,
      signal: this.#ending.signal,
      onRows: rows => {
        this.#done += rows
      },
      onSpace: low => {
        this.#problem = low ? NO_SPACE : ''
      },
    })
    this.#problem = ''
    if (all) await this.#destroy(core)
  }

  /** Nothing that is in force needs the old generations any more. */
  async #destroy(core: Core): Promise<void> {
    const { journal } = core.book
    const old = core.root.file.generations.slice(0, -1).map(({ generation }) => generation)
    const fields = baseFields(core, 'destroyGeneration', ownCall(), undefined)
    const { seq } = await core.book.record({ ...fields, outcome: 'allowed', transition: `${old.join(',')}>` })
    await journal.checkpoint()
    await journal.snapshotAlone()
    const { bytes, opened } = withoutOldGenerations(core.root, core.clocks.real(), seq + 1)
    await wipeOld(this.#file)
    await putRootFile(this.#file, bytes)
    await wipeOld(this.#file)
    // First what says where write sets begin now: who meets one that is gone asks again.
    core.root = opened
    journal.forgetOldKeys()
    core.keyring.forgetOld()
    this.#log('info', 'the rotation of the root is complete: the generation before is destroyed', {
      destroyed: opened.file.destroyed,
    })
  }

  #failed(core: Core, error: unknown): void {
    if (this.#ending.signal.aborted || error instanceof JournalDead) return
    this.#problem = error instanceof BoundaryError ? error.message : 'for a reason of ours, which the log has'
    this.#log('error', 'the rotation of the root does not go on, and is tried again', placeOf(error))
    this.#retry = setTimeout(() => this.#goOn(core), RETRY_MS)
    this.#retry.unref()
  }

  status(core: Core): RootStatus {
    const { kind, generations, destroyed, destroyedAt } = core.root.file
    return {
      kind,
      generations: generations.map(({ generation, createdAt }) => ({ generation, createdAt })),
      destroyed,
      destroyedAt,
      done: this.#done,
      total: this.#total,
      problem: this.#problem,
      file: this.#file,
    }
  }

  /** A sentence for the operator where something stands in the way. */
  warnings(): string[] {
    return this.#problem === '' ? [] : [`${ROTATION_RESTS}: ${this.#problem}`]
  }

  /** Ends after the piece of work that is under way; the next start goes on. */
  async stop(): Promise<void> {
    this.#ending.abort()
    clearTimeout(this.#retry)
    await this.#running
  }
}
