/** Which policies decide a call, and why: one that stands in the log, or one that is only described. */

import { readKeyHeader } from '../../boundary/crypto/sealed.ts'
import type { Asserted, KeyHeader } from '../../boundary/words.ts'
import { AdminError, currentRow, type ReadControl } from '../../store/admin.ts'
import { CacheSpace } from '../access/cedar/cache.ts'
import { CompiledPolicies, type PolicyTexts } from '../access/cedar/compiled.ts'
import { PolicySet } from '../access/cedar/engine.ts'
import { CONTEXT, CONTEXT_FIELDS, type ContextField, contextOf } from '../access/cedar/input.ts'
import { SERVICE_POLICY, SERVICE_PREFIX } from '../access/cedar/names.ts'
import { type PastCall, pastCall } from '../access/cedar/record.ts'
import { type Place, placeOf } from '../access/cedar/scan.ts'
import { actionOf, allOperations } from '../access/operations.ts'
import { type Decision, isOwnKey } from '../access/policy.ts'
import { splitKeyRowId } from '../keys/names.ts'

/** A call as an owner describes it. */
export interface DescribedCall {
  /** `xks:decrypt` */
  readonly action: string
  /** `xks:CUQ7…`, or the name alone. */
  readonly principal: string
  /** `<tenant>/<key id>` */
  readonly key: string
  /** The caller's, where it is not the key's. */
  readonly tenant: string | undefined
  readonly credential: string | undefined
  readonly certificate: string | undefined
  /** By the names of the schema. */
  readonly context: Readonly<Record<string, string>>
  /** Milliseconds since 1970. */
  readonly time: number
}

export interface ExplainedPolicy extends Place {
  readonly id: string
  /** Of which file the place is: a tenant's, or `*` for the service's. */
  readonly policy: string
  readonly effect: string
  /** Its scope and its conditions hold for this call; undefined where it could not be evaluated. */
  readonly applies: boolean | undefined
  readonly decided: boolean
}

export interface Explanation {
  readonly allowed: boolean
  readonly why: string
  readonly principal: string
  readonly action: string
  readonly key: string
  readonly time: number
  /** Without what is empty. */
  readonly context: Readonly<Record<string, unknown>>
  readonly policies: readonly ExplainedPolicy[]
  /** What the denial revokes, and which policy orders it. */
  readonly revoke: Decision['revoke']
  /** Where it stands in the log: what was decided then, by which policies. */
  readonly recorded: { readonly allowed: boolean; readonly policy: string } | undefined
}

const SETTABLE = CONTEXT_FIELDS.filter(name => CONTEXT[name].recorded !== undefined)

/** As the call would stand in the log. Throws `AdminError` for what no call can be. */
export function describedCall(call: DescribedCall): PastCall {
  const [protocol = '', operation = '', ...rest] = call.action.split(':')
  if (rest.length > 0 || actionOf(protocol, operation) === undefined) {
    const known = allOperations().map(each => each.operation)
    throw new AdminError(`There is no operation ${call.action}; there are ${known.join(', ')}.`)
  }
  const names = splitKeyRowId(call.key)
  if (names === undefined) throw new AdminError(`${call.key} is no key; write TENANT/NAME.`)
  const given: { -readonly [F in keyof Asserted]: string } = {}
  for (const [name, value] of Object.entries(call.context)) {
    const field = SETTABLE.includes(name as ContextField) ? CONTEXT[name as ContextField].recorded : undefined
    if (field === undefined)
      throw new AdminError(`The context has no ${name} to be given; it has ${SETTABLE.join(', ')}. The time is --time.`)
    given[field] = value
  }
  const prefix = `${protocol}:`
  const principal = call.principal.startsWith(prefix) ? call.principal.slice(prefix.length) : call.principal
  const asserted: Asserted = {
    ...given,
    operation: call.action,
    account: call.tenant ?? names.tenant,
    principal,
    accessKeyId: call.credential ?? principal,
    ...(call.certificate === undefined ? {} : { peer: call.certificate }),
  }
  const past = pastCall({ asserted, boundaryOperation: 'record', outcome: 'allowed', keyId: call.key })
  if (past === undefined) throw new AdminError(`Policies are not asked about ${call.action}.`)
  return past
}

/** The texts in force for a tenant. */
export async function policiesInForce(control: ReadControl, tenant: string): Promise<PolicyTexts> {
  const text = async (id: string) => (await currentRow(control, 'owner-policy', id))?.body?.toString('utf8')
  return { tenant: await text(tenant), service: await text(SERVICE_POLICY) }
}

/** Throws `AdminError` where there is no such key. */
export async function keyFacts(control: ReadControl, key: string): Promise<KeyHeader> {
  const row = await currentRow(control, 'key', key)
  if (!row?.body) throw new AdminError(`There is no key ${key}. See: holdfast ekm key list`)
  return readKeyHeader(row.body)
}

/** By the policies that are in force now. `recorded`: the call stands in the log. Throws `AdminError` where its key is not there. */
export async function explainCall(
  control: ReadControl,
  past: PastCall,
  time: number,
  recorded: boolean,
): Promise<Explanation> {
  const { asked, action } = past
  const { tenant, protocol, principal } = asked.caller
  const key = await keyFacts(control, past.key)
  const texts = await policiesInForce(control, tenant)
  const compiled = new CompiledPolicies(texts, new CacheSpace(0))
  const own = isOwnKey(asked.caller, key)
  const decision: Decision = own ? compiled.decide(asked, action, key, time) : { allowed: false, policies: [] }
  const context = contextOf(asked, time, CONTEXT_FIELDS)
  const policies = compiled.policies.map(({ id, policy }): ExplainedPolicy => {
    const service = id.startsWith(SERVICE_PREFIX)
    const alone = new PolicySet({ [id]: policy.text })
    const { decided, failed } = alone.evaluate(asked, action, key, context)
    alone.release()
    return {
      id,
      policy: service ? SERVICE_POLICY : tenant,
      ...placeOf((service ? texts.service : texts.tenant) ?? '', policy.at),
      effect: policy.effect,
      applies: failed.length > 0 ? undefined : decided.length > 0,
      decided: decision.policies.some(each => each === id || each === `error:${id}`),
    }
  })
  compiled.release()
  return {
    allowed: decision.allowed,
    why: own
      ? whyOf(decision, policies, texts, tenant)
      : `callers of ${tenant} may use keys of ${tenant} only, whatever a policy says`,
    principal: `${protocol}:${principal}`,
    action: `${protocol}:${asked.operation}`,
    key: past.key,
    time,
    context: Object.fromEntries(Object.entries(context).filter(([, value]) => value !== '')),
    policies,
    revoke: decision.revoke,
    recorded: recorded ? { allowed: past.allowed, policy: past.policy } : undefined,
  }
}

function whyOf(decision: Decision, policies: readonly ExplainedPolicy[], texts: PolicyTexts, tenant: string): string {
  const ids = decision.policies.join(', ')
  if (decision.allowed) return `permitted by ${ids}`
  if (policies.some(({ applies, decided }) => decided && applies === undefined))
    return `${ids}: could not be evaluated, and so nothing is allowed`
  if (decision.policies.length > 0) return `forbidden by ${ids}`
  if (texts.tenant === undefined) return `${tenant} has no policy, and what no policy permits is denied`
  return 'no policy permits it'
}
