/** Principals: users, roles, the root of an account, and the roles through which the provider's services call. */
import type { PutRow } from '../../boundary/client/api.ts'
import type { Row } from '../../boundary/words.ts'
import { type AdminControl, AdminError, allRows, change, currentRow, type ReadControl } from '../../store/admin.ts'
import { type PrincipalName, readPrincipalArn } from '../access/principal-names.ts'
import { type PrincipalBody, readBody, writeBody } from '../access/rows.ts'
import { uniqueId } from '../access/unique-id.ts'
import { noAccount } from './accounts.ts'

export interface PrincipalInfo {
  readonly arn: string
  readonly account: string
  readonly kind: PrincipalName['kind']
  readonly userId: string
  readonly created: number
  readonly tags: Readonly<Record<string, string>>
  /** Names of its identity policies. */
  readonly policies: readonly string[]
  /** ARNs of the groups that a user is in. */
  readonly groups: readonly string[]
  readonly boundary: boolean
  /** Access key ids. */
  readonly credentials: readonly string[]
}

const MAX_TAGS = 50
const MAX_PRINCIPAL_BYTES = 256 * 1024

/** Makes a principal of this ARN. Its account must exist. `role`: what `roles.ts` has checked of one. Throws `AdminError`. */
export function createPrincipal(
  control: AdminControl,
  arn: string,
  tags: Readonly<Record<string, string>> = {},
  role: Pick<PrincipalBody, 'trustPolicy' | 'maxSessionDuration'> = {},
): Promise<PrincipalInfo> {
  const name = nameOf(arn)
  if (name.kind === 'root') throw new AdminError('The root of an account is made with the account.')
  checkTags(tags)
  return change(control, 'CreatePrincipal', arn, async () => {
    if ((await currentRow(control, 'account', name.account)) === undefined) throw noAccount(name.account)
    if ((await currentRow(control, 'principal', arn)) !== undefined) {
      throw new AdminError(`The principal ${arn} exists already. See: holdfast kms principal list`)
    }
    const userId = uniqueId(name.kind === 'user' ? 'AIDA' : 'AROA')
    const account = name.kind === 'role' ? await onlyRoleOfItsName(control, name) : undefined
    const body: PrincipalBody = { v: 1, created: Date.now(), userId, tags, policies: {}, credentials: {}, ...role }
    const row: PutRow = put(arn, name.account, 0, body)
    return { rows: account === undefined ? [row] : [row, account], result: info(name, body) }
  })
}

/**
 * A role's sessions are named without its path, so that two roles of one name could stand for each other. The account's row goes along as it is:
 * of two administrators who make such roles at once, the second reads again and is refused.
 */
async function onlyRoleOfItsName(control: AdminControl, { account, name }: PrincipalName): Promise<PutRow> {
  // The account's row is read before the names: a role that is made after the look has moved the row on, and this write is refused.
  const row = await currentRow(control, 'account', account)
  if (row === undefined) throw noAccount(account)
  const other = await roleNamed(control, account, name)
  if (other !== undefined)
    throw new AdminError(`A role of that name exists in the account, under another path: ${other}.`)
  return { kind: 'account', id: row.id, scope: row.scope, link: row.link, expected: row.revision, body: row.body }
}

/** ARN of the account's role of this name, whatever its path. */
export async function roleNamed(control: ReadControl, account: string, name: string): Promise<string | undefined> {
  for await (const row of allRows(control, 'principal')) {
    if (row.scope === account && row.id.includes(':role/') && row.id.endsWith(`/${name}`)) return row.id
  }
  return undefined
}

export async function listPrincipals(control: AdminControl, account?: string): Promise<PrincipalInfo[]> {
  const principals: PrincipalInfo[] = []
  for await (const row of allRows(control, 'principal')) {
    if (row.body === null || (account !== undefined && row.scope !== account)) continue
    principals.push(info(nameOf(row.id), readBody('principal', row.body)))
  }
  return principals
}

