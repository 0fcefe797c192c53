/**
 * An older state than this boundary has had: a backup was put back, or the end of the journal was lost. An ordinary start refuses it, since all that was
 * revoked, disabled or deleted after it would be undone in silence. The boundary is started for nothing but this, shows what it has had and what it
 * holds, and gives the newer state up when the administrator names it: the first record of the journal that goes on says so, with both.
 */
import path from 'node:path'
import type { OlderStateAnswer } from '../client/api.ts'
import { type Journal, OlderState, type TreeHead } from '../journal/types.ts'
import { encodeRecord } from '../record.ts'
import { BoundaryError } from '../words.ts'
import { Book } from './book.ts'

type Open = (book: Book, givingUp?: TreeHead) => Promise<Journal>

/** Hex digits by which a person tells one root from another. */
const SHORT = 16

const records = (count: number): string => (count === 1 ? '1 record' : `${number(count)} records`)
/** Made where it is asked for: it takes as long as a tenth of the start. */
const number = (value: number): string => new Intl.NumberFormat('en').format(value)
const short = (root: Buffer): string => root.toString('hex').slice(0, SHORT)

/** Why an ordinary start is refused, and what there is to do. `folder`: the boundary's. */
export function olderStateText({ seen, held }: OlderState, folder: string): string {
  const last = held.size === 0 ? '' : `, the last of ${new Date(held.lastTime).toISOString()}`
  return [
    `${folder} holds an older state than this boundary has had: it has signed for ${records(seen.size)} (root ${short(seen.root)}…),`,
    `and its journal holds ${number(held.size)} (root ${short(held.root)}…${last}).`,
    `What lies between is missing, ${records(seen.size - held.size)}, with what was revoked, disabled, deleted or made then.`,
    'Put a newer backup back if there is one. If there is none, accept the older state, which is recorded:',
    `holdfast restore accept-older --data ${path.dirname(folder)} --config FILE`,
  ].join(' ')
}

/** `size hex`: how a state stands in the record. */
const told = ({ size, root }: TreeHead): string => `${size} ${root.toString('hex')}`

export class OlderStateCeremony {
  #open: Open | undefined
  #older: OlderState | undefined

  /** Whether the root of trust was given, and what is to be accepted is known. */
  get known(): boolean {
    return this.#older !== undefined
  }

  /** Finds what there is to accept. Rejects with BoundaryError `InvalidState` where there is nothing, and as opening a journal does. */
  async look(open: Open): Promise<void> {
    try {
      const journal = await open(new Book())
      await journal.close()
    } catch (error) {
      if (!(error instanceof OlderState)) throw error
      this.#open = open
      this.#older = error
      return
    }
    throw new BoundaryError('InvalidState', 'the journal holds all that this boundary is known to have had: start it')
  }

  /** See `BoundaryControl.acceptOlderState`. */
  async accept(givingUp: TreeHead | undefined): Promise<OlderStateAnswer> {
    const open = this.#open
    const older = this.#older
    if (open === undefined || older === undefined) throw new BoundaryError('Locked')
    const { seen, held } = older
    if (givingUp === undefined) return { seen, held, note: '' }
    if (givingUp.size !== seen.size || !givingUp.root.equals(seen.root))
      throw new BoundaryError('Conflict', 'that is not the newest state that this boundary has had')
    // Once: what follows changes the folder.
    this.#open = undefined
    const book = new Book()
    const journal = await open(book, seen)
    try {
      const lifecycle = book.clockOffset === 0 ? {} : { lifecycleTime: Date.now() + book.clockOffset }
      await journal.append(
        encodeRecord({
          boundaryOperation: 'acceptOlderState',
          source: 'control',
          outcome: 'allowed',
          count: seen.size - held.size,
          transition: `${told(seen)}>${told(held)}`,
          ...lifecycle,
        }),
      )
      return { seen, held, note: await journal.checkpoint() }
    } finally {
      await journal.close()
    }
  }
}
