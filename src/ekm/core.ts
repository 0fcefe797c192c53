/**
 * The inner core of the external key manager, the same for every protocol: an authenticated caller, its claims, a key and an operation go in; state
 * and usage are judged, then the owner's policy, then the boundary does it. Every call ends in exactly one record: the boundary writes it for a
 * use, and this file has it written for everything else, before the answer.
 */
import type { ExternalWrapAlgorithm } from '../boundary/algorithms.ts'
import type { BoundaryUse, ExternalCiphertext, KeyRow, PrivateKeyWork } from '../boundary/client/api.ts'
import { EXTERNAL_WRAPPINGS } from '../boundary/crypto/external-wrap.ts'
import { type Asserted, BoundaryError, type KeyHeader } from '../boundary/words.ts'
import type { Replica } from '../store/replica.ts'
import type { AuthenticatedCaller } from './access/caller.ts'
import type { Claims } from './access/claims.ts'
import type { Action, Decision, Policy } from './access/policy.ts'
import { type Rules, type Trip, targetOf } from './access/rules.ts'
import { CoreError, type CoreErrorCode, MESSAGES, OF_BOUNDARY } from './core-errors.ts'
import { factsOf } from './facts.ts'
import type { Health, HealthMonitor } from './health.ts'
import { describe, headerOf, type KeyDescription } from './keys/description.ts'
import { keyRowId } from './keys/names.ts'
import { anyTurned, switchesOf, switchesOver } from './keys/switched.ts'
import { Admission, type Ticket } from './load/admission.ts'
import { within } from './load/within.ts'

export { CoreError, type CoreErrorCode, MESSAGES } from './core-errors.ts'
export type { KeyDescription } from './keys/description.ts'

export interface Call {
  readonly caller: AuthenticatedCaller
  readonly claims: Claims
  /** The protocol's own word: `encrypt`, `wrapkey`. In records and policies the protocol stands before it: `xks:encrypt`. */
  readonly operation: string
  /** The external key's id within the caller's tenant; empty where the operation has none. */
  readonly keyId: string
  /** Ours, for finding the record. */
  readonly requestId: string
  /** What the list in the protocol's configuration says, where it has one: false denies, true leaves it to the policy. */
  readonly listed?: boolean
  /** How long the protocol's caller can wait for a person, in milliseconds; none: not at all. */
  readonly waitMs?: number
  /** Of its admission. `answer` sees to it. */
  ticket?: Ticket
  /** The protocol's name for each failure, for the record. */
  readonly errorNames: Readonly<Record<CoreErrorCode, string>>
}

export interface CoreOptions {
  readonly boundary: Pick<
    BoundaryUse,
    | 'externalEncrypt'
    | 'externalDecrypt'
    | 'externalWrap'
    | 'externalUnwrap'
    | 'externalDigest'
    | 'externalPrivateKey'
    | 'sign'
    | 'record'
    | 'trip'
    | 'awaitDecision'
  >
  readonly replica: Pick<Replica, 'get' | 'peek' | 'refresh'>
  readonly policy: Policy
  readonly rules: Rules
  readonly health: HealthMonitor
  /** Default: everybody may begin. */
  readonly admission?: Admission
  /** Every authenticated request, when it is answered. `key`: the external key's id where there is such a key, else empty. */
  readonly onAnswered?: (caller: AuthenticatedCaller, key: string, outcome: string, seconds: number) => void
  /** For the operator's log: what should not happen. */
  readonly onDefect: (error: unknown) => void
}

/** How long somebody whom nobody knows waits for what is published. */
const PUBLISHED_WITHIN_MS = 2000
/** The boundary counts the milliseconds of a decision itself; so many more, and it does not answer. */
const DECISION_GRACE_MS = 500

/** Characters of a rule's name and of what it saw, within the record's bytes. */
const MAX_RULE = 85
const MAX_EVIDENCE = 340

type Usages = ReadonlyArray<'mayEncrypt' | 'mayDecrypt'>

/** What a use needs of its key. An integrity value vouches that decryption works, so that it takes the right to decrypt ("Appendix C"). */
const NEEDED = {
  encrypt: ['mayEncrypt'],
  encryptWithIntegrity: ['mayEncrypt', 'mayDecrypt'],
  decrypt: ['mayDecrypt'],
  /** A pair that signs does nothing else, which the boundary sees to. */
  sign: [],
} as const satisfies Record<string, Usages>

