/** What a use of an owner's key is to the tests: asked in the name of a caller, it says `ok` or what the protocol said. */
import type { ProtocolName } from '../../src/ekm/keys/protocols.ts'
import type { Caller } from './ekm-callers.ts'

export type KeyName = 'vault' | 'pair' | 'signer'

export interface Use {
  readonly name: string
  readonly protocol: ProtocolName
  /** As records and policies have it, without the protocol. */
  readonly operation: string
  /** Other operations that it takes. */
  readonly steps?: readonly string[]
  /** Keys of its tenant that it takes; none where no key is used. */
  readonly keys: readonly KeyName[]
  /** Whom a kill switch names. */
  readonly principal: string
  /** By a token that the key service signed itself. */
  readonly delegated?: boolean
  /** Whether the request itself names the key. */
  readonly namesKey?: boolean
  /** Tells of a key or of the service, and uses nothing. */
  readonly describes?: boolean
  /** `ok`, or what the protocol says: `401 Unauthorized`. */
  ask(by: Caller, key?: string): Promise<string>
}

/** What was encrypted is this, or 32 bytes of it. */
export const SECRET = Buffer.from('what a provider may not read alone, in 64 bytes and no other form')
export const DATA_KEY = SECRET.subarray(0, 32)

/** Where there is no answer at all: a handshake was refused, or nobody listens. */
export const NO_ANSWER = 'no answer'

/** Says `ok` after `check`, the name that `said` finds, or that there was no answer. */
export async function outcome<A extends { readonly status: number; readonly text: string }>(
  asking: Promise<A>,
  said: (answer: A) => unknown,
  check: (answer: A) => void,
): Promise<string> {
  let answer: A
  try {
    answer = await asking
  } catch {
    return NO_ANSWER
  }
  if (answer.status !== 200) return `${answer.status} ${said(answer)}`
  check(answer)
  return 'ok'
}
