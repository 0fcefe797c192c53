/**
 * JSON read strictly (RFC 8259), for policies: a duplicate name is refused, because two readers would disagree on what it means; depth is
 * bounded; objects are Maps, so that no name is special; numbers keep their text.
 */
import { MalformedPolicyError } from './types.ts'

/** A number as written. */
export class JsonNumber {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

export type JsonObject = ReadonlyMap<string, Json>
export type Json = string | JsonNumber | boolean | null | readonly Json[] | JsonObject

/** Deepest nesting of arrays and objects; a policy needs six. */
const MAX_DEPTH = 16
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
/** Only where a string ends; what is inside is JSON.parse's to judge. */
const STRING = /"(?:[^"\\]|\\.)*"/sy
const SPACE = /[ \t\n\r]*/y

/** Reads UTF-8 bytes as one JSON value. O(bytes). Throws `MalformedPolicyError` that names the place. */
export function readJson(bytes: Buffer): Json {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new MalformedPolicyError('Syntax errors in policy: not valid UTF-8.')
  }
  let at = 0

  const fail = (what: string): never => {
    throw new MalformedPolicyError(`Syntax errors in policy: ${what} at character ${at}.`)
  }
  const space = () => {
    SPACE.lastIndex = at
    SPACE.test(text)
    at = SPACE.lastIndex
  }
  const take = (pattern: RegExp, what: string): string => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (found === null) return fail(what)
    at = pattern.lastIndex
    return found[0]
  }
  const string = (): string => {
    const written = take(STRING, 'a string was expected')
    try {
      return JSON.parse(written) as string
    } catch {
      return fail('a bad character or escape stands in the string that ends')
    }
  }
  const value = (depth: number): Json => {
    space()
    const first = text[at]
    if ((first === '{' || first === '[') && depth === MAX_DEPTH) fail(`nesting deeper than ${MAX_DEPTH}`)
    if (first === '{') return object(depth + 1)
    if (first === '[') return array(depth + 1)
    if (first === '"') return string()
    for (const [word, meaning] of [
      ['true', true],
      ['false', false],
      ['null', null],
    ] as const) {
      if (text.startsWith(word, at)) {
        at += word.length
        return meaning
      }
    }
    return new JsonNumber(take(NUMBER, 'a value was expected'))
  }
  /** True where another member follows; at the end of the list the closing mark is taken. */
  const more = (close: string): boolean => {
    space()
    if (text[at] === close) {
      at++
      return false
    }
    if (text[at] !== ',') fail(`"," or "${close}" was expected`)
    at++
    return true
  }
  const closesAtOnce = (close: string): boolean => {
    at++
    space()
    if (text[at] !== close) return false
    at++
    return true
  }
  const array = (depth: number): Json[] => {
    const items: Json[] = []
    if (closesAtOnce(']')) return items
    do items.push(value(depth))
    while (more(']'))
    return items
  }
  const object = (depth: number): Map<string, Json> => {
    const members = new Map<string, Json>()
    if (closesAtOnce('}')) return members
    do {
      space()
      const name = string()
      if (members.has(name)) fail(`the name ${JSON.stringify(name)} appears twice`)
      space()
      if (text[at] !== ':') fail('":" was expected')
      at++
      members.set(name, value(depth))
    } while (more('}'))
    return members
  }

  const result = value(0)
  space()
  if (at !== text.length) fail('nothing more was expected')
  return result
}
