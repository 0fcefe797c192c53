/**
 * Whether a text may become a policy: bounded, parsed, checked strictly against the schema, and held to the rules that a schema cannot express. Every problem has
 * its place.
 */
import { isUtf8 } from 'node:buffer'
import { named } from './compiled.ts'
import { treeOf, validate } from './engine.ts'
import { CONTEXT, KEY } from './input.ts'
import { MAX_POLICY_BYTES, type PolicyOwner, REVOKE_SCOPES, SERVICE_PREFIX } from './names.ts'
import { type Place, placeOf, type ScannedPolicy, scan } from './scan.ts'

export interface Problem extends Place {
  readonly severity: 'error' | 'warning'
  readonly message: string
  readonly help: string | undefined
}

const MAX_POLICIES = 256
/** Of one policy. Cedar recurses: below these it is far from the end of its stack. */
const MAX_TOKENS = 512
const MAX_DEPTH = 32
const ID = /^[A-Za-z0-9._-]{1,64}$/

/** What an annotation takes: its rule in words, and whether a value keeps it. */
const ANNOTATIONS: Readonly<Record<string, { readonly rule: string; readonly takes: (value: string) => boolean }>> = {
  id: { rule: '1 to 64 letters, digits, ".", "-" and "_"', takes: value => ID.test(value) },
  description: { rule: 'a text', takes: value => value !== '' },
  revoke: {
    rule: REVOKE_SCOPES.map(scope => `"${scope}"`).join(', '),
    takes: value => (REVOKE_SCOPES as readonly string[]).includes(value),
  },
}

/** In the order of their places. Without an error among them the text may be set. */
export function checkPolicy(bytes: Buffer, owner: PolicyOwner): readonly Problem[] {
  const problems = new Problems(isUtf8(bytes) ? bytes.toString('utf8') : '')
  if (bytes.length > MAX_POLICY_BYTES)
    problems.error(0, `a policy has at most ${MAX_POLICY_BYTES} bytes; this one has ${bytes.length}`)
  else if (!isUtf8(bytes)) problems.error(0, 'a policy is a text in UTF-8')
  else judge(bytes, owner, problems)
  return problems.sorted()
}

class Problems {
  readonly #text: string
  readonly #found = new Map<string, { readonly at: number; readonly problem: Problem }>()

  constructor(text: string) {
    this.#text = text
  }

