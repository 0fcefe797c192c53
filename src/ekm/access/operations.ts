/**
 * What every operation of every protocol is to the owner, and what is answered without asking the owner's policy. A route that is in neither table stops the
 * start (promise 5); an operation that is not in the first is never allowed, and policies can name no other.
 */
import type { ProtocolName } from '../keys/protocols.ts'
import type { Action } from './policy.ts'

export const OPERATIONS = {
  xks: { metadata: 'describe', encrypt: 'wrap', decrypt: 'unwrap' },
  azure: { metadata: 'describe', wrapkey: 'wrap', unwrapkey: 'unwrap' },
  google: { wrap: 'wrap', unwrap: 'unwrap' },
  kacls: {
    wrap: 'wrap',
    unwrap: 'unwrap',
    privilegedwrap: 'wrap',
    privilegedunwrap: 'unwrap',
    delegate: 'sign',
    rewrap: 'wrap',
    /** The token under which `rewrap` asks another key service. */
    migrate: 'sign',
    digest: 'digest',
    wrapprivatekey: 'wrap',
    privatekeysign: 'sign',
    privatekeydecrypt: 'unwrap',
    privilegedprivatekeydecrypt: 'unwrap',
  },
  dke: { decrypt: 'unwrap' },
  kubernetes: { status: 'describe', encrypt: 'wrap', decrypt: 'unwrap' },
} as const satisfies Readonly<Record<ProtocolName, Readonly<Record<string, Action>>>>

/** What uses no key of a customer's, by who is answered: whoever is authenticated, or everybody. */
const WITHOUT_POLICY: Readonly<Partial<Record<ProtocolName, Readonly<Record<string, 'authenticated' | 'everybody'>>>>> =
  {
    xks: { health: 'authenticated' },
    azure: { info: 'authenticated' },
    kacls: { status: 'everybody', certs: 'everybody' },
    dke: { publickey: 'everybody' },
  }

const ACTION_OF: ReadonlyMap<string, ReadonlyMap<string, Action>> = new Map(
  Object.entries(OPERATIONS).map(([protocol, operations]) => [protocol, new Map(Object.entries(operations))]),
)

/** Undefined for an operation that nobody has declared. */
export function actionOf(protocol: string, operation: string): Action | undefined {
  return ACTION_OF.get(protocol)?.get(operation)
}

/** Every `<protocol>:<operation>` with what it is, in the order of the table. */
export function allOperations(): { readonly operation: string; readonly action: Action }[] {
  return Object.entries(OPERATIONS).flatMap(([protocol, operations]) =>
    Object.entries(operations).map(([operation, action]) => ({ operation: `${protocol}:${operation}`, action })),
  )
}

/** The start calls it with every protocol that can be served. Throws with the routes that nobody has declared. */
export function assertEveryRouteDeclared(
  protocols: Iterable<{ readonly name: string; readonly routes: readonly string[] }>,
): void {
  const missing: string[] = []
  for (const { name, routes } of protocols) {
    const open = new Set(Object.keys(WITHOUT_POLICY[name as ProtocolName] ?? {}))
    for (const route of routes)
      if ((actionOf(name, route) !== undefined) === open.has(route)) missing.push(`${name}:${route}`)
  }
  if (missing.length > 0)
    throw new Error(
      `These routes declare no action, or two things at once, and cannot be served: ${missing.join(', ')}. Declare them in src/ekm/access/operations.ts.`,
    )
}
