/** Whether the caller may: the operation's permissions (one table) asked on the key, the alias or `*`, with what is known of the request. */
import { authorize, denialMessage, hiddenMessage } from '../access/authorize.ts'
import { FactsContext } from '../access/context.ts'
import { bitOfPermission, granteeLink, grantThatPermits, namesOf } from '../access/grants.ts'
import { type AccessTarget, accessOf } from '../access/permissions.ts'
import type { AccessQuestion, GrantCheck, KeyFacts, RequestFacts, Verdict } from '../access/types.ts'
import type { Call, FoundKey } from '../operations/types.ts'
import { KmsError } from '../wire/errors.ts'
import { aliasArn, aliasNameOf } from './identifiers.ts'
import { daysWithoutUsage } from './last-usage.ts'
import { countUse } from './rates.ts'

/** More aliases than a key may have. */
const MAX_ALIASES = 1000

/** A decision needs what is not in memory. The runner calls `load` and runs the operation again; no operation does anything before it has authorized. */
export abstract class Wanted extends Error {
  abstract load(call: Call): Promise<void>
}

/** A policy asks for the aliases of a key (`kms:ResourceAliases`). */
class AliasesWanted extends Wanted {
  readonly #rowId: string

  constructor(rowId: string) {
    super('the aliases of a key are wanted')
    this.#rowId = rowId
  }

