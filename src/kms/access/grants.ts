/**
 * Grants: what their rows say, and what they permit (aws-kms.md §3.10, §12.5). A grant's row (docs/formats/grants.md) is JSON of version 1:
 *
 * | kind | id | scope | link | body |
 * | --- | --- | --- | --- | --- |
 * | grant | `<key row id>#<64 hex digits>` | `<region>/<retiring principal>`, or empty | `<key row id>#<grantee>` | `GrantBody` |
 *
 * so that the grants of a key are neighbours, and those of a key for one grantee, and those that one principal may retire, are found without looking at
 * any other. A principal is an ARN or, of a service, its name.
 */
import { randomBytes } from 'node:crypto'
import { keyOfGrant, type Row } from '../../boundary/words.ts'
import type { Told } from '../../store/linked.ts'
import type { Caller } from './types.ts'

/** AWS's order. The place of an operation here is its bit: never reorder while processes of two versions could share a compiled grant. */
export const GRANT_OPERATIONS = [
  'Decrypt',
  'Encrypt',
  'GenerateDataKey',
  'GenerateDataKeyWithoutPlaintext',
  'ReEncryptFrom',
  'ReEncryptTo',
  'Sign',
  'Verify',
  'GetPublicKey',
  'CreateGrant',
  'RetireGrant',
  'DescribeKey',
  'GenerateDataKeyPair',
  'GenerateDataKeyPairWithoutPlaintext',
  'GenerateMac',
  'VerifyMac',
  'DeriveSharedSecret',
  'Encapsulate',
  'Decapsulate',
] as const
export type GrantOperation = (typeof GRANT_OPERATIONS)[number]

const BITS: ReadonlyMap<string, number> = new Map(GRANT_OPERATIONS.map((name, at) => [name, 1 << at]))
const BITS_OF_PERMISSIONS: ReadonlyMap<string, number> = new Map(
  GRANT_OPERATIONS.map((name, at) => [`kms:${name}`, 1 << at]),
)

/** The bits of operations; names that are none count nothing. */
export const maskOf = (operations: readonly string[]): number =>
  operations.reduce((mask, name) => mask | (BITS.get(name) ?? 0), 0)

/** The bit of a permission (`kms:Encrypt`); 0 for one that no grant gives. */
export const bitOfPermission = (permission: string): number => BITS_OF_PERMISSIONS.get(permission) ?? 0

/** The operations that have an encryption context: the others are not held to one. */
const WITH_CONTEXT = maskOf([
  'Decrypt',
  'Encrypt',
  'GenerateDataKey',
  'GenerateDataKeyWithoutPlaintext',
  'GenerateDataKeyPair',
  'GenerateDataKeyPairWithoutPlaintext',
  'ReEncryptFrom',
  'ReEncryptTo',
])
const CREATE_GRANT = maskOf(['CreateGrant'])
const RETIRE_GRANT = maskOf(['RetireGrant'])

export interface GrantBody {
  readonly v: 1
  /** Milliseconds since 1970 of lifecycle time. */
  readonly created: number
  /** Empty where it has none. */
  readonly name: string
  readonly grantee: string
  /** Empty where there is none. */
  readonly retiring: string
  /** 12 digits: the account that owns the key. */
  readonly account: string
  /** 12 digits: the account whose principal created it. */
  readonly issuer: string
  readonly operations: readonly string[]
  /** `equals`: the context is these pairs; `subset`: it has them. At most one of the two. */
  readonly equals?: readonly (readonly [string, string])[]
  readonly subset?: readonly (readonly [string, string])[]
  /** Empty where there is none. */
  readonly sourceArn: string
  /** 32 hex digits, random, told to nobody: what its tokens are made of. */
  readonly secret: string
}

export const writeGrantBody = (body: GrantBody): Buffer => Buffer.from(JSON.stringify(body))

/** The bytes are the boundary's word, so their shape is not doubted. Throws where a newer version wrote them. */
export function readGrantBody({ body }: Pick<Row, 'body'>): GrantBody {
  const read = JSON.parse(body?.toString() ?? '{}') as GrantBody
  if (read.v !== 1) throw new Error(`This grant row has version ${read.v}, which this version of Holdfast cannot read.`)
  return read
}

/** 64 hex digits. */
export const newGrantId = (): string => randomBytes(32).toString('hex')
export const isGrantId = (text: string): boolean => /^[0-9a-f]{64}$/.test(text)
export const grantRowId = (keyRowId: string, grantId: string): string => `${keyRowId}#${grantId}`
/** The 64 hex digits of a row's id. */
export const grantIdOf = (rowId: string): string => rowId.slice(keyOfGrant(rowId).length + 1)
export const granteeLink = (keyRowId: string, grantee: string): string => `${keyRowId}#${grantee}`
export const retiringScope = (region: string, principal: string): string =>
  principal === '' ? '' : `${region}/${principal}`

/** `objects.amazonaws.com` and not an ARN. */
export const isServiceName = (principal: string): boolean => !principal.startsWith('arn:')

