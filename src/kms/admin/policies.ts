/** Identity policies: inline, by name, on one principal. */

import { type AdminControl, AdminError } from '../../store/admin.ts'
import { MalformedPolicyError, PolicyTooLargeError } from '../access/types.ts'
import { checkIdentityPolicy } from '../access/validate.ts'
import { changePrincipal, loadPrincipal, nameOf } from './principals.ts'

/** Every right in KMS on everything that the account's keys let identity policies decide. */
export const ADMINISTRATOR_POLICY = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 'kms:*', Resource: '*' }],
})

/** Stores a policy, or replaces the one of that name. Throws `AdminError` with the reason where the document is refused. */
export function putPolicy(control: AdminControl, principal: string, name: string, document: string): Promise<void> {
  if (!/^[\w+=,.@-]{1,128}$/.test(name)) {
    throw new AdminError('A policy name has 1 to 128 letters, digits or any of + = , . @ _ -')
  }
  if (nameOf(principal).kind === 'root')
    throw new AdminError('The root of an account has every right and takes no policies.')
  try {
    checkIdentityPolicy(Buffer.from(document, 'utf8'))
  } catch (error) {
    if (error instanceof MalformedPolicyError || error instanceof PolicyTooLargeError) {
      throw new AdminError(`The policy is refused. ${error.message}`)
    }
    throw error
  }
  return changePrincipal(control, 'PutPolicy', principal, body => ({
    body: { ...body, policies: { ...body.policies, [name]: document } },
    result: undefined,
  }))
}

/** The document as it was put. */
export async function getPolicy(control: AdminControl, principal: string, name: string): Promise<string> {
  const { body } = await loadPrincipal(control, principal)
  const document = Object.hasOwn(body.policies, name) ? body.policies[name] : undefined
  if (document === undefined) throw noPolicy(principal, name)
  return document
}

export async function listPolicies(control: AdminControl, principal: string): Promise<string[]> {
  const { body } = await loadPrincipal(control, principal)
  return Object.keys(body.policies)
}

export function deletePolicy(control: AdminControl, principal: string, name: string): Promise<void> {
  return changePrincipal(control, 'DeletePolicy', principal, body => {
    if (!Object.hasOwn(body.policies, name)) throw noPolicy(principal, name)
    const kept = Object.entries(body.policies).filter(([other]) => other !== name)
    return { body: { ...body, policies: Object.fromEntries(kept) }, result: undefined }
  })
}

function noPolicy(principal: string, name: string): AdminError {
  return new AdminError(
    `${principal} has no policy ${JSON.stringify(name)}. See: holdfast kms policy list --principal ${principal}`,
  )
}
