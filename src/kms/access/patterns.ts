/**
 * Texts in policies that stand for many: wildcards (`*`, `?`), policy variables (`${aws:username}`, with escapes `${*}` `${?}` `${$}` and
 * default values), and ARNs, in which a wildcard never crosses a colon. What a variable stands for is always taken literally.
 */
import { type NamedConditionKey, readConditionKey } from './condition-keys.ts'
import { MalformedPolicyError, type RequestContext } from './types.ts'

/** In compiled text: any number of characters, and exactly one. Characters are their UTF-16 codes. */
const STAR = -1
const ONE = -2

interface Variable {
  readonly name: NamedConditionKey
  readonly fallback: string | undefined
}
/** A stretch of a policy's text: characters with wildcards, or what a request says. */
type Piece = Int32Array | Variable

/** Tells whether `subject`, of which the characters from `from` up to `to` count, is one of those meant. */
export type TextMatcher = (subject: string, context: RequestContext) => boolean

export interface PatternOptions {
  readonly wildcards: boolean
  /** Variables are read in policies of version 2012-10-17 only; before, `$` is a character like any other. */
  readonly variables: boolean
  /** Compare without regard to letter case. */
  readonly ignoreCase?: boolean
}

/** Compiles one text. Throws `MalformedPolicyError` on a variable that cannot be read. */
export function compileText(text: string, options: PatternOptions): TextMatcher {
  const pieces = readPieces(text, options)
  const ignoreCase = options.ignoreCase === true
  if (pieces.every(isFixed)) {
    const fixed = joinFixed(pieces)
    if (!fixed.some(isWild)) {
      const literal = String.fromCharCode(...fixed)
      return ignoreCase ? subject => subject.toLowerCase() === literal : subject => subject === literal
    }
    if (fixed.every(code => code === STAR)) return () => true
    return subject => globMatch(fixed, ignoreCase ? subject.toLowerCase() : subject, 0, subject.length)
  }
  return (subject, context) => {
    const codes = resolve(pieces, context, ignoreCase)
    if (codes === undefined) return false
    return globMatch(codes, ignoreCase ? subject.toLowerCase() : subject, 0, subject.length)
  }
}

export interface ArnOptions {
  readonly variables: boolean
  /** Resource elements: missing parts of a short ARN are completed with `*`, as IAM does. Elsewhere a short ARN is refused. */
  readonly complete: boolean
}

/** Number of parts of an ARN: `arn:partition:service:region:account:resource`. The last one may hold colons. */
const ARN_PARTS = 6

/** Compiles a pattern of ARNs, matched part by part. `*` alone means everything, also what is no ARN. */
export function compileArn(text: string, options: ArnOptions): TextMatcher {
  if (/^\*+$/.test(text)) return () => true
  const pieces = readPieces(text, { wildcards: true, variables: options.variables })
  const parts = splitParts(pieces)
  if (parts.length === 1 && pieces.some(piece => !isFixed(piece))) {
    return compileText(text, { wildcards: true, variables: true })
  }
  const beginsAsArn = /^arn:/.test(text)
  if (!beginsAsArn || (parts.length < ARN_PARTS && !options.complete)) {
    throw new MalformedPolicyError(`Resource ${quote(text)} must be in ARN format or "*".`)
  }
  while (parts.length < ARN_PARTS) parts.push([Int32Array.of(STAR)])
  const fixed = parts.map(part => (part.every(isFixed) ? joinFixed(part) : undefined))
  return (subject, context) => {
    let from = 0
    for (let index = 0; index < ARN_PARTS; index++) {
      let to = subject.length
      if (index < ARN_PARTS - 1) {
        to = subject.indexOf(':', from)
        if (to < 0) return false
      }
      const codes = fixed[index] ?? resolve(parts[index] ?? [], context, false)
      if (codes === undefined) return false
      const anything = codes.length === 1 && codes[0] === STAR
      if (!anything && !globMatch(codes, subject, from, to)) return false
      from = to + 1
    }
    return true
  }
}