  /** Cedar tells the same of a place once for each operation: the first time counts. */
  add(at: number, severity: Problem['severity'], message: string, help?: string): void {
    const name = `${severity} ${at}`
    if (this.#found.has(name)) return
    this.#found.set(name, { at, problem: { ...placeOf(this.#text, at), severity, message, help } })
  }

  error(at: number, message: string): void {
    this.add(at, 'error', message)
  }

  get any(): boolean {
    return this.#found.size > 0
  }

  sorted(): Problem[] {
    return [...this.#found.values()].sort((a, b) => a.at - b.at).map(({ problem }) => problem)
  }
}

function judge(bytes: Buffer, owner: PolicyOwner, problems: Problems): void {
  const text = bytes.toString('utf8')
  const policies = scan(text)
  bound(policies, problems)
  if (problems.any) return
  try {
    const { parsed, findings } = validate(text)
    for (const { start, severity, message, help } of findings)
      problems.add(bytes.toString('utf8', 0, start).length, severity, message, help)
    if (!parsed) return
    for (const policy of policies) compared(treeOf(policy.text), policy, problems)
  } catch {
    // What its library cannot take is not given to a service.
    problems.error(0, 'Cedar cannot take this policy: make its expressions simpler')
    return
  }
  rules(text, policies, owner, problems)
}

function bound(policies: readonly ScannedPolicy[], problems: Problems): void {
  const beyond = policies[MAX_POLICIES]
  if (beyond !== undefined) problems.error(beyond.at, `a file has at most ${MAX_POLICIES} policies`)
  for (const { at, tokens, depth } of policies) {
    if (tokens.filter(({ kind, text }) => kind !== 'string' && text !== ',').length > MAX_TOKENS)
      problems.error(at, `a policy has at most ${MAX_TOKENS} words and signs, beside strings and commas: divide it`)
    if (depth > MAX_DEPTH) problems.error(at, `a policy has at most ${MAX_DEPTH} brackets within each other`)
    const slot = tokens.find(({ text }) => text === '?')
    if (slot !== undefined) problems.error(slot.at, 'templates are not supported: write the policy out')
  }
}

/** What the schema cannot say: annotations, ids, and that the policy of the service only forbids. */
function rules(text: string, policies: readonly ScannedPolicy[], owner: PolicyOwner, problems: Problems): void {
  const prefix = owner === 'service' ? SERVICE_PREFIX : ''
  const ids = new Set<string>()
  for (const { id, policy } of named(text, prefix)) {
    if (ids.has(id)) problems.error(policy.at, `another policy of this file has the id ${id}`)
    ids.add(id)
  }
  for (const { at, effect, annotations } of policies) {
    if (owner === 'service' && effect === 'permit')
      problems.error(at, 'the policy of the whole service only forbids: what is permitted is for each tenant to say')
    for (const { name, value, at: place } of annotations) {
      const known = ANNOTATIONS[name]
      if (known === undefined)
        problems.error(place, `there is no annotation @${name}; there are @${Object.keys(ANNOTATIONS).join(', @')}`)
      else if (!known.takes(value)) problems.error(place, `@${name} takes ${known.rule}`)
      else if (name === 'revoke' && effect !== 'forbid')
        problems.error(place, '@revoke stands on policies that forbid: it revokes what they deny')
      else if (name === 'revoke' && value === 'protocol' && owner === 'tenant')
        problems.error(place, '@revoke("protocol") concerns all tenants: it stands in the policy of the whole service')
    }
  }
}

type Tree = { readonly [name: string]: unknown }
const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null

/** Words of a vocabulary that do not exist: a comparison with one never holds, and what it should have forbidden is allowed. */
function compared(tree: unknown, policy: ScannedPolicy, problems: Problems): void {
  if (!isTree(tree)) return
  for (const [operator, operands] of Object.entries(tree)) {
    compared(operands, policy, problems)
    if (!isTree(operands) || !['==', '!=', 'contains'].includes(operator)) continue
    const { left, right } = operands
    const sides: readonly (readonly [unknown, unknown])[] =
      operator === 'contains'
        ? [[right, left]]
        : [
            [left, right],
            [right, left],
          ]
    for (const [attribute, literals] of sides) {
      const vocabulary = vocabularyOf(attribute)
      if (vocabulary === undefined) continue
      const wrong = wordsOf(literals).find(word => !vocabulary.values.includes(word))
      if (wrong !== undefined)
        problems.error(
          policy.tokens.find(({ text }) => text === JSON.stringify(wrong))?.at ?? policy.at,
          `${vocabulary.name} is never ${JSON.stringify(wrong)}; it is one of ${vocabulary.values.join(', ')}`,
        )
    }
  }
}

/** The only values of an attribute, where it has a few: of `context.reason`, `resource.spec`. */
function vocabularyOf(node: unknown): { name: string; values: readonly string[] } | undefined {
  const access = isTree(node) ? node['.'] : undefined
  if (!isTree(access) || !isTree(access.left) || typeof access.attr !== 'string') return undefined
  const table: Readonly<Record<string, object>> | undefined =
    access.left.Var === 'context' ? CONTEXT : access.left.Var === 'resource' ? KEY : undefined
  const found = table !== undefined && Object.hasOwn(table, access.attr) ? table[access.attr] : undefined
  const values = (found as { values?: readonly string[] } | undefined)?.values
  return values === undefined ? undefined : { name: `${access.left.Var}.${access.attr}`, values }
}

/** The strings that a literal is, or a set of literals has. */
function wordsOf(node: unknown): string[] {
  if (!isTree(node)) return []
  if (Array.isArray(node.Set)) return node.Set.flatMap(wordsOf)
  return typeof node.Value === 'string' ? [node.Value] : []
}
