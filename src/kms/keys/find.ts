/** From a KeyId member to the key, its policy and its attributes, all vouched for by the boundary. */
import type { KeyRow } from '../../boundary/client/api.ts'
import type { Row, RowKind } from '../../boundary/words.ts'
import type { HeldRow } from '../../store/replica.ts'
import { keyPolicyOf } from '../access/compile.ts'
import type { Call, FoundKey } from '../operations/types.ts'
import { KmsError } from '../wire/errors.ts'
import { hidden, type KeyTarget } from './allow.ts'
import { readAttributes } from './attributes.ts'
import { headerOf } from './header.ts'
import { aliasArn, aliasRowId, keyArn, keyIdOf, keyRowId, type Place, parseKeyId } from './identifiers.ts'
import { makeProviderManaged } from './provider-managed.ts'

/** Keys whose rows are read and kept so: some kilobytes each. A key beyond them costs a few microseconds to read again. */
const KEPT_KEYS = 1024
/** Keys that were read lately; a power of two. No more than are kept: a key that comes again later than that would be dropped before it is of use. */
const LATELY = 1024
/** Characters of a key's id, of one Region or of several, and the slash before it. */
const KEY_ID = 37

interface Kept {
  readonly row: Row
  readonly attributes: Row | null
  readonly found: FoundKey
}

/** By row id, oldest first. An entry counts only while it was read from the very rows that are current. */
const kept = new Map<string, Kept>()

/** The keys that were read lately, each at the place that its id names: a newer one takes it over. */
const lately: string[] = new Array<string>(LATELY).fill('')

/**
 * The place among `LATELY` that a row id names: by the end of the key's id, which is random, and all of its Region. The members of a multi-Region set have
 * one id, and would drive each other out.
 */
export function placeFor(rowId: string): number {
  let hash = 0
  for (let at = rowId.length - 4; at < rowId.length; at++) hash = Math.imul(hash, 31) + rowId.charCodeAt(at)
  for (let at = rowId.length - KEY_ID - 1; at >= 0; at--) hash = Math.imul(hash, 31) + rowId.charCodeAt(at)
  return hash & (LATELY - 1)
}

/**
 * A key is kept from the second time on that it is read within a while. Where many keys are asked for at random, keeping each would only make objects
 * that live long enough to be moved by the garbage collector, and are dropped before they are of use.
 */
function keep(rowId: string, entry: Kept): void {
  const place = placeFor(rowId)
  if (lately[place] !== rowId) {
    lately[place] = rowId
    return
  }
  kept.delete(rowId)
  kept.set(rowId, entry)
  if (kept.size <= KEPT_KEYS) return
  for (const oldest of kept.keys()) {
    kept.delete(oldest)
    return
  }
}

/** The row from memory where it is there; a `get` makes a promise only where it must. */
async function rowOf(call: Call, kind: RowKind, id: string): Promise<Row | undefined> {
  const peeked = call.services.replica.peek(kind, id)
  return peeked === undefined ? call.services.replica.get(kind, id) : (peeked ?? undefined)
}

export function placeOf(call: Call): Place {
  return { partition: call.services.settings.partition, region: call.region, account: call.caller.account }
}

interface Wanted {
  /** Whether the operation accepts alias names and ARNs. */
  readonly aliases: boolean
  /** What the permission is asked on. */
  readonly on?: KeyTarget
}

/** The key that a caller names. Throws NotFoundException in AWS's words where there is none, and for another account what a denial says. */
export async function findKey(call: Call, text: string, { aliases, on = 'key' }: Wanted): Promise<FoundKey> {
  const named = parseKeyId(text, placeOf(call), aliases)
  const { account } = named
  const absent = (arn: string, message: string): KmsError =>
    account === call.caller.account ? new KmsError('NotFoundException', message) : hidden(call, arn, on)
  const name = named.kind === 'key' ? undefined : named.name
  let keyId = named.kind === 'key' ? named.keyId : ''
  if (name !== undefined) {
    call.subject = name
    const alias = await aliasRowOf(call, account, name)
    const arn = aliasArn({ ...placeOf(call), account }, name)
    if (alias === undefined) throw absent(arn, `Alias ${arn} is not found.`)
    keyId = keyIdOf(alias.link)
  }
  const found = await findKeyById(call, keyId, name)
  // A key of another account answers to its ARN only; to a bare id it does not exist.
  if (found === undefined || found.account !== account) {
    const arn = keyArn({ ...placeOf(call), account }, keyId)
    throw absent(arn, `Key '${arn}' does not exist`)
  }
  call.keyId = found.rowId
  return found
}

