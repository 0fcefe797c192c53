/**
 * Decisions by their exact input, bounded: two generations, of which the older one goes when the younger is full. All caches share one space; when that is full,
 * the largest is emptied, so that whoever asks for most loses his own decisions and nobody else's.
 */

/** Characters of keys in one generation. */
const GENERATION = 1 << 20
/** What an entry takes beside its key. */
const OVERHEAD = 128
/** New entries after which a cache looks whether there is room. */
const ROOM_EVERY = 256

export class CacheSpace {
  readonly #limit: number
  readonly #caches = new Set<DecisionCache<unknown>>()

  /** `limit`: characters in all. */
  constructor(limit: number) {
    this.#limit = limit
  }

  join(cache: DecisionCache<unknown>): void {
    this.#caches.add(cache)
  }

  leave(cache: DecisionCache<unknown>): void {
    this.#caches.delete(cache)
  }

  get used(): number {
    let used = 0
    for (const { size } of this.#caches) used += size
    return used
  }

  /** Walks over all caches: not for every entry. */
  makeRoom(): void {
    while (this.used > this.#limit) {
      let largest: DecisionCache<unknown> | undefined
      for (const cache of this.#caches) if (cache.size > (largest?.size ?? 0)) largest = cache
      largest?.clear()
    }
  }
}

export class DecisionCache<T> {
  readonly #space: CacheSpace
  readonly #generation: number
  #young = new Map<string, T>()
  #old = new Map<string, T>()
  #youngSize = 0
  #oldSize = 0
  #step = 0

  /** `generation`: characters of keys in one generation. */
  constructor(space: CacheSpace, generation = GENERATION) {
    this.#space = space
    this.#generation = generation
    space.join(this)
  }

  /** Characters that it takes, overhead included. */
  get size(): number {
    return this.#youngSize + this.#oldSize
  }

  get entries(): number {
    return this.#young.size + this.#old.size
  }

  get(key: string): T | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old !== undefined) this.set(key, old)
    return old
  }

  set(key: string, value: T): void {
    this.#young.set(key, value)
    this.#youngSize += key.length + OVERHEAD
    if (this.#youngSize >= this.#generation) {
      this.#old = this.#young
      this.#oldSize = this.#youngSize
      this.#young = new Map()
      this.#youngSize = 0
    }
    if (++this.#step % ROOM_EVERY === 0) this.#space.makeRoom()
  }

  clear(): void {
    this.#young = new Map()
    this.#old = new Map()
    this.#youngSize = 0
    this.#oldSize = 0
  }

  /** It is not used any more. */
  close(): void {
    this.clear()
    this.#space.leave(this)
  }
}
