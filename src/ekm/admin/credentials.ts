/**
 * Credentials of a tenant, in the form that AWS asks for ("Appendix A"): an access key id of base 32, and a secret of at least 256 bits. Several are
 * accepted at once, so that they can be changed without a pause. The secret is known to whoever made it at that moment, and to the boundary.
 */
import { randomBytes } from 'node:crypto'
import { type AdminControl, AdminError, change, currentRow, type ReadControl } from '../../store/admin.ts'
import { Secret } from '../../store/secret.ts'
import { uriPath } from '../keys/names.ts'
import { findTenant, listTenants, tenantRow } from './tenants.ts'

export interface NewCredential {
  readonly tenant: string
  readonly accessKeyId: string
  /** 44 characters of ASCII, used as they are: not decoded. */
  readonly secretAccessKey: Secret
}

/** Chosen beforehand, for `--dev` services. */
export interface GivenCredential {
  readonly accessKeyId: string
  readonly secretAccessKey: Buffer
}

export interface CredentialInfo {
  readonly accessKeyId: string
  readonly tenant: string
  readonly created: number
}

const ACCESS_KEY_ID = /^[A-Z2-7]{20,30}$/
const SECRET = /^[A-Za-z0-9/+=]{43,64}$/
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const ID_LENGTH = 26
/** 33 random bytes are exactly 44 characters of Base64. */
const SECRET_BYTES = 33
const MAX_CREDENTIALS = 16

/** Throws `AdminError` where the tenant is missing, has too many, or the access key id is taken. */
export function createCredential(
  control: AdminControl,
  tenant: string,
  given?: GivenCredential,
): Promise<NewCredential> {
  if (given !== undefined) checkGiven(given)
  return change(control, 'CreateCredential', tenant, async () => {
    const found = await findTenant(control, tenant)
    const { credentials } = found.tenant
    if (Object.keys(credentials).length >= MAX_CREDENTIALS)
      throw new AdminError(`${tenant} has ${MAX_CREDENTIALS} credentials already; delete one first.`)
    const accessKeyId = given?.accessKeyId ?? newAccessKeyId()
    if ((await currentRow(control, 'credential', accessKeyId)) !== undefined)
      throw new AdminError(`The access key id ${accessKeyId} is taken.`)
    const secret = given?.secretAccessKey ?? Buffer.from(randomBytes(SECRET_BYTES).toString('base64'), 'latin1')
    const body = { ...found.tenant, credentials: { ...credentials, [accessKeyId]: { created: Date.now() } } }
    return {
      rows: [
        tenantRow(tenant, found.row.revision, body),
        { kind: 'credential', id: accessKeyId, scope: tenant, link: tenant, expected: 0, body: secret },
      ],
      result: { tenant, accessKeyId, secretAccessKey: new Secret(secret) },
    }
  })
}

export async function listCredentials(control: ReadControl, tenant?: string): Promise<CredentialInfo[]> {
  const names = tenant === undefined ? (await listTenants(control)).map(each => each.tenant) : [tenant]
  const all: CredentialInfo[] = []
  for (const name of names) {
    const { credentials } = (await findTenant(control, name)).tenant
    for (const [accessKeyId, { created }] of Object.entries(credentials))
      all.push({ accessKeyId, tenant: name, created })
  }
  return all
}

/** In force for every request that starts after it has resolved. Throws `AdminError` where there is none. */
export function deleteCredential(control: AdminControl, accessKeyId: string): Promise<CredentialInfo> {
  return change(control, 'DeleteCredential', accessKeyId, async () => {
    const row = await currentRow(control, 'credential', accessKeyId)
    if (row === undefined)
      throw new AdminError(`There is no credential ${accessKeyId}. See: holdfast ekm credential list`)
    const found = await findTenant(control, row.scope)
    const { [accessKeyId]: removed, ...credentials } = found.tenant.credentials
    return {
      rows: [
        tenantRow(row.scope, found.row.revision, { ...found.tenant, credentials }),
        { kind: 'credential', id: accessKeyId, scope: row.scope, link: row.link, expected: row.revision, body: null },
      ],
      result: { accessKeyId, tenant: row.scope, created: removed?.created ?? 0 },
    }
  })
}

/** The file that the console of AWS KMS imports ("XKS proxy configuration in AWS KMS console"). It holds the secret. */
export function importFile({ tenant, accessKeyId, secretAccessKey }: NewCredential): string {
  return secretAccessKey.reveal(bytes =>
    JSON.stringify(
      {
        XksProxyUriPath: uriPath(tenant),
        XksProxyAuthenticationCredential: { AccessKeyId: accessKeyId, RawSecretAccessKey: bytes.toString('latin1') },
      },
      null,
      2,
    ),
  )
}

/** 130 random bits in base 32. */
export function newAccessKeyId(): string {
  return Array.from(randomBytes(ID_LENGTH), byte => ALPHABET[byte & 31]).join('')
}

function checkGiven({ accessKeyId, secretAccessKey }: GivenCredential): void {
  if (!ACCESS_KEY_ID.test(accessKeyId))
    throw new AdminError('An access key id has 20 to 30 characters, A to Z and 2 to 7 only.')
  if (!SECRET.test(secretAccessKey.toString('latin1')))
    throw new AdminError('A secret access key has 43 to 64 characters, letters, digits, "/", "+" and "=" only.')
}
