/** Roles that can be assumed: who may (the trust policy), for how long, and what no policy of a user or role can exceed (its boundary). */
import { type AdminControl, AdminError, currentRow, type ReadControl } from '../../store/admin.ts'
import { ACCOUNT_ID, readSessionArn } from '../access/principal-names.ts'
import type { PrincipalBody } from '../access/rows.ts'
import { MalformedPolicyError, PolicyTooLargeError } from '../access/types.ts'
import { checkIdentityPolicy, checkTrustPolicy } from '../access/validate.ts'
import { changePrincipal, createPrincipal, loadPrincipal, nameOf, type PrincipalInfo, roleNamed } from './principals.ts'

/** Seconds: AWS's bounds of a role's longest session. */
const SESSION_SECONDS = { least: 3600, most: 43_200 } as const

/** Makes a role with its trust policy, in one step. Throws `AdminError`. */
export async function createRole(
  control: AdminControl,
  arn: string,
  trustPolicy: string,
  maxSessionDuration: number | undefined,
  tags: Readonly<Record<string, string>> = {},
): Promise<PrincipalInfo> {
  mustBeRole(arn)
  if (maxSessionDuration !== undefined) checkDuration(maxSessionDuration)
  await checkTrust(control, trustPolicy)
  return createPrincipal(control, arn, tags, {
    trustPolicy,
    ...(maxSessionDuration === undefined ? {} : { maxSessionDuration }),
  })
}

/** Replaces the trust policy of a role: in force for every AssumeRole that starts after this has resolved. Sessions that were begun go on. */
export async function setTrustPolicy(control: AdminControl, role: string, document: string): Promise<void> {
  mustBeRole(role)
  await checkTrust(control, document)
  return changePrincipal(control, 'SetTrustPolicy', role, body => ({
    body: { ...body, trustPolicy: document },
    result: undefined,
  }))
}

/** The document as it was set. */
export async function getTrustPolicy(control: AdminControl, role: string): Promise<string> {
  mustBeRole(role)
  const { trustPolicy } = (await loadPrincipal(control, role)).body
  if (trustPolicy === undefined)
    throw new AdminError(
      `${role} has no trust policy, so nobody can assume it. Set one: holdfast kms role set-trust ${role} --file FILE`,
    )
  return trustPolicy
}

export function setMaxSession(control: AdminControl, role: string, seconds: number): Promise<void> {
  mustBeRole(role)
  checkDuration(seconds)
  return changePrincipal(control, 'SetMaxSessionDuration', role, body => ({
    body: { ...body, maxSessionDuration: seconds },
    result: undefined,
  }))
}

/** Sets the permissions boundary of a user or role, or takes it away; in force at once, for sessions too. */
export async function setBoundary(
  control: AdminControl,
  principal: string,
  document: string | undefined,
): Promise<void> {
  const { kind } = nameOf(principal)
  if (kind !== 'user' && kind !== 'role') throw new AdminError('Only users and roles have a permissions boundary.')
  if (document !== undefined) await checked(async () => checkIdentityPolicy(Buffer.from(document, 'utf8')))
  return changePrincipal(control, document === undefined ? 'DeleteBoundary' : 'SetBoundary', principal, body => {
    const { boundary: _, ...rest } = body
    const changed: PrincipalBody = document === undefined ? rest : { ...rest, boundary: document }
    return { body: changed, result: undefined }
  })
}

/** The document as it was set, or undefined. */
export async function getBoundary(control: AdminControl, principal: string): Promise<string | undefined> {
  return (await loadPrincipal(control, principal)).body.boundary
}

function checkDuration(seconds: number): void {
  const { least, most } = SESSION_SECONDS
  if (!Number.isInteger(seconds) || seconds < least || seconds > most)
    throw new AdminError(`The longest session of a role has ${least} to ${most} seconds.`)
}

function checkTrust(control: ReadControl, document: string): Promise<void> {
  return checked(() => checkTrustPolicy(Buffer.from(document, 'utf8'), name => exists(control, name)))
}

function mustBeRole(arn: string): void {
  if (nameOf(arn).kind !== 'role') throw new AdminError(`${arn} is no role. Write for example role/app.`)
}

async function checked(check: () => Promise<unknown>): Promise<void> {
  try {
    await check()
  } catch (error) {
    if (error instanceof MalformedPolicyError || error instanceof PolicyTooLargeError)
      throw new AdminError(`The policy is refused. ${error.message}`)
    throw error
  }
}

/** Whether an account, a principal or the role of a session exists, as the boundary has it. */
async function exists(control: ReadControl, name: string): Promise<boolean> {
  const session = readSessionArn(name)
  if (session !== undefined) return (await roleNamed(control, session.account, session.role)) !== undefined
  return (await currentRow(control, ACCOUNT_ID.test(name) ? 'account' : 'principal', name)) !== undefined
}
