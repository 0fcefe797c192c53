/**
 * One PKCS#11 session with its own scratch memory. Mechanisms, templates, inputs and outputs all lie in that memory, whose address never changes and
 * which the session keeps referenced: nothing that C was given the address of can be collected, however long a call takes.
 */
import { CKA, CKK_AES, CKM, CKO_SECRET_KEY } from './constants.ts'
import type { FunctionName } from './cryptoki.ts'
import { type Argument, addressOf } from './koffi.ts'
import { andThen, type Maybe, type Module, type Ran, type Step } from './module.ts'
import { MAX_AAD, MAX_DATA, TAG_BYTES } from './types.ts'

/** Where things lie in the scratch memory. CK_MECHANISM is 24 bytes, CK_GCM_PARAMS (v2.40 with ulIvBits) 48, CK_ATTRIBUTE 24. */
const MECHANISM = 0
const GCM = 24
const LENGTH = 72
const HANDLES = 80
const IV = 96
const AAD = 128
const IN = AAD + MAX_AAD
const OUT = IN + MAX_DATA + 64
const TEMPLATE = OUT + MAX_DATA + 64
const TEMPLATE_MAX = 24
const VALUES = TEMPLATE + TEMPLATE_MAX * 24
const SIZE = VALUES + 1024
const OUT_BYTES = TEMPLATE - OUT

/** An attribute of a template: its value, or for reading the number of bytes to make room for. */
export type Attribute = readonly [type: number, value: Buffer]

export function attributeBoolean(value: boolean): Buffer {
  return Buffer.from([value ? 1 : 0])
}

export function attributeNumber(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32LE(value)
  return bytes
}

/** What makes an object a secret key of the token. */
export const SECRET_KEY: readonly Attribute[] = [
  [CKA.CLASS, attributeNumber(CKO_SECRET_KEY)],
  [CKA.TOKEN, attributeBoolean(true)],
]
export const AES_KEY: readonly Attribute[] = [...SECRET_KEY, [CKA.KEY_TYPE, attributeNumber(CKK_AES)]]

/** `out` holds a copy of the output where the call returned CKR_OK, and is empty otherwise. */
export interface GcmOutcome extends Ran {
  readonly out: Buffer
  /** The IV as the token left it in the mechanism. */
  readonly iv: Buffer
}

const EMPTY = Buffer.alloc(0)

export class Session {
  readonly handle: bigint
  /** Sessions of an earlier generation are gone with the token: their handles may name other sessions now. */
  readonly generation: number
  readonly #module: Module
  readonly #memory: Buffer
  readonly #at: bigint

  constructor(module: Module, handle: bigint, generation: number) {
    this.#module = module
    this.handle = handle
    this.generation = generation
    this.#memory = Buffer.allocUnsafeSlow(SIZE).fill(0)
    this.#at = addressOf(this.#memory)
  }

