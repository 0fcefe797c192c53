/**
 * The part of Protocol Buffers' encoding that four small messages need: varints, and fields that are bytes, strings or a map from string to bytes. What is
 * not known is passed over; what is not well-formed is refused. A message is as long as the transport lets it be, so reading it is bounded by that.
 */
import { isUtf8 } from 'node:buffer'

/** Not an encoded message, or a field is longer than its bound. The message names the field, never its bytes. */
export class ProtobufError extends Error {}

export type FieldType = 'bytes' | 'string' | 'map'
export interface Field {
  readonly number: number
  readonly type: FieldType
  /** Bytes; of a map all of its keys and values together. */
  readonly max: number
}
export type Shape = Readonly<Record<string, Field>>

type ValueOf<F extends Field> = F['type'] extends 'bytes'
  ? Buffer
  : F['type'] extends 'string'
    ? string
    : ReadonlyMap<string, Buffer>
export type Message<S extends Shape> = { readonly [Name in keyof S]: ValueOf<S[Name]> }

const VARINT = 0
const FIXED64 = 1
const LENGTH = 2
const FIXED32 = 5
/** Of 64 bits. */
const MAX_VARINT_BYTES = 10
const MAX_FIELD_NUMBER = 0x1fff_ffff
const EMPTY = Buffer.alloc(0)

class Input {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at === this.#bytes.length
  }

  /** Above 2^53 the value is not exact, and still above every bound. */
  varint(): number {
    let value = 0
    let scale = 1
    for (let n = 0; n < MAX_VARINT_BYTES; n++) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new ProtobufError('The message ends inside a number.')
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 128
    }
    throw new ProtobufError('A number is longer than ten bytes.')
  }

  /** A view. */
  take(length: number): Buffer {
    if (length > this.#bytes.length - this.#at) throw new ProtobufError('The message ends inside a field.')
    const part = this.#bytes.subarray(this.#at, this.#at + length)
    this.#at += length
    return part
  }

  /** Number and wire type of the next field. */
  tag(): { number: number; wire: number } {
    const tag = this.varint()
    const number = Math.floor(tag / 8)
    if (number < 1 || number > MAX_FIELD_NUMBER) throw new ProtobufError('A field has no valid number.')
    return { number, wire: tag % 8 }
  }

  skip(wire: number): void {
    if (wire === VARINT) this.varint()
    else if (wire === FIXED64) this.take(8)
    else if (wire === LENGTH) this.take(this.varint())
    else if (wire === FIXED32) this.take(4)
    else throw new ProtobufError('A field has a wire type that proto3 does not have.')
  }
}

function text(bytes: Buffer, name: string): string {
  if (!isUtf8(bytes)) throw new ProtobufError(`${name} is not UTF-8.`)
  return bytes.toString('utf8')
}

function bounded(bytes: Buffer, name: string, max: number): Buffer {
  if (bytes.length > max) throw new ProtobufError(`${name} is longer than ${max} bytes.`)
  return bytes
}

/** One entry of a map: key is field 1, value field 2, either may be left out. */
function entry(bytes: Buffer, name: string): [string, Buffer] {
  const input = new Input(bytes)
  let key = ''
  let value: Buffer = EMPTY
  while (!input.done) {
    const { number, wire } = input.tag()
    if (wire !== LENGTH || number > 2) input.skip(wire)
    else if (number === 1) key = text(input.take(input.varint()), name)
    else value = input.take(input.varint())
  }
  return [key, value]
}

/** Of a field that is sent more than once the last counts. Throws ProtobufError. Bytes are views of `bytes`. */
export function decode<S extends Shape>(shape: S, bytes: Buffer): Message<S> {
  const names = Object.entries(shape)
  const message: Record<string, Buffer | string | Map<string, Buffer>> = {}
  for (const [name, { type }] of names) message[name] = type === 'bytes' ? EMPTY : type === 'string' ? '' : new Map()
  const input = new Input(bytes)
  while (!input.done) {
    const { number, wire } = input.tag()
    const [name, field] = names.find(each => each[1].number === number) ?? []
    if (name === undefined || field === undefined) {
      input.skip(wire)
      continue
    }
    if (wire !== LENGTH) throw new ProtobufError(`${name} has another wire type than it should.`)
    const value = input.take(input.varint())
    if (field.type === 'bytes') message[name] = bounded(value, name, field.max)
    else if (field.type === 'string') message[name] = text(bounded(value, name, field.max), name)
    else (message[name] as Map<string, Buffer>).set(...entry(value, name))
  }
  for (const [name, { type, max }] of names) {
    if (type !== 'map') continue
    let size = 0
    for (const [key, value] of message[name] as Map<string, Buffer>) size += Buffer.byteLength(key) + value.length
    if (size > max) throw new ProtobufError(`${name} are longer than ${max} bytes.`)
  }
  return message as Message<S>
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
  return Buffer.of(...bytes, rest)
}

function lengthDelimited(number: number, value: Buffer): Buffer[] {
  return [varint(number * 8 + LENGTH), varint(value.length), value]
}

/** Empty fields are left out, as proto3 has it. */
export function encode<S extends Shape>(shape: S, message: Message<S>): Buffer {
  const parts: Buffer[] = []
  for (const [name, { number }] of Object.entries(shape)) {
    const value = message[name as keyof S] as Buffer | string | ReadonlyMap<string, Buffer>
    if (Buffer.isBuffer(value) || typeof value === 'string') {
      if (value.length > 0) parts.push(...lengthDelimited(number, Buffer.isBuffer(value) ? value : Buffer.from(value)))
      continue
    }
    for (const [key, bytes] of value) {
      const pair = [...lengthDelimited(1, Buffer.from(key)), ...lengthDelimited(2, bytes)]
      parts.push(...lengthDelimited(number, Buffer.concat(pair)))
    }
  }
  return Buffer.concat(parts)
}
