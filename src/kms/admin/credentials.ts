/**
 * Credentials: an access key id and a secret for one principal. The secret is known to whoever made it at that moment, and to the boundary; it
 * is never shown again.
 */
import { randomBytes } from 'node:crypto'
import type { PutRow } from '../../boundary/client/api.ts'
import { type AdminControl, AdminError, allRows, currentRow } from '../../store/admin.ts'
import { Secret } from '../../store/secret.ts'
import { ACCESS_KEY_ID, type PrincipalBody, readBody, writeCredential } from '../access/rows.ts'
import { uniqueId } from '../access/unique-id.ts'
import { changePrincipal, nameOf, tombstone } from './principals.ts'

export interface NewCredential {
  readonly accessKeyId: string
  /** 40 characters of ASCII. */
  readonly secretAccessKey: Secret
  readonly principal: string
}

export interface CredentialInfo {
  readonly accessKeyId: string
  readonly principal: string
  /** Milliseconds since 1970. */
  readonly created: number
  readonly active: boolean
}

/** A credential that was chosen beforehand, for `--dev` services; otherwise both are made. */
export interface GivenCredential {
  readonly accessKeyId: string
  readonly secretAccessKey: Buffer
}

const MAX_CREDENTIALS = 10

/** Makes a credential. Throws `AdminError` where the principal is missing or the access key id is taken. */
export function createCredential(
  control: AdminControl,
  principal: string,
  given?: GivenCredential,
): Promise<NewCredential> {
  if (given !== undefined) checkGiven(given)
  const account = nameOf(principal).account
  return changePrincipal(control, 'CreateCredential', principal, async body => {
    if (Object.keys(body.credentials).length >= MAX_CREDENTIALS) {
      throw new AdminError(`${principal} has ${MAX_CREDENTIALS} credentials already; delete one first.`)
    }
    const accessKeyId = given?.accessKeyId ?? uniqueId('AKIA')
    if ((await currentRow(control, 'credential', accessKeyId)) !== undefined) {
      throw new AdminError(`The access key id ${accessKeyId} is taken.`)
    }
    // 30 random bytes are exactly 40 characters of base64.
    const secret = given?.secretAccessKey ?? Buffer.from(randomBytes(30).toString('base64'), 'latin1')
    const created = Date.now()
    const bytes = writeCredential({ v: 1, principal, created }, secret)
    const row: PutRow = {
      kind: 'credential',
      id: accessKeyId,
      scope: account,
      link: principal,
      expected: 0,
      body: bytes,
    }
    return {
      body: withCredential(body, accessKeyId, { created, active: true }),
      rows: [row],
      result: { accessKeyId, secretAccessKey: new Secret(secret), principal },
    }
  })
}

/** Those of one principal, or all. */
export async function listCredentials(control: AdminControl, principal?: string): Promise<CredentialInfo[]> {
  if (principal !== undefined) nameOf(principal)
  const credentials: CredentialInfo[] = []
  for await (const row of allRows(control, 'principal')) {
    if (row.body === null || (principal !== undefined && row.id !== principal)) continue
    for (const [accessKeyId, status] of Object.entries(readBody('principal', row.body).credentials)) {
      credentials.push({ accessKeyId, principal: row.id, ...status })
    }
  }
  return credentials
}

/** In force for every request that starts after it has resolved. */
export async function setCredentialActive(control: AdminControl, accessKeyId: string, active: boolean): Promise<void> {
  const principal = await principalOf(control, accessKeyId)
  await changePrincipal(control, active ? 'EnableCredential' : 'DisableCredential', principal, body => {
    const status = body.credentials[accessKeyId]
    if (status === undefined) throw unknown(accessKeyId)
    return { body: withCredential(body, accessKeyId, { ...status, active }), result: undefined }
  })
}

export async function deleteCredential(control: AdminControl, accessKeyId: string): Promise<void> {
  const principal = await principalOf(control, accessKeyId)
  await changePrincipal(control, 'DeleteCredential', principal, async body => {
    const row = await currentRow(control, 'credential', accessKeyId)
    const kept = Object.entries(body.credentials).filter(([id]) => id !== accessKeyId)
    return {
      body: { ...body, credentials: Object.fromEntries(kept) },
      rows: row === undefined ? [] : [tombstone(row)],
      result: undefined,
    }
  })
}

async function principalOf(control: AdminControl, accessKeyId: string): Promise<string> {
  const row = ACCESS_KEY_ID.test(accessKeyId) ? await currentRow(control, 'credential', accessKeyId) : undefined
  if (row === undefined) throw unknown(accessKeyId)
  return row.link
}

function unknown(accessKeyId: string): AdminError {
  return new AdminError(`There is no credential ${JSON.stringify(accessKeyId)}. See: holdfast kms credential list`)
}

function withCredential(
  body: PrincipalBody,
  accessKeyId: string,
  status: PrincipalBody['credentials'][string],
): PrincipalBody {
  return { ...body, credentials: { ...body.credentials, [accessKeyId]: status } }
}

function checkGiven(given: GivenCredential): void {
  if (!ACCESS_KEY_ID.test(given.accessKeyId)) {
    throw new AdminError('An access key id has 16 to 128 capital letters and digits.')
  }
  const { secretAccessKey } = given
  const printable = secretAccessKey.every(byte => byte > 0x20 && byte < 0x7f)
  if (secretAccessKey.length < 16 || secretAccessKey.length > 128 || !printable) {
    throw new AdminError('A secret access key has 16 to 128 printable characters without spaces.')
  }
}
