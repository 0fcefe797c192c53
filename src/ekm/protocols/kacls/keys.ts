/**
 * The methods that wrap and unwrap data keys. A key is bound to its resource and perimeter; which those are says Google's token, or for privileged methods
 * the request and the wrapped key itself.
 */
import { MAX_RESOURCE } from '../../access/workspace.ts'
import type { Call } from '../../core.ts'
import { base64, type Members, optionalString, string } from '../members.ts'
import { denied, invalid } from './errors.ts'
import type { Asked } from './protocol.ts'
import { decodeKey, encodeKey, keyAad, type WrappedKey } from './wrapped.ts'

/** Bytes of a data key ("wrap"). */
export const MAX_KEY = 128
/** Bytes of a wrapped key, whose Base64 is at most 1 KB. */
const MAX_WRAPPED = 768

export interface Place {
  readonly resource: string
  readonly perimeter: string
}

/** What Google's token says that it is for. */
export function placeOf({ grant }: Asked): Place {
  const { resource = '', perimeter = '' } = grant ?? {}
  if (resource === '') throw invalid('The authorization token names no resource.')
  return { resource, perimeter }
}

export function readDataKey(members: Members): Buffer {
  return base64(members, 'key', MAX_KEY, invalid)
}

export function readWrapped(members: Members): WrappedKey {
  const wrapped = decodeKey(base64(members, 'wrapped_key', MAX_WRAPPED, invalid))
  if (wrapped === undefined) throw invalid('wrapped_key is none of this key service.')
  return wrapped
}

/** Wipes the data key. */
export async function sealKey(asked: Asked, call: Call, { resource, perimeter }: Place, key: Buffer): Promise<string> {
  const { core, tenant } = asked
  const aad = keyAad(tenant.name, tenant.keyId, resource, perimeter)
  const ciphertext = await core.encrypt(call, key, aad, false)
  key.fill(0)
  return encodeKey({ perimeter, ciphertext }).toString('base64')
}

async function openKey({ core, tenant }: Asked, call: Call, resource: string, wrapped: WrappedKey): Promise<object> {
  const aad = keyAad(tenant.name, tenant.keyId, resource, wrapped.perimeter)
  const key = await core.decrypt(call, wrapped.ciphertext, aad)
  const answer = { key: key.toString('base64') }
  key.fill(0)
  return answer
}

function samePerimeter(wrapped: WrappedKey, { perimeter }: Place): void {
  if (wrapped.perimeter !== perimeter) throw denied('The key was wrapped in another perimeter.')
}

export async function wrap(asked: Asked, call: Call): Promise<object> {
  return { wrapped_key: await sealKey(asked, call, placeOf(asked), readDataKey(asked.members)) }
}

export async function unwrap(asked: Asked, call: Call): Promise<object> {
  const place = placeOf(asked)
  const wrapped = readWrapped(asked.members)
  samePerimeter(wrapped, place)
  return openKey(asked, call, place.resource, wrapped)
}

export async function privilegedWrap(asked: Asked, call: Call): Promise<object> {
  const resource = string(asked.members, 'resource_name', MAX_RESOURCE, invalid)
  const perimeter = optionalString(asked.members, 'perimeter_id', MAX_RESOURCE, invalid) ?? ''
  if (resource === '') throw invalid('resource_name is empty.')
  return { wrapped_key: await sealKey(asked, call, { resource, perimeter }, readDataKey(asked.members)) }
}

export async function privilegedUnwrap(asked: Asked, call: Call): Promise<object> {
  const resource = string(asked.members, 'resource_name', MAX_RESOURCE, invalid)
  if (asked.migrates !== undefined && asked.migrates !== resource) throw denied('The token is for another resource.')
  return openKey(asked, call, resource, readWrapped(asked.members))
}

/** What the resource key hash is made of ("Resource key hash"). */
export function hashedWords({ resource, perimeter }: Place): Buffer {
  return Buffer.from(`ResourceKeyDigest:${resource}:${perimeter}`, 'utf8')
}

export async function digest(asked: Asked, call: Call): Promise<object> {
  const { core, tenant } = asked
  const place = placeOf(asked)
  const wrapped = readWrapped(asked.members)
  samePerimeter(wrapped, place)
  const aad = keyAad(tenant.name, tenant.keyId, place.resource, place.perimeter)
  const hash = await core.digest(call, wrapped.ciphertext, aad, hashedWords(place))
  return { resource_key_hash: hash.toString('base64') }
}