/** Greedy match with one point of return: O(pattern × subject) at worst, never exponential. */
function globMatch(pattern: Int32Array, subject: string, from: number, to: number): boolean {
  let p = 0
  let s = from
  let starAt = -1
  let retryAt = 0
  while (s < to) {
    const code = pattern[p]
    if (code === STAR) {
      starAt = p++
      retryAt = s
    } else if (code === ONE || code === subject.charCodeAt(s)) {
      p++
      s++
    } else if (starAt >= 0) {
      p = starAt + 1
      s = ++retryAt
    } else {
      return false
    }
  }
  while (pattern[p] === STAR) p++
  return p === pattern.length
}

function isWild(code: number): boolean {
  return code < 0
}

function isFixed(piece: Piece): piece is Int32Array {
  return piece instanceof Int32Array
}

function joinFixed(pieces: readonly Int32Array[]): Int32Array {
  return Int32Array.from(pieces.flatMap(piece => [...piece]))
}

/** The text with its variables filled in; undefined where one has no value, which nothing equals. */
function resolve(pieces: readonly Piece[], context: RequestContext, ignoreCase: boolean): Int32Array | undefined {
  const codes: number[] = []
  for (const piece of pieces) {
    if (isFixed(piece)) {
      for (const code of piece) codes.push(code)
      continue
    }
    const { key, suffix } = piece.name
    const found = key === undefined ? undefined : context.get(key, suffix)
    // A multi-valued key cannot be used as a variable.
    const value = typeof found === 'string' ? found : piece.fallback
    if (value === undefined) return undefined
    const text = ignoreCase ? value.toLowerCase() : value
    for (let i = 0; i < text.length; i++) codes.push(text.charCodeAt(i))
  }
  return Int32Array.from(codes)
}

function readPieces(written: string, options: PatternOptions): Piece[] {
  const text = options.ignoreCase === true ? written.toLowerCase() : written
  const pieces: Piece[] = []
  let codes: number[] = []
  const literal = (characters: string) => {
    for (let i = 0; i < characters.length; i++) codes.push(characters.charCodeAt(i))
  }
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at)
    if (options.variables && character === '$' && text[at + 1] === '{') {
      const end = closingBrace(text, at + 2)
      const inside = text.slice(at + 2, end)
      at = end
      if (inside === '*' || inside === '?' || inside === '$') {
        literal(inside)
      } else {
        if (codes.length > 0) pieces.push(Int32Array.from(codes))
        codes = []
        pieces.push(readVariable(inside))
      }
    } else if (options.wildcards && character === '*') {
      codes.push(STAR)
    } else if (options.wildcards && character === '?') {
      codes.push(ONE)
    } else {
      literal(character)
    }
  }
  if (codes.length > 0 || pieces.length === 0) pieces.push(Int32Array.from(codes))
  return pieces
}

/** A default value stands in quotes and may hold braces. */
function closingBrace(text: string, from: number): number {
  let quoted = false
  for (let at = from; at < text.length; at++) {
    if (text[at] === "'") quoted = !quoted
    else if (text[at] === '}' && !quoted) return at
  }
  throw new MalformedPolicyError(`The policy variable in ${quote(text)} is not closed.`)
}

/** `aws:username`, or `aws:PrincipalTag/team, 'company-wide'`. */
function readVariable(inside: string): Variable {
  const found = /^\s*([A-Za-z0-9]+:[^,'{}]+?)\s*(?:,\s*'([^']*)'\s*)?$/.exec(inside)
  const name = found?.[1]
  if (name === undefined)
    throw new MalformedPolicyError(`The policy variable ${quote(`\${${inside}}`)} cannot be read.`)
  return { name: readConditionKey(name), fallback: found?.[2] }
}

/** Cuts at the first five colons that stand in the policy's own text. */
function splitParts(pieces: readonly Piece[]): Piece[][] {
  const colon = ':'.charCodeAt(0)
  const parts: Piece[][] = [[]]
  for (const piece of pieces) {
    if (!isFixed(piece)) {
      parts.at(-1)?.push(piece)
      continue
    }
    let from = 0
    for (let at = 0; at < piece.length && parts.length < ARN_PARTS; at++) {
      if (piece[at] !== colon) continue
      parts.at(-1)?.push(piece.slice(from, at))
      parts.push([])
      from = at + 1
    }
    parts.at(-1)?.push(piece.slice(from))
  }
  return parts
}

/** A caller's text in an error: short and in one line. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text)
}
