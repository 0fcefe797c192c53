/**
 * Cedar itself, the one file that knows its library. It is WebAssembly without a view of the outside; loading it takes tens of milliseconds, so what needs no
 * policy does not import this.
 */
import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import type { Action } from '../policy.ts'
import { type Asked, type CedarValue, type KeyFacts, keyAttributes, peerAttributes } from './input.ts'
import { schemaText, TYPES } from './schema.ts'

/** Something that Cedar says of a text. Offsets are in bytes of UTF-8. */
export interface Finding {
  readonly severity: 'error' | 'warning'
  readonly message: string
  readonly help: string | undefined
  readonly start: number
}

/** What policies say. Those that could not be evaluated are named, and have no say in `allowed`. */
export interface Verdict {
  readonly allowed: boolean
  /** Ids: the permits where it is allowed, the forbids where one of them applies, else none. */
  readonly decided: readonly string[]
  readonly failed: readonly string[]
}

let parsedSchema: cedar.Schema | undefined
/** As JSON, which Cedar takes in a fraction of the time. */
function schema(): cedar.Schema {
  if (parsedSchema === undefined) {
    const answer = cedar.schemaToJson(schemaText())
    if (answer.type === 'failure') throw new Error(`the schema is none: ${answer.errors[0]?.message}`)
    parsedSchema = answer.json
  }
  return parsedSchema
}

/** Parses and checks against the schema, strictly. Throws where Cedar does. */
export function validate(text: string): { readonly parsed: boolean; readonly findings: readonly Finding[] } {
  const answer = cedar.validate({ schema: schema(), policies: { staticPolicies: text } })
  if (answer.type === 'failure')
    return { parsed: false, findings: answer.errors.flatMap(error => findingsOf(error, 'error')) }
  const errors = answer.validationErrors.flatMap(({ error }) => findingsOf(error, 'error'))
  const warnings = answer.validationWarnings.flatMap(({ error }) => findingsOf(error, 'warning'))
  return { parsed: true, findings: [...errors, ...warnings] }
}

/** What Cedar puts before and into its messages that says nothing to whoever has only the file. */
const NOISE = / for Action::"[^"]*"|^(?:failed to parse policies from string: |for policy `policy\d+`[,:] )/g

function findingsOf(error: cedar.DetailedError, severity: Finding['severity']): Finding[] {
  const [where] = error.sourceLocations ?? []
  const help = [error.help, where?.label].filter(text => typeof text === 'string' && text !== '').join('; ')
  const own = {
    severity,
    message: error.message.replace(NOISE, ''),
    help: help === '' ? undefined : help.replace(NOISE, ''),
    start: where?.start ?? 0,
  }
  return [own, ...(error.related ?? []).flatMap(related => findingsOf(related, severity))]
}

/** The syntax tree of one policy that parses. */
export function treeOf(policy: string): unknown {
  const answer = cedar.policyToJson(policy)
  if (answer.type === 'failure') throw new Error('a policy that was checked does not parse')
  return answer.json
}

const free: string[] = []
let slots = 0

/** Policies that are parsed and held ready. */
export class PolicySet {
  readonly #slot: string

  /** `policies` by id. Throws where one of them does not parse. */
  constructor(policies: Readonly<Record<string, string>>) {
    this.#slot = free.pop() ?? `slot${slots++}`
    parse(this.#slot, policies)
  }

  /** What these policies say of a call. Throws where Cedar does: nothing is known then. */
  evaluate(asked: Asked, action: Action, key: KeyFacts, context: Record<string, CedarValue>): Verdict {
    const { protocol, tenant, principal } = asked.caller
    const operation = { type: TYPES.action, id: `${protocol}:${asked.operation}` }
    const peer = { type: TYPES.peer, id: `${protocol}:${principal.toWellFormed()}` }
    const resource = { type: TYPES.key, id: key.id }
    const home = { type: TYPES.tenant, id: tenant }
    const answer = cedar.statefulIsAuthorized({
      principal: peer,
      action: operation,
      resource,
      context,
      preparsedPolicySetId: this.#slot,
      entities: [
        { uid: peer, attrs: peerAttributes(asked.caller), parents: [home, { type: TYPES.protocol, id: protocol }] },
        { uid: resource, attrs: keyAttributes(key), parents: [{ type: TYPES.tenant, id: key.account }] },
        { uid: operation, attrs: {}, parents: [{ type: TYPES.action, id: action }] },
      ],
    })
    if (answer.type === 'failure') throw new Error(`Cedar does not take the request: ${answer.errors[0]?.message}`)
    const { decision, diagnostics } = answer.response
    return {
      allowed: decision === 'allow',
      decided: diagnostics.reason,
      failed: diagnostics.errors.map(({ policyId }) => policyId),
    }
  }

  /** Gives back its place. It must not be used again. */
  release(): void {
    parse(this.#slot, {})
    free.push(this.#slot)
  }
}

function parse(slot: string, policies: Readonly<Record<string, string>>): void {
  const answer = cedar.preparsePolicySet(slot, { staticPolicies: policies })
  if (answer.type === 'failure') throw new Error(`the policy does not parse: ${answer.errors[0]?.message}`)
}