async function aliasRowOf(call: Call, account: string, name: string): Promise<Row | undefined> {
  const id = aliasRowId(account, call.region, name)
  const alias = await rowOf(call, 'alias', id)
  if (alias !== undefined || account !== call.caller.account) return alias
  return (await makeProviderManaged(call, name)) ? rowOf(call, 'alias', id) : undefined
}

/** The key of a bare id in this Region, whoever owns it: for Decrypt, whose ciphertext names its key. */
export async function findKeyById(call: Call, keyId: string, requestAlias?: string): Promise<FoundKey | undefined> {
  const found = await findKeyIn(call, call.region, keyId)
  return found === undefined || requestAlias === undefined ? found : { ...found, requestAlias }
}

/** The key of a bare id in a Region that may be another than the request's: the members of a multi-Region set. */
export async function findKeyIn(call: Call, region: string, keyId: string): Promise<FoundKey | undefined> {
  const rowId = keyRowId(region, keyId)
  return peekKey(call, region, rowId, keyId) ?? loadKey(call, region, rowId, keyId)
}

/** From memory alone: undefined where a row must be asked for, or the rows do not fit together. */
function peekKey({ services }: Call, region: string, rowId: string, keyId: string): FoundKey | undefined {
  const { replica } = services
  const row = replica.peek('key', rowId)
  if (row === undefined || row === null) return undefined
  const attributes = replica.peek('attributes', rowId)
  const known = kept.get(rowId)
  if (known?.row === row && known.attributes === attributes) return known.found
  const policy = replica.peek('policy', rowId)
  if (policy === undefined || policy === null || attributes === undefined) return undefined
  return readKey(services, region, { row: row as KeyRow, policy, attributes }, keyId)
}

async function loadKey(call: Call, region: string, rowId: string, keyId: string): Promise<FoundKey | undefined> {
  // A policy that changes while its row is loaded shows as another digest than the one in the key: what is current then is read once more.
  for (let tries = 0; tries < 2; tries++) {
    const row = await rowOf(call, 'key', rowId)
    if (row === undefined) return undefined
    const policy = await rowOf(call, 'policy', rowId)
    const attributes = (await rowOf(call, 'attributes', rowId)) ?? null
    if (policy === undefined) continue
    const found = readKey(call.services, region, { row: row as KeyRow, policy, attributes }, keyId)
    if (found !== undefined) return found
  }
  if ((await rowOf(call, 'key', rowId)) === undefined) return undefined
  throw new KmsError('KMSInternalException', undefined, {
    cause: new Error(`the policy of ${rowId} is not the one that its key names`),
  })
}

interface Rows {
  readonly row: KeyRow
  readonly policy: HeldRow
  readonly attributes: Row | null
}

/** Undefined where the policy is another than the key names. */
function readKey(
  { settings }: Call['services'],
  region: string,
  { row, policy: policyRow, attributes }: Rows,
  keyId: string,
): FoundKey | undefined {
  const header = headerOf(row)
  const policy = keyPolicyOf(policyRow)
  // The digest in the sealed key is the boundary's word on which policy this key has.
  if (!policy.digest.equals(header.policyDigest)) return undefined
  const { account } = header
  const found: FoundKey = {
    rowId: row.id,
    row,
    header,
    keyId,
    arn: keyArn({ partition: settings.partition, region, account }, keyId),
    account,
    region,
    policy,
    requestAlias: undefined,
    tags: readAttributes(attributes).tags,
  }
  keep(row.id, { row, attributes, found })
  return found
}
