/**
 * A policy file in its tokens: where each policy stands, how it is annotated, and which parts of a request it reads. Cedar parses and judges policies;
 * this finds what Cedar does not tell, and bounds them first, since a policy that is nested too deeply takes Cedar's memory down with it.
 */
import { CONTEXT_FIELDS, type ContextField } from './input.ts'

export interface Token {
  readonly kind: 'word' | 'string' | 'mark'
  readonly text: string
  /** In UTF-16 units from the beginning of the file. */
  readonly at: number
}

export interface Annotation {
  readonly name: string
  /** Without quotes; empty where it has none. */
  readonly value: string
  readonly at: number
}

export interface ScannedPolicy {
  /** As it stands in the file, from its first annotation to its semicolon. */
  readonly text: string
  readonly at: number
  readonly effect: string
  readonly annotations: readonly Annotation[]
  readonly tokens: readonly Token[]
  /** Brackets within brackets. */
  readonly depth: number
}

const TOKEN = /\s+|\/\/[^\n\r]*|("(?:[^"\\]|\\.)*")|([A-Za-z_][A-Za-z0-9_]*|[0-9]+)|(::|==|!=|<=|>=|&&|\|\||.)/suy

export function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  TOKEN.lastIndex = 0
  for (let at = 0; at < text.length; at = TOKEN.lastIndex) {
    const [, string, word, mark] = TOKEN.exec(text) ?? []
    if (string !== undefined) tokens.push({ kind: 'string', text: string, at })
    else if (word !== undefined) tokens.push({ kind: 'word', text: word, at })
    else if (mark !== undefined) tokens.push({ kind: 'mark', text: mark, at })
  }
  return tokens
}

/** The policies of a file. What stands behind the last semicolon is Cedar's to complain about, and is the last one here. */
export function scan(text: string): ScannedPolicy[] {
  const policies: ScannedPolicy[] = []
  let tokens: Token[] = []
  let depth = 0
  let deepest = 0
  const end = (): void => {
    const [first] = tokens
    const last = tokens.at(-1)
    if (first === undefined || last === undefined) return
    const whole = text.slice(first.at, last.at + last.text.length)
    policies.push({ text: whole, at: first.at, ...headOf(tokens), tokens, depth: deepest })
    tokens = []
    depth = 0
    deepest = 0
  }
  for (const token of tokensOf(text)) {
    tokens.push(token)
    if (token.kind !== 'mark') continue
    if ('([{'.includes(token.text)) deepest = Math.max(deepest, ++depth)
    else if (')]}'.includes(token.text)) depth--
    else if (token.text === ';') end()
  }
  end()
  return policies
}

function headOf(tokens: readonly Token[]): Pick<ScannedPolicy, 'annotations' | 'effect'> {
  const annotations: Annotation[] = []
  let next = 0
  while (tokens[next]?.text === '@') {
    const at = tokens[next]?.at ?? 0
    const name = tokens[next + 1]?.text ?? ''
    const valued = tokens[next + 2]?.text === '('
    annotations.push({ name, value: valued ? (tokens[next + 3]?.text.slice(1, -1) ?? '') : '', at })
    next += valued ? 5 : 2
  }
  return { annotations, effect: tokens[next]?.text ?? '' }
}

/** The fields of the context that policies may read: all of them as soon as the context is used in any way but `context.name` or `context has name`. */
export function readsOf(policies: readonly Pick<ScannedPolicy, 'tokens'>[]): readonly ContextField[] {
  const read = new Set<string>()
  for (const { tokens } of policies) {
    for (const [index, token] of tokens.entries()) {
      if (token.kind !== 'word' || token.text !== 'context') continue
      const how = tokens[index + 1]?.text
      const name = tokens[index + 2]
      if ((how !== '.' && how !== 'has') || name?.kind !== 'word') return CONTEXT_FIELDS
      read.add(name.text)
    }
  }
  return CONTEXT_FIELDS.filter(name => read.has(name))
}

export interface Place {
  /** From 1. */
  readonly line: number
  /** In characters, from 1. */
  readonly column: number
}

export function placeOf(text: string, at: number): Place {
  const before = text.slice(0, at)
  const lines = before.split(/\r\n|\r|\n/)
  return { line: lines.length, column: [...(lines.at(-1) ?? '')].length + 1 }
}
