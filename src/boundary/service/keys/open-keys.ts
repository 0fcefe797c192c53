/**
 * Sealed keys that are open, bounded by count. Whatever is here is the newest revision: every transition evicts before it is answered. The oldest
 * that was not used since the last round goes first (clock).
 */
import type { KeyObject } from 'node:crypto'
import type { KeyRef } from '../../client/protocol/shapes.ts'
import { MessageKey } from '../../crypto/message.ts'
import { rowDigest } from '../../crypto/rows.ts'
import { openKey } from '../../crypto/sealed.ts'
import type { Keyring } from '../../root/keyring.ts'
import { BoundaryError, type KeyHeader, type MaterialInfo } from '../../words.ts'
import type { Book } from '../book.ts'
import { expiresAt } from './due.ts'

export const DEFAULT_OPEN_KEYS = 20_000

/** The key's id as messages name it: the row id without its Region. */
export const bareKeyId = (id: string): string => id.slice(id.indexOf('/') + 1)

export class OpenKey {
  readonly id: string
  readonly revision: number
  readonly digest: Buffer
  readonly header: KeyHeader
  /** Materials inside the sealed key, by id. */
  readonly materials: ReadonlyMap<string, KeyObject>
  readonly current: MaterialInfo | undefined
  /** Lifecycle time from which uses are refused because material has expired; 0 for never. */
  readonly expiresAt: number
  /** Used since the last round of eviction. */
  used = true
  readonly #messageKeys = new Map<string, MessageKey>()

  constructor(ref: KeyRef, header: KeyHeader, materials: ReadonlyMap<string, KeyObject>) {
    this.id = ref.id
    this.revision = ref.revision
    // The bytes of a reference lie in a chunk of the socket: what is kept is copied.
    this.digest = Buffer.from(ref.digest)
    this.header = header
    this.materials = materials
    this.current = header.materials.find(material => material.state === 'CURRENT')
    this.expiresAt = expiresAt(header)
  }

  /** The material prepared for messages, or undefined where the key has no such material. */
  messageKey(materialId: string): MessageKey | undefined {
    let prepared = this.#messageKeys.get(materialId)
    if (prepared !== undefined) return prepared
    const material = this.materials.get(materialId)
    if (material === undefined) return undefined
    const { account } = this.header
    prepared = new MessageKey({ account, keyId: bareKeyId(this.id), materialId, material })
    this.#messageKeys.set(materialId, prepared)
    return prepared
  }
}

/** The reference is not to the newest revision. Whoever answers adds the current row of this id. */
export class Stale extends BoundaryError {
  readonly id: string
  constructor(id: string) {
    super('StaleKey')
    this.id = id
  }
}

export class OpenKeys {
  readonly #keys = new Map<string, OpenKey>()
  readonly #book: Book
  readonly #keyring: Keyring
  readonly #max: number

  constructor(book: Book, keyring: Keyring, max: number) {
    this.#book = book
    this.#keyring = keyring
    this.#max = Math.max(1, max)
  }

  /**
   * The key that a use names, which must be exactly the newest. Throws `Stale`, or `BoundaryError` KeyGone, NeedSealedKey, or InvalidRequest for a row
   * that is not the one named.
   */
  open(ref: KeyRef): OpenKey {
    const open = this.#keys.get(ref.id)
    if (open !== undefined) {
      if (open.revision !== ref.revision || !open.digest.equals(ref.digest)) throw new Stale(ref.id)
      open.used = true
      return open
    }
    const current = this.#book.current('key', ref.id)
    if (current === undefined || current.deleted) throw new BoundaryError('KeyGone')
    if (current.revision !== ref.revision || !current.digest.equals(ref.digest)) throw new Stale(ref.id)
    if (ref.row === undefined) throw new BoundaryError('NeedSealedKey')
    if (ref.row.body === null || !rowDigest(ref.row).equals(current.digest)) {
      throw new BoundaryError('InvalidRequest', 'the sealed key sent along is not the one named')
    }
    const { header, materials } = openKey(this.#keyring, Buffer.from(ref.row.body))
    const opened = new OpenKey(ref, header, materials)
    this.#evict()
    this.#keys.set(ref.id, opened)
    return opened
  }

  forget(id: string): void {
    this.#keys.delete(id)
  }

  get size(): number {
    return this.#keys.size
  }

  #evict(): void {
    if (this.#keys.size < this.#max) return
    // A key that is put back at the end is met again by the same loop, and then goes.
    for (const [id, key] of this.#keys) {
      this.#keys.delete(id)
      if (!key.used) return
      key.used = false
      this.#keys.set(id, key)
    }
  }
}
