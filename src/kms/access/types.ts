/**
 * The words of access control, shared by the evaluator and by the operations that ask it: callers, request facts, decisions.
 *
 * Facts about the rules: aws-kms.md §12. Who calls what:
 * - `permissions.ts`: `accessOf(operation)`: what it needs, on which resource; `assertEveryOperationDeclared(names)` at the start.
 * - `principals.ts`: `new Principals(replica)`: `peekIdentity(accessKeyId)`, `identity(accessKeyId)`, `caller(arn)`, `exists(arnOrAccount)`.
 * - `compile.ts`: `keyPolicyOf(row): CompiledPolicy` for a loaded policy row (kept with the row), `compilePolicy(use, bytes)`.
 * - `validate.ts`: `checkKeyPolicy(bytes, exists)`, before CreateKey and PutKeyPolicy; throws `MalformedPolicyError` or `PolicyTooLargeError`.
 * - `lockout.ts`: `wouldLockOut(policy, caller, keyArn, context): boolean`.
 * - `context.ts`: `new FactsContext(facts): RequestContext`.
 * - `authorize.ts`: `authorize(question): Verdict`, `denialMessage(verdict, question): string`.
 * - `defaults.ts`: `defaultKeyPolicy(account): Buffer`, `providerManagedKeyPolicy(account, region, service): Buffer`.
 */
import type { KeyHeader } from '../../boundary/words.ts'
import type { ConditionKey } from './condition-keys.ts'
import type { Grant } from './grants.ts'

/** `service`: a service of the provider, which calls through its own role in an account. */
export type PrincipalKind = 'root' | 'user' | 'role' | 'service'

/**
 * An authenticated caller. Made by `principals.ts` from rows that the boundary has vouched for, one object a row revision, and kept: nothing
 * is made for it in a request.
 */
export interface Caller {
  readonly kind: PrincipalKind
  /** `arn:aws:iam::<account>:root`, `…:user/<path/name>`, `…:role/<path/name>`. */
  readonly arn: string
  /** 12 digits. */
  readonly account: string
  /** `arn:aws:iam::<account>:root`: what a key policy names to delegate to the account. */
  readonly rootArn: string
  /** `aws:userid`: the account id for root, else an unique id such as `AIDA…` (user) or `AROA…` (role, service). */
  readonly userId: string
  /** `aws:username`: the last part of a user's name; empty for anything but a user. */
  readonly userName: string
  /** Short name of the service, for example `objects`, for kind `service`; else empty. */
  readonly service: string
  /** `<service>.amazonaws.com` for kind `service`; else empty. What `{"Service": …}` in a policy matches. */
  readonly servicePrincipal: string
  /** Principal tags, by lower-case tag key. */
  readonly tags: ReadonlyMap<string, string>
  /** Identity policies in force, compiled. Root has none and needs none. */
  readonly policies: readonly CompiledPolicy[]
}

/** The value of a condition key in a request: absent, single-valued, or multi-valued (an empty array counts as absent). */
export type ConditionValue = string | readonly string[] | undefined

/** What policies can ask of a request. Values are computed when asked for, so a key that no policy names costs nothing. */
export interface RequestContext {
  /** `suffix` is what follows the name of a key with a parameter, lower case: `kms:EncryptionContext:App` has suffix `app`; else ''. */
  get(key: ConditionKey, suffix: string): ConditionValue
}

/** The key that a permission is asked on, as far as policies can ask about it. */
export interface KeyFacts {
  readonly header: KeyHeader
  /** Tags of the key, by tag key as written. */
  readonly tags: ReadonlyMap<string, string> | undefined
  /** Names (`alias/…`) of the aliases that point at the key; called only when a policy asks for `kms:ResourceAliases`. */
  aliases(): readonly string[]
}

/** CreateGrant: the grant that is asked for. */
export interface NewGrant extends Pick<Grant, 'operations' | 'constraints'> {
  readonly operationNames: readonly string[]
  /** An ARN or a service's name. */
  readonly grantee: string
  /** Empty where there is none. */
  readonly retiring: string
}

/**
 * What verifiers know of one request; the operation fills it in and `FactsContext` (context.ts) answers condition keys from it.
 * Only the members that the operation has are set. One object serves all permissions of a request but ReEncrypt's two, which differ in
 * `key`, `encryptionContext`, `encryptionAlgorithm` and `requestAlias`.
 */
