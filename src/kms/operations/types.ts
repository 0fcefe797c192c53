/**
 * The framework of the operations. An operation is one object with one function that reads in this order and no other:
 * (authenticated and validated by the runner →) find the key → authorize → key state → use of the boundary → reply.
 *
 * An operation throws `KmsError` for every refusal and lets `BoundaryError` pass: the runner (`run.ts`) maps it, repeats the whole operation
 * once after a stale row, and sees to it that each request ends in exactly one record before it is answered.
 */
import type { BoundaryUse, ExternalCiphertext, KeyRow } from '../../boundary/client/api.ts'
import type { Asserted } from '../../boundary/words.ts'
import type { Quotas } from '../../config/quotas.ts'
import type { Replica } from '../../store/replica.ts'
import type { Principals } from '../access/principals.ts'
import type { Caller, CompiledPolicy, KeyFacts, RequestFacts } from '../access/types.ts'
import type { Attestations } from '../attestation/verify.ts'
import type { Grants } from '../keys/grants.ts'
import type { KeyStores } from '../stores/types.ts'
import type { Limits } from '../wire/request-quotas.ts'
import type { MarkerKey } from './markers.ts'

/** One operation of the API. `Input` is what `validate` made of the body: blobs are Buffers, timestamps milliseconds since 1970. */
export interface Operation<Input, Output> {
  /** The API's name, which is also the name in the permissions table. */
  readonly name: string
  /**
   * Who records the success: `boundary` where a use or a transition is the whole of it; `runner` for all that the boundary did not see.
   * Refusals and failures before the boundary are always the runner's, and so is the outcome of a call to an external key store
   * (`call.outcomePending = true`).
   */
  readonly recordedBy: 'boundary' | 'runner'
  run(call: Call, input: Input): Promise<Output>
  /** The reply's body; JSON.stringify of the output (and an empty body for undefined) unless given. For the hot operations. */
  write?(output: Output): string
}

/** An operation whose types the table of operations does not need to know. */
export type AnyOperation = Operation<never, unknown>

/** One authenticated request on its way. Made by the runner; `keyId`, `subject` and `outcomePending` are the operation's to set. */
export interface Call {
  readonly services: Services
  readonly operation: string
  /** UUID, also in `x-amzn-RequestId`. */
  readonly requestId: string
  readonly caller: Caller
  /** From the credential's scope, and one of the configured. */
  readonly region: string
  /** What the boundary records of the request, the grant that allowed it included. The same for every use of the boundary in it. */
  asserted: Asserted
  /** What verifiers know of the request. Operations spread it and add their own: `authorize(call, key, { encryptionContext })`. */
  readonly facts: RequestFacts
  /** Row id of the key that the request is about, for the record. `findKey` sets it. */
  keyId: string
  /** What else the request is about (alias, key store id), for the record. */
  subject: string
  /** True once something was done whose outcome the boundary's own record does not tell, for example a call to an owner's proxy. */
  outcomePending: boolean
  /** Request quotas; undefined: none. */
  readonly limits: Limits | undefined
  /** What the request was counted toward since its key is known. Of `keys/rates.ts`. */
  counted: readonly string[]
  /** Aliases of keys, by row id, as far as policies have asked for them. The runner's. */
  aliases: ReadonlyMap<string, readonly string[]> | undefined
  /** Days since keys were last used, by row id, as far as policies have asked for them. The runner's. */
  daysWithoutUsage: ReadonlyMap<string, number> | undefined
}

/** A key as operations see it: the row, what it says, and what goes with it. Made by `keys/find.ts`. */
export interface FoundKey extends Pick<KeyFacts, 'header' | 'tags'> {
  /** `<region>/<key-id>`. */
  readonly rowId: string
  readonly row: KeyRow
  /** The bare key id: a UUID, or `mrk-` and 32 hex digits. */
  readonly keyId: string
  readonly arn: string
  readonly account: string
  readonly region: string
  readonly policy: CompiledPolicy
  /** `alias/…` where the caller named the key by an alias. */
  readonly requestAlias: string | undefined
}

/** Who asks the owner's proxy, and for what: the protocol's requestMetadata. */
export interface ExternalRequest {
  readonly principalArn: string
  readonly keyArn: string
  /** The API's operation: `Encrypt`, `ReEncrypt`, `CreateKey` … */
  readonly operation: string
  readonly requestId: string
  /** Empty unless a service of the provider calls. */
  readonly viaService: string
}

/**
 * The owners' external key managers: implemented by `src/kms/stores`. `store` is the row id of the custom key store. Every method rejects with
 * the KmsError that AWS answers for that operation (external-key-protocols.md §2.6), never with the proxy's own text.
 */
export interface ExternalStores {
  /** False where the store is not CONNECTED: keys in it are then Unavailable. From memory alone. */
  connected(store: string): boolean
  /** CreateKey's check: the store is CONNECTED, and the external key is there, enabled, symmetric and usable for both. */
  checkKey(store: string, xksKeyId: string, request: ExternalRequest): Promise<void>
  encrypt(
    store: string,
    xksKeyId: string,
    plaintext: Buffer,
    aad: Buffer,
    request: ExternalRequest,
  ): Promise<ExternalCiphertext>
  decrypt(
    store: string,
    xksKeyId: string,
    ciphertext: ExternalCiphertext,
    aad: Buffer,
    request: ExternalRequest,
  ): Promise<Buffer>
}

/** Milliseconds since 1970. */
export interface Clocks {
  /** Lifecycle time: dates of keys, expiry, deletion. Moves ahead of real time only in a `--dev` service. */
  lifecycle(): number
  /** Real time: signatures, deadlines. */
  real(): number
}

/** What the operations need to know of the configuration. */
export interface KmsSettings {
  readonly partition: string
  readonly regions: readonly string[]
  /** Short names of the provider's services, whose keys are `alias/aws/<name>`. */
  readonly services: readonly string[]
  readonly quotas: Quotas
}

/** What the operations work with. One object for the process. */
export interface Services {
  readonly boundary: BoundaryUse
  readonly replica: Replica
  readonly principals: Principals
  readonly grants: Grants
  readonly stores: KeyStores
  readonly clocks: Clocks
  readonly settings: KmsSettings
  readonly markers: MarkerKey
  /** Undefined where no root is trusted, and so no document can be. */
  readonly attestations: Attestations | undefined
}
