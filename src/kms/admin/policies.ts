/** Identity policies: inline, by name, on one principal or group. */

import { type AdminControl, AdminError } from '../../store/admin.ts'
import { readGroupArn } from '../access/principal-names.ts'
import type { PrincipalBody } from '../access/rows.ts'
import { MalformedPolicyError, PolicyTooLargeError } from '../access/types.ts'
import { checkIdentityPolicy } from '../access/validate.ts'
import { changeGroup, loadGroup } from './groups.ts'
import { changePrincipal, loadPrincipal, nameOf } from './principals.ts'

/** Every right in KMS on everything that the account's keys let identity policies decide. */
export const ADMINISTRATOR_POLICY = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 'kms:*', Resource: '*' }],
})

/** Stores a policy, or replaces the one of that name. Throws `AdminError` with the reason where the document is refused. */
export function putPolicy(control: AdminControl, holder: string, name: string, document: string): Promise<void> {
  if (!/^[\w+=,.@-]{1,128}$/.test(name)) {
    throw new AdminError('A policy name has 1 to 128 letters, digits or any of + = , . @ _ -')
  }
  if (readGroupArn(holder) === undefined && nameOf(holder).kind === 'root')
    throw new AdminError('The root of an account has every right and takes no policies.')
  try {
    checkIdentityPolicy(Buffer.from(document, 'utf8'))
  } catch (error) {
    if (error instanceof MalformedPolicyError || error instanceof PolicyTooLargeError) {
      throw new AdminError(`The policy is refused. ${error.message}`)
    }
    throw error
  }
  return changePolicies(control, 'PutPolicy', holder, policies => ({ ...policies, [name]: document }))
}

/** The document as it was put. */
export async function getPolicy(control: AdminControl, holder: string, name: string): Promise<string> {
  const policies = await policiesOf(control, holder)
  const document = Object.hasOwn(policies, name) ? policies[name] : undefined
  if (document === undefined) throw noPolicy(holder, name)
  return document
}

export async function listPolicies(control: AdminControl, holder: string): Promise<string[]> {
  return Object.keys(await policiesOf(control, holder))
}

export function deletePolicy(control: AdminControl, holder: string, name: string): Promise<void> {
  return changePolicies(control, 'DeletePolicy', holder, policies => {
    if (!Object.hasOwn(policies, name)) throw noPolicy(holder, name)
    return Object.fromEntries(Object.entries(policies).filter(([other]) => other !== name))
  })
}

type Policies = PrincipalBody['policies']

async function policiesOf(control: AdminControl, holder: string): Promise<Policies> {
  const load = readGroupArn(holder) === undefined ? loadPrincipal : loadGroup
  return (await load(control, holder)).body.policies
}

function changePolicies(
  control: AdminControl,
  operation: string,
  holder: string,
  make: (policies: Policies) => Policies,
): Promise<void> {
  const changed = <B extends { policies: Policies }>(body: B) => ({
    body: { ...body, policies: make(body.policies) },
    result: undefined,
  })
  if (readGroupArn(holder) !== undefined) return changeGroup(control, operation, holder, body => changed(body))
  return changePrincipal(control, operation, holder, body => changed(body))
}

function noPolicy(holder: string, name: string): AdminError {
  return new AdminError(
    `${holder} has no policy ${JSON.stringify(name)}. See: holdfast kms policy list --principal ${holder}`,
  )
}
