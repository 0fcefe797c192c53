/**
 * What rows of accounts, principals, groups and credentials hold: JSON of version 1 or 2, written by `src/kms/admin` and read by `principals.ts`.
 * A credential's secret is the one part that is not JSON, so that reading a row never makes a string of it.
 *
 * | kind | id | scope | link | body |
 * | --- | --- | --- | --- | --- |
 * | account | 12 digits | the same | empty | `AccountBody` |
 * | principal | ARN | account | empty | `PrincipalBody` |
 * | group | ARN | account | empty | `GroupBody` |
 * | credential | access key id | account | ARN of its principal | `{"v":1,"principal":…,"created":…}`, a line feed, the secret |
 *
 * Whether a credential is active is said by its principal's row, which can be read and changed without opening the secret.
 */
export interface AccountBody {
  readonly v: 1
  readonly name: string
  /** Milliseconds since 1970. */
  readonly created: number
}

export interface CredentialStatus {
  readonly created: number
  readonly active: boolean
}

export interface PrincipalBody {
  /** 2 where one of the last four members is there: they limit, and a reader that did not know them would allow more. */
  readonly v: 1 | 2
  readonly created: number
  /** `AIDA…`, `AROA…`; for root the account id. */
  readonly userId: string
  readonly tags: Readonly<Record<string, string>>
  /** Inline identity policies: name to the document's text. */
  readonly policies: Readonly<Record<string, string>>
  /** By access key id. A credential that is not listed here is not accepted. */
  readonly credentials: Readonly<Record<string, CredentialStatus>>
  /** ARNs of the groups that a user is in. */
  readonly groups?: readonly string[]
  /** The permissions boundary: the document's text. */
  readonly boundary?: string
  /** Who may assume a role: the document's text. Nobody may assume a role that has none. */
  readonly trustPolicy?: string
  /** Seconds; of a role. */
  readonly maxSessionDuration?: number
}

/** Who is in a group is said by the users' rows. */
export interface GroupBody {
  readonly v: 1
  readonly created: number
  /** `AGPA…` */
  readonly groupId: string
  readonly policies: Readonly<Record<string, string>>
}

export interface CredentialHead {
  readonly v: 1
  readonly principal: string
  readonly created: number
}

/** 20 characters: `AKIA` and 16 of base 32, AWS's form. */
export const ACCESS_KEY_ID = /^[A-Z0-9]{16,128}$/

export function writeBody(body: AccountBody | PrincipalBody | GroupBody): Buffer {
  return Buffer.from(JSON.stringify('credentials' in body ? { ...body, v: versionOf(body) } : body), 'utf8')
}

function versionOf({ groups, boundary, trustPolicy, maxSessionDuration }: PrincipalBody): 1 | 2 {
  return (groups ?? boundary ?? trustPolicy ?? maxSessionDuration) === undefined ? 1 : 2
}

interface Bodies {
  readonly account: AccountBody
  readonly principal: PrincipalBody
  readonly group: GroupBody
}

/** Throws an Error that names the kind where the row was written by a newer version. The bytes are the boundary's word, so their shape is not doubted. */
export function readBody<K extends keyof Bodies>(kind: K, body: Buffer): Bodies[K] {
  return ofVersion(kind, JSON.parse(body.toString('utf8')) as Bodies[K])
}

function ofVersion<T extends { readonly v: number }>(kind: string, body: T): T {
  if (body.v !== 1 && !(kind === 'principal' && body.v === 2))
    throw new Error(`This ${kind} row has version ${body.v}, which this version of Holdfast cannot read.`)
  return body
}

/** The clear bytes of a credential row. `secret`: ASCII. */
export function writeCredential(head: CredentialHead, secret: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`, 'utf8'), secret])
}

/** Views into `bytes`: the head, and the secret. */
export function readCredential(bytes: Buffer): { readonly head: CredentialHead; readonly secret: Buffer } {
  const end = bytes.indexOf(0x0a)
  if (end < 0) throw new Error('This credential row has no end of its head.')
  const head = ofVersion('credential', JSON.parse(bytes.toString('utf8', 0, end)) as CredentialHead)
  return { head, secret: bytes.subarray(end + 1) }
}
