/** The parameters of AssumeRole, read and held against the constraints of the API. */
import { CONSTRAINTS, Problems } from './constraints.ts'
import { StsError } from './errors.ts'
import type { Form } from './query.ts'

export interface AssumeRoleInput {
  readonly roleArn: string
  readonly roleSessionName: string
  readonly policy: string | undefined
  /** Undefined: the default. */
  readonly durationSeconds: number | undefined
  readonly externalId: string | undefined
  readonly sourceIdentity: string | undefined
  readonly tags: readonly (readonly [key: string, value: string])[]
  readonly transitiveTagKeys: readonly string[]
  /** A second factor was brought. */
  readonly mfa: boolean
}

const MAX_TAGS = 50

/** Throws ValidationError with everything that is wrong. */
export function readAssumeRole(form: Form): AssumeRoleInput {
  const problems = new Problems()
  const checked = (name: string, constraint: keyof typeof CONSTRAINTS): string | undefined => {
    const value = form.get(name)
    problems.check(name.charAt(0).toLowerCase() + name.slice(1), value, CONSTRAINTS[constraint])
    return value
  }
  const roleArn = checked('RoleArn', 'roleArn')
  const roleSessionName = checked('RoleSessionName', 'roleSessionName')
  const policy = checked('Policy', 'policy')
  const duration = checked('DurationSeconds', 'durationSeconds')
  const externalId = checked('ExternalId', 'externalId')
  const sourceIdentity = checked('SourceIdentity', 'sourceIdentity')
  const tags = form.list('Tags').map((member, at) => {
    const [key, value = ''] = [member.get('Key'), member.get('Value')]
    problems.check(`tags.${at + 1}.member.key`, key, CONSTRAINTS.tagKey)
    problems.check(`tags.${at + 1}.member.value`, value, CONSTRAINTS.tagValue)
    return [key ?? '', value] as const
  })
  problems.count('tags', tags.length, MAX_TAGS)
  const transitiveTagKeys = form.list('TransitiveTagKeys').map((member, at) => {
    const key = member.get('')
    problems.check(`transitiveTagKeys.${at + 1}.member`, key, CONSTRAINTS.tagKey)
    return key ?? ''
  })
  problems.count('transitiveTagKeys', transitiveTagKeys.length, MAX_TAGS)
  problems.end()
  refuseUnserved(form)
  return {
    roleArn: roleArn ?? '',
    roleSessionName: roleSessionName ?? '',
    policy,
    durationSeconds: duration === undefined ? undefined : Number(duration),
    externalId,
    sourceIdentity,
    tags,
    transitiveTagKeys,
    mfa: form.get('SerialNumber') !== undefined || form.get('TokenCode') !== undefined,
  }
}

/** What would narrow the session, or say where it comes from, is never passed over. */
function refuseUnserved(form: Form): void {
  if (form.list('PolicyArns').length > 0)
    throw new StsError(
      'ValidationError',
      'There are no managed policies here that PolicyArns could name. Pass the policy itself as Policy.',
    )
  if (form.list('ProvidedContexts').length > 0)
    throw new StsError('ValidationError', 'ProvidedContexts are not supported.')
}
