/**
 * Bodies of JSON: an object as a good client would send it, written member by member, each of which may be left out, be there twice, have another name or
 * another value; and the text may be damaged after that.
 */
import { damagedBytes, damagedText, text } from './mutate.ts'
import type { Random } from './random.ts'

/** How much is changed: nothing, a member now and then, most of them. */
const RATES = [0, 0.06, 0.06, 0.25] as const
const BYTE_DAMAGE = 0.12
/** Large and deep ones cost the time of hundreds of others. */
const HUGE = 0.002

const RAW = [
  ...[
    'null',
    'true',
    'false',
    '0',
    '-0',
    '-1',
    '1',
    '1.5',
    '4294967296',
    '9007199254740993',
    '1e400',
    '-1e400',
    '1e-400',
  ],
  ...['""', '" "', '[]', '{}', '[[]]', '[null]', '{"":""}', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ufeff"'],
  ...[
    '"__proto__"',
    '{"__proto__":{"x":1}}',
    '{"toString":1}',
    '{"length":4}',
    '[1,2,3]',
    '["a"]',
    '"AA=="',
    '"AAA"',
    '"=="',
  ],
  // None of these is JSON.
  ...['01', '+1', '.5', 'NaN', "'a'", '"\t"', '"\\x"', '"\\u12"', '[1,]', '{,}', 'undefined', ''],
] as const
const NAMES = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '',
  ' ',
  '\0',
  'length',
  '\ud800',
] as const

export interface JsonOptions {
  /** Names that stand in for one another, or are added. */
  readonly names?: readonly string[]
  /** Values that are well-formed at some place. */
  readonly values?: readonly unknown[]
  /** Bytes that the listener takes. */
  readonly max: number
}

export function jsonBody(random: Random, value: unknown, options: JsonOptions): Buffer {
  const rate = random.pick(RATES)
  let body: Buffer = Buffer.from(jsonText(random, value, rate, options), 'utf8')
  if (random.chance(BYTE_DAMAGE)) body = damagedBytes(random, body)
  if (random.chance(HUGE)) body = huge(random, body, options.max)
  return body.length > options.max ? body.subarray(0, options.max) : body
}

/** Also of claims, which are JSON before they are signed. */
export function jsonText(random: Random, value: unknown, rate: number, options: Omit<JsonOptions, 'max'>): string {
  if (rate > 0 && random.chance(rate)) return changed(random, value, options)
  if (Array.isArray(value)) return `[${value.map(each => jsonText(random, each, rate, options)).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const members: string[] = []
  for (const [name, member] of Object.entries(value)) {
    if (member === undefined) continue
    const written = `${nameText(random, name, rate, options)}:${jsonText(random, member, rate, options)}`
    if (rate > 0 && random.chance(rate / 2)) {
      // Left out, or there twice.
      if (random.chance(0.5)) members.push(written, `${JSON.stringify(name)}:${changed(random, member, options)}`)
    } else members.push(written)
  }
  if (rate > 0 && random.chance(rate)) {
    const name = random.chance(0.5) ? random.pick(options.names ?? NAMES) : random.pick(NAMES)
    members.splice(random.below(members.length + 1), 0, `${JSON.stringify(name)}:${random.pick(RAW)}`)
  }
  return `{${members.join(',')}}`
}

function nameText(random: Random, name: string, rate: number, { names }: Omit<JsonOptions, 'max'>): string {
  if (rate === 0 || !random.chance(rate / 3)) return JSON.stringify(name)
  if (random.chance(0.3)) return `"${[...name].map(escaped).join('')}"`
  return JSON.stringify(random.chance(0.5) && names !== undefined ? random.pick(names) : damagedText(random, name))
}

/** The same character in another spelling. */
const escaped = (character: string): string =>
  character.length > 1 ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`

function changed(random: Random, value: unknown, { values }: Omit<JsonOptions, 'max'>): string {
  if (typeof value === 'string' && random.chance(0.6)) return JSON.stringify(damagedText(random, value))
  if (values !== undefined && random.chance(0.4)) return JSON.stringify(random.pick(values))
  if (typeof value === 'number' && random.chance(0.5)) return String(value + random.below(7) - 3)
  switch (random.below(8)) {
    case 0:
      return JSON.stringify(text(random))
    case 1:
      return JSON.stringify([value])
    case 2:
      return JSON.stringify(random.bytes(random.below(80)).toString(random.chance(0.5) ? 'base64' : 'base64url'))
    case 3:
      return JSON.stringify(JSON.stringify(value))
    default:
      return random.pick(RAW)
  }
}

/** As large as the listener lets it be, in one of the ways that make it costly. */
function huge(random: Random, body: Buffer, max: number): Buffer {
  const room = Math.max(0, max - body.length - 16)
  switch (random.below(5)) {
    case 0:
      return Buffer.from('['.repeat(room))
    case 1:
      return Buffer.from(
        `{"a":${'['.repeat(room >> 1)}${']'.repeat(room >> 1)},${body.subarray(1).toString('latin1')}`,
        'latin1',
      )
    case 2:
      return Buffer.from('{"a":'.repeat(Math.floor(room / 5)))
    case 3:
      return Buffer.concat([Buffer.from(`{${'"a":0,'.repeat(Math.floor(room / 6))}`), body.subarray(1)])
    default:
      return Buffer.concat([Buffer.from(`{"a":"${'\\u0000'.repeat(Math.floor(room / 6))}",`), body.subarray(1)])
  }
}
