/** The schema that every policy of the owner is checked against, written from the tables: what there is to name, and what is known of it. */
import { PROTOCOL_NAMES } from '../../keys/protocols.ts'
import { allOperations } from '../operations.ts'
import { ACTIONS } from '../policy.ts'
import { CONTEXT, CONTEXT_FIELDS, KEY, PEER } from './input.ts'

/** Entity types. */
export const TYPES = { peer: 'Peer', key: 'Key', tenant: 'Tenant', protocol: 'Protocol', action: 'Action' } as const

const quoted = (words: readonly string[]): string => words.map(word => JSON.stringify(word)).join(', ')

interface Line {
  readonly about: string
  readonly values?: readonly string[] | undefined
}
const attribute = (name: string, type: string, { about, values }: Line): string =>
  `  // ${about}${values === undefined ? '' : `: ${values.join(', ')}`}\n  ${name}: ${type},\n`

/** In Cedar's schema syntax, ending with a newline. */
export function schemaText(): string {
  const peer = Object.entries(PEER).map(([name, about]) => attribute(name, 'String', about))
  const key = Object.entries(KEY).map(([name, about]) => attribute(name, 'String', about))
  const context = CONTEXT_FIELDS.map(name => {
    const field = CONTEXT[name]
    return attribute(field.optional ? `${name}?` : name, field.type, field)
  })
  const operations = allOperations().map(
    ({ operation, action }) =>
      `action ${JSON.stringify(operation)} in [Action::"${action}"] appliesTo { principal: Peer, resource: Key, context: Request };\n`,
  )
  return `// What policies of a Holdfast external key manager can name. Printed by: holdfast ekm policy schema

// The protocols in which providers ask.
entity Protocol enum [${quoted(PROTOCOL_NAMES)}];

// By its path prefix: Tenant::"customers/acme".
entity Tenant;

// Who was authenticated, by protocol and name: Peer::"xks:CUQ7D3KZT2XNR4WEB5MHYAJ6LP".
entity Peer in [Protocol, Tenant] {
${peer.join('')}};

// An external key, by tenant and name: Key::"customers/acme/payments".
entity Key in [Tenant] {
${key.join('')}};

// What is known of a request, and what its provider claims. What is not claimed is "".
type Request = {
${context.join('')}};

// What an operation is to the owner, whatever its protocol calls it.
action ${quoted(ACTIONS)};

// What the protocols call it.
${operations.join('')}`
}
