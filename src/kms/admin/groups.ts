/** Groups: policies that several users have. Who is in one is said by the users' rows; a group with members is not deleted. */
import type { PutRow } from '../../boundary/client/api.ts'
import type { Row } from '../../boundary/words.ts'
import { type AdminControl, AdminError, allRows, change, currentRow } from '../../store/admin.ts'
import { readGroupArn } from '../access/principal-names.ts'
import { type GroupBody, readBody, writeBody } from '../access/rows.ts'
import { uniqueId } from '../access/unique-id.ts'
import { noAccount } from './accounts.ts'
import { changePrincipal, nameOf, tombstone } from './principals.ts'

export interface GroupInfo {
  readonly arn: string
  /** `AGPA…` */
  readonly groupId: string
  readonly created: number
  /** Names of its policies. */
  readonly policies: readonly string[]
  /** ARNs of users. */
  readonly members: readonly string[]
}

/** AWS's quota. */
const MAX_GROUPS = 10

/** Makes a group of this ARN. Its account must exist. Throws `AdminError`. */
export function createGroup(control: AdminControl, arn: string): Promise<GroupInfo> {
  const { account } = groupOf(arn)
  return change(control, 'CreateGroup', arn, async () => {
    if ((await currentRow(control, 'account', account)) === undefined) throw noAccount(account)
    if ((await currentRow(control, 'group', arn)) !== undefined) {
      throw new AdminError(`The group ${arn} exists already. See: holdfast kms group list`)
    }
    const body: GroupBody = { v: 1, created: Date.now(), groupId: uniqueId('AGPA'), policies: {} }
    return { rows: [put(arn, account, 0, body)], result: info(arn, body, []) }
  })
}

export async function listGroups(control: AdminControl, account?: string): Promise<GroupInfo[]> {
  const members = await membersByGroup(control)
  const groups: GroupInfo[] = []
  for await (const row of allRows(control, 'group')) {
    if (row.body === null || (account !== undefined && row.scope !== account)) continue
    groups.push(info(row.id, readBody('group', row.body), members.get(row.id) ?? []))
  }
  return groups
}

/** Throws `AdminError` while it has members: what its policies deny them would be allowed without anyone having said so. */
export function deleteGroup(control: AdminControl, arn: string): Promise<void> {
  return change(control, 'DeleteGroup', arn, async () => {
    const { row } = await loadGroup(control, arn)
    const [member, ...others] = (await membersByGroup(control)).get(arn) ?? []
    if (member !== undefined) {
      const more = others.length === 0 ? '' : ` and ${others.length} more`
      throw new AdminError(`${member}${more} are in the group. Remove them first: holdfast kms group remove-user`)
    }
    return { rows: [tombstone(row)], result: undefined }
  })
}

/** The group's policies are in force for the user in every request that starts after this has resolved. */
export function addToGroup(control: AdminControl, arn: string, user: string): Promise<void> {
  const { account } = groupOf(arn)
  const name = nameOf(user)
  if (name.kind !== 'user') throw new AdminError(`Only users can be in groups; ${user} is none.`)
  if (name.account !== account) throw new AdminError(`The group is of account ${account}, the user of ${name.account}.`)
  return changePrincipal(control, 'AddUserToGroup', user, async body => {
    const group = await loadGroup(control, arn)
    const groups = body.groups ?? []
    if (!groups.includes(arn) && groups.length >= MAX_GROUPS)
      throw new AdminError(`${user} is in ${MAX_GROUPS} groups already.`)
    // The group's row is written too, as it was: whoever deletes it meanwhile reads again, and finds the member.
    const same = put(arn, group.row.scope, group.row.revision, group.body)
    return {
      body: { ...body, groups: [...groups.filter(other => other !== arn), arn] },
      rows: [same],
      result: undefined,
    }
  })
}

export function removeFromGroup(control: AdminControl, arn: string, user: string): Promise<void> {
  groupOf(arn)
  return changePrincipal(control, 'RemoveUserFromGroup', user, ({ groups = [], ...body }) => {
    if (!groups.includes(arn)) throw new AdminError(`${user} is not in ${arn}.`)
    const left = groups.filter(other => other !== arn)
    return { body: { ...body, ...(left.length === 0 ? {} : { groups: left }) }, result: undefined }
  })
}

/** Changes a group's body. */
export function changeGroup<T>(
  control: AdminControl,
  operation: string,
  arn: string,
  make: (body: GroupBody) => { body: GroupBody; result: T },
): Promise<T> {
  return change(control, operation, arn, async () => {
    const { row, body } = await loadGroup(control, arn)
    const made = make(body)
    return { rows: [put(arn, row.scope, row.revision, made.body)], result: made.result }
  })
}

export async function loadGroup(control: AdminControl, arn: string): Promise<{ row: Row; body: GroupBody }> {
  groupOf(arn)
  const row = await currentRow(control, 'group', arn)
  if (row === undefined || row.body === null) {
    throw new AdminError(`There is no group ${arn}. Make it: holdfast kms group create ${arn}`)
  }
  return { row, body: readBody('group', row.body) }
}

async function membersByGroup(control: AdminControl): Promise<Map<string, string[]>> {
  const members = new Map<string, string[]>()
  for await (const row of allRows(control, 'principal')) {
    if (row.body === null) continue
    for (const group of readBody('principal', row.body).groups ?? []) {
      const known = members.get(group)
      if (known === undefined) members.set(group, [row.id])
      else known.push(row.id)
    }
  }
  return members
}

function groupOf(arn: string): { readonly account: string; readonly name: string } {
  const name = readGroupArn(arn)
  if (name !== undefined) return name
  throw new AdminError(`${JSON.stringify(arn)} is no group. Write for example arn:aws:iam::111122223333:group/admins.`)
}

function put(arn: string, account: string, expected: number, body: GroupBody): PutRow {
  return { kind: 'group', id: arn, scope: account, link: '', expected, body: writeBody(body) }
}

function info(arn: string, body: GroupBody, members: readonly string[]): GroupInfo {
  return { arn, groupId: body.groupId, created: body.created, policies: Object.keys(body.policies), members }
}
