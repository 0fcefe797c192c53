/** What a principal's row, and the rows of its groups, say: read once, compiled, and kept with the rows. */
import type { Row } from '../../boundary/words.ts'
import { compilePolicy } from './compile.ts'
import { readPrincipalArn, rootArn } from './principal-names.ts'
import type { Identity } from './principals.ts'
import { readBody } from './rows.ts'
import { type Caller, type CompiledPolicy, POLICY_SAYS, type PolicyUse } from './types.ts'

/** A group of a user, with the row that was read; undefined: there is none. */
export interface LoadedGroup {
  readonly arn: string
  readonly row: Row | undefined
}

export interface LoadedPrincipal {
  /** As it calls with a long-term access key. */
  readonly caller: Caller
  /** Unique id: `AIDA…`, `AROA…`, or the account id. */
  readonly uniqueId: string
  /** Access key ids that are accepted. */
  readonly active: ReadonlySet<string>
  /** Made as credentials are used. */
  readonly identities: Map<string, Identity>
  readonly groups: readonly LoadedGroup[]
  /** Of a role that may be assumed. */
  readonly trustPolicy: CompiledPolicy | undefined
  /** Seconds; of a role. */
  readonly maxSessionDuration: number
}

/** A role without a setting of its own: AWS's default, in seconds. */
export const DEFAULT_MAX_SESSION_SECONDS = 3600

/** `group`: the current row of a group. */
export function loadPrincipal(row: Row, group: (arn: string) => Row | undefined = () => undefined): LoadedPrincipal {
  const name = readPrincipalArn(row.id)
  const bytes = row.body
  if (name === undefined || bytes === null) throw new Error('A principal row names no principal.')
  const body = readBody('principal', bytes)
  const active = Object.entries(body.credentials).filter(([, status]) => status.active)
  const partition = row.id.split(':')[1] ?? 'aws'
  const groups = (body.groups ?? []).map(arn => ({ arn, row: group(arn) }))
  const caller: Caller = {
    kind: name.kind,
    arn: row.id,
    principalArn: row.id,
    account: name.account,
    rootArn: rootArn(name.account, partition),
    userId: body.userId,
    userName: name.kind === 'user' ? name.name : '',
    service: name.service,
    servicePrincipal: name.service === '' ? '' : `${name.service}.amazonaws.com`,
    tags: new Map(Object.entries(body.tags).map(([key, value]) => [key.toLowerCase(), value])),
    policies: [
      ...Object.values(body.policies).map(document => policyOf('identity', document)),
      ...groups.flatMap(({ row: found }) => policiesOfGroup(found)),
    ],
    boundary: body.boundary === undefined ? undefined : policyOf('identity', body.boundary),
    session: undefined,
  }
  return {
    caller,
    uniqueId: body.userId,
    active: new Set(active.map(([id]) => id)),
    identities: new Map(),
    groups,
    trustPolicy: body.trustPolicy === undefined ? undefined : policyOf('trust', body.trustPolicy),
    maxSessionDuration: body.maxSessionDuration ?? DEFAULT_MAX_SESSION_SECONDS,
  }
}

/** A group that a user is in and that is not there could have denied anything. */
function policiesOfGroup(row: Row | undefined): CompiledPolicy[] {
  const body = row?.body
  if (body === undefined || body === null) return [denyingAll('identity')]
  return Object.values(readBody('group', body).policies).map(document => policyOf('identity', document))
}

/** A policy that this version cannot read denies everything: reading less of it than its author wrote could only widen it. */
function denyingAll(use: PolicyUse): CompiledPolicy {
  return { use, digest: Buffer.alloc(32), evaluate: () => POLICY_SAYS.deny }
}

export function policyOf(use: 'identity' | 'trust', document: string): CompiledPolicy {
  try {
    return compilePolicy(use, Buffer.from(document, 'utf8'))
  } catch {
    return denyingAll(use)
  }
}
