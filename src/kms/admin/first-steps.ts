/** The first principals: what `--dev` and the demo make by themselves, and what the first start of any other service tells its operator to do. */

import { type AdminControl, currentRow } from '../../store/admin.ts'
import { rootArn, serviceRoleArn } from '../access/principal-names.ts'
import { readBody } from '../access/rows.ts'
import { createAccount } from './accounts.ts'
import {
  createCredential,
  deleteCredential,
  type GivenCredential,
  listCredentials,
  type NewCredential,
} from './credentials.ts'
import { ADMINISTRATOR_POLICY, putPolicy } from './policies.ts'
import { createPrincipal } from './principals.ts'

/** The account, made if it does not exist. */
export async function ensureAccount(control: AdminControl, account: string, name = ''): Promise<void> {
  if ((await currentRow(control, 'account', account)) === undefined) await createAccount(control, { id: account, name })
}

/** The principal, made if it does not exist, with the given identity policy (every right in KMS unless given). Its account must exist. */
export async function ensurePrincipal(
  control: AdminControl,
  arn: string,
  policy: string = ADMINISTRATOR_POLICY,
): Promise<void> {
  const row = await currentRow(control, 'principal', arn)
  if (row === undefined) await createPrincipal(control, arn)
  const known = row?.body == null ? undefined : readBody('principal', row.body).policies.default
  if (known !== policy) await putPolicy(control, arn, 'default', policy)
}

/**
 * A user with every right (or the account's root) and a fresh credential, in one call. With `given`, that credential: a second start with the
 * same access key id replaces its secret, and one that belongs to another principal is refused.
 */
export async function makeAdministrator(
  control: AdminControl,
  input: { account: string; user?: string; given?: GivenCredential | undefined },
): Promise<NewCredential> {
  const { account, user, given } = input
  await ensureAccount(control, account)
  const arn = user === undefined ? rootArn(account) : `arn:aws:iam::${account}:user/${user}`
  if (user !== undefined) await ensurePrincipal(control, arn)
  if (given !== undefined) await forget(control, arn, given.accessKeyId)
  return createCredential(control, arn, given)
}

/** The role through which a service of the provider (`objects`) calls in an account, and a credential for it. */
export async function makeServicePrincipal(
  control: AdminControl,
  input: { account: string; service: string; given?: GivenCredential | undefined },
): Promise<NewCredential> {
  await ensureAccount(control, input.account)
  const arn = serviceRoleArn(input.account, input.service)
  await ensurePrincipal(control, arn)
  if (input.given !== undefined) await forget(control, arn, input.given.accessKeyId)
  return createCredential(control, arn, input.given)
}

/** Takes a principal's own earlier credential of this id away, so that it can be made anew. */
async function forget(control: AdminControl, arn: string, accessKeyId: string): Promise<void> {
  const known = (await listCredentials(control, arn)).some(credential => credential.accessKeyId === accessKeyId)
  if (!known) return
  await deleteCredential(control, accessKeyId)
}

/** Printed at the first start of a service that has no account. `data`: its folder, as the operator gave it. */
export function firstPrincipalText(data: string): string {
  const option = data === './holdfast-kms' ? '' : ` --data ${data}`
  return `There is no account yet, and there are no default credentials. To make the first principal, on this machine:

  holdfast kms account create 111122223333${option}
  holdfast kms principal create alice --account 111122223333 --administrator${option}
  holdfast kms credential create --principal arn:aws:iam::111122223333:user/alice${option}

The last line shows the secret once. Then, with any AWS client:

  aws kms create-key --endpoint-url … --region …
`
}
