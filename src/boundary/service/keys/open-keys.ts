/**
 * Sealed keys that are open, bounded by count. Whatever is here is the newest revision: every transition evicts before it is answered. The oldest
 * that was not used since the last round goes first (clock).
 */
import { createPublicKey, type KeyObject } from 'node:crypto'
import type { KeyRef } from '../../client/protocol/shapes.ts'
import { MessageKey } from '../../crypto/message.ts'
import { Pair } from '../../crypto/pairs.ts'
import { rowDigest } from '../../crypto/rows.ts'
import { type OpenedKey, openKey } from '../../crypto/sealed.ts'
import type { Keyring } from '../../root/keyring.ts'
import { BoundaryError, type KeySpec, type KeyState, type KeyUsage } from '../../words.ts'
import type { Book } from '../book.ts'
import { expiresAt } from './due.ts'
import { type Place, readPlace } from './place.ts'

/** About 1.5 KiB each. */
export const DEFAULT_OPEN_KEYS = 100_000

/** The key's id as messages name it: the row id without its Region. */
export const bareKeyId = (id: string): string => id.slice(id.indexOf('/') + 1)

/** One material of an open key: `key` where it is sealed, `place` where it is in a token. */
export interface OpenMaterial {
  readonly id: string
  readonly key: KeyObject | undefined
  readonly place: Place | undefined
  message: MessageKey | undefined
  pair: Pair | undefined
}

/** What uses need of a key, and nothing else: there can be a hundred thousand of these. */
export class OpenKey {
  readonly id: string
  readonly revision: number
  /** Latin-1: a small Buffer would hold on to the whole slab of Node's pool that it was cut from. */
  readonly #digest: string
  readonly account: string
  readonly state: KeyState
  readonly spec: KeySpec
  readonly usage: KeyUsage
  readonly mayEncrypt: boolean
  readonly mayDecrypt: boolean
  /** Row id of the custom key store in whose token the materials are; empty for all others. */
  readonly cluster: string
  /** The current material's place in the list, or -1. */
  readonly #current: number
  readonly #materials: readonly OpenMaterial[]
  /** Lifecycle time from which uses are refused because material has expired; 0 for never. */
  readonly expiresAt: number
  /** SPKI of the current pair, where its private half is in a token. */
  readonly #spki: Buffer | undefined
  #publicKey: KeyObject | undefined
  /** Used since the last round of eviction. */
  used = true

  constructor(ref: Pick<KeyRef, 'id' | 'revision' | 'digest'>, { header, materials }: OpenedKey) {
    this.id = ref.id
    this.revision = ref.revision
    this.#digest = ref.digest.toString('latin1')
    this.account = header.account
    this.state = header.state
    this.spec = header.spec
    this.usage = header.usage
    this.cluster = header.origin === 'AWS_CLOUDHSM' ? header.keyStoreId : ''
    this.mayEncrypt = header.mayEncrypt
    this.mayDecrypt = header.mayDecrypt
    this.#current = header.materials.findIndex(material => material.state === 'CURRENT')
    this.#materials = header.materials.map(({ id, description }) => ({
      id,
      key: materials.get(id),
      place: header.backing === 'TOKEN' ? readPlace(description) : undefined,
      message: undefined,
      pair: undefined,
    }))
    this.expiresAt = expiresAt(header)
    this.#spki = header.backing === 'TOKEN' && header.publicKey.length > 0 ? header.publicKey : undefined
  }

  /** Whether a reference is to exactly this. */
  is(ref: Pick<KeyRef, 'revision' | 'digest'>): boolean {
    return this.revision === ref.revision && this.#digest === ref.digest.toString('latin1')
  }

  get current(): OpenMaterial | undefined {
    return this.#materials[this.#current]
  }

  material(id: string): OpenMaterial | undefined {
    const current = this.current
    return current?.id === id ? current : this.#materials.find(material => material.id === id)
  }

  /** A material prepared for messages, or undefined where the key does not have it in the clear. */
  messageKey(material: OpenMaterial | undefined): MessageKey | undefined {
    if (material?.key === undefined) return undefined
    material.message ??= new MessageKey({
      account: this.account,
      keyId: bareKeyId(this.id),
      materialId: material.id,
      material: material.key,
    })
    return material.message
  }

  /** Newest first. */
  materials(): readonly OpenMaterial[] {
    return this.#materials.toReversed()
  }

  /** A private key, prepared for use: the current one, or that of `material`. Throws KeyPendingImport where the key does not have it in the clear. */
  pair(material: OpenMaterial | undefined = this.current): Pair {
    const clear = this.#inTheClear(material)
    clear.pair ??= new Pair(clear.key)
    return clear.pair
  }

  /** The public half of the current pair, wherever its private half is. */
  publicHalf(): KeyObject {
    if (this.#spki === undefined) return this.pair().publicKey
    this.#publicKey ??= createPublicKey({ key: this.#spki, format: 'der', type: 'spki' })
    return this.#publicKey
  }

  /** The secret of a key for MACs. Throws KeyPendingImport where the key does not have it in the clear. */
  secret(): KeyObject {
    return this.#inTheClear(this.current).key
  }

  #inTheClear(material: OpenMaterial | undefined): OpenMaterial & { readonly key: KeyObject } {
    if (material?.key === undefined) throw new BoundaryError('KeyPendingImport')
    return material as OpenMaterial & { readonly key: KeyObject }
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
      if (!open.is(ref)) throw new Stale(ref.id)
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
    const opened = new OpenKey(ref, openKey(this.#keyring, ref.row.body))
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
