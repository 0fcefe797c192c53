/**
 * The ceremonies of shares: holders unlock a boundary together, or are given new shares. One at a time, in memory only: whatever ends it (cancelled, expired,
 * the process killed) leaves the root of trust as it was. See docs/shares.md.
 */
import type { KeyObject } from 'node:crypto'
import type { InputOf, OutputOf } from '../../client/protocol/operations.ts'
import type { ShareSet } from '../../root/share-text.ts'
import type { RootOfTrust } from '../../root/types.ts'
import { BoundaryError } from '../../words.ts'
import { baseFields, type Call, type Core, ownCall, refuse, spaceForUses } from '../core.ts'
import type { Log } from '../log.ts'
import { leavesNoKeyBehind } from '../rotation/trust.ts'
import type { UnlockLimit } from '../unlock-limit.ts'
import { Ceremony, noSuchCeremony, type Stopwatch } from './ceremony.ts'
import { Gathered } from './gathered.ts'
import { Split } from './split.ts'

export interface CeremonyParts {
  readonly watch: Stopwatch
  readonly limit: UnlockLimit
  readonly log: Log
  /** Which shares open the boundary now. Throws InvalidState where it is not locked, or none do. */
  awaited(): ShareSet
  /** Opens it. Throws WrongShares. */
  open(key: KeyObject): Promise<void>
  /** Throws Locked. */
  core(): Core
  /** Brings another root of trust into force. */
  enforce(core: Core, trust: RootOfTrust, call: Call): Promise<void>
}

type Running =
  | { readonly kind: 'unlock'; readonly ceremony: Ceremony; readonly what: Gathered }
  | { readonly kind: 'split'; readonly ceremony: Ceremony; readonly what: Split }

/** Of a split, for the log. */
const named = ({ threshold, count }: ShareSet): string => `${threshold} of ${count}`

export class Ceremonies {
  readonly #parts: CeremonyParts
  #running: Running | undefined
  /** Shares are coming into force: nothing else can happen to the ceremony. */
  #entering = false

  constructor(parts: CeremonyParts) {
    this.#parts = parts
  }

  /** How far it is; never who. */
  status(): OutputOf<'ceremony'> {
    const running = this.#running
    if (running === undefined) return undefined
    const { kind, ceremony, what } = running
    const handedOut = kind === 'split' ? what.handedOut : 0
    const { set, given } = kind === 'split' ? what.back : what
    return {
      kind,
      handedOut,
      given,
      needed: set.threshold,
      shares: set.count,
      secondsLeft: ceremony.secondsLeft,
    }
  }

  /** A share for unlocking. An empty code begins a ceremony. */
  async giveShare({ ceremony: code, share }: InputOf<'giveShare'>): Promise<OutputOf<'giveShare'>> {
    try {
      const set = this.#parts.awaited()
      this.#parts.limit.ready()
      const { ceremony, what } = code === '' ? this.#beginUnlock(set, share) : this.#joinUnlock(code, share)
      const said = { ceremony: ceremony.code, given: what.given, needed: set.threshold }
      const key = what.key()
      if (key === undefined) return { ...said, done: false }
      this.end()
      await this.#parts.limit.attempt(() => this.#parts.open(key))
      return { ...said, done: true }
    } finally {
      share.fill(0)
    }
  }

  #beginUnlock(set: ShareSet, share: Buffer): Running & { kind: 'unlock' } {
    this.#nothingElse()
    const what = new Gathered(set)
    what.add(share)
    const running = { kind: 'unlock', ceremony: this.#newCeremony(), what } as const
    this.#running = running
    return running
  }