/** The principals that a caller is, as grants name them: a session is its role too. */
export const namesOf = (caller: Pick<Caller, 'arn' | 'principalArn' | 'servicePrincipal'>): readonly string[] => {
  if (caller.arn !== caller.principalArn) return [caller.arn, caller.principalArn]
  return caller.servicePrincipal === '' ? [caller.arn] : [caller.arn, caller.servicePrincipal]
}

interface Pair {
  /** The name, which is compared without regard to case. */
  readonly lower: string
  readonly value: string
}

export interface GrantConstraints {
  /** Undefined: any context. */
  readonly context: { readonly exact: boolean; readonly pairs: readonly Pair[] } | undefined
  /** Empty: from anywhere. */
  readonly sourceArn: string
}

const NO_CONSTRAINTS: GrantConstraints = { context: undefined, sourceArn: '' }

/** What of a grant decides; kept in memory by the hundred thousand. Its id is the 64 hex digits. */
export interface Grant extends Told {
  /** Empty where it has none. */
  readonly name: string
  readonly operations: number
  readonly constraints: GrantConstraints
}

/** A grant in memory beside its constraints. Measured. */
const GRANT_BYTES = 168

export function constraintsOf({
  equals,
  subset,
  sourceArn,
}: Pick<GrantBody, 'equals' | 'subset' | 'sourceArn'>): GrantConstraints {
  const given = equals ?? subset
  if (given === undefined && sourceArn === '') return NO_CONSTRAINTS
  const pairs = given?.map(([name, value]) => ({ lower: name.toLowerCase(), value }))
  return { context: pairs && { exact: equals !== undefined, pairs }, sourceArn }
}

/** A part of a text holds on to all of it. */
const ownText = (part: string): string => Buffer.from(part, 'latin1').toString('latin1')

export function readGrant(row: Row): Grant {
  const body = readGrantBody(row)
  return {
    id: ownText(grantIdOf(row.id)),
    revision: row.revision,
    bytes: GRANT_BYTES + (body.equals ?? body.subset ?? []).flat().reduce((sum, text) => sum + 64 + 2 * text.length, 0),
    name: body.name,
    operations: maskOf(body.operations),
    constraints: constraintsOf(body),
  }
}

type ContextPairs = Readonly<Record<string, string>> | undefined

/** What a request is to a grant. */
export interface GrantedUse {
  /** One bit. */
  readonly operation: number
  readonly context: ContextPairs
  /** The resource that a service calls for; undefined where none was told. */
  readonly sourceArn: string | undefined
  /** CreateGrant: the grant that is to be made. */
  readonly newGrant: Pick<Grant, 'operations' | 'constraints'> | undefined
}

/** The first of one grantee's grants that allows it this. A grantee may have very many: of each no more is looked at than is needed. */
export function grantThatPermits(grants: readonly Grant[], use: GrantedUse): Grant | undefined {
  const { operation, sourceArn, newGrant } = use
  let given: readonly Pair[] | undefined
  for (const grant of grants) {
    if ((grant.operations & operation) === 0) continue
    const { constraints } = grant
    if (constraints.sourceArn !== '' && operation !== RETIRE_GRANT && constraints.sourceArn !== sourceArn) continue
    if (operation === CREATE_GRANT) {
      if (newGrant !== undefined && passesOn(grant, newGrant)) return grant
    } else {
      const { context } = constraints
      if (context === undefined || (operation & WITH_CONTEXT) === 0) return grant
      given ??= pairsOf(use.context)
      if (holds(context.exact, context.pairs, given)) return grant
    }
  }
  return undefined
}

/** Only the grant's own operations, under constraints that are equal or stricter. */
function passesOn({ operations, constraints: own }: Grant, made: Pick<Grant, 'operations' | 'constraints'>): boolean {
  if ((made.operations & ~operations) !== 0) return false
  if (own.sourceArn !== '' && made.constraints.sourceArn !== own.sourceArn) return false
  const wanted = own.context
  if (wanted === undefined) return true
  const given = made.constraints.context
  if (given === undefined || (wanted.exact && !given.exact)) return false
  return holds(wanted.exact, wanted.pairs, given.pairs)
}

function pairsOf(context: ContextPairs): readonly Pair[] {
  return Object.entries(context ?? {}).map(([name, value]) => ({ lower: name.toLowerCase(), value }))
}

/**
 * Whether `given` has every wanted pair and, of a name that is wanted, no other value than one wanted: names that differ only in case do not hide a
 * value behind another. `exact`: nothing else, and as many.
 */
function holds(exact: boolean, wanted: readonly Pair[], given: readonly Pair[]): boolean {
  if (exact && wanted.length !== given.length) return false
  for (const pair of wanted) if (!has(given, pair)) return false
  for (const pair of given) {
    if ((exact || named(wanted, pair)) && !has(wanted, pair)) return false
  }
  return true
}

const has = (pairs: readonly Pair[], { lower, value }: Pair): boolean =>
  pairs.some(pair => pair.value === value && pair.lower === lower)
const named = (pairs: readonly Pair[], { lower }: Pair): boolean => pairs.some(pair => pair.lower === lower)
