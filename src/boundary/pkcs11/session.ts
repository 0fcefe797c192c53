/**
 * One PKCS#11 session with its own scratch memory (scratch.ts), in which mechanisms, templates, inputs and outputs of its calls lie.
 */
import { CKA, CKK_AES, CKK_RSA, CKM, CKO_PRIVATE_KEY, CKO_SECRET_KEY } from './constants.ts'
import type { FunctionName } from './cryptoki.ts'
import type { Argument } from './koffi.ts'
import { andThen, type Maybe, type Module, type Ran, type Running, type Step } from './module.ts'
import { type Attribute, HANDLES, IN, LENGTH, type Mechanism, OUT, OUT_BYTES, Scratch } from './scratch.ts'

export type { Attribute } from './scratch.ts'

export function attributeBoolean(value: boolean): Buffer {
  return Buffer.from([value ? 1 : 0])
}

export function attributeNumber(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32LE(value)
  return bytes
}

const IN_TOKEN: Attribute = [CKA.TOKEN, attributeBoolean(true)]
/** What makes an object a secret key of the token. */
export const SECRET_KEY: readonly Attribute[] = [[CKA.CLASS, attributeNumber(CKO_SECRET_KEY)], IN_TOKEN]
export const AES_KEY: readonly Attribute[] = [...SECRET_KEY, [CKA.KEY_TYPE, attributeNumber(CKK_AES)]]
/** What makes an object a private key of the token. */
export const PRIVATE_KEY: readonly Attribute[] = [[CKA.CLASS, attributeNumber(CKO_PRIVATE_KEY)], IN_TOKEN]
export const RSA_PRIVATE_KEY: readonly Attribute[] = [...PRIVATE_KEY, [CKA.KEY_TYPE, attributeNumber(CKK_RSA)]]

/** `out` holds a copy of the output where the call returned CKR_OK, and is empty otherwise. */
export interface Outcome extends Ran {
  readonly out: Buffer
}

export interface GcmOutcome extends Outcome {
  /** The IV as the token left it in the mechanism. */
  readonly iv: Buffer
}

export type Direction = 'encrypt' | 'decrypt'
type Calls = { readonly [call in 'init' | 'run' | 'update' | 'final']: FunctionName }
const CALLS: Readonly<Record<Direction, Calls>> = {
  encrypt: { init: 'C_EncryptInit', run: 'C_Encrypt', update: 'C_EncryptUpdate', final: 'C_EncryptFinal' },
  decrypt: { init: 'C_DecryptInit', run: 'C_Decrypt', update: 'C_DecryptUpdate', final: 'C_DecryptFinal' },
}

export class Session {
  readonly handle: bigint
  /** Sessions of an earlier generation are gone with the token: their handles may name other sessions now. */
  readonly generation: number
  readonly #module: Module
  readonly #running: Running
  readonly #scratch = new Scratch()

  /** No call is begun where `running.valid` says that the handle is another's by now. */
  constructor(module: Module, handle: bigint, generation: number, running: Running) {
    this.#module = module
    this.handle = handle
    this.generation = generation
    this.#running = running
  }

