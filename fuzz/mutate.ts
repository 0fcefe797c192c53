/** Damage to texts and bytes: what a wire, a wrong program or somebody with intent does to what was good. */
import type { Random } from './random.ts'

/** Characters that parsers, stores and terminals have stumbled over. */
const ODD = [
  ...[
    '\0',
    '\x01',
    '\n',
    '\r\n',
    '\t',
    ' ',
    '\x7f',
    '"',
    '\\',
    "'",
    '`',
    '<',
    '&',
    ';',
    ',',
    '#',
    '?',
    '*',
    '$',
    '{',
    '[',
  ],
  ...[
    '/',
    '//',
    '/../',
    '/./',
    '.',
    '..',
    ':',
    '=',
    '==',
    '+',
    '-',
    '_',
    '~',
    '@',
    '%',
    '%00',
    '%2f',
    '%2e',
    '%ff',
    '\\u0000',
  ],
  ...['é', 'ß', 'İ', 'ſ', 'К', 'Ａ', '\u0301', '\u200b', '\u202e', '\u2028', '\ufeff', '\ufffd', '\uffff', '😀', '𝒜'],
  // Halves of surrogate pairs: no text, but JSON can say them.
  ...['\ud800', '\udc00', '\udfff\ud800'],
] as const
/** Lengths on both sides of the bounds that the protocols have. */
const LENGTHS = [
  0, 1, 2, 63, 64, 65, 116, 117, 128, 129, 255, 256, 257, 320, 321, 480, 481, 512, 513, 1024, 1025, 2048, 2049, 4300,
  8193,
]
const WORDS = [
  '__proto__',
  'constructor',
  'toString',
  'null',
  'undefined',
  'NaN',
  'true',
  '0',
  '-1',
  '1e9',
  'none',
  '/',
  '',
]

/** One to four pieces of damage. */
export function damagedText(random: Random, text: string): string {
  let damaged = text
  for (let times = 1 + random.below(4) * random.below(2); times > 0; times--) damaged = damageText(random, damaged)
  return damaged
}

function damageText(random: Random, text: string): string {
  const at = random.below(text.length + 1)
  const to = Math.min(text.length, at + 1 + random.below(4))
  switch (random.below(10)) {
    case 0:
      return text.slice(0, at) + text.slice(to)
    case 1:
      return text.slice(0, at)
    case 2:
    case 3:
      return text.slice(0, at) + random.pick(ODD) + text.slice(at)
    case 4:
      return text.slice(0, at) + random.pick(ODD) + text.slice(to)
    case 5:
      return (
        text.slice(0, at) + String.fromCharCode(random.below(random.chance(0.8) ? 0x80 : 0x1_0000)) + text.slice(to)
      )
    case 6:
      return random.chance(0.5) ? text.toUpperCase() : text.toLowerCase()
    case 7:
      return text.slice(0, to) + text.slice(at)
    case 8:
      return random.pick(WORDS)
    default:
      return random.chance(0.1) ? longText(random, text) : text + text.slice(at, to)
  }
}

/** As long as a bound, or one more. */
function longText(random: Random, text: string): string {
  const unit =
    random.chance(0.5) && text !== '' ? text : random.pick(['a', 'A', '0', '/', 'é', '\u2028', '😀', '\ud800'])
  const length = random.pick(LENGTHS)
  return unit.repeat(Math.ceil(length / unit.length)).slice(0, length)
}

export function text(random: Random): string {
  let made = ''
  for (let parts = random.below(6); parts > 0; parts--)
    made += random.chance(0.5) ? random.pick(ODD) : random.word().toString(36)
  return made
}

/** One to four pieces of damage; a copy. `other`: of which a part may be put in. */
export function damagedBytes(random: Random, bytes: Buffer, other: Buffer = bytes): Buffer {
  let damaged = Buffer.from(bytes)
  for (let times = 1 + random.below(4) * random.below(2); times > 0; times--)
    damaged = damageBytes(random, damaged, other)
  return damaged
}

const INTERESTING = [
  0, 1, 4, 5, 0x1f, 0x20, 0x22, 0x2e, 0x2f, 0x3a, 0x5b, 0x7b, 0x7f, 0x80, 0xc0, 0xed, 0xf4, 0xfe, 0xff,
]

function damageBytes(random: Random, bytes: Buffer<ArrayBuffer>, other: Buffer): Buffer<ArrayBuffer> {
  const at = random.below(bytes.length + 1)
  const to = Math.min(bytes.length, at + 1 + random.below(8))
  switch (random.below(9)) {
    case 0:
    case 1:
      if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << random.below(8))
      return bytes
    case 2:
      if (at < bytes.length) bytes[at] = random.pick(INTERESTING)
      return bytes
    case 3:
      if (at < bytes.length) bytes[at] = random.word()
      return bytes
    case 4:
      return bytes.subarray(0, at)
    case 5:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)])
    case 6:
      return Buffer.concat([bytes.subarray(0, at), random.bytes(1 + random.below(6)), bytes.subarray(at)])
    case 7:
      return Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)])
    default: {
      const from = random.below(other.length + 1)
      return Buffer.concat([bytes.subarray(0, at), other.subarray(from, from + random.below(64)), bytes.subarray(at)])
    }
  }
}
