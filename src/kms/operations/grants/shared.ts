/** What the operations on grants share: principals by name, entries of lists, and grants by their ids and tokens. */
import { keyOfGrant, type Row } from '../../../boundary/words.ts'
import { readGrantToken } from '../../access/grant-tokens.ts'
import { type GrantBody, grantIdOf, grantRowId, isGrantId, isServiceName, readGrantBody } from '../../access/grants.ts'
import { readPrincipalArn, readSessionArn, rootArn } from '../../access/principal-names.ts'
import { placeOf } from '../../keys/find.ts'
import { keyArn, keyIdOf } from '../../keys/identifiers.ts'
import { KmsError } from '../../wire/errors.ts'
import { seconds } from '../common.ts'
import type { Call, FoundKey } from '../types.ts'

export interface ConstraintsInput {
  readonly EncryptionContextEquals?: Readonly<Record<string, string>>
  readonly EncryptionContextSubset?: Readonly<Record<string, string>>
  readonly SourceArn?: string
}

export const noPrincipal = (arn: string): KmsError =>
  new KmsError('InvalidArnException', `ARN does not refer to a valid principal: ${arn}`)

/** Throws InvalidArnException unless the principal, the role of a session or, for the root of an account, the account exists here. */
export async function checkPrincipal(call: Call, arn: string): Promise<void> {
  const name = readPrincipalArn(arn)
  const known = name?.kind === 'root' ? name.account : (name ?? readSessionArn(arn)) && arn
  if (known === undefined || !(await call.services.principals.exists(known))) throw noPrincipal(arn)
}

/** The same for a service of the provider, by its name. */
export function checkService(call: Call, name: string): void {
  if (!call.services.settings.services.some(service => `${service}.amazonaws.com` === name))
    throw new KmsError('ValidationException', `${name} is not a service principal that can be named here.`)
}

export const noGrantToken = (): KmsError => new KmsError('InvalidGrantTokenException', 'A grant token is not valid.')

/** The grant that a token was made for. Throws InvalidGrantTokenException for one that is malformed, forged, of another Region or of a grant that is gone. */
export async function grantOfToken(call: Call, text: string): Promise<Row> {
  const token = readGrantToken(text)
  if (token?.rowId.startsWith(`${call.region}/`) !== true) throw noGrantToken()
  const row = await call.services.replica.get('grant', token.rowId)
  if (row === undefined || !token.fits(readGrantBody(row).secret)) throw noGrantToken()
  return row
}

/**
 * Grants are in force from the moment that CreateGrant answers, so a token has nothing to add. One that is none of a grant in force is refused, whatever
 * key it is sent with, before that key is looked for: the answer says nothing about keys.
 */
export async function checkGrantTokens(call: Call, tokens: readonly string[]): Promise<void> {
  for (const token of tokens) await grantOfToken(call, token)
}

/** Throws InvalidGrantIdException for what can be no grant's id. */
export function checkGrantId(grantId: string): void {
  if (!isGrantId(grantId)) throw new KmsError('InvalidGrantIdException', 'The grant ID is not valid.')
}

/** The row of a key's grant by its id; undefined where it has none such. Throws InvalidGrantIdException. */
export async function grantOfKey(call: Call, key: FoundKey, grantId: string): Promise<Row | undefined> {
  checkGrantId(grantId)
  return call.services.replica.get('grant', grantRowId(key.rowId, grantId))
}

export const noGrant = (grantId: string): KmsError =>
  new KmsError('NotFoundException', `Grant ID ${grantId} is not found.`)

/** Ends a grant: the row that takes its place is a tombstone, which names its grantee still, so that lists of that grantee's drop it. */
export async function deleteGrant(call: Call, row: Row): Promise<void> {
  const { id, scope, link, revision } = row
  await call.services.boundary.putRows([{ kind: 'grant', id, scope, link, expected: revision, body: null }], {
    ...call.asserted,
    subject: id,
  })
}

/** A grant as ListGrants and ListRetirableGrants show it. */
export function entryOf(call: Call, row: Row): Record<string, unknown> {
  const body = readGrantBody(row)
  const { partition } = call.services.settings
  return {
    KeyId: keyArn({ ...placeOf(call), account: body.account }, keyIdOf(keyOfGrant(row.id))),
    GrantId: grantIdOf(row.id),
    Name: body.name,
    CreationDate: seconds(body.created),
    ...principalOf('Grantee', body.grantee),
    ...(body.retiring === '' ? {} : principalOf('Retiring', body.retiring)),
    IssuingAccount: rootArn(body.issuer, partition),
    Operations: body.operations,
    ...constraintsShown(body),
  }
}

const principalOf = (role: 'Grantee' | 'Retiring', name: string): Record<string, string> => ({
  [isServiceName(name) ? `${role}ServicePrincipal` : `${role}Principal`]: name,
})

function constraintsShown({ equals, subset, sourceArn }: GrantBody): { Constraints?: ConstraintsInput } {
  const Constraints = {
    ...(equals === undefined ? {} : { EncryptionContextEquals: Object.fromEntries(equals) }),
    ...(subset === undefined ? {} : { EncryptionContextSubset: Object.fromEntries(subset) }),
    ...(sourceArn === '' ? {} : { SourceArn: sourceArn }),
  }
  return Object.keys(Constraints).length === 0 ? {} : { Constraints }
}
