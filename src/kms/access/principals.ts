/**
 * From an access key id to the caller: rows that the boundary has vouched for, read once and kept with the row object, so that a changed row is
 * read anew and nothing is read twice. A credential counts only while its principal's row lists it as active. What a user's groups say is kept with the
 * very rows of those groups.
 */
import type { Row } from '../../boundary/words.ts'
import type { Replica } from '../../store/replica.ts'
import { Secret } from '../../store/secret.ts'
import { type LoadedPrincipal, loadPrincipal } from './load-principal.ts'
import { ACCOUNT_ID, readSessionArn } from './principal-names.ts'
import { ACCESS_KEY_ID, readCredential } from './rows.ts'
import type { Caller } from './types.ts'

/** Who holds an access key: the secret to verify a signature with, and the caller that a right signature proves. */
export interface Identity {
  readonly accessKeyId: string
  /** Always the same object while the credential is, so that what is derived from it can be kept with it. */
  readonly secret: Secret
  readonly caller: Caller
}

interface LoadedCredential {
  readonly principal: string
  readonly secret: Secret
}

export type PrincipalRows = Pick<Replica, 'get' | 'peek' | 'secret' | 'peekSecret' | 'list'>

const PAGE = 500

export class Principals {
  readonly #rows: PrincipalRows
  readonly #loaded = new WeakMap<Row, LoadedPrincipal>()
  readonly #credentials = new WeakMap<Secret, LoadedCredential>()

  constructor(rows: PrincipalRows) {
    this.#rows = rows
  }

  /** From memory alone: null where the key id is not accepted, undefined where `identity` must be asked. */
  peekIdentity(accessKeyId: string): Identity | null | undefined {
    if (!ACCESS_KEY_ID.test(accessKeyId)) return null
    const opened = this.#rows.peekSecret('credential', accessKeyId)
    if (opened === undefined || opened === null) return opened
    const credential = this.#credential(opened)
    const principal = this.peek(credential.principal)
    if (principal === undefined || principal === null) return principal
    return identityOf(accessKeyId, credential, principal)
  }

  /** Undefined where the key id is unknown, disabled or its principal is gone. */
  async identity(accessKeyId: string): Promise<Identity | undefined> {
    if (!ACCESS_KEY_ID.test(accessKeyId)) return undefined
    const opened = await this.#rows.secret('credential', accessKeyId)
    if (opened === undefined) return undefined
    const credential = this.#credential(opened)
    const principal = await this.load(credential.principal)
    return principal === undefined ? undefined : (identityOf(accessKeyId, credential, principal) ?? undefined)
  }

  /** The caller that a principal's ARN stands for, or undefined where there is none. */
  async caller(arn: string): Promise<Caller | undefined> {
    return (await this.load(arn))?.caller
  }

  /** Whether this account (12 digits), principal (ARN) or role of a session (its ARN) exists here: what policies of resources may name. */
  async exists(arnOrAccount: string): Promise<boolean> {
    const session = readSessionArn(arnOrAccount)
    if (session !== undefined) return this.#hasRole(session.account, session.role)
    const kind = ACCOUNT_ID.test(arnOrAccount) ? 'account' : 'principal'
    return (await this.#rows.get(kind, arnOrAccount)) !== undefined
  }

  /**
   * A principal by its ARN with all that its rows say, from memory alone: null where there is none, undefined where `load` must be asked. The same object
   * until one of its rows changes.
   */
  peek(arn: string): LoadedPrincipal | null | undefined {
    const row = this.#rows.peek('principal', arn)
    if (row === undefined || row === null) return row
    const known = this.#loaded.get(row)
    if (known === undefined) {
      const loaded = loadPrincipal(row)
      return loaded.groups.length === 0 ? this.#keep(row, loaded) : undefined
    }
    for (let i = 0; i < known.groups.length; i++) {
      const group = known.groups[i] as (typeof known.groups)[number]
      const current = this.#rows.peek('group', group.arn)
      if (current === undefined) return undefined
      if ((current ?? undefined) !== group.row) return this.#again(row, known)
    }
    return known
  }

  /** The same, from the store where it must be. Undefined where there is none. */
  async load(arn: string): Promise<LoadedPrincipal | undefined> {
    const known = this.peek(arn)
    if (known !== undefined) return known ?? undefined
    const row = await this.#rows.get('principal', arn)
    if (row === undefined) return undefined
    const groups = new Map<string, Row | undefined>()
    for (const group of loadPrincipal(row).groups) groups.set(group.arn, await this.#rows.get('group', group.arn))
    return this.#keep(
      row,
      loadPrincipal(row, name => groups.get(name)),
    )
  }

  /** A group's row is another: undefined where one of the others must be fetched first. */
  #again(row: Row, known: LoadedPrincipal): LoadedPrincipal | undefined {
    for (const { arn } of known.groups) if (this.#rows.peek('group', arn) === undefined) return undefined
    return this.#keep(
      row,
      loadPrincipal(row, arn => this.#rows.peek('group', arn) ?? undefined),
    )
  }

  #keep(row: Row, loaded: LoadedPrincipal): LoadedPrincipal {
    this.#loaded.set(row, loaded)
    return loaded
  }

  /** Sessions are named without the role's path: the role of that name is looked for in its account. */
  async #hasRole(account: string, name: string): Promise<boolean> {
    for (let after = ''; ; ) {
      const rows = await this.#rows.list('principal', account, { after, limit: PAGE })
      if (rows.some(row => /:role\//.test(row.id) && row.id.endsWith(`/${name}`))) return true
      const last = rows.at(-1)
      if (rows.length < PAGE || last === undefined) return false
      after = last.id
    }
  }

  #credential(opened: Secret): LoadedCredential {
    let credential = this.#credentials.get(opened)
    if (credential === undefined) {
      credential = opened.reveal(bytes => {
        const { head, secret } = readCredential(bytes)
        return { principal: head.principal, secret: new Secret(secret) }
      })
      this.#credentials.set(opened, credential)
    }
    return credential
  }
}

function identityOf(accessKeyId: string, credential: LoadedCredential, principal: LoadedPrincipal): Identity | null {
  const { active, identities, caller } = principal
  if (!active.has(accessKeyId)) return null
  let identity = identities.get(accessKeyId)
  if (identity === undefined || identity.secret !== credential.secret) {
    identity = { accessKeyId, secret: credential.secret, caller }
    identities.set(accessKeyId, identity)
  }
  return identity
}
