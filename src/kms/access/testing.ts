/** Callers and contexts for the tests of this room. */
import type { ConditionKey } from './condition-keys.ts'
import { readPrincipalArn, rootArn, sessionArn } from './principal-names.ts'
import type { Caller, CallerSession, CompiledPolicy, ConditionValue, RequestContext } from './types.ts'

/** Accounts of the tests: the key's owner, and another. */
export const ACCOUNT = '111122223333'
export const OTHER = '444455556666'
export const KEY_ARN = `arn:aws:kms:eu-north-1:${ACCOUNT}:key/11111111-2222-3333-4444-555555555555`

export function callerOf(
  arn: string,
  policies: readonly CompiledPolicy[] = [],
  tags: Record<string, string> = {},
  limits: Partial<Pick<Caller, 'boundary' | 'session'>> = {},
): Caller {
  const name = readPrincipalArn(arn)
  if (name === undefined) throw new Error(`not a principal: ${arn}`)
  return {
    kind: name.kind,
    arn: limits.session?.name ? sessionArn(arn, limits.session.name) : arn,
    principalArn: arn,
    account: name.account,
    rootArn: rootArn(name.account),
    userId: name.kind === 'root' ? name.account : 'AIDAEXAMPLE',
    userName: name.kind === 'user' ? name.name : '',
    service: name.service,
    servicePrincipal: name.service === '' ? '' : `${name.service}.amazonaws.com`,
    tags: new Map(Object.entries(tags)),
    policies,
    boundary: undefined,
    session: undefined,
    ...limits,
  }
}

/** A session of a role, by its name. */
export function sessionOf(name: string, policy?: CompiledPolicy, more: Partial<CallerSession> = {}): CallerSession {
  return { name, issuedAt: 0, sourceIdentity: '', transitiveTags: new Map(), policy, ...more }
}

/** Answers from a table of `name` or `name` + separator + parameter, in lower case. */
export function contextOf(values: Readonly<Record<string, ConditionValue>>): RequestContext {
  return {
    get: (key: ConditionKey, suffix: string) =>
      values[suffix === '' ? key : key === 'kms:encryptioncontext' ? `${key}:${suffix}` : `${key}/${suffix}`],
  }
}

export function policyBytes(policy: unknown): Buffer {
  return Buffer.from(JSON.stringify(policy), 'utf8')
}
