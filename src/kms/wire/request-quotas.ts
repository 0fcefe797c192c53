/**
 * Request quotas (aws-kms.md §11.3): a token bucket for each account, Region and class of operations, asked after authentication and before anything
 * else of a request is looked at. Where the class depends on the key, the request is counted anew once the key is known: what it took first is given
 * back, so that it counts once. Nothing is allocated for a request.
 */
import type { KeySpec } from '../../boundary/words.ts'
import type { RequestQuotas } from '../../config/quotas.ts'
import { OPERATION_INPUTS } from './model/model.ts'

/** Classes that are no settings: what passes here is counted by its key. As many pass as all those classes together have. */
export const GATES = {
  asymmetric: ['rsa', 'ecc', 'postQuantum'],
  dataKeyPairs: ['dataKeyPairsRsa2048', 'dataKeyPairsRsa3072', 'dataKeyPairsRsa4096', 'dataKeyPairsEcc'],
} as const
/** Classes that only a key leads to. */
type KeyClass = (typeof GATES)[keyof typeof GATES][number] | 'keyStore'
export type QuotaClass = Exclude<keyof RequestQuotas, 'enforced' | KeyClass> | keyof typeof GATES

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

/** The class of a cryptographic operation by its key's spec; a spec that is missing leaves it where it is. */
const OF_SPEC: Readonly<Partial<Record<KeySpec, KeyClass>>> = {
  RSA_2048: 'rsa',
  RSA_3072: 'rsa',
  RSA_4096: 'rsa',
  ECC_NIST_P256: 'ecc',
  ECC_NIST_P384: 'ecc',
  ECC_NIST_P521: 'ecc',
  ECC_SECG_P256K1: 'ecc',
  ECC_NIST_EDWARDS25519: 'ecc',
  ML_DSA_44: 'postQuantum',
  ML_DSA_65: 'postQuantum',
  ML_DSA_87: 'postQuantum',
  ML_KEM_512: 'postQuantum',
  ML_KEM_768: 'postQuantum',
  ML_KEM_1024: 'postQuantum',
}
const PAIRS_RSA: Readonly<Record<string, KeyClass>> = {
  RSA_2048: 'dataKeyPairsRsa2048',
  RSA_3072: 'dataKeyPairsRsa3072',
  RSA_4096: 'dataKeyPairsRsa4096',
}
/** Specs of data key pairs that have a bucket each, of the class `dataKeyPairsEcc`. */
const PAIRS_ECC = [
  'ECC_NIST_P256',
  'ECC_NIST_P384',
  'ECC_NIST_P521',
  'ECC_SECG_P256K1',
  'ECC_NIST_EDWARDS25519',
] as const

/** Accounts and key stores whose buckets are kept, each with its Regions; the one that came first goes first, and comes back with full ones. */
const KEPT_ACCOUNTS = 10_000

/** Of one account in one Region: for each bucket its tokens, and when they were counted, in milliseconds. */
type Buckets = Float64Array

/** First classes whose requests may have another by their key. */
const BY_KEY: readonly QuotaClass[] = ['cryptographic', 'asymmetric', 'dataKeyPairs']

function rateOf(quotas: RequestQuotas, name: QuotaClass): number {
  if (name !== 'asymmetric' && name !== 'dataKeyPairs') return quotas[name]
  // Each curve has a bucket of its own.
  const times = (each: KeyClass): number => (each === 'dataKeyPairsEcc' ? PAIRS_ECC.length : 1)
  return GATES[name].reduce((sum, each) => sum + quotas[each] * times(each), 0)
}

export class RequestLimits {
  /** Place of an operation's bucket, by the operation's name. */
  readonly #bucketOf = new Map<string, number>()
  /** Requests a second, by bucket. */
  readonly #rates: readonly number[]
  /** Buckets whose requests are counted anew by their key. */
  readonly #anew: ReadonlySet<number>
  readonly #bySpec = new Map<string, number>()
  readonly #byPair = new Map<string, number>()
  readonly #ofStore: number
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
      rates.push(rateOf(quotas, name))
    }
    const places = new Map<KeyClass, number>()
    const placeOf = (name: KeyClass): number => {
      const place = places.get(name) ?? rates.push(quotas[name]) - 1
      places.set(name, place)
      return place
    }
    for (const [spec, name] of Object.entries(OF_SPEC)) this.#bySpec.set(spec, placeOf(name))
    for (const [spec, name] of Object.entries(PAIRS_RSA)) this.#byPair.set(spec, placeOf(name))
    for (const spec of PAIRS_ECC) this.#byPair.set(spec, rates.push(quotas.dataKeyPairsEcc) - 1)
    this.#ofStore = placeOf('keyStore')
    this.#anew = new Set(BY_KEY.flatMap(name => shared.get(name) ?? []))
    this.#rates = rates
    this.#regions = new Map(regions.map((region, place) => [region, place]))
    this.#now = now
  }

  /** Takes one request of the account; false where it comes too fast. An operation that is none is not limited: it does nothing. */
  take(account: string, region: string, operation: string): boolean {
    const bucket = this.#bucketOf.get(operation)
    if (bucket === undefined) return true
    return this.#from(this.#bucketsOf(account, this.#regions.get(region) ?? 0), bucket)
  }

  /**
   * Counts a request that has passed `take` by its key instead, where the key has a class of its own; to be asked once for each request. False where that
   * comes too fast. `keyStoreId`: row id of the key's custom key store, or empty. `pairSpec`: of a data key pair that is to be made.
   */
  takeByKey(
    account: string,
    region: string,
    operation: string,
    spec: KeySpec,
    keyStoreId: string,
    pairSpec: string | undefined,
  ): boolean {
    const first = this.#bucketOf.get(operation)
    if (first === undefined || !this.#anew.has(first)) return true
    const inStore = keyStoreId !== ''
    const bucket = inStore
      ? this.#ofStore
      : pairSpec === undefined
        ? this.#bySpec.get(spec)
        : this.#byPair.get(pairSpec)
    if (bucket === undefined) return true
    const place = this.#regions.get(region) ?? 0
    const buckets = this.#bucketsOf(account, place)
    buckets[2 * first] = Math.min((buckets[2 * first] ?? 0) + 1, Math.max(1, this.#rates[first] ?? 0))
    return this.#from(inStore ? this.#bucketsOf(keyStoreId, place) : buckets, bucket)
  }

  #from(buckets: Buckets, bucket: number): boolean {
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
