/** The grants of keys in memory: those of one key for one grantee, as they are asked for, and how many a key has. */
import { keyOfGrant, type Row } from '../../boundary/words.ts'
import { LinkedLists } from '../../store/linked.ts'
import type { Replica } from '../../store/replica.ts'
import { type Grant, grantIdOf, readGrant } from '../access/grants.ts'

/** For grants: some 120,000 keys and grantees with one unconstrained grant each. */
const MAX_BYTES = 48 * 1024 * 1024
/** Keys whose number of grants is known. */
const MAX_COUNTS = 4096
const PAGE = 1000

export class Grants {
  readonly #replica: Replica
  readonly #lists: LinkedLists<Grant>
  /** Oldest first. */
  readonly #counts = new Map<string, number>()
  /** Counts how often everything was forgotten. */
  #era = 0
  /** Of keys whose grants are being counted: those that came and went meanwhile. */
  readonly #counting = new Map<string, { readonly changes: Row[]; readonly count: Promise<number> }>()

  constructor(replica: Replica) {
    this.#replica = replica
    this.#lists = new LinkedLists(replica, {
      kind: 'grant',
      read: readGrant,
      idOf: ({ id }) => grantIdOf(id),
      maxBytes: MAX_BYTES,
    })
    replica.watch('grant', row => this.#learn(row))
    replica.onForget(() => {
      this.#counts.clear()
      this.#era++
    })
  }

  /** Memory that they take, about, in bytes. */
  get bytes(): number {
    return this.#lists.bytes
  }

  /** All grants of a key for one grantee (`granteeLink`), from memory; undefined where `load` must be awaited first. */
  peek(link: string): readonly Grant[] | undefined {
    return this.#lists.peek(link)
  }

  load(link: string): Promise<void> {
    return this.#lists.load(link)
  }

  /** How many grants a key has. Counted once, one by one. */
  async count(keyRowId: string): Promise<number> {
    const known = this.#counts.get(keyRowId)
    if (known !== undefined) return known
    const underway = this.#counting.get(keyRowId)
    if (underway !== undefined) return underway.count
    const changes: Row[] = []
    const count = this.#count(keyRowId, changes).finally(() => this.#counting.delete(keyRowId))
    this.#counting.set(keyRowId, { changes, count })
    return count
  }

  async #count(keyRowId: string, changes: readonly Row[]): Promise<number> {
    const era = this.#era
    await this.#replica.settled()
    const ids = new Set<string>()
    for (let after = ''; ; ) {
      const rows = await this.#replica.listPrefixed('grant', `${keyRowId}#`, { after, limit: PAGE })
      for (const { id } of rows) ids.add(id)
      if (rows.length < PAGE) break
      after = rows.at(-1)?.id ?? ''
    }
    for (const { id, body } of changes) {
      if (body === null) ids.delete(id)
      else ids.add(id)
    }
    if (era !== this.#era) return ids.size
    this.#counts.set(keyRowId, ids.size)
    const oldest = this.#counts.size > MAX_COUNTS ? this.#counts.keys().next().value : undefined
    if (oldest !== undefined) this.#counts.delete(oldest)
    return ids.size
  }

  /** A grant is made once and deleted once: nothing in it changes. One of a later revision may be a new one or the same, sealed anew: they are counted again. */
  #learn(row: Row): void {
    const keyRowId = keyOfGrant(row.id)
    this.#counting.get(keyRowId)?.changes.push(row)
    const known = this.#counts.get(keyRowId)
    if (known === undefined) return
    if (row.body !== null && row.revision > 1) this.#counts.delete(keyRowId)
    else this.#counts.set(keyRowId, known + (row.body === null ? -1 : 1))
  }
}
