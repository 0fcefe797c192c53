/**
 * New shares on their way: each handed out once, then enough of them given back. The key itself is not kept meanwhile, only something that it wraps: what
 * the holders give back must open that, and it is their key that then comes into force.
 */
import { secretBytes } from '../../crypto/random.ts'
import { type ShareSet, writeShare } from '../../root/share-text.ts'
import { makeShares, newShareSet, sharesRoot } from '../../root/shares.ts'
import { RootError, type RootOfTrust, Secret } from '../../root/types.ts'
import { BoundaryError } from '../../words.ts'
import { Gathered } from './gathered.ts'

export class Split {
  readonly set: ShareSet
  readonly back: Gathered
  readonly #probe: Buffer
  /** Raw shares that nobody has taken. */
  readonly #left: Buffer[]

  private constructor(set: ShareSet, probe: Buffer, left: Buffer[]) {
    this.set = set
    this.back = new Gathered(set)
    this.#probe = probe
    this.#left = left
  }

  /** Throws InvalidRequest for numbers of shares that are none. */
  static async make(boundaryId: Buffer, threshold: number, count: number): Promise<Split> {
    const set = setOf(boundaryId, threshold, count)
    const { key, shares } = makeShares(set)
    const probe = new Secret(secretBytes(32))
    const wrapped = await sharesRoot(set, key).wrap(probe)
    probe.wipe()
    return new Split(set, wrapped, shares)
  }

  get handedOut(): number {
    return this.set.count - this.#left.length
  }

  /** The line of a share that nobody has, and will get again. Throws InvalidState where there is none left. */
  take(): Buffer {
    const raw = this.#left.pop()
    if (raw === undefined) throw new BoundaryError('InvalidState', 'every share has been taken')
    const line = writeShare(this.set, raw)
    raw.fill(0)
    return line
  }

  /** Takes a share back: what should be the new root of trust once there are enough, undefined before. `prove` it. */
  giveBack(line: Buffer): RootOfTrust | undefined {
    if (this.#left.length > 0) {
      const missing = `${this.#left.length} of ${this.set.count}`
      throw new BoundaryError('InvalidState', `${missing} shares have not been taken yet: holdfast root take-share`)
    }
    this.back.add(line)
    const key = this.back.key()
    return key && sharesRoot(this.set, key)
  }

  /** Throws WrongShares where what was given back does not give the key; all of it is forgotten by then. */
  async prove(trust: RootOfTrust): Promise<void> {
    try {
      const opened = await trust.unwrap(this.#probe)
      opened.wipe()
    } catch (error) {
      if (error instanceof RootError) throw new BoundaryError('WrongShares', error.message)
      throw error
    }
  }

  wipe(): void {
    for (const raw of this.#left) raw.fill(0)
    this.#left.length = 0
    this.back.wipe()
  }
}

function setOf(boundaryId: Buffer, threshold: number, count: number): ShareSet {
  try {
    return newShareSet(boundaryId, threshold, count)
  } catch (error) {
    if (error instanceof RootError) throw new BoundaryError('InvalidRequest', error.message)
    throw error
  }
}
