/** External keys: made, listed and rotated in the owner's boundary, over its control socket. */
import type { ExternalSpec } from '../../boundary/algorithms.ts'
import type { BoundaryControl } from '../../boundary/client/api.ts'
import { readKeyHeader } from '../../boundary/crypto/sealed.ts'
import { FOREIGN_SCHEMES, type ForeignScheme } from '../../boundary/service/keys/place.ts'
import { ALL_SWITCH, decodeSwitch, tenantSwitch } from '../../boundary/service/keys/switches.ts'
import { BoundaryError, type Row } from '../../boundary/words.ts'
import { AdminError, allRows, currentRow, operator, type ReadControl } from '../../store/admin.ts'
import { isKeyId, keyRowId, MAX_KEY_ID, splitKeyRowId } from '../keys/names.ts'
import { findTenant } from './tenants.ts'

export interface KeyInfo {
  /** `<tenant>/<external key id>`: what revoke and restore take. */
  readonly key: string
  readonly tenant: string
  readonly keyId: string
  readonly spec: ExternalKeySpec
  readonly state: 'Enabled' | 'Revoked'
  /** Why it is revoked: by itself, with its tenant, or with everything. */
  readonly revokedBy: readonly ('key' | 'tenant' | 'all')[]
  readonly usage: KeyUse
  readonly backing: 'software' | 'token'
  /** `id:…` or `label:…` of the object, with `token=NAME` and `opens=SCHEME` before it where they apply; empty for software. */
  readonly tokenObject: string
  readonly version: number
  readonly versions: number
  /** Milliseconds since 1970, of lifecycle time. */
  readonly created: number
  readonly rotated: number
}

export { FOREIGN_SCHEMES, type ForeignScheme }

/** `sign`: of a pair, which then does nothing else. */
export type KeyUse = 'both' | 'encrypt' | 'decrypt' | 'sign' | 'none'

const USES: Readonly<Record<KeyUse, { mayEncrypt: boolean; mayDecrypt: boolean }>> = {
  both: { mayEncrypt: true, mayDecrypt: true },
  encrypt: { mayEncrypt: true, mayDecrypt: false },
  decrypt: { mayEncrypt: false, mayDecrypt: true },
  sign: { mayEncrypt: false, mayDecrypt: false },
  none: { mayEncrypt: false, mayDecrypt: false },
}

/** AES_256: AES-GCM and AES key wrap. RSA: RSAES-OAEP. */
const SPECS = {
  AES_256: 'EXTERNAL_AES_256',
  RSA_2048: 'RSA_2048',
  RSA_3072: 'RSA_3072',
  RSA_4096: 'RSA_4096',
} as const satisfies Record<string, ExternalSpec>
export type ExternalKeySpec = keyof typeof SPECS
export const KEY_SPEC_NAMES = Object.keys(SPECS) as readonly ExternalKeySpec[]

export function isKeyUse(text: string): text is KeyUse {
  return Object.hasOwn(USES, text)
}

export interface NewKey {
  readonly tenant: string
  readonly keyId: string
  /** Default: AES_256. RSA is for RSAES-OAEP. */
  readonly spec?: ExternalKeySpec | undefined
  readonly usage: KeyUse
  /** Where its material is: sealed in the software boundary, or an object in a token. */
  readonly backing: 'software' | 'token'
  /** The token's name in the configuration; without it that of the root of trust. */
  readonly token?: string | undefined
  /** `id:<hex>` or `label:<text>` of an object that is in the token already; without it a new one is made there. */
  readonly tokenObject?: string | undefined
  /** What another key manager has encrypted under that object can be decrypted too. */
  readonly opens?: ForeignScheme | undefined
}

const TOKEN_OBJECT = /^(?:id:(?:[0-9a-f]{2}){1,32}|label:.{1,64})$/

/** `[NAME:][id:HEX|label:TEXT]`: a token's name and an object in it, either of which may be left out. Throws `AdminError`. */
export function tokenAndObject(text: string): Pick<NewKey, 'token' | 'tokenObject'> {
  const named = /^(?!(?:id|label)(?::|$))([a-z][a-z0-9-]{0,31})(?::(.+))?$/s.exec(text)
  const [token, object] = named === null ? [undefined, text] : [named[1], named[2]]
  if (object !== undefined && !TOKEN_OBJECT.test(object))
    throw new AdminError(
      'Name the object in the token as id:HEX (its CKA_ID, in lower case) or label:TEXT (its CKA_LABEL), after NAME: where it is in a token of that name.',
    )
  return { token, tokenObject: object }
}

