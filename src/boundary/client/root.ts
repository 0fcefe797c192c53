/** What is said about the root and its rotation, over the control socket. */
import type { RootKind } from '../root/types.ts'

/** A token of PKCS#11 that a root of trust is to be in; the PIN is named by what holds it. */
export interface NewTokenTrust {
  readonly module: string
  readonly token: { readonly label: string } | { readonly slot: number }
  readonly pin: { readonly file: string } | { readonly environment: string }
  readonly rootLabel: string
  /** Variables that the token's module looks for, where the boundary's process lacks them. */
  readonly environment: readonly { readonly name: string; readonly value: string }[]
  readonly deadlineMs?: number | undefined
  readonly calls?: 'sync' | 'async' | undefined
  readonly capabilities?:
    | {
        readonly tokenMakesIv?: boolean | undefined
        readonly zeroIvRequired?: boolean | undefined
        readonly invalidCiphertext?: readonly number[] | undefined
      }
    | undefined
}

/** The root of trust that is to wrap the sealing roots from now on. */
export type NewTrust =
  /** Made where there is none. */
  | { readonly kind: 'keyfile'; readonly file: string }
  /** UTF-8; wiped by whoever takes it. */
  | { readonly kind: 'passphrase'; readonly passphrase: Buffer }
  | { readonly kind: 'pkcs11'; readonly token: NewTokenTrust }

export interface RootStatus {
  readonly kind: RootKind
  /** Held ones, oldest first; the last one seals. Two while a rotation is under way. */
  readonly generations: readonly { readonly generation: number; readonly createdAt: number }[]
  /** The newest that was destroyed, and when; 0 for none. */
  readonly destroyed: number
  readonly destroyedAt: number
  /** Of the rotation that is under way: rows written anew since the last start, and rows that were to be written then. */
  readonly done: number
  readonly total: number
  /** Why the rotation does not go on for the moment; empty where it does. */
  readonly problem: string
  /** The root file, in the boundary's folder. */
  readonly file: string
}
