/**
 * What every operation of every protocol is to the owner. One that is not in this table is never allowed (promise 5), and policies can name no other. What a
 * protocol answers without a key (health, its own certificates) is no question of policy, and not here.
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
