/** STS AssumeRole: temporary credentials of a role for whom its trust policy, and the caller's own policies, let assume it. */
import { authorize } from '../access/authorize.ts'
import { FactsContext } from '../access/context.ts'
import type { LoadedPrincipal } from '../access/load-principal.ts'
import { accessOf } from '../access/permissions.ts'
import { readPrincipalArn, sessionArn } from '../access/principal-names.ts'
import type { Caller } from '../access/types.ts'
import type { Call } from '../operations/types.ts'
import { cut } from '../wire/text.ts'
import { type AssumeRoleInput, readAssumeRole } from './assume-role-input.ts'
import { beginSession } from './credentials.ts'
import { StsError } from './errors.ts'
import type { StsOperation } from './operation.ts'
import { packedPercent, readSessionPolicy } from './session-policy.ts'
import { sessionTags } from './session-tags.ts'

export const INVALID_MFA = 'MultiFactorAuthentication failed with invalid MFA one time pass code.'

/** Role chaining: a session of a role that assumes another. */
const CHAINED_SECONDS = 3600
const DEFAULT_SECONDS = 3600

export const AssumeRole: StsOperation = {
  name: 'AssumeRole',
  recordedBy: 'boundary',
  run: async (call, form) => {
    const input = readAssumeRole(form)
    const { caller } = call
    call.subject = cut(`${input.roleSessionName} ${input.roleArn}`, 512)
    if (caller.kind === 'root') throw new StsError('AccessDenied', 'Roles may not be assumed by root accounts.')
    if (input.mfa) throw new StsError('AccessDenied', INVALID_MFA)
    const policy = readSessionPolicy(input.policy)
    const tags = sessionTags(caller, input.tags, input.transitiveTagKeys)
    const sourceIdentity = sourceIdentityOf(caller, input.sourceIdentity)

    const named = readPrincipalArn(input.roleArn)
    if (named === undefined || named.kind === 'root' || named.kind === 'user')
      throw new StsError('ValidationError', 'Request ARN is invalid')
    const role = named.kind === 'role' ? await call.services.principals.load(input.roleArn) : undefined
    // Whether there is such a role is told to nobody who may not assume it.
    if (role?.trustPolicy === undefined) throw denied(caller, 'sts:AssumeRole', input.roleArn)
    const seconds = input.durationSeconds ?? DEFAULT_SECONDS
    mayAssume(call, role, {
      ...input,
      durationSeconds: seconds,
      sourceIdentity,
      tags: tags.map(({ key, value }) => [key, value] as const),
      transitiveTagKeys: tags.filter(tag => tag.transitive).map(({ key }) => key),
    })
    mayLast(caller, role, seconds)
    const percent = packedPercent(policy, tags)

    const credentials = await beginSession(
      call,
      {
        kind: 'role',
        principal: role.caller.arn,
        uniqueId: role.uniqueId,
        sessionName: input.roleSessionName,
        accessKey: '',
        sourceIdentity: sourceIdentity ?? '',
        tags,
        policy,
      },
      seconds,
    )
    return {
      SourceIdentity: sourceIdentity,
      AssumedRoleUser: {
        AssumedRoleId: `${role.uniqueId}:${input.roleSessionName}`,
        Arn: sessionArn(role.caller.arn, input.roleSessionName),
      },
      Credentials: credentials,
      PackedPolicySize: percent === 0 ? undefined : percent,
    }
  },
}

type Asked = Pick<AssumeRoleInput, 'roleSessionName' | 'externalId' | 'sourceIdentity' | 'transitiveTagKeys'> & {
  readonly durationSeconds: number
  readonly tags: readonly (readonly [string, string])[]
}

/** Throws AccessDenied unless the role's trust policy and the caller's policies give every permission that the request needs. */
function mayAssume(call: Call, role: LoadedPrincipal, asked: Asked): void {
  const { caller, facts } = call
  const { arn, account, tags: roleTags } = role.caller
  const { tags, roleSessionName: sessionName, ...assume } = asked
  const context = new FactsContext({
    ...facts,
    requestTags: tags.length === 0 ? undefined : new Map(tags),
    assume: { ...assume, sessionName, roleAccount: account, roleTags },
  })
  const { permissions, crossAccount } = accessOf('AssumeRole')
  for (const { permission, when } of permissions) {
    if (when === 'tags' && tags.length === 0) continue
    if (when === 'source-identity' && asked.sourceIdentity === undefined) continue
    const verdict = authorize({
      caller,
      permission,
      resource: arn,
      resourceAccount: account,
      crossAccount,
      keyPolicy: role.trustPolicy,
      context,
      grants: undefined,
    })
    if (verdict !== 'allowed') throw denied(caller, permission, arn)
  }
}

function denied(caller: Caller, permission: string, roleArn: string): StsError {
  const text = `User: ${caller.arn} is not authorized to perform: ${permission} on resource: ${roleArn}`
  return new StsError('AccessDenied', text)
}

function mayLast(caller: Caller, role: LoadedPrincipal, seconds: number): void {
  const refuse = (what: string) => new StsError('ValidationError', `The requested DurationSeconds exceeds the ${what}.`)
  const chained = caller.kind === 'role' && caller.session !== undefined
  if (chained && seconds > CHAINED_SECONDS) throw refuse('1 hour session limit for roles assumed by role chaining')
  if (seconds > role.maxSessionDuration) throw refuse('MaxSessionDuration set for this role')
}

/** Once set it goes along through every role that is assumed, and cannot be another. */
function sourceIdentityOf({ session, arn }: Caller, wanted: string | undefined): string | undefined {
  const inherited = session?.sourceIdentity === '' ? undefined : session?.sourceIdentity
  if (inherited !== undefined && wanted !== undefined && wanted !== inherited)
    throw new StsError('AccessDenied', `User: ${arn} cannot change the source identity of its session`)
  return inherited ?? wanted
}
