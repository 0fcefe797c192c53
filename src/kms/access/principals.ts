/**
 * From an access key id to the caller: rows that the boundary has vouched for, read once and kept with the row object, so that a changed row is
 * read anew and nothing is read twice. A credential counts only while its principal's row lists it as active.
 */
import type { Row } from '../../boundary/words.ts'
import type { Replica } from '../../store/replica.ts'
import { Secret } from '../../store/secret.ts'
import { compilePolicy } from './compile.ts'
import { ACCOUNT_ID, readPrincipalArn, rootArn } from './principal-names.ts'
import { ACCESS_KEY_ID, readBody, readCredential } from './rows.ts'
import { type Caller, type CompiledPolicy, POLICY_SAYS } from './types.ts'

/** Who holds an access key: the secret to verify a signature with, and the caller that a right signature proves. */
export interface Identity {
  readonly accessKeyId: string
  /** Always the same object while the credential is, so that what is derived from it can be kept with it. */
  readonly secret: Secret
  readonly caller: Caller
}

interface Loaded {
  readonly caller: Caller
  readonly active: ReadonlySet<string>
  /** Made as credentials are used. */
  readonly identities: Map<string, Identity>
}

interface LoadedCredential {
  readonly principal: string
  readonly secret: Secret
}

export class Principals {
  readonly #rows: Pick<Replica, 'get' | 'peek' | 'secret' | 'peekSecret'>
  readonly #loaded = new WeakMap<Row, Loaded>()
  readonly #credentials = new WeakMap<Secret, LoadedCredential>()

  constructor(rows: Pick<Replica, 'get' | 'peek' | 'secret' | 'peekSecret'>) {
    this.#rows = rows
  }

  /** From memory alone: null where the key id is not accepted, undefined where `identity` must be asked. */
  peekIdentity(accessKeyId: string): Identity | null | undefined {
    if (!ACCESS_KEY_ID.test(accessKeyId)) return null
    const opened = this.#rows.peekSecret('credential', accessKeyId)
    if (opened === undefined || opened === null) return opened
    const credential = this.#credential(opened)
    const row = this.#rows.peek('principal', credential.principal)
    if (row === undefined || row === null) return row
    return this.#identity(accessKeyId, credential, row)
  }

  /** Undefined where the key id is unknown, disabled or its principal is gone. */
  async identity(accessKeyId: string): Promise<Identity | undefined> {
    if (!ACCESS_KEY_ID.test(accessKeyId)) return undefined
    const opened = await this.#rows.secret('credential', accessKeyId)
    if (opened === undefined) return undefined
    const credential = this.#credential(opened)
    const row = await this.#rows.get('principal', credential.principal)
    return row === undefined ? undefined : (this.#identity(accessKeyId, credential, row) ?? undefined)
  }

  /** The caller that a principal's ARN stands for, or undefined where there is none. */
  async caller(arn: string): Promise<Caller | undefined> {
    const row = await this.#rows.get('principal', arn)
    return row === undefined ? undefined : this.#load(row).caller
  }

  /** Whether this account (12 digits) or principal (ARN) exists here: what key policies may name. */
  async exists(arnOrAccount: string): Promise<boolean> {
    const kind = ACCOUNT_ID.test(arnOrAccount) ? 'account' : 'principal'
    return (await this.#rows.get(kind, arnOrAccount)) !== undefined
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

  #identity(accessKeyId: string, credential: LoadedCredential, row: Row): Identity | null {
    const { active, identities, caller } = this.#load(row)
    if (!active.has(accessKeyId)) return null
    let identity = identities.get(accessKeyId)
    if (identity === undefined || identity.secret !== credential.secret) {
      identity = { accessKeyId, secret: credential.secret, caller }
      identities.set(accessKeyId, identity)
    }
    return identity
  }

  #load(row: Row): Loaded {
    let loaded = this.#loaded.get(row)
    if (loaded === undefined) {
      loaded = load(row)
      this.#loaded.set(row, loaded)
    }
    return loaded
  }
}

function load(row: Row): Loaded {
  const name = readPrincipalArn(row.id)
  if (name === undefined || row.body === null) throw new Error('A principal row names no principal.')
  const body = readBody('principal', row.body)
  const active = Object.entries(body.credentials).filter(([, status]) => status.active)
  const partition = row.id.split(':')[1] ?? 'aws'
  const caller: Caller = {
    kind: name.kind,
    arn: row.id,
    account: name.account,
    rootArn: rootArn(name.account, partition),
    userId: body.userId,
    userName: name.kind === 'user' ? name.name : '',
    service: name.service,
    servicePrincipal: name.service === '' ? '' : `${name.service}.amazonaws.com`,
    tags: new Map(Object.entries(body.tags).map(([key, value]) => [key.toLowerCase(), value])),
    policies: Object.values(body.policies).map(identityPolicy),
  }
  return { caller, active: new Set(active.map(([id]) => id)), identities: new Map() }
}

/** A policy that this version cannot read denies everything: reading less of it than its author wrote could only widen it. */
const DENIES_ALL: CompiledPolicy = {
  use: 'identity',
  digest: Buffer.alloc(32),
  evaluate: () => POLICY_SAYS.deny,
}

function identityPolicy(document: string): CompiledPolicy {
  try {
    return compilePolicy('identity', Buffer.from(document, 'utf8'))
  } catch {
    return DENIES_ALL
  }
}