/** Throws `AdminError` where the id is malformed or taken, or the tenant is missing. */
export async function createKey(
  control: ReadControl & Pick<BoundaryControl, 'createExternalKey' | 'status'>,
  { tenant, keyId, spec = 'AES_256', usage, backing, token, tokenObject, opens }: NewKey,
): Promise<KeyInfo> {
  checkKeyId(keyId)
  if (opens !== undefined && tokenObject === undefined)
    throw new AdminError('Name the object in the token under which the other key manager has encrypted.')
  if (usage === (spec === 'AES_256' ? 'sign' : 'none'))
    throw new AdminError(
      `A key of ${spec} cannot have the usage ${usage}: AES signs nothing, and a pair is for something.`,
    )
  await findTenant(control, tenant)
  if (backing === 'token' && token === undefined && (await control.status()).rootKind !== 'pkcs11')
    throw new AdminError(
      'The root of trust of this boundary is not of the kind pkcs11 (docs/hsm.md). Name one of its other tokens, or leave out --token for a key that is sealed under that root.',
    )
  const id = keyRowId(tenant, keyId)
  try {
    const where = backing === 'token' ? 'TOKEN' : 'SEALED'
    const place = [
      ...(token === undefined ? [] : [`token=${token}`]),
      ...(opens === undefined ? [] : [`opens=${opens}`]),
      ...(tokenObject === undefined ? [] : [tokenObject]),
    ].join(' ')
    const input = { id, scope: tenant, tenant, spec: SPECS[spec], backing: where, ...USES[usage] } as const
    return await infoOf(
      switchesOf(control),
      await control.createExternalKey({ ...input, tokenObject: place }, operator('CreateKey', id)),
    )
  } catch (error) {
    throw explained(error, { AlreadyExists: `A key ${id} exists, or did once: the id of an external key is for ever.` })
  }
}

export function checkKeyId(keyId: string): void {
  if (!isKeyId(keyId))
    throw new AdminError(
      `The id of an external key has 1 to ${MAX_KEY_ID} letters, digits, ".", "-" and "_"; ${JSON.stringify(keyId)} has not.`,
    )
}

export async function* listKeys(control: ReadControl, tenant?: string): AsyncGenerator<KeyInfo> {
  const isOff = switchesOf(control)
  for await (const row of allRows(control, 'key')) {
    if (tenant === undefined || row.scope === tenant) yield await infoOf(isOff, row)
  }
}

export async function describeKey(control: ReadControl, key: string): Promise<KeyInfo> {
  const row = await currentRow(control, 'key', await resolveKey(control, key))
  if (row === undefined) throw noKey(key)
  return infoOf(switchesOf(control), row)
}

/** New material under the same id; what older versions encrypted still decrypts. */
export async function rotateKey(
  control: ReadControl & Pick<BoundaryControl, 'rotateExternalKey'>,
  key: string,
): Promise<KeyInfo> {
  const id = await resolveKey(control, key)
  try {
    return await infoOf(switchesOf(control), await control.rotateExternalKey(id, operator('RotateKey', id)))
  } catch (error) {
    throw explained(error, {
      KeyRevoked: `The key ${id} is revoked; restore it before rotating it.`,
      KeyGone: `There is no key ${id}.`,
    })
  }
}

/** The row id of a key that was given as `<tenant>/<key id>`, or as a key id that only one tenant has. Throws `AdminError`. */
export async function resolveKey(control: ReadControl, key: string): Promise<string> {
  if (splitKeyRowId(key) !== undefined) {
    if ((await currentRow(control, 'key', key)) === undefined) throw noKey(key)
    return key
  }
  if (!isKeyId(key)) throw noKey(key)
  const found: string[] = []
  for await (const row of allRows(control, 'key')) if (row.id.endsWith(`/${key}`)) found.push(row.id)
  const [only] = found
  if (only === undefined) throw noKey(key)
  if (found.length > 1) throw new AdminError(`Several tenants have a key ${key}; say which: ${found.join(' or ')}`)
  return only
}

export function noKey(key: string): AdminError {
  return new AdminError(`There is no key ${key}. See: holdfast ekm key list`)
}

/** A refusal of the boundary in words, where there are some for its code. */
export function explained(error: unknown, texts: Readonly<Record<string, string>>): unknown {
  if (!(error instanceof BoundaryError)) return error
  const text = texts[error.code]
  return text === undefined ? error : new AdminError(text)
}

async function infoOf(isOff: (id: string) => Promise<boolean>, row: Row): Promise<KeyInfo> {
  const header = readKeyHeader(row.body ?? Buffer.alloc(0))
  const names = splitKeyRowId(row.id) ?? { tenant: row.scope, keyId: row.id }
  const revokedBy: KeyInfo['revokedBy'][number][] = []
  if (header.state !== 'Enabled') revokedBy.push('key')
  if (await isOff(tenantSwitch(names.tenant))) revokedBy.push('tenant')
  if (await isOff(ALL_SWITCH)) revokedBy.push('all')
  const current = header.materials.find(material => material.state === 'CURRENT')
  const usage = (Object.keys(USES) as KeyUse[]).find(
    use =>
      USES[use].mayEncrypt === header.mayEncrypt &&
      USES[use].mayDecrypt === header.mayDecrypt &&
      (use === 'sign') === (header.usage === 'SIGN_VERIFY'),
  )
  return {
    key: row.id,
    ...names,
    spec: KEY_SPEC_NAMES.find(name => SPECS[name] === header.spec) ?? 'AES_256',
    state: revokedBy.length === 0 ? 'Enabled' : 'Revoked',
    revokedBy,
    usage: usage ?? 'none',
    backing: header.backing === 'TOKEN' ? 'token' : 'software',
    tokenObject: header.tokenObject,
    version: Number.parseInt(current?.id ?? '0', 16),
    versions: header.materials.length,
    created: header.createdAt,
    rotated: current?.createdAt ?? 0,
  }
}

/** Asks for each switch once. */
function switchesOf(control: ReadControl): (id: string) => Promise<boolean> {
  const known = new Map<string, boolean>()
  return async id => {
    const before = known.get(id)
    if (before !== undefined) return before
    const row = await currentRow(control, 'switch', id)
    const off = row?.body ? decodeSwitch(row.body).revoked : false
    known.set(id, off)
    return off
  }
}
