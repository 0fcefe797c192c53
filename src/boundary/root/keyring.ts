/**
 * The keyring: for each root generation a sealing root, and the purpose keys derived from it. See docs/formats/root.md, "Purpose keys".
 */
import { createSecretKey, type KeyObject } from 'node:crypto'
import { inspect } from 'node:util'
import { deriveKey } from '../crypto/kdf.ts'
import type { Secret } from './types.ts'

/** Every use of a sealing root has a key of its own, derived under a label of its own. */
export const PURPOSES = [
  'seal',
  'row-tag',
  'secret',
  'write-set',
  'snapshot',
  'import-token',
  'marker',
  'session',
  'root-file',
  'log-key',
  'test',
] as const
export type Purpose = (typeof PURPOSES)[number]

const ROOT_BYTES = 32

/** Shows itself nowhere. */
export class Keyring {
  /** 16 bytes. */
  readonly boundaryId: Buffer
  readonly #keys = new Map<number, ReadonlyMap<Purpose, KeyObject>>()
  #generations: readonly number[] = []
  #current = 0

  /** Takes the roots over and wipes them. */
  constructor(boundaryId: Buffer, roots: ReadonlyMap<number, Secret>) {
    if (boundaryId.length !== 16) throw new RangeError('a boundary id is 16 bytes')
    if (roots.size === 0) throw new RangeError('a keyring has at least one generation')
    this.boundaryId = boundaryId
    for (const [generation, root] of roots) this.add(generation, root)
  }

  /** Takes a sealing root over and wipes it. From this call on, the newest generation seals. */
  add(generation: number, root: Secret): void {
    if (root.length !== ROOT_BYTES) throw new RangeError('a sealing root is 32 bytes')
    const key = root.toKeyObject()
    root.wipe()
    const purposes = new Map<Purpose, KeyObject>()
    for (const purpose of PURPOSES) {
      const derived = deriveKey(key, `holdfast ${purpose} 1`, this.boundaryId)
      purposes.set(purpose, createSecretKey(derived))
      derived.fill(0)
    }
    this.#keys.set(generation, purposes)
    this.#order()
  }

  /** Keeps the newest generation alone: what the others sealed opens no more. */
  forgetOld(): void {
    for (const generation of this.#generations) if (generation !== this.#current) this.#keys.delete(generation)
    this.#order()
  }

  #order(): void {
    this.#generations = [...this.#keys.keys()].sort((a, b) => b - a)
    this.#current = this.#generations[0] ?? 0
  }

  /** The generation under which new things are sealed. */
  get current(): number {
    return this.#current
  }

  /** All generations, newest first. */
  get generations(): readonly number[] {
    return this.#generations
  }

  /** Throws `RangeError` for a generation that the keyring does not hold. */
  key(purpose: Purpose, generation: number = this.#current): KeyObject {
    const key = this.#keys.get(generation)?.get(purpose)
    if (key === undefined) throw new RangeError(`no root generation ${generation}`)
    return key
  }

  toJSON(): string {
    return '[keyring]'
  }

  [inspect.custom](): string {
    return '[keyring]'
  }
}
