/**
 * Request quotas (aws-kms.md §11.3): a token bucket for each account, Region and class of operations, asked after authentication and before anything
 * else of a request is looked at. Nothing is allocated for a request.
 */
import type { RequestQuotas } from '../../config/quotas.ts'
import { OPERATION_INPUTS } from './model/model.ts'

export type QuotaClass = Exclude<keyof RequestQuotas, 'enforced'>

/** Which operations a class has; `shared`: they share one bucket, else each has its own. What is in none is of `rareChanges`. */
export const QUOTA_CLASSES: Readonly<
  Record<QuotaClass, { readonly shared: boolean; readonly operations: readonly string[] }>
> = {
  cryptographic: {
    shared: true,
    operations: [
      'Encrypt',
      'Decrypt',
      'ReEncrypt',
      'GenerateDataKey',
      'GenerateDataKeyWithoutPlaintext',
      'GenerateMac',
      'VerifyMac',
      'GenerateRandom',
    ],
  },
  asymmetric: {
    shared: true,
    operations: ['Sign', 'Verify', 'DeriveSharedSecret', 'Encapsulate', 'Decapsulate'],
  },
  dataKeyPairs: { shared: true, operations: ['GenerateDataKeyPair', 'GenerateDataKeyPairWithoutPlaintext'] },
  descriptions: { shared: false, operations: ['DescribeKey', 'GetPublicKey', 'ListResourceTags'] },
  policies: { shared: false, operations: ['GetKeyPolicy', 'GetKeyRotationStatus'] },
  lists: { shared: false, operations: ['ListKeys', 'ListAliases'] },
  keyLists: {
    shared: false,
    operations: ['ListGrants', 'ListRetirableGrants', 'ListKeyPolicies', 'ListKeyRotations', 'GetKeyLastUsage'],
  },
  grants: { shared: false, operations: ['CreateGrant'] },
  grantEnds: { shared: false, operations: ['RetireGrant', 'RevokeGrant'] },
  changes: {
    shared: false,
    operations: [
      'PutKeyPolicy',
      'ScheduleKeyDeletion',
      'DeleteAlias',
      'EnableKeyRotation',
      'DeleteImportedKeyMaterial',
      'TagResource',
    ],
  },
  rareChanges: { shared: false, operations: [] },
  importParameters: { shared: false, operations: ['GetParametersForImport'] },
}

/** Accounts whose buckets are kept, each with its Regions; the one that came first goes first, and comes back with full ones. */
const KEPT_ACCOUNTS = 10_000

/** Of one account in one Region: for each bucket its tokens, and when they were counted, in milliseconds. */
type Buckets = Float64Array

export class RequestLimits {
  /** Place of an operation's bucket, by the operation's name. */
  readonly #bucketOf = new Map<string, number>()
  /** Requests a second, by bucket. */
  readonly #rates: readonly number[]
  readonly #regions: ReadonlyMap<string, number>
  readonly #accounts = new Map<string, (Buckets | undefined)[]>()
  readonly #now: () => number

  /** `now`: milliseconds of a clock that never goes back. */
  constructor(quotas: RequestQuotas, regions: readonly string[], now: () => number = () => performance.now()) {
    const rates: number[] = []
    const classOf = new Map<string, QuotaClass>()
    for (const [name, { operations }] of Object.entries(QUOTA_CLASSES))
      for (const operation of operations) classOf.set(operation, name as QuotaClass)
    const shared = new Map<QuotaClass, number>()
    for (const operation of OPERATION_INPUTS.keys()) {
      const name = classOf.get(operation) ?? 'rareChanges'
      const bucket = QUOTA_CLASSES[name].shared ? shared.get(name) : undefined
      this.#bucketOf.set(operation, bucket ?? rates.length)
      if (bucket !== undefined) continue
      shared.set(name, rates.length)
      rates.push(quotas[name])
    }
    this.#rates = rates
    this.#regions = new Map(regions.map((region, place) => [region, place]))
    this.#now = now
  }

  /** Takes one request of the account; false where it comes too fast. An operation that is none is not limited: it does nothing. */
  take(account: string, region: string, operation: string): boolean {
    const bucket = this.#bucketOf.get(operation)
    if (bucket === undefined) return true
    const buckets = this.#bucketsOf(account, this.#regions.get(region) ?? 0)
    const rate = this.#rates[bucket] ?? 0
    const now = this.#now()
    const tokens = (buckets[2 * bucket] ?? 0) + ((now - (buckets[2 * bucket + 1] ?? 0)) * rate) / 1000
    // What a second brings may come at once, and one request always may.
    const held = Math.min(tokens, Math.max(1, rate))
    buckets[2 * bucket + 1] = now
    buckets[2 * bucket] = held < 1 ? held : held - 1
    return held >= 1
  }

  #bucketsOf(account: string, region: number): Buckets {
    let regions = this.#accounts.get(account)
    if (regions === undefined) {
      if (this.#accounts.size >= KEPT_ACCOUNTS)
        for (const oldest of this.#accounts.keys()) {
          this.#accounts.delete(oldest)
          break
        }
      regions = []
      this.#accounts.set(account, regions)
    }
    let buckets = regions[region]
    if (buckets === undefined) {
      buckets = new Float64Array(2 * this.#rates.length)
      const now = this.#now()
      for (let bucket = 0; bucket < this.#rates.length; bucket++) {
        buckets[2 * bucket] = Math.max(1, this.#rates[bucket] ?? 0)
        buckets[2 * bucket + 1] = now
      }
      regions[region] = buckets
    }
    return buckets
  }
}