/** Deletes it with all its credentials, in one step. Key policies that name the ARN keep naming it: a new principal of that name would match. */
export function deletePrincipal(control: AdminControl, arn: string): Promise<void> {
  const name = nameOf(arn)
  if (name.kind === 'root') throw new AdminError('The root of an account cannot be deleted; delete its credentials.')
  return change(control, 'DeletePrincipal', arn, async () => {
    const { row, body } = await loadPrincipal(control, arn)
    const credentials = await Promise.all(
      Object.keys(body.credentials).map(id => currentRow(control, 'credential', id)),
    )
    const gone = [row, ...credentials.filter(credential => credential !== undefined)]
    return { rows: gone.map(tombstone), result: undefined }
  })
}

/** Sets and removes tags (`aws:PrincipalTag/…` in policies). */
export function tagPrincipal(
  control: AdminControl,
  arn: string,
  set: Readonly<Record<string, string>>,
  remove: readonly string[] = [],
): Promise<PrincipalInfo> {
  return changePrincipal(control, 'TagPrincipal', arn, body => {
    for (const key of remove) {
      if (!Object.hasOwn(body.tags, key)) throw new AdminError(`${arn} has no tag ${JSON.stringify(key)}.`)
    }
    const kept = Object.entries(body.tags).filter(([key]) => !remove.includes(key))
    const tags = { ...Object.fromEntries(kept), ...set }
    checkTags(tags)
    return { body: { ...body, tags }, result: info(nameOf(arn), { ...body, tags }) }
  })
}

/** Changes a principal's body, and other rows with it. */
export function changePrincipal<T>(
  control: AdminControl,
  operation: string,
  arn: string,
  make: (
    body: PrincipalBody,
  ) =>
    | { body: PrincipalBody; rows?: readonly PutRow[]; result: T }
    | Promise<{ body: PrincipalBody; rows?: readonly PutRow[]; result: T }>,
): Promise<T> {
  return change(control, operation, arn, async () => {
    const { row, body } = await loadPrincipal(control, arn)
    const made = await make(body)
    return { rows: [put(arn, row.scope, row.revision, made.body), ...(made.rows ?? [])], result: made.result }
  })
}

export async function loadPrincipal(control: AdminControl, arn: string): Promise<{ row: Row; body: PrincipalBody }> {
  nameOf(arn)
  const row = await currentRow(control, 'principal', arn)
  if (row === undefined || row.body === null) {
    throw new AdminError(`There is no principal ${arn}. Make it: holdfast kms principal create ${arn}`)
  }
  return { row, body: readBody('principal', row.body) }
}

export function nameOf(arn: string): PrincipalName {
  const name = readPrincipalArn(arn)
  if (name !== undefined) return name
  throw new AdminError(
    `${JSON.stringify(arn)} is no principal. Write for example arn:aws:iam::111122223333:user/alice or …:role/app.`,
  )
}

export function tombstone(row: Row): PutRow {
  return { kind: row.kind, id: row.id, scope: row.scope, link: row.link, expected: row.revision, body: null }
}

function put(arn: string, account: string, expected: number, body: PrincipalBody): PutRow {
  const bytes = writeBody(body)
  if (bytes.length > MAX_PRINCIPAL_BYTES) throw new AdminError(`${arn} would have more policies than fit into 256 KiB.`)
  return { kind: 'principal', id: arn, scope: account, link: '', expected, body: bytes }
}

function info(name: PrincipalName, body: PrincipalBody): PrincipalInfo {
  return {
    arn: name.arn,
    account: name.account,
    kind: name.kind,
    userId: body.userId,
    created: body.created,
    tags: body.tags,
    policies: Object.keys(body.policies),
    groups: body.groups ?? [],
    boundary: body.boundary !== undefined,
    credentials: Object.keys(body.credentials),
  }
}

/** IAM's limits; names that differ only in case are one name, because condition keys have no case. */
function checkTags(tags: Readonly<Record<string, string>>): void {
  const keys = Object.keys(tags)
  if (keys.length > MAX_TAGS) throw new AdminError(`A principal has at most ${MAX_TAGS} tags.`)
  const seen = new Set<string>()
  for (const key of keys) {
    if (!/^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$/u.test(key) || /^aws:/i.test(key)) {
      throw new AdminError(`${JSON.stringify(key)} cannot be the key of a tag.`)
    }
    if ((tags[key] ?? '').length > 256) throw new AdminError(`The value of tag ${key} has more than 256 characters.`)
    if (seen.has(key.toLowerCase())) throw new AdminError(`Two tags differ only in case: ${key}.`)
    seen.add(key.toLowerCase())
  }
}
