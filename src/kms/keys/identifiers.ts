/**
 * How callers name keys and aliases, and what AWS answers to each wrong form (aws-kms.md §6). A name is taken apart once, here, and compared as an
 * opaque id from then on.
 */
import { KmsError } from '../wire/errors.ts'

export type NamedKey =
  | { readonly kind: 'key'; readonly account: string; readonly keyId: string; readonly fromArn: boolean }
  | { readonly kind: 'alias'; readonly account: string; readonly name: string }

const KEY_ID = /^(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$/
const ARN = /^arn:([a-z-]{1,32}):kms:([a-z0-9-]{1,32}):(\d{12}):(?:key\/([A-Za-z0-9-]+)|(alias\/[A-Za-z0-9/_-]+))$/
const ALIAS = /^alias\/[A-Za-z0-9/_-]{1,250}$/
/** So much of a name that fits no form is repeated to the caller. */
const ECHO_CHARS = 256

/** Whose request it is, and where. */
export interface Place {
  readonly partition: string
  readonly region: string
  readonly account: string
}

export function keyArn({ partition, region, account }: Place, keyId: string): string {
  return `arn:${partition}:kms:${region}:${account}:key/${keyId}`
}

/** `name` begins with `alias/`. */
export function aliasArn({ partition, region, account }: Place, name: string): string {
  return `arn:${partition}:kms:${region}:${account}:${name}`
}

/** Row id of a key, and of its policy and attributes. */
export function keyRowId(region: string, keyId: string): string {
  return `${region}/${keyId}`
}

/** The bare key id of a key's row. */
export function keyIdOf(rowId: string): string {
  return rowId.slice(rowId.indexOf('/') + 1)
}

/** Row id of an alias. */
export function aliasRowId(account: string, region: string, name: string): string {
  return `${account}/${region}/${name}`
}

/** `alias/…` of an alias's row. */
export function aliasNameOf(rowId: string): string {
  return rowId.slice(rowId.indexOf('/', rowId.indexOf('/') + 1) + 1)
}

const invalidKeyId = (text: string): KmsError =>
  new KmsError('NotFoundException', `Invalid keyId '${text.slice(0, ECHO_CHARS)}'`)
const invalidArn = (text: string): KmsError =>
  new KmsError('InvalidArnException', `Invalid arn ${text.slice(0, ECHO_CHARS)}`)

/** Reads a KeyId member. `aliases`: whether the operation accepts alias names and ARNs. Throws NotFoundException and InvalidArnException. */
export function parseKeyId(text: string, place: Place, aliases: boolean): NamedKey {
  if (KEY_ID.test(text)) return { kind: 'key', account: place.account, keyId: text, fromArn: false }
  if (text.startsWith('arn:')) return parseArn(text, place, aliases)
  if (aliases && ALIAS.test(text)) return { kind: 'alias', account: place.account, name: text }
  throw invalidKeyId(text)
}

function parseArn(text: string, place: Place, aliases: boolean): NamedKey {
  const [, partition, region = '', account = '', keyId, name] = ARN.exec(text) ?? []
  if (partition !== place.partition) throw invalidArn(text)
  if (region !== place.region) throw new KmsError('NotFoundException', `Invalid arn ${region}`)
  if (keyId !== undefined) {
    if (!KEY_ID.test(keyId)) throw invalidKeyId(keyId)
    return { kind: 'key', account, keyId, fromArn: true }
  }
  if (!aliases || name === undefined) throw invalidKeyId(text)
  return { kind: 'alias', account, name }
}