  #sequence(...steps: Step[]): Maybe<Ran> {
    return this.#module.sequence(steps, this.#running)
  }

  #step(name: FunctionName, ...args: Argument[]): Step {
    return [name, this.handle, ...args]
  }

  /**
   * Encrypts or decrypts at most MAX_DATA bytes (GCM's tag included when decrypting) at once. An empty input is given as an address with length 0: with a
   * null address SoftHSM refuses it and leaves the operation open.
   */
  crypt(direction: Direction, mechanism: Mechanism, key: bigint, input: readonly Buffer[]): Maybe<Outcome> {
    const scratch = this.#scratch
    const { init, run } = CALLS[direction]
    const at = scratch.mechanism(mechanism)
    const length = scratch.input(input)
    scratch.word(LENGTH, OUT_BYTES)
    const ran = this.#sequence(
      this.#step(init, at, key),
      this.#step(run, scratch.address(IN), length, scratch.address(OUT), scratch.address(LENGTH)),
    )
    return andThen(ran, ({ rv, call }) => {
      const out = scratch.output(rv === 0)
      scratch.wipe(IN, length)
      scratch.wipe(OUT, out.length)
      return { rv, call, out }
    })
  }

  /** AES-GCM with at most MAX_AAD of additional data. */
  gcm(direction: Direction, key: bigint, iv: Buffer, aad: Buffer, input: readonly Buffer[]): Maybe<GcmOutcome> {
    const done = this.crypt(direction, { type: CKM.AES_GCM, iv, aad }, key, input)
    return andThen(done, ({ rv, call, out }) => ({ rv, call, out, iv: this.#scratch.iv(iv.length) }))
  }

  /** Begins an operation that takes its input in pieces. */
  begin(direction: Direction, mechanism: Mechanism, key: bigint): Maybe<Ran> {
    return this.#sequence(this.#step(CALLS[direction].init, this.#scratch.mechanism(mechanism), key))
  }

  /** The next piece, in place of which its output is put. CKR_OK with output of another length leaves it as it was: `fits` is false then. */
  piece(direction: Direction, bytes: Buffer): Maybe<Ran & { readonly fits: boolean }> {
    const scratch = this.#scratch
    const length = scratch.input([bytes])
    scratch.word(LENGTH, OUT_BYTES)
    const addresses = [scratch.address(IN), length, scratch.address(OUT), scratch.address(LENGTH)] as const
    return andThen(this.#sequence(this.#step(CALLS[direction].update, ...addresses)), ({ rv, call }) => {
      const out = scratch.output(rv === 0)
      const fits = out.length === length
      if (fits) out.copy(bytes)
      out.fill(0)
      scratch.wipe(IN, length)
      scratch.wipe(OUT, length)
      return { rv, call, fits }
    })
  }

  /** Ends an operation in pieces, all of whose output has been taken. */
  end(direction: Direction): Maybe<Ran> {
    this.#scratch.word(LENGTH, OUT_BYTES)
    return this.#sequence(this.#step(CALLS[direction].final, this.#scratch.address(OUT), this.#scratch.address(LENGTH)))
  }

  /** Handles of at most two objects that match: enough to tell one from several. */
  find(attributes: readonly Attribute[]): Maybe<Ran & { readonly handles: readonly bigint[] }> {
    const scratch = this.#scratch
    scratch.word(LENGTH, 0)
    const ran = this.#sequence(
      this.#step('C_FindObjectsInit', scratch.template(attributes), attributes.length),
      this.#step('C_FindObjects', scratch.address(HANDLES), 2, scratch.address(LENGTH)),
      this.#step('C_FindObjectsFinal'),
    )
    return andThen(ran, result => {
      const count = result.rv === 0 ? Math.min(scratch.readWord(LENGTH), 2) : 0
      return { ...result, handles: [HANDLES, HANDLES + 8].slice(0, count).map(at => scratch.readHandle(at)) }
    })
  }

  /** Values of attributes of at most `bytes` each, in the order asked; empty for one that the object does not show. */
  attributes(
    object: bigint,
    wanted: ReadonlyArray<readonly [type: number, bytes: number]>,
  ): Maybe<Ran & { readonly values: readonly Buffer[] }> {
    const template = this.#scratch.template(wanted.map(([type, bytes]) => [type, Buffer.alloc(bytes)]))
    const ran = this.#sequence(this.#step('C_GetAttributeValue', object, template, wanted.length))
    return andThen(ran, result => ({
      ...result,
      values: wanted.map(([, bytes], index) => this.#scratch.attribute(index, bytes)),
    }))
  }

  /** C_GenerateKey with AES key generation; `handle` is 0 where it failed. */
  generate(attributes: readonly Attribute[]): Maybe<Ran & { readonly handle: bigint }> {
    const scratch = this.#scratch
    scratch.word(HANDLES, 0)
    const mechanism = scratch.bare(CKM.AES_KEY_GEN)
    const template = scratch.template(attributes)
    const ran = this.#sequence(
      this.#step('C_GenerateKey', mechanism, template, attributes.length, scratch.address(HANDLES)),
    )
    return andThen(ran, result => ({ ...result, handle: scratch.readHandle(HANDLES) }))
  }

  /** C_GenerateKeyPair with RSA; the handles are 0 where it failed. */
  generatePair(
    ofPublic: readonly Attribute[],
    ofPrivate: readonly Attribute[],
  ): Maybe<Ran & { readonly publicKey: bigint; readonly privateKey: bigint }> {
    const scratch = this.#scratch
    scratch.word(HANDLES, 0)
    scratch.word(HANDLES + 8, 0)
    const mechanism = scratch.bare(CKM.RSA_PKCS_KEY_PAIR_GEN)
    const [first, second] = scratch.templates(ofPublic, ofPrivate) as [bigint, bigint]
    const ran = this.#sequence(
      this.#step(
        'C_GenerateKeyPair',
        mechanism,
        first,
        ofPublic.length,
        second,
        ofPrivate.length,
        scratch.address(HANDLES),
        scratch.address(HANDLES + 8),
      ),
    )
    return andThen(ran, result => ({
      ...result,
      publicKey: scratch.readHandle(HANDLES),
      privateKey: scratch.readHandle(HANDLES + 8),
    }))
  }

  /** C_DestroyObject. */
  destroy(object: bigint): Maybe<Ran> {
    return this.#sequence(this.#step('C_DestroyObject', object))
  }

  random(bytes: number): Maybe<Outcome> {
    const scratch = this.#scratch
    const ran = this.#sequence(this.#step('C_GenerateRandom', scratch.address(OUT), bytes))
    return andThen(ran, result => {
      scratch.word(LENGTH, bytes)
      const out = scratch.output(true)
      scratch.wipe(OUT, bytes)
      return { ...result, out }
    })
  }

  /** C_Login as the normal user; the copy of the PIN in scratch memory is wiped when the call has returned. */
  login(user: number, pin: Buffer): Maybe<number> {
    const length = this.#scratch.input([pin.subarray(0, 256)])
    return andThen(this.#module.call('C_Login', this.handle, user, this.#scratch.address(IN), length), rv => {
      this.#scratch.wipe(IN, length)
      return rv
    })
  }

  close(): Maybe<number> {
    return this.#module.call('C_CloseSession', this.handle)
  }
}
