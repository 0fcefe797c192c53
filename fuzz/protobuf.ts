/** Messages of Protocol Buffers, field by field, each of which may be left out, come twice, be another, or lie about its length. */
import { damagedBytes, damagedText } from './mutate.ts'
import type { Random } from './random.ts'

export type Fields = readonly (readonly [number: number, value: Buffer | string])[]

const WIRES = [0, 1, 2, 3, 4, 5, 6, 7]
const NUMBERS = [0, 1, 2, 3, 4, 5, 15, 16, 19_000, 0x1fff_ffff, 0x2000_0000, 2 ** 32, 2 ** 53]

export function protobuf(random: Random, fields: Fields): Buffer {
  const rate = random.pick([0, 0.1, 0.1, 0.4])
  const parts: Buffer[] = []
  for (const [number, value] of fields) {
    const good = field(number, Buffer.from(value as string))
    if (rate === 0 || !random.chance(rate)) parts.push(good)
    else changed(random, number, value, parts)
  }
  const message = Buffer.concat(parts)
  return random.chance(0.1) ? damagedBytes(random, message) : message
}

function changed(random: Random, number: number, value: Buffer | string, into: Buffer[]): void {
  const bytes = typeof value === 'string' ? Buffer.from(damagedText(random, value)) : damagedBytes(random, value)
  const good = field(number, Buffer.from(value as string))
  switch (random.below(9)) {
    case 0:
      break
    case 1:
      into.push(good, good)
      break
    case 2:
      into.push(tag(random.pick(NUMBERS), random.pick(WIRES)), varint(bytes.length), bytes)
      break
    case 3:
      // Another length than there is.
      into.push(
        tag(number, 2),
        varint(random.pick([0, 1, bytes.length + 1, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 63])),
        bytes,
      )
      break
    case 4:
      // A number in more bytes than it needs, or than there may be.
      into.push(tag(number, 2), overlong(bytes.length, 1 + random.below(12)), bytes)
      break
    case 5:
      into.push(good, tag(random.pick(NUMBERS), random.pick(WIRES)), random.bytes(random.below(12)))
      break
    case 6:
      into.push(field(number, good))
      break
    default:
      into.push(field(number, bytes))
  }
}

export const tag = (number: number, wire: number): Buffer => varint(number * 8 + wire)

export const field = (number: number, value: Buffer): Buffer =>
  Buffer.concat([tag(number, 2), varint(value.length), value])

export function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
  bytes.push(rest)
  return Buffer.from(bytes)
}

function overlong(value: number, more: number): Buffer {
  const bytes = varint(value)
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) | 0x80
  return Buffer.concat([bytes, Buffer.alloc(more - 1, 0x80), Buffer.of(0)])
}
