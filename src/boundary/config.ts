/**
 * What a boundary process is told when it starts, by the supervisor over the spawn's own channel: never in argv, and never a secret. The PIN of a
 * token is named by the file or the variable that holds it.
 */

export type RootConfig =
  /** A file of mode 0600 with the root key; made at the first start where it does not exist. */
  | { readonly kind: 'keyfile'; readonly file: string }
  /** Starts locked; the first `unlock` sets the passphrase. */
  | { readonly kind: 'passphrase' }
  /** Starts locked, until enough holders of shares have come. Never of a new folder. */
  | { readonly kind: 'shares' }
  | {
      readonly kind: 'pkcs11'
      /** Path of the vendor's module. */
      readonly module: string
      readonly token: { readonly label: string } | { readonly slot: number }
      readonly pin: { readonly file: string } | { readonly environment: string }
      /** Label of the root key in the token; made at the first start where it does not exist. */
      readonly rootLabel: string
      readonly sessions?: number
      readonly deadlineMs?: number
      readonly calls?: 'sync' | 'async'
      readonly capabilities?: TokenCapabilitiesConfig
    }

/** A PKCS#11 token besides that of the root, in which an owner's keys may be. */
export interface NamedToken {
  /** As keys name it: a lower-case letter, then letters, digits and "-". */
  readonly name: string
  readonly module: string
  readonly token: { readonly label: string } | { readonly slot: number }
  readonly pin: { readonly file: string } | { readonly environment: string }
  readonly sessions?: number
  readonly deadlineMs?: number
  readonly calls?: 'sync' | 'async'
  readonly capabilities?: TokenCapabilitiesConfig
}

/** How a token differs from the standard: pkcs11/types.ts. */
export interface TokenCapabilitiesConfig {
  readonly tokenMakesIv?: boolean
  readonly zeroIvRequired?: boolean
  readonly invalidCiphertext?: readonly number[]
}

/** A PKCS#11 token that stands for a cluster of custom key stores; its PIN is the password of the store that is made of it. */
export interface ClusterConfig {
  /** `cluster-…` */
  readonly id: string
  readonly module: string
  readonly token: { readonly label: string } | { readonly slot: number }
  readonly sessions?: number
  readonly deadlineMs?: number
  readonly calls?: 'sync' | 'async'
}

export interface BoundaryLimits {
  /** Sealed keys held open at once, about 1.5 KiB of memory each. Default 100,000. */
  readonly openKeys?: number
  /** Below this many bytes of free space uses are refused. Default 64 MiB. */
  readonly floorBytes?: number
  /** Bytes kept aside, and given back for revoking when space is low. Default 8 MiB. */
  readonly reserveBytes?: number
  /** Requests of one connection that may be under way; beyond it the connection is not read. Default 4096. */
  readonly inFlight?: number
  /** Keys of customers in one scope (account and Region). Default 100,000. */
  readonly keys?: number
  /** On-demand rotations of one key. Default 25. */
  readonly onDemandRotations?: number
  /** Encryptions with AES-GCM under one version of an external key. Default 2^31, and never more. */
  readonly maxEncryptions?: number
  /** Of those, how many there are before the key gets its next version by itself. Default a half. */
  readonly renewAfter?: number
}

export interface BoundaryConfig {
  readonly service: 'kms' | 'ekm'
  /** The boundary's own folder, closed to everyone else. Made at the first start. */
  readonly folder: string
  /** Marks a new folder for ever; an old folder must have been made the same way. */
  readonly dev: boolean
  readonly root: RootConfig
  /** First line of the checkpoints and name of their signer, for example `kms.example.com/log`. */
  readonly logOrigin: string
  readonly limits?: BoundaryLimits
  /** Of an owner. */
  readonly tokens?: readonly NamedToken[]
  /** Of the KMS. */
  readonly clusters?: readonly ClusterConfig[]
  /** Of an owner with an admin API: the folder of its socket, `admin.sock`. */
  readonly admin?: { readonly folder: string }
  /** Where front end and boundary run as two users, and the admin API as a third. */
  readonly users?: {
    readonly frontEnd: { readonly uid: number; readonly gid: number }
    readonly boundary: { readonly uid: number; readonly gid: number }
    readonly admin?: { readonly uid: number; readonly gid: number }
  }
}

/** What a boundary process tells the supervisor. */
export type BoundaryMessage =
  | {
      readonly type: 'ready'
      readonly pid: number
      readonly locked: boolean
      readonly useSocket: string
      readonly controlSocket: string
      readonly warnings: readonly string[]
    }
  | { readonly type: 'failed'; readonly reason: string }

/** Why a boundary process ended. A supervisor starts it anew except after those that an operator must mend. */
export const EXIT_CODES = {
  /** Asked to, over the control socket. */
  stopped: 0,
  /** SIGTERM, or the supervisor is gone. */
  terminated: 143,
  /** The configuration, the folder or the root of trust must be changed by the operator. */
  refused: 64,
  /** The bytes of the journal are not what was written, or the clock is behind them. */
  damaged: 65,
  /** Something that should not happen. */
  internal: 70,
  /** A write or an fsync failed: nothing that was waiting has been answered. */
  storage: 74,
  /** Another boundary has this folder open. */
  inUse: 75,
} as const
