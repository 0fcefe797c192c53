/**
 * Request quotas (aws-kms.md §11.3): a token bucket for each account, Region and class of operations, and one for each custom key store. Nothing is
 * allocated for a request.
 *
 * Asked after authentication and before anything else of a request is looked at. Where only the key tells the class, the request is held in a bucket of
 * its operation's group, which has as much as all classes that it may come to; when the key is known and allowed, that is given back and its class
 * counts it. So it counts once, no class waits for another, and what names no key that the caller may use stays bounded.
 */
import type { KeySpec } from '../../boundary/words.ts'
import type { RequestQuotas } from '../../config/quotas.ts'
import { OPERATION_INPUTS } from './model/model.ts'
import { BY_KEY, BY_OPERATION, CLASS_OF_PAIR, CLASS_OF_SPEC, OF_KEY_STORES, type QuotaClass } from './quota-classes.ts'

/** What asks for more than the first look. */
export type Limits = Pick<RequestLimits, 'take' | 'takeByKey' | 'takeOfStore'>

/** Accounts whose buckets are kept, each with its Regions, and key stores; the one that came first goes first, and comes back with full ones. */
const KEPT = 10_000

/** For each bucket its tokens, and when they were counted, in milliseconds: of one account in one Region, or of one key store. */
type Buckets = Float64Array

export class RequestLimits {
  /** Place of an operation's first bucket, by the operation's name. */
  readonly #bucketOf = new Map<string, number>()
  readonly #bucketOfSpec: ReadonlyMap<string, number>
  readonly #bucketOfPair: ReadonlyMap<string, number>
  /** Requests a second, by bucket. */
  readonly #rates: readonly number[]
  /** Buckets from this place on hold what its key has yet to tell the class of. */
  readonly #firstHeld: number
  readonly #storeRates: readonly number[]
  readonly #regions: ReadonlyMap<string, number>
  readonly #accounts = new Map<string, (Buckets | undefined)[]>()
  readonly #stores = new Map<string, Buckets>()
  readonly #now: () => number

  /** `now`: milliseconds of a clock that never goes back. */
  constructor(quotas: RequestQuotas, regions: readonly string[], now: () => number = () => performance.now()) {
    const rates: number[] = []
    const own = (name: QuotaClass): number => rates.push(quotas[name]) - 1
    const places = new Map<QuotaClass, number>()
    const shared = (name: QuotaClass): number => {
      const place = places.get(name) ?? own(name)
      places.set(name, place)
      return place
    }
    const held = new Set(BY_KEY.flatMap(({ operations }) => operations))
    const classOf = new Map<string, QuotaClass>()
    for (const [name, { operations }] of Object.entries(BY_OPERATION))
      for (const operation of operations) classOf.set(operation, name as QuotaClass)
    for (const operation of OPERATION_INPUTS.keys()) {
      if (held.has(operation)) continue
      const name = classOf.get(operation) ?? 'rareChanges'
      this.#bucketOf.set(operation, BY_OPERATION[name]?.shared ? shared(name) : own(name))
    }
    this.#bucketOfSpec = new Map(Object.entries(CLASS_OF_SPEC).map(([spec, name]) => [spec, shared(name)]))
    this.#bucketOfPair = new Map(Object.entries(CLASS_OF_PAIR).map(([spec, name]) => [spec, own(name)]))
    this.#firstHeld = rates.length
    for (const { operations, classes } of BY_KEY) {
      const place = rates.push(classes.reduce((sum, name) => sum + quotas[name], 0)) - 1
      for (const operation of operations) this.#bucketOf.set(operation, place)
    }
    this.#rates = rates
    this.#storeRates = [quotas.keyStore]
    this.#regions = new Map(regions.map((region, place) => [region, place]))
    this.#now = now
  }

  /** Takes one request of the account; false where it comes too fast. An operation that is none is not limited: it does nothing. */
  take(account: string, region: string, operation: string): boolean {
    const bucket = this.#bucketOf.get(operation)
    if (bucket === undefined) return true
    return takeFrom(this.#bucketsOf(account, region), bucket, this.#rates, this.#now())
  }

  /**
   * Counts a request that has passed `take`, and was held, in the class of its key; false where that comes too fast. Once for each request. `pairSpec`: of
   * the data key pair that is wanted; one that is never made stays held.
   */
  takeByKey(account: string, region: string, operation: string, spec: KeySpec, pairSpec: string | undefined): boolean {
    const held = this.#bucketOf.get(operation) ?? -1
    if (held < this.#firstHeld) return true
    const bucket = pairSpec === undefined ? this.#bucketOfSpec.get(spec) : this.#bucketOfPair.get(pairSpec)
    if (bucket === undefined) return true
    const buckets = this.#bucketsOf(account, region)
    buckets[2 * held] = (buckets[2 * held] ?? 0) + 1
    // As of when it was held: reading the clock is most of what counting costs.
    const now = Math.max(buckets[2 * held + 1] ?? 0, buckets[2 * bucket + 1] ?? 0)
    return takeFrom(buckets, bucket, this.#rates, now)
  }

  /** Counts a use of a key of this custom key store, besides its class and whoever asks. `store`: the store's row id. */
  takeOfStore(operation: string, store: string): boolean {
    if (!OF_KEY_STORES.has(operation)) return true
    let buckets = this.#stores.get(store)
    if (buckets === undefined) {
      buckets = this.#full(this.#storeRates)
      keep(this.#stores, store, buckets)
    }
    return takeFrom(buckets, 0, this.#storeRates, this.#now())
  }

  #bucketsOf(account: string, region: string): Buckets {
    let regions = this.#accounts.get(account)
    if (regions === undefined) {
      regions = []
      keep(this.#accounts, account, regions)
    }
    const place = this.#regions.get(region) ?? 0
    let buckets = regions[place]
    if (buckets === undefined) {
      buckets = this.#full(this.#rates)
      regions[place] = buckets
    }
    return buckets
  }

  #full(rates: readonly number[]): Buckets {
    const buckets = new Float64Array(2 * rates.length)
    const now = this.#now()
    for (let bucket = 0; bucket < rates.length; bucket++) {
      buckets[2 * bucket] = Math.max(1, rates[bucket] ?? 0)
      buckets[2 * bucket + 1] = now
    }
    return buckets
  }
}

/** Takes one token; false where there is none. */
function takeFrom(buckets: Buckets, bucket: number, rates: readonly number[], now: number): boolean {
  const rate = rates[bucket] ?? 0
  const tokens = (buckets[2 * bucket] ?? 0) + ((now - (buckets[2 * bucket + 1] ?? 0)) * rate) / 1000
  // What a second brings may come at once, and one request always may.
  const there = Math.min(tokens, Math.max(1, rate))
  buckets[2 * bucket + 1] = now
  buckets[2 * bucket] = there < 1 ? there : there - 1
  return there >= 1
}

function keep<T>(map: Map<string, T>, name: string, value: T): void {
  const oldest = map.size >= KEPT ? map.keys().next().value : undefined
  if (oldest !== undefined) map.delete(oldest)
  map.set(name, value)
}
