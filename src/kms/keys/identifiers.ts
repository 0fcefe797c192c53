/** How callers name keys and aliases, and what AWS answers to each wrong form (aws-kms.md §6). */
import { KmsError } from '../wire/errors.ts'

export type NamedKey =
  | { readonly kind: 'key'; readonly account: string; readonly keyId: string; readonly fromArn: boolean }
  | { readonly kind: 'alias'; readonly account: string; readonly name: string }

const KEY_ID = /^(?:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|mrk-[0-9a-f]{32})$/
const ARN = /^arn:([a-z-]{1,32}):kms:([a-z0-9-]{1,32}):(\d{12}):(key|alias)\/(.{1,256})$/

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

/** Row id of an alias. */
export function aliasRowId(account: string, region: string, name: string): string {
  return `${account}/${region}/${name}`
}

const invalidKeyId = (text: string): KmsError => new KmsError('NotFoundException', `Invalid keyId '${text}'`)

/** Reads a KeyId member. `aliases`: whether the operation accepts alias names and ARNs. Throws NotFoundException in AWS's words. */
export function parseKeyId(text: string, place: Place, aliases: boolean): NamedKey {
  const arn = ARN.exec(text)
  if (arn) {
    const [, , region = '', account = '', kind, name = ''] = arn
    if (region !== place.region) throw new KmsError('NotFoundException', `Invalid arn ${region}`)
    if (kind === 'key') {
      if (!KEY_ID.test(name)) throw invalidKeyId(name)
      return { kind: 'key', account, keyId: name.toLowerCase(), fromArn: true }
    }
    if (!aliases) throw new KmsError('NotFoundException', `Invalid keyId ${text}`)
    return { kind: 'alias', account, name: `alias/${name}` }
  }
  if (text.startsWith('arn:')) throw new KmsError('InvalidArnException', `Invalid arn ${text}`)
  if (text.startsWith('alias/')) {
    if (!aliases) throw new KmsError('NotFoundException', `Invalid keyId ${text}`)
    return { kind: 'alias', account: place.account, name: text }
  }
  if (!KEY_ID.test(text)) throw invalidKeyId(text)
  return { kind: 'key', account: place.account, keyId: text.toLowerCase(), fromArn: false }
}
