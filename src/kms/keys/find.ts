/** From a KeyId member to the key, its policy and its attributes, all vouched for by the boundary; and whether the caller may. */
import type { KeyRow } from '../../boundary/client/api.ts'
import { readKeyHeader } from '../../boundary/crypto/sealed.ts'
import type { KeyHeader, Row, RowKind } from '../../boundary/words.ts'
import { authorize as decide, denialMessage } from '../access/authorize.ts'
import { keyPolicyOf } from '../access/compile.ts'
import { FactsContext } from '../access/context.ts'
import { OPERATION_ACCESS } from '../access/permissions.ts'
import type { AccessQuestion, RequestFacts } from '../access/types.ts'
import type { Call, FoundKey } from '../operations/types.ts'
import { KmsError } from '../wire/errors.ts'
import { readAttributes } from './attributes.ts'
import { aliasArn, aliasRowId, keyArn, keyRowId, type NamedKey, type Place, parseKeyId } from './identifiers.ts'
import { makeProviderManaged } from './provider-managed.ts'

/** The row from memory where it is there; a `get` makes a promise only where it must. */
async function rowOf(call: Call, kind: RowKind, id: string): Promise<Row | undefined> {
  const peeked = call.services.replica.peek(kind, id)
  return peeked === undefined ? call.services.replica.get(kind, id) : (peeked ?? undefined)
}

const headers = new WeakMap<Row, KeyHeader>()

/** Read once a row revision. */
export function headerOf(row: KeyRow): KeyHeader {
  let header = headers.get(row)
  if (header === undefined) {
    if (row.body === null) throw new Error('a deleted key has no header')
    header = readKeyHeader(row.body)
    headers.set(row, header)
  }
  return header
}

export function placeOf(call: Call): Place {
  return { partition: call.services.settings.partition, region: call.region, account: call.caller.account }
}

/** The key that a caller names. Throws NotFoundException in AWS's words where there is none. */
export async function findKey(call: Call, text: string, { aliases }: { aliases: boolean }): Promise<FoundKey> {
  const named = parseKeyId(text, placeOf(call), aliases)
  if (named.kind === 'key') return keyByName(call, named, undefined)
  const id = aliasRowId(named.account, call.region, named.name)
  let alias = await rowOf(call, 'alias', id)
  if (alias === undefined && named.account === call.caller.account && (await makeProviderManaged(call, named.name))) {
    alias = await rowOf(call, 'alias', id)
  }
  if (alias === undefined) {
    const arn = aliasArn({ ...placeOf(call), account: named.account }, named.name)
    call.subject = named.name
    throw new KmsError('NotFoundException', `Alias ${arn} is not found.`)
  }
  const keyId = alias.link.slice(alias.link.indexOf('/') + 1)
  return keyByName(call, { kind: 'key', account: named.account, keyId, fromArn: true }, named.name)
}

async function keyByName(
  call: Call,
  named: NamedKey & { kind: 'key' },
  requestAlias: string | undefined,
): Promise<FoundKey> {
  const missing = (): KmsError =>
    new KmsError(
      'NotFoundException',
      `Key '${keyArn({ ...placeOf(call), account: named.account }, named.keyId)}' does not exist`,
    )
  const found = await findKeyById(call, named.keyId, requestAlias)
  // A key of another account answers to its ARN only; to a bare id it does not exist.
  if (found === undefined || found.account !== named.account) throw missing()
  call.keyId = found.rowId
  return found
}

/** The key of a bare id in this Region, whoever owns it: for Decrypt, whose ciphertext names its key. */
export async function findKeyById(call: Call, keyId: string, requestAlias?: string): Promise<FoundKey | undefined> {
  const rowId = keyRowId(call.region, keyId)
  const row = await rowOf(call, 'key', rowId)
  if (row === undefined || row.body === null) return undefined
  const keyRow = row as KeyRow
  const header = headerOf(keyRow)
  const policyRow = await rowOf(call, 'policy', rowId)
  if (policyRow === undefined) return undefined
  const policy = keyPolicyOf(policyRow)
  // The digest in the sealed key is the boundary's word on which policy this key has.
  if (!policy.digest.equals(header.policyDigest))
    throw new KmsError('KMSInternalException', undefined, {
      cause: new Error(`the policy of ${rowId} is not the one that its key names`),
    })
  const attributes = readAttributes(await rowOf(call, 'attributes', rowId))
  const place = { ...placeOf(call), account: header.account }
  return {
    rowId,
    row: keyRow,
    header,
    keyId,
    arn: keyArn(place, keyId),
    account: header.account,
    region: call.region,
    policy,
    requestAlias,
    tags: attributes.tags,
    aliases: () => [],
  }
}

/** Throws AccessDeniedException unless the caller has the operation's permission on the key. `extra`: what only the operation knows. */
export function authorizeKey(
  call: Call,
  key: FoundKey,
  extra: Partial<RequestFacts> = {},
  on: 'key' | 'source-key' | 'destination-key' | 'new-key' = 'key',
): void {
  const access = OPERATION_ACCESS[call.operation]
  const facts: RequestFacts = { ...call.facts, key, requestAlias: key.requestAlias, ...extra }
  for (const { permission, on: target } of access?.permissions ?? []) {
    if (target === on) allow(call, permission, key.arn, key.account, access?.crossAccount ?? false, key.policy, facts)
  }
}

/** The same for what has no key: `*`, or an alias. */
export function authorizeAny(
  call: Call,
  extra: Partial<RequestFacts> = {},
  resource = '*',
  account = call.caller.account,
): void {
  const access = OPERATION_ACCESS[call.operation]
  const target = resource === '*' ? 'any' : 'alias'
  const tagged = extra.requestTags !== undefined && extra.requestTags.size > 0
  for (const { permission, on, when } of access?.permissions ?? []) {
    if (on !== target || (when === 'tags' && !tagged)) continue
    allow(call, permission, resource, account, access?.crossAccount ?? false, undefined, { ...call.facts, ...extra })
  }
}

function allow(
  call: Call,
  permission: string,
  resource: string,
  resourceAccount: string,
  crossAccount: boolean,
  keyPolicy: AccessQuestion['keyPolicy'],
  facts: RequestFacts,
): void {
  const question: AccessQuestion = {
    caller: call.caller,
    permission,
    resource,
    resourceAccount,
    crossAccount,
    keyPolicy,
    context: new FactsContext(facts),
    grants: undefined,
  }
  const verdict = decide(question)
  if (verdict !== 'allowed') throw new KmsError('AccessDeniedException', denialMessage(verdict, question))
}