  async load(call: Call): Promise<void> {
    const rows = await call.services.replica.listLinked('alias', this.#rowId, { after: '', limit: MAX_ALIASES })
    const names = rows.map(row => aliasNameOf(row.id))
    call.aliases = new Map([...(call.aliases ?? []), [this.#rowId, names]])
  }
}

/** Operations whose policies may ask how long a key was not used: aws-kms.md §12.6. */
const ASK_USAGE: ReadonlySet<string> = new Set(['DisableKey', 'ScheduleKeyDeletion'])

/** A policy asks how long a key was not used (`kms:TrailingDaysWithoutKeyUsage`). */
class UsageWanted extends Wanted {
  readonly #rowId: string

  constructor(rowId: string) {
    super('the last use of a key is wanted')
    this.#rowId = rowId
  }

  async load(call: Call): Promise<void> {
    const days = await daysWithoutUsage(call, this.#rowId)
    call.daysWithoutUsage = new Map([...(call.daysWithoutUsage ?? []), [this.#rowId, days]])
  }
}

/** No policy allows it, and the caller's grants of a key are to be looked at. */
class GrantsWanted extends Wanted {
  readonly #links: readonly string[]

  constructor(links: readonly string[]) {
    super('grants of a key are wanted')
    this.#links = links
  }

  async load({ services }: Call): Promise<void> {
    await Promise.all(this.#links.map(link => services.grants.load(link)))
  }
}

class Facts implements KeyFacts {
  readonly header: FoundKey['header']
  readonly tags: FoundKey['tags']
  readonly #call: Call
  readonly #rowId: string

  constructor(call: Call, key: FoundKey) {
    this.header = key.header
    this.tags = key.tags
    this.#call = call
    this.#rowId = key.rowId
  }

  aliases(): readonly string[] {
    const names = this.#call.aliases?.get(this.#rowId)
    if (names === undefined) throw new AliasesWanted(this.#rowId)
    return names
  }

  daysWithoutUsage(): number | undefined {
    if (!ASK_USAGE.has(this.#call.operation)) return undefined
    const days = this.#call.daysWithoutUsage?.get(this.#rowId)
    if (days === undefined) throw new UsageWanted(this.#rowId)
    return days
  }
}

/** What an operation asks a permission on that is a key. */
export type KeyTarget = AccessTarget & ('key' | 'source-key' | 'destination-key' | 'new-key')

/** The refusal of a key of another account, whether it is there or not. `resource`: the ARN that the caller gave. */
export function hidden(call: Call, resource: string, on: KeyTarget): KmsError {
  const { permissions } = accessOf(call.operation)
  const { permission } = permissions.find(asked => asked.on === on) ?? { permission: `kms:${call.operation}` }
  return new KmsError('AccessDeniedException', hiddenMessage(call.caller, permission, resource))
}

/** The key's policy allows; what is missing is said by the caller's own account. */
const OF_THE_CALLERS_SIDE: ReadonlySet<Verdict> = new Set([
  'no-identity-policy-allows',
  'no-permissions-boundary-allows',
  'no-session-policy-allows',
])

/**
 * Throws AccessDeniedException unless the caller has the operation's permission on the key, then ThrottlingException where such keys are used too fast.
 * `extra`: what only the operation knows.
 */
export function authorizeKey(
  call: Call,
  key: FoundKey,
  extra: Partial<RequestFacts> = {},
  on: KeyTarget = 'key',
): void {
  const { permissions, crossAccount } = accessOf(call.operation)
  const facts = { ...call.facts, key: new Facts(call, key), requestAlias: key.requestAlias, ...extra }
  for (const { permission, on: target } of permissions) {
    if (target !== on) continue
    const grants = (): boolean => byGrant(call, key, permission, facts, on)
    const denied = denialOf(call, permission, key.arn, key.account, crossAccount, key.policy, facts, grants)
    if (denied === undefined) continue
    // Only who the key's policy knows is told more than the caller's own account could say.
    if (key.account === call.caller.account || OF_THE_CALLERS_SIDE.has(denied.verdict)) throw denied.error
    throw hidden(call, nameGiven(call, key), on)
  }
  countUse(call, key, extra.dataKeyPairSpec)
}

/**
 * The same for what a grant gives and no policy can: `allowed` says whether it does. A policy that denies it still wins (aws-kms.md §12.5).
 */
export function allowByGrant(call: Call, key: FoundKey, allowed: boolean): void {
  const { permissions, crossAccount } = accessOf(call.operation)
  const facts = { ...call.facts, key: new Facts(call, key) }
  for (const { permission } of permissions) {
    const question: AccessQuestion = {
      caller: call.caller,
      permission,
      resource: key.arn,
      resourceAccount: key.account,
      crossAccount,
      keyPolicy: key.policy,
      context: new FactsContext(facts),
      grants: () => allowed,
    }
    // A policy's own permission gives nothing here; what limits the caller limits what a grant gives it, too.
    const verdict = authorize(question)
    if (allowed && verdict === 'allowed') continue
    if (key.account !== call.caller.account) throw hidden(call, key.arn, 'key')
    const reason = verdict === 'allowed' ? 'no-identity-policy-allows' : verdict
    throw new KmsError('AccessDeniedException', denialMessage(reason, question))
  }
}

/** Whether a grant of the key allows the caller this: asked where no policy denies it and none allows it. The record says which grant it was. */
function byGrant(call: Call, key: FoundKey, permission: string, facts: RequestFacts, on: KeyTarget): boolean {
  const operation = bitOfPermission(permission)
  if (operation === 0) return false
  const { grants } = call.services
  const links = namesOf(call.caller).map(name => granteeLink(key.rowId, name))
  const missing = links.filter(link => grants.peek(link) === undefined)
  if (missing.length > 0) throw new GrantsWanted(missing)
  const { encryptionContext: context, sourceArn, newGrant } = facts
  for (const link of links) {
    const grant = grantThatPermits(grants.peek(link) ?? [], { operation, context, sourceArn, newGrant })
    if (grant === undefined) continue
    if (on !== 'destination-key' || call.asserted.grantId === undefined)
      call.asserted = { ...call.asserted, grantId: grant.id }
    return true
  }
  return false
}

/** The ARN by which the caller named a key of another account. */
function nameGiven(call: Call, key: FoundKey): string {
  if (key.requestAlias === undefined) return key.arn
  const { partition } = call.services.settings
  return aliasArn({ partition, region: key.region, account: key.account }, key.requestAlias)
}

/** The same for what has no key: `*`, or an alias. */
export function authorizeAny(
  call: Call,
  extra: Partial<RequestFacts> = {},
  resource = '*',
  account = call.caller.account,
): void {
  const { permissions, crossAccount } = accessOf(call.operation)
  const target: AccessTarget = resource === '*' ? 'any' : 'alias'
  const tagged = extra.requestTags !== undefined && extra.requestTags.size > 0
  for (const { permission, on, when } of permissions) {
    if (on !== target || (when === 'tags' && !tagged)) continue
    const facts = { ...call.facts, ...extra }
    const denied = denialOf(call, permission, resource, account, crossAccount, undefined, facts, undefined)
    if (denied !== undefined) throw denied.error
  }
}

function denialOf(
  call: Call,
  permission: string,
  resource: string,
  resourceAccount: string,
  crossAccount: boolean,
  keyPolicy: AccessQuestion['keyPolicy'],
  facts: RequestFacts,
  grants: GrantCheck | undefined,
): { readonly verdict: Exclude<Verdict, 'allowed'>; readonly error: KmsError } | undefined {
  const question: AccessQuestion = {
    caller: call.caller,
    permission,
    resource,
    resourceAccount,
    crossAccount,
    keyPolicy,
    context: new FactsContext(facts),
    grants,
  }
  const verdict = authorize(question)
  if (verdict === 'allowed') return undefined
  return { verdict, error: new KmsError('AccessDeniedException', denialMessage(verdict, question)) }
}
