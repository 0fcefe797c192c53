/**
 * Memory that C works in: mechanisms, templates, inputs and outputs of one session. Its address never changes, and whoever holds the session holds it:
 * nothing that C was given the address of can be collected, however long a call takes.
 */
import { CKG, CKM, CKZ_DATA_SPECIFIED } from './constants.ts'
import { addressOf } from './koffi.ts'
import { MAX_AAD, MAX_DATA, type OaepHash, TAG_BYTES } from './types.ts'

/** Where things lie. CK_MECHANISM is 24 bytes, CK_GCM_PARAMS (v2.40 with ulIvBits) 48, CK_RSA_PKCS_OAEP_PARAMS 40, CK_ATTRIBUTE 24. */
const MECHANISM = 0
const PARAMETERS = 24
export const LENGTH = 72
export const HANDLES = 80
const IV = 96
const AAD = 128
export const IN = AAD + MAX_AAD
export const OUT = IN + MAX_DATA + 64
const TEMPLATE = OUT + MAX_DATA + 64
const TEMPLATE_MAX = 32
const VALUES = TEMPLATE + TEMPLATE_MAX * 24
const SIZE = VALUES + 2048
export const OUT_BYTES = TEMPLATE - OUT

/** An attribute of a template: its value, or for reading the number of bytes to make room for. */
export type Attribute = readonly [type: number, value: Buffer]

/** What a call that encrypts or decrypts is to use. OAEP has the same hash in both places and an empty label. */
export type Mechanism =
  | { readonly type: typeof CKM.AES_ECB | typeof CKM.AES_KEY_WRAP | typeof CKM.AES_KEY_WRAP_KWP | typeof CKM.RSA_X_509 }
  | { readonly type: typeof CKM.RSA_PKCS_OAEP; readonly hash: OaepHash }
  | { readonly type: typeof CKM.AES_GCM; readonly iv: Buffer; readonly aad: Buffer }

const OAEP_HASHES: Readonly<Record<OaepHash, readonly [hash: number, mask: number]>> = {
  sha1: [CKM.SHA_1, CKG.MGF1_SHA1],
  sha256: [CKM.SHA256, CKG.MGF1_SHA256],
}

const EMPTY = Buffer.alloc(0)

export class Scratch {
  readonly #memory: Buffer
  readonly #at: bigint

  constructor() {
    this.#memory = Buffer.allocUnsafeSlow(SIZE).fill(0)
    this.#at = addressOf(this.#memory)
  }

  address(offset: number): bigint {
    return this.#at + BigInt(offset)
  }

  word(offset: number, value: number): void {
    this.#memory.writeUInt32LE(value, offset)
    this.#memory.writeUInt32LE(0, offset + 4)
  }

  readWord(offset: number): number {
    return this.#memory.readUInt32LE(offset)
  }

  readHandle(offset: number): bigint {
    return this.#memory.readBigUInt64LE(offset)
  }

  #pointer(offset: number, target: number): void {
    this.#memory.writeBigUInt64LE(this.address(target), offset)
  }

  /** A mechanism without parameters. */
  bare(type: number): bigint {
    this.word(MECHANISM, type)
    this.#memory.fill(0, MECHANISM + 8, MECHANISM + 24)
    return this.address(MECHANISM)
  }

  mechanism(mechanism: Mechanism): bigint {
    const address = this.bare(mechanism.type)
    if (mechanism.type === CKM.AES_GCM) this.#gcm(mechanism.iv, mechanism.aad)
    else if (mechanism.type === CKM.RSA_PKCS_OAEP) this.#oaep(mechanism.hash)
    return address
  }

  #gcm(iv: Buffer, aad: Buffer): void {
    this.#pointer(MECHANISM + 8, PARAMETERS)
    this.word(MECHANISM + 16, 48)
    iv.copy(this.#memory, IV)
    aad.copy(this.#memory, AAD)
    this.#pointer(PARAMETERS, IV)
    this.word(PARAMETERS + 8, iv.length)
    this.word(PARAMETERS + 16, iv.length * 8)
    this.#pointer(PARAMETERS + 24, AAD)
    this.word(PARAMETERS + 32, aad.length)
    this.word(PARAMETERS + 40, TAG_BYTES * 8)
  }

  #oaep(hash: OaepHash): void {
    const [digest, mask] = OAEP_HASHES[hash]
    this.#pointer(MECHANISM + 8, PARAMETERS)
    this.word(MECHANISM + 16, 40)
    this.word(PARAMETERS, digest)
    this.word(PARAMETERS + 8, mask)
    this.word(PARAMETERS + 16, CKZ_DATA_SPECIFIED)
    this.#memory.fill(0, PARAMETERS + 24, PARAMETERS + 40)
  }

  /** Puts templates behind each other, and answers their addresses. */
  templates(...all: (readonly Attribute[])[]): readonly bigint[] {
    let [index, value] = [0, VALUES]
    return all.map(attributes => {
      const address = this.address(TEMPLATE + index * 24)
      for (const [type, bytes] of attributes) {
        const at = TEMPLATE + index * 24
        if (index >= TEMPLATE_MAX || value + bytes.length > SIZE) throw new RangeError('template too large')
        bytes.copy(this.#memory, value)
        this.word(at, type)
        this.#pointer(at + 8, value)
        this.word(at + 16, bytes.length)
        value += bytes.length + (-bytes.length & 7)
        index += 1
      }
      return address
    })
  }

  template(attributes: readonly Attribute[]): bigint {
    return this.templates(attributes)[0] as bigint
  }

  /** The value of the attribute at this place of the first template, as C has left it, of at most `bytes`. */
  attribute(index: number, bytes: number): Buffer {
    const at = TEMPLATE + index * 24
    const from = Number(this.#memory.readBigUInt64LE(at + 8) - this.#at)
    // CK_UNAVAILABLE_INFORMATION: the object does not have it, or does not show it.
    const length = this.#memory.readUInt32LE(at + 20) === 0xffff_ffff ? 0 : this.#memory.readUInt32LE(at + 16)
    return Buffer.from(this.#memory.subarray(from, from + Math.min(length, bytes)))
  }

  /** Copies into the input; the number of bytes. */
  input(parts: readonly Buffer[]): number {
    let length = 0
    for (const part of parts) length += part.copy(this.#memory, IN + length)
    return length
  }

  /** A copy of the output, of the length that C has left; empty where the call failed. */
  output(ok: boolean): Buffer {
    const produced = ok ? Math.min(this.readWord(LENGTH), OUT_BYTES) : 0
    if (produced === 0) return EMPTY
    const out = Buffer.allocUnsafeSlow(produced)
    this.#memory.copy(out, 0, OUT, OUT + produced)
    return out
  }

  /** The IV as the token has left it in the mechanism. */
  iv(length: number): Buffer {
    const used = Buffer.allocUnsafeSlow(length)
    this.#memory.copy(used, 0, IV, IV + length)
    return used
  }

  wipe(offset: number, length: number): void {
    this.#memory.fill(0, offset, offset + length)
  }
}