  #joinUnlock(code: string, share: Buffer): Running & { kind: 'unlock' } {
    const running = this.#join(code)
    if (running.kind !== 'unlock') throw noSuchCeremony()
    running.what.add(share)
    running.ceremony.goOn()
    return running
  }

  /** Makes new shares, and hands out the first. */
  async splitRoot({ threshold, shares }: InputOf<'splitRoot'>): Promise<OutputOf<'splitRoot'>> {
    const core = this.#core()
    const { boundaryId, generations } = core.root.file
    this.#nothingElse()
    if (generations.length > 1)
      throw new BoundaryError('InvalidState', 'a rotation of the root is under way: split when it has ended')
    await leavesNoKeyBehind(core)
    const what = await Split.make(boundaryId, threshold, shares)
    try {
      this.#nothingElse()
    } catch (error) {
      what.wipe()
      throw error
    }
    const ceremony = this.#newCeremony()
    this.#running = { kind: 'split', ceremony, what }
    return { ceremony: ceremony.code, share: what.take(), handedOut: what.handedOut, shares }
  }

  /** Hands out one of the shares that are left. */
  async takeShare({ ceremony: code }: InputOf<'takeShare'>): Promise<OutputOf<'takeShare'>> {
    this.#core()
    const { ceremony, what } = this.#joinSplit(code)
    const share = what.take()
    ceremony.goOn()
    return { share, handedOut: what.handedOut, shares: what.set.count }
  }

  /** A share that is given back for trial. With the last that it takes the new root of trust is in force. */
  async confirmShare(
    { ceremony: code, share }: InputOf<'confirmShare'>,
    call: Call,
  ): Promise<OutputOf<'confirmShare'>> {
    try {
      const core = this.#core()
      const { ceremony, what } = this.#joinSplit(code)
      const trust = what.giveBack(share)
      ceremony.goOn()
      const needed = what.set.threshold
      if (trust === undefined) return { given: what.back.given, needed, done: false }
      await this.#enforce(core, what, trust, call)
      return { given: needed, needed, done: true }
    } finally {
      share.fill(0)
    }
  }

  async #enforce(core: Core, what: Split, trust: RootOfTrust, call: Call): Promise<void> {
    const fields = baseFields(core, 'splitRoot', call, undefined)
    fields.transition = `${core.root.file.kind}>shares ${named(what.set)}`
    this.#entering = true
    try {
      await what.prove(trust).catch(error => refuse(core, fields, error))
      await this.#parts.enforce(core, trust, call)
      this.end()
    } finally {
      this.#entering = false
    }
    await core.book.record({ ...fields, outcome: 'allowed' })
  }

  /** Whoever knows the code may end it. */
  async cancel({ ceremony: code }: InputOf<'cancelCeremony'>, call: Call): Promise<void> {
    await this.#over(this.#join(code), 'cancelled', call)
  }

  /** Forgets everything, and waits for nobody any more. */
  end(): void {
    this.#running?.ceremony.end()
    this.#running?.what.wipe()
    this.#running = undefined
  }

  /** What a split works on: it is refused below the floor of free space, as uses are. */
  #core(): Core {
    const core = this.#parts.core()
    spaceForUses(core)
    return core
  }

  #newCeremony(): Ceremony {
    const ceremony: Ceremony = new Ceremony(this.#parts.watch, () => {
      const running = this.#running
      if (running?.ceremony !== ceremony || this.#entering) return
      // Should the record not be written, the process ends by that.
      this.#over(running, 'expired', ownCall()).catch(() => {})
    })
    return ceremony
  }

  async #over({ kind, what }: Running, how: 'cancelled' | 'expired', call: Call): Promise<void> {
    this.end()
    this.#parts.log('info', `the ceremony of shares was ${how}`, { kind })
    // A boundary that is locked has no log to write to.
    if (kind === 'unlock') return
    const core = this.#parts.core()
    await core.book.record({
      ...baseFields(core, 'cancelCeremony', call, undefined),
      outcome: 'allowed',
      transition: `split ${named(what.set)}>${how}`,
    })
  }

  #nothingElse(): void {
    if (this.#running !== undefined)
      throw new BoundaryError('InvalidState', 'a ceremony is under way: give its code, or wait until it is over')
  }

  #join(code: string): Running {
    const running = this.#running
    if (running === undefined) throw noSuchCeremony()
    running.ceremony.check(code)
    if (this.#entering) throw new BoundaryError('InvalidState', 'the new shares are just coming into force')
    return running
  }

  #joinSplit(code: string): Running & { kind: 'split' } {
    const running = this.#join(code)
    if (running.kind !== 'split') throw noSuchCeremony()
    return running
  }
}