/** Uses that take a thread or a session of its own for about a millisecond: in a token, and with the private half of a pair. */
function takesLong({ spec, backing }: KeyHeader, action: Action, { privateKey }: UseOptions): boolean {
  return backing === 'TOKEN' || privateKey === true || (spec !== 'EXTERNAL_AES_256' && action !== 'wrap')
}

interface UseOptions {
  readonly algorithm?: ExternalWrapAlgorithm
  /** What the key opens is a private key, which is then used. */
  readonly privateKey?: boolean
}

const UNBOUNDED = { perSecond: 1e9, inFlight: 1e9 }

export class Core {
  readonly admission: Admission
  readonly #options: CoreOptions

  constructor(options: CoreOptions) {
    this.#options = options
    this.admission = options.admission ?? new Admission({ quotaOf: () => UNBOUNDED, inFlight: 1e9 })
  }

  encrypt(call: Call, plaintext: Buffer, aad: Buffer, integrity: boolean): Promise<ExternalCiphertext> {
    const { boundary } = this.#options
    const needed = NEEDED[integrity ? 'encryptWithIntegrity' : 'encrypt']
    return this.#use(call, 'wrap', needed, (key, facts) =>
      boundary.externalEncrypt(key, plaintext, aad, integrity, facts),
    )
  }

  decrypt(call: Call, ciphertext: ExternalCiphertext, aad: Buffer): Promise<Buffer> {
    const { boundary } = this.#options
    return this.#use(call, 'unwrap', NEEDED.decrypt, (key, facts) =>
      boundary.externalDecrypt(key, ciphertext, aad, facts),
    )
  }

  /** Under the current version, whose number is answered too. BadRequest: a length that the algorithm does not take, or one that is not the key's. */
  wrap(call: Call, algorithm: ExternalWrapAlgorithm, plaintext: Buffer): Promise<{ wrapped: Buffer; version: number }> {
    const { boundary } = this.#options
    return this.#use(
      call,
      'wrap',
      NEEDED.encrypt,
      (key, facts) => boundary.externalWrap(key, algorithm, plaintext, facts),
      { algorithm },
    )
  }

  /** `version` 0: whichever version fits. */
  unwrap(call: Call, algorithm: ExternalWrapAlgorithm, wrapped: Buffer, version: number): Promise<Buffer> {
    const { boundary } = this.#options
    return this.#use(
      call,
      'unwrap',
      NEEDED.decrypt,
      (key, facts) => boundary.externalUnwrap(key, algorithm, wrapped, version, facts),
      { algorithm },
    )
  }

  /** HMAC-SHA-256 of `message`, keyed with what `decrypt` would answer, which stays in the boundary. */
  digest(call: Call, ciphertext: ExternalCiphertext, aad: Buffer, message: Buffer): Promise<Buffer> {
    const { boundary } = this.#options
    return this.#use(call, 'digest', NEEDED.decrypt, (key, facts) =>
      boundary.externalDigest(key, ciphertext, aad, message, facts),
    )
  }

  /** One signature or decryption by the private key that `decrypt` would answer, which stays in the boundary. */
  usePrivateKey(call: Call, ciphertext: ExternalCiphertext, aad: Buffer, work: PrivateKeyWork): Promise<Buffer> {
    const { boundary } = this.#options
    const action = work.algorithm.startsWith('RSASSA') ? 'sign' : 'unwrap'
    return this.#use(
      call,
      action,
      NEEDED.decrypt,
      (key, facts) => boundary.externalPrivateKey(key, ciphertext, aad, work, facts),
      { privateKey: true },
    )
  }

  /** RSASSA-PKCS1-v1_5 with SHA-256 of at most 4096 bytes, by a pair of the tenant that is for signing. */
  async sign(call: Call, message: Buffer): Promise<Buffer> {
    const { boundary } = this.#options
    const input = { algorithm: 'RSASSA_PKCS1_V1_5_SHA_256', messageType: 'RAW', message } as const
    const { signature } = await this.#use(call, 'sign', NEEDED.sign, (key, facts) => boundary.sign(key, input, facts))
    return signature
  }

  /** What a provider may know of a key. A revoked one is described, as not enabled; with `onlyEnabled`, where the protocol cannot say that, it is refused. */
  async describe(call: Call, { onlyEnabled = false } = {}): Promise<KeyDescription> {
    const key = await this.#find(call)
    if (key === undefined) return this.#refuse(call, 'KeyUnknown')
    const header = headerOf(key)
    const decision = await this.#authorize(call, 'describe', header)
    const enabled = header.state === 'Enabled' && !(await this.#switchedOff(call))
    if (onlyEnabled && !enabled) return this.#refuse(call, 'KeyRevoked')
    await this.#record(call, 'allowed', '', decision)
    return describe(header, enabled)
  }

  /**
   * What anyone may know of a key whose protocol publishes it: there is no caller, so neither a record nor a question of policy. Undefined where there is no
   * such key.
   */
  async published(protocol: string, tenant: string, keyId: string): Promise<KeyDescription | undefined> {
    const { replica } = this.#options
    const id = keyRowId(tenant, keyId)
    try {
      const known = replica.peek('key', id)
      const row = (known ?? (await within(PUBLISHED_WITHIN_MS, replica.get('key', id)))) as KeyRow | undefined
      if (!row?.body) return undefined
      const header = headerOf(row)
      const off = await anyTurned(replica, switchesOver(protocol, tenant))
      return describe(header, header.state === 'Enabled' && !off)
    } catch (error) {
      throw this.#translated(error)
    }
  }

  /**
   * Of the key manager, on its own test key; never on the keys of a customer, and never a question of policy. With `onlyWell`, where the protocol cannot
   * say that it is not well, that is a refusal.
   */
  async health(call: Call, { onlyWell = false } = {}): Promise<Health> {
    if (await this.#switchedOff(call)) return this.#refuse(call, 'KeyRevoked')
    const health = await this.#options.health.current()
    // Not even its name is known: the boundary has not been reached yet.
    if (health.boundaryId === '' || (onlyWell && !health.ok)) return this.#refuse(call, 'Unavailable')
    await this.#record(call, 'allowed', '')
    return health
  }

  /** The record of an authenticated call that its protocol refuses by itself, under that protocol's name. */
  async refused(call: Call, errorName: string, outcome: 'denied' | 'failed' = 'failed'): Promise<void> {
    await this.#record(call, outcome, errorName)
  }

  /** For whoever counts: a request has been answered. A name that no key has is not told. */
  answered({ caller, keyId }: Call, outcome: string, seconds: number): void {
    const { onAnswered, replica } = this.#options
    if (onAnswered === undefined) return
    const known = keyId !== '' && (outcome === 'ok' || replica.peek('key', keyRowId(caller.tenant, keyId)))
    onAnswered(caller, known ? keyId : '', outcome, seconds)
  }

  /** Refuses because there is too much to do. */
  busy(call: Call): Promise<never> {
    return this.#refuse(call, 'Busy')
  }

  async #use<T>(
    call: Call,
    action: Action,
    needed: Usages,
    run: (key: KeyRow, facts: Asserted) => Promise<T>,
    options: UseOptions = {},
  ): Promise<T> {
    let waited = false
    for (let attempt = 1; ; attempt++) {
      const key = await this.#find(call)
      if (key === undefined) return this.#refuse(call, 'KeyUnknown')
      const decision = await this.#judge(call, action, needed, headerOf(key), options.algorithm)
      if (attempt === 1) await this.#observe(call, action)
      try {
        if (takesLong(headerOf(key), action, options))
          return await this.#inTurn(call, () => run(key, factsOf(call, decision)))
        return await (call.ticket?.expired ? this.#refuse(call, 'Unavailable') : run(key, factsOf(call, decision)))
      } catch (error) {
        if (!(error instanceof BoundaryError)) throw error
        // The row was changed meanwhile, by the owner or by whoever can write the database: the boundary's word counts.
        if (error.code === 'StaleKey' && attempt === 1) this.#options.replica.refresh(key, error.row)
        else if (error.code === 'Held' && !waited && (await this.#decided(call, error))) waited = true
        else throw this.#translated(error)
      }
    }
  }

  /** A tenant's long uses take turns, so that those of others find few before them. */
  async #inTurn<T>(call: Call, run: () => Promise<T>): Promise<T> {
    const { ticket } = call
    await ticket?.turn()
    try {
      return await (ticket?.expired ? this.#refuse(call, 'Unavailable') : run())
    } finally {
      ticket?.turnOver()
    }
  }

  /** The owner's rules, which may revoke by themselves. The use that trips one is refused. */
  async #observe(call: Call, action: Action): Promise<void> {
    const tripped = this.#options.rules.observe(call, action)
    if (tripped !== undefined) await this.#trip(call, tripped, 'KeyRevoked')
  }

  async #trip(call: Call, { rule, target, evidence }: Trip, code: CoreErrorCode, decision?: Decision): Promise<never> {
    try {
      await this.#options.boundary.trip(target, rule, evidence.slice(0, MAX_EVIDENCE), factsOf(call, decision))
    } catch (error) {
      throw this.#translated(error)
    }
    return this.#refuse(call, code, decision)
  }

  /** Whether a use of a key on hold was worth waiting for: its protocol lets it, and somebody may have decided. */
  async #decided(call: Call, { detail }: BoundaryError): Promise<boolean> {
    const [mode, ask = ''] = detail.split(' ')
    const milliseconds = call.waitMs ?? 0
    if (mode !== 'wait' || milliseconds === 0 || call.ticket?.pause() === false) return false
    try {
      await within(milliseconds + DECISION_GRACE_MS, this.#options.boundary.awaitDecision(ask, milliseconds))
    } catch (error) {
      throw this.#translated(error)
    } finally {
      call.ticket?.resume()
    }
    return true
  }

  async #find(call: Call): Promise<KeyRow | undefined> {
    const { replica } = this.#options
    const id = keyRowId(call.caller.tenant, call.keyId)
    const known = replica.peek('key', id)
    if (known !== undefined) return (known ?? undefined) as KeyRow | undefined
    try {
      return (await replica.get('key', id)) as KeyRow | undefined
    } catch (error) {
      if (error instanceof BoundaryError && error.code === 'LimitExceeded') return this.#refuse(call, 'Busy')
      throw this.#translated(error)
    }
  }

  /** State and usage, as far as they are known here; the boundary judges both again, and its judgement is the one that counts. */
  async #judge(
    call: Call,
    action: Action,
    needed: Usages,
    header: KeyHeader,
    algorithm: ExternalWrapAlgorithm | undefined,
  ): Promise<Decision> {
    if (header.state !== 'Enabled') await this.#refuse(call, 'KeyRevoked')
    for (const usage of needed) if (!header[usage]) await this.#refuse(call, 'UsageForbidden')
    // To the boundary it is a use that the key is not for; a caller needs to know that it asked for the wrong thing.
    if (algorithm !== undefined && EXTERNAL_WRAPPINGS[algorithm].rsa !== (header.spec !== 'EXTERNAL_AES_256'))
      await this.#refuse(call, 'BadRequest')
    return this.#authorize(call, action, header)
  }

  /** What allowed it; refuses otherwise. */
  async #authorize(call: Call, action: Action, header: KeyHeader): Promise<Decision> {
    if (call.listed === false) return this.#refuse(call, 'PolicyDenied')
    let decision: Decision
    try {
      const answer = this.#options.policy.decide(call, action, header)
      decision = answer instanceof Promise ? await answer : answer
    } catch (error) {
      return this.#refuse(call, this.#translated(error).code)
    }
    if (!decision.allowed) return this.#denied(call, decision)
    return decision
  }

  /** A policy that forbids may order the kill switch too: it is turned before the caller is told. */
  async #denied(call: Call, decision: Decision): Promise<never> {
    const { revoke } = decision
    if (revoke === undefined) return this.#refuse(call, 'PolicyDenied', decision)
    const target = targetOf(revoke.scope, call)
    const evidence = `${call.caller.protocol}:${call.operation} by ${call.caller.principal}, for ${call.claims.reason ?? 'no reason'}`
    const rule = `policy ${revoke.policy}`.slice(0, MAX_RULE)
    return this.#trip(call, { rule, target, evidence }, 'PolicyDenied', decision)
  }

  async #switchedOff(call: Call): Promise<boolean> {
    try {
      return await anyTurned(this.#options.replica, switchesOf(call))
    } catch (error) {
      throw this.#translated(error)
    }
  }

  async #refuse(call: Call, code: CoreErrorCode, decision?: Decision): Promise<never> {
    await this.#record(call, code === 'PolicyDenied' ? 'denied' : 'failed', call.errorNames[code], decision)
    throw new CoreError(code, MESSAGES[code])
  }

  /** Nothing is answered without its record: where it cannot be written, the answer is that there is none. */
  async #record(
    call: Call,
    outcome: 'allowed' | 'denied' | 'failed',
    error: string,
    decision?: Decision,
  ): Promise<void> {
    const keyId = call.keyId === '' ? '' : keyRowId(call.caller.tenant, call.keyId)
    try {
      await this.#options.boundary.record({ outcome, error, keyId, asserted: factsOf(call, decision), count: 0 })
    } catch (cause) {
      throw this.#translated(cause)
    }
  }

  #translated(error: unknown): CoreError {
    const code = error instanceof BoundaryError ? (OF_BOUNDARY[error.code] ?? 'Internal') : 'Internal'
    if (code === 'Internal') this.#options.onDefect(error)
    return new CoreError(code, MESSAGES[code])
  }
}
