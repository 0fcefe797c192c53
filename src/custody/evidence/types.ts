/**
 * The evidence: what a drill and a compelled provider's attempts observed. `evidence.json` is this, and every report is made from it alone.
 * Times are milliseconds since 1970 of the observing machine's clock; durations are milliseconds of its monotonic clock.
 * A member that is missing was not observed, and the report says "unknown" for it.
 */

export const CUSTODY_MODELS = [
  'provider-managed',
  'customer-managed',
  'bring-your-own-key',
  'hold-your-own-key',
] as const
/** Derived from a key's manager and origin as DescribeKey gives them; nobody sets it by hand. */
export type CustodyModel = (typeof CUSTODY_MODELS)[number]

/** The owner's acts, each measured apart. */
export const OWNER_ACTS = [
  'disable',
  'deny-by-policy',
  'schedule-deletion',
  'delete-imported-material',
  'revoke-at-owner',
] as const
export type OwnerAct = (typeof OWNER_ACTS)[number]

/** One attempt at something: what was called, and what the other side answered. */
export interface Attempt {
  readonly at: number
  /** How long the answer took, in milliseconds. */
  readonly took: number
  readonly ok: boolean
  /** Error name and text where it was refused; empty when it succeeded. */
  readonly error: string
  readonly message: string
}

/** A use or a read around the revocation. `start` and `end` are milliseconds from the instant at which revoke answered (negative = before). */
export interface Sample {
  readonly start: number
  readonly end: number
  readonly ok: boolean
  /** Error name; empty when it succeeded. */
  readonly error: string
}

/** One act of the owner, watched until every cache was cold. */
export interface ActEvidence {
  readonly act: OwnerAct
  /** The call that the owner made, in words: `kms:DisableKey`, `holdfast ekm revoke …`. */
  readonly call: string
  /** Who must honour it for it to have an effect. */
  readonly consent: 'nobody' | 'the provider'
  readonly attempt: Attempt
  /** Direct uses of the key (KMS Decrypt, no cache between): every one around the act. */
  readonly uses: readonly Sample[]
  /** Reads through the data service, with its cache of data keys. */
  readonly reads: readonly Sample[]
  /** Uses that started after revoke had answered and succeeded all the same. */
  readonly usesAfter: number
  /** Start of the last direct use that succeeded, from the answer of revoke; negative = before it. */
  readonly lastUse?: number
  /** Milliseconds from the answer of revoke to the last successful read and to the first failed one. */
  readonly lastRead?: number
  readonly firstFailedRead?: number
  /** How long it was watched after the answer. */
  readonly watched: number
  readonly compel?: CompelEvidence
  readonly restore?: Attempt
}

/** One way by which a compelled provider tries to open data. */
export interface RouteEvidence {
  readonly route: string
  readonly title: string
  /** What the provider used for it, of what it holds. */
  readonly with: string
  /** What preparing the route took (opening a backup, overriding a policy), and how that ended. */
  readonly prepared: Attempt
}

export interface FileEvidence {
  readonly name: string
  readonly bytes: number
  /** Of the plaintext, taken by the owner before it was handed over. Hex. */
  readonly sha256: string
  /** Read through the service before the revocation while the provider kept data keys. The others are the control group. */
  readonly readBefore: boolean
  /** The first route that gave plaintext of that SHA-256; missing where every route failed. */
  readonly openedBy?: string
  /** Each route's own result for this file, in order. */
  readonly attempts: ReadonlyArray<{ readonly route: string } & Attempt>
}

/** What the provider's root file says: which generations it still holds, and up to which they were destroyed. */
export interface RootEvidence {
  readonly held: readonly number[]
  /** 0 where none was destroyed. */
  readonly destroyed: number
  /** Milliseconds since 1970; 0 where none was destroyed. */
  readonly destroyedAt: number
}

export interface CompelEvidence {
  readonly startedAt: number
  readonly took: number
  /** Missing where the plan gives the provider no folder. */
  readonly root?: RootEvidence
  readonly routes: readonly RouteEvidence[]
  readonly files: readonly FileEvidence[]
}

export interface ModelEvidence {
  readonly model: CustodyModel
  readonly name: string
  readonly keyArn: string
  /** From DescribeKey. */
  readonly manager: string
  readonly origin: string
  readonly acts: readonly ActEvidence[]
}

/** One more attempt of the compelled provider, after the drill: with the backup that was taken for it, and the root of that time. */
export interface LaterAttempt {
  /** Name of the model in the plan. */
  readonly model: string
  readonly compel: CompelEvidence
}

export interface Evidence {
  readonly holdfast: string
  readonly format: 1
  readonly startedAt: number
  readonly finishedAt?: number
  readonly machine: { readonly os: string; readonly arch: string; readonly node: string; readonly cpus: number }
  /** Seconds for which the data service may use an opened data key again. */
  readonly cacheSeconds: number
  /** Checkpoints of both logs when the evidence was closed, as signed notes. */
  readonly checkpoints: { readonly provider?: string; readonly owner?: string }
  readonly models: readonly ModelEvidence[]
  /** In the order in which they were made. */
  readonly later?: readonly LaterAttempt[]
}

/** The custody model of a key, from what DescribeKey says of it; undefined where that is none of the four. */
export function custodyModel(key: { manager: string; origin: string }): CustodyModel | undefined {
  if (key.manager === 'AWS') return 'provider-managed'
  if (key.origin === 'AWS_KMS') return 'customer-managed'
  if (key.origin === 'EXTERNAL') return 'bring-your-own-key'
  if (key.origin === 'EXTERNAL_KEY_STORE') return 'hold-your-own-key'
  return undefined
}
