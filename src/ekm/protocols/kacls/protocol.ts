/** What the files of this protocol share. */
import type { Destination } from '../../access/outbound.ts'
import type { Grant, WorkspaceTenant } from '../../access/workspace.ts'
import type { Core } from '../../core.ts'
import type { Members } from '../members.ts'
import type { Signer } from './signer.ts'

export const KACLS_PROTOCOL = 'kacls'

export interface KaclsTenant extends WorkspaceTenant {
  /** The key that wraps. */
  readonly keyId: string
  /** Undefined: neither `delegate` nor `rewrap`. */
  readonly signer: Signer | undefined
  /** By URL: where `rewrap` may ask. */
  readonly peerHosts: ReadonlyMap<string, Destination>
}

/** One request of somebody who is known and was not refused. */
export interface Asked {
  readonly core: Core
  readonly tenant: KaclsTenant
  readonly members: Members
  readonly email: string
  readonly grant: Grant | undefined
  /** The resource that another key service may take over. */
  readonly migrates: string | undefined
  /** Seconds since 1970. */
  readonly now: number
  readonly delegationSeconds: number
}