export interface RequestFacts {
  readonly caller: Caller
  readonly region: string
  /** Address of the peer, IPv4 or IPv6; empty where there is none. */
  readonly sourceIp: string
  readonly secureTransport: boolean
  readonly userAgent: string
  /** Real time, milliseconds since 1970. */
  readonly now: number
  readonly key?: KeyFacts | undefined
  /** The alias (`alias/…`) through which the caller named the key. */
  readonly requestAlias?: string | undefined
  readonly encryptionContext?: Readonly<Record<string, string>> | undefined
  readonly encryptionAlgorithm?: string | undefined
  readonly signingAlgorithm?: string | undefined
  /** Sign, Verify: RAW where the caller says nothing. */
  readonly messageType?: string | undefined
  readonly macAlgorithm?: string | undefined
  readonly keyAgreementAlgorithm?: string | undefined
  readonly dataKeyPairSpec?: string | undefined
  /** ReEncrypt: whether both sides are the same key. */
  readonly reEncryptOnSameKey?: boolean | undefined
  readonly bypassPolicyLockoutSafetyCheck?: boolean | undefined
  /** CreateKey: what the request asks for (its defaults filled in). Other operations take these from `key`. */
  readonly newKey?:
    | { readonly spec: string; readonly usage: string; readonly origin: string; readonly multiRegion: boolean }
    | undefined
  readonly expirationModel?: string | undefined
  /** Milliseconds since 1970. */
  readonly validTo?: number | undefined
  readonly wrappingAlgorithm?: string | undefined
  readonly wrappingKeySpec?: string | undefined
  readonly rotationPeriodInDays?: number | undefined
  readonly pendingWindowInDays?: number | undefined
  /** CreateKey, TagResource: tags in the request, by tag key as written. */
  readonly requestTags?: ReadonlyMap<string, string> | undefined
  /** UntagResource: tag keys in the request. (With `requestTags`, the keys are taken from there.) */
  readonly requestTagKeys?: readonly string[] | undefined
  /** The resource that a service of the provider says it calls for. Never set for other callers. */
  readonly sourceArn?: string | undefined
  readonly newGrant?: NewGrant | undefined
  /** Operations on grants: whether a service of the provider asks. */
  readonly grantIsForAwsResource?: boolean | undefined
}

/** Whom a policy's statement must match. */
export type PolicyUse = 'key' | 'identity'

/** What one policy says to one request. `deny` wins over everything. */
export const POLICY_SAYS = { nothing: 0, allow: 1, allowAccount: 2, deny: 3 } as const
/**
 * nothing: no statement matches. allow: a key policy's statement that names the caller itself (or everyone), or any of an identity policy.
 * allowAccount: only statements that name the caller's account match: an identity policy must allow too.
 */
export type PolicySays = (typeof POLICY_SAYS)[keyof typeof POLICY_SAYS]

/** A policy turned into closures, once; shared by all rows with the same bytes. */
export interface CompiledPolicy {
  readonly use: PolicyUse
  /** SHA-256 of the policy's bytes. */
  readonly digest: Buffer
  /** `action` in lower case (`kms:encrypt`); `resource` an ARN, or `*` for what has none. No allocation. */
  evaluate(caller: Caller, action: string, resource: string, context: RequestContext): PolicySays
}

/**
 * The place of grants in a decision: true when a grant allows this. Called only after no policy has denied and none allows. A caller
 * without grants passes undefined.
 */
export type GrantCheck = () => boolean

/** One permission, asked of all policies that concern it. */
export interface AccessQuestion {
  readonly caller: Caller
  /** As AWS writes it: `kms:Encrypt`. */
  readonly permission: string
  /** Key ARN, alias ARN, or `*`. */
  readonly resource: string
  /** The account that owns the resource; for `*`, the caller's. */
  readonly resourceAccount: string
  /** Whether the operation may be used across accounts at all (`permissions.ts`). */
  readonly crossAccount: boolean
  /** The key's policy; undefined where only identity policies count (aliases, lists, CreateKey, custom key stores). */
  readonly keyPolicy: CompiledPolicy | undefined
  readonly context: RequestContext
  readonly grants: GrantCheck | undefined
}

/** Everything that is not `allowed` is a denial; the word says why, for the message and for the log. */
export type Verdict =
  | 'allowed'
  | 'explicit-deny-key-policy'
  | 'explicit-deny-identity-policy'
  | 'no-key-policy-allows'
  | 'no-identity-policy-allows'
  | 'cross-account-not-supported'

/** A policy document that is refused. `message` is AWS's kind of reason, safe to show to the caller; the API's error is MalformedPolicyDocument. */
export class MalformedPolicyError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'MalformedPolicyError'
  }
}

/** A key policy above 32,768 bytes or an identity policy above its own limit; the API's error is LimitExceeded. */
export class PolicyTooLargeError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'PolicyTooLargeError'
  }
}