  #address(offset: number): bigint {
    return this.#at + BigInt(offset)
  }

  #word(offset: number, value: number): void {
    this.#memory.writeUInt32LE(value, offset)
    this.#memory.writeUInt32LE(0, offset + 4)
  }

  #pointer(offset: number, target: number): void {
    this.#memory.writeBigUInt64LE(this.#address(target), offset)
  }

  #mechanism(type: number): bigint {
    this.#word(MECHANISM, type)
    this.#memory.fill(0, MECHANISM + 8, MECHANISM + 24)
    return this.#address(MECHANISM)
  }

  #gcmMechanism(iv: Buffer, aad: Buffer): bigint {
    this.#word(MECHANISM, CKM.AES_GCM)
    this.#pointer(MECHANISM + 8, GCM)
    this.#word(MECHANISM + 16, 48)
    iv.copy(this.#memory, IV)
    aad.copy(this.#memory, AAD)
    this.#pointer(GCM, IV)
    this.#word(GCM + 8, iv.length)
    this.#word(GCM + 16, iv.length * 8)
    this.#pointer(GCM + 24, AAD)
    this.#word(GCM + 32, aad.length)
    this.#word(GCM + 40, TAG_BYTES * 8)
    return this.#address(MECHANISM)
  }

  /** A template in the scratch memory. With an empty scratch, values may be read back with `#attribute`. */
  #template(attributes: readonly Attribute[]): bigint {
    let value = VALUES
    attributes.forEach(([type, bytes], index) => {
      const at = TEMPLATE + index * 24
      if (index >= TEMPLATE_MAX || value + bytes.length > SIZE) throw new RangeError('template too large')
      bytes.copy(this.#memory, value)
      this.#word(at, type)
      this.#pointer(at + 8, value)
      this.#word(at + 16, bytes.length)
      value += bytes.length + (-bytes.length & 7)
    })
    return this.#address(TEMPLATE)
  }

  #sequence(...steps: Step[]): Maybe<Ran> {
    return this.#module.sequence(steps)
  }

  #step(name: FunctionName, ...args: Argument[]): Step {
    return [name, this.handle, ...args]
  }

  /**
   * AES-GCM of at most MAX_DATA bytes (tag included when decrypting) with at most MAX_AAD of additional data. An empty input is given as an address
   * with length 0: with a null address SoftHSM refuses it and leaves the operation open.
   */
  gcm(
    direction: 'encrypt' | 'decrypt',
    key: bigint,
    iv: Buffer,
    aad: Buffer,
    input: readonly Buffer[],
  ): Maybe<GcmOutcome> {
    const [init, run]: readonly [FunctionName, FunctionName] =
      direction === 'encrypt' ? ['C_EncryptInit', 'C_Encrypt'] : ['C_DecryptInit', 'C_Decrypt']
    const mechanism = this.#gcmMechanism(iv, aad)
    let length = 0
    for (const part of input) length += part.copy(this.#memory, IN + length)
    this.#word(LENGTH, OUT_BYTES)
    const ran = this.#sequence(
      this.#step(init, mechanism, key),
      this.#step(run, this.#address(IN), length, this.#address(OUT), this.#address(LENGTH)),
    )
    return andThen(ran, ({ rv, call }) => {
      const produced = rv === 0 ? Math.min(this.#memory.readUInt32LE(LENGTH), OUT_BYTES) : 0
      const out = produced === 0 ? EMPTY : Buffer.allocUnsafeSlow(produced)
      this.#memory.copy(out, 0, OUT, OUT + produced)
      const used = Buffer.allocUnsafeSlow(iv.length)
      this.#memory.copy(used, 0, IV, IV + iv.length)
      this.#memory.fill(0, IN, IN + length)
      this.#memory.fill(0, OUT, OUT + produced)
      return { rv, call, out, iv: used }
    })
  }

  /** Handles of at most two objects that match: enough to tell one from several. */
  find(attributes: readonly Attribute[]): Maybe<Ran & { readonly handles: readonly bigint[] }> {
    this.#word(LENGTH, 0)
    const ran = this.#sequence(
      this.#step('C_FindObjectsInit', this.#template(attributes), attributes.length),
      this.#step('C_FindObjects', this.#address(HANDLES), 2, this.#address(LENGTH)),
      this.#step('C_FindObjectsFinal'),
    )
    return andThen(ran, result => {
      const count = result.rv === 0 ? Math.min(this.#memory.readUInt32LE(LENGTH), 2) : 0
      return { ...result, handles: [HANDLES, HANDLES + 8].slice(0, count).map(at => this.#memory.readBigUInt64LE(at)) }
    })
  }

  /** Values of attributes of at most `bytes` each, in the order asked. */
  attributes(
    object: bigint,
    wanted: ReadonlyArray<readonly [type: number, bytes: number]>,
  ): Maybe<Ran & { readonly values: readonly Buffer[] }> {
    const template = this.#template(wanted.map(([type, bytes]) => [type, Buffer.alloc(bytes)]))
    const ran = this.#sequence(this.#step('C_GetAttributeValue', object, template, wanted.length))
    return andThen(ran, result => ({
      ...result,
      values: wanted.map(([, bytes], index) => {
        const at = TEMPLATE + index * 24
        const from = Number(this.#memory.readBigUInt64LE(at + 8) - this.#at)
        const length = Math.min(this.#memory.readUInt32LE(at + 16), bytes)
        return Buffer.from(this.#memory.subarray(from, from + length))
      }),
    }))
  }

  /** C_GenerateKey with AES key generation. */
  generate(attributes: readonly Attribute[]): Maybe<Ran> {
    const mechanism = this.#mechanism(CKM.AES_KEY_GEN)
    return this.#sequence(
      this.#step('C_GenerateKey', mechanism, this.#template(attributes), attributes.length, this.#address(HANDLES)),
    )
  }

  /** C_DestroyObject. */
  destroy(object: bigint): Maybe<Ran> {
    return this.#sequence(this.#step('C_DestroyObject', object))
  }

  random(bytes: number): Maybe<Ran & { readonly out: Buffer }> {
    const ran = this.#sequence(this.#step('C_GenerateRandom', this.#address(OUT), bytes))
    return andThen(ran, result => {
      const out = Buffer.allocUnsafeSlow(bytes)
      this.#memory.copy(out, 0, OUT, OUT + bytes)
      this.#memory.fill(0, OUT, OUT + bytes)
      return { ...result, out }
    })
  }

  /** C_Login as the normal user; the copy of the PIN in scratch memory is wiped when the call has returned. */
  login(user: number, pin: Buffer): Maybe<number> {
    const length = pin.copy(this.#memory, IN, 0, 256)
    return andThen(this.#module.call('C_Login', this.handle, user, this.#address(IN), length), rv => {
      this.#memory.fill(0, IN, IN + length)
      return rv
    })
  }

  close(): Maybe<number> {
    return this.#module.call('C_CloseSession', this.handle)
  }
}
