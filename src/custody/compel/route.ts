/**
 * What a route of a compelled provider is, and what is known of a file before any route is tried: its encrypted data key and its encryption context,
 * both of which stand in the clear in the file's header.
 */
import type { EncryptionContext } from '../../boundary/client/api.ts'
import { BoundaryError } from '../../boundary/words.ts'
import { XksFailure } from '../../kms/stores/failures.ts'
import type { Attempt } from '../evidence/types.ts'
import type { FilePlan } from '../plan.ts'

/** One file as it rests at the provider. */
export interface SealedFile {
  readonly plan: FilePlan
  readonly bucket: string
  /** Where the ciphertext lies. */
  readonly path: string
  /** The blob that the KMS returned when the file was written. */
  readonly encryptedDataKey: Buffer
  readonly context: EncryptionContext
}

interface RouteBase {
  readonly route: string
  readonly title: string
  /** What of the provider's the route uses. */
  readonly with: string
  /** Once, before the first file. The files are tried whether it succeeds or not, since it may have done a part of its work. */
  prepare(): Promise<void>
  /** Once, after the last file: puts back what the route changed, and lets go of what it holds. */
  finish?(): Promise<void>
}

/** A way to open a file's data key: 32 bytes, with which the file is then decrypted. */
export interface KeyRoute extends RouteBase {
  unwrap(encryptedDataKey: Buffer, file: SealedFile): Promise<Buffer>
}

/** A way to read a file without seeing its data key: resolves where the plaintext had the right SHA-256. */
export interface ReadRoute extends RouteBase {
  read(file: SealedFile): Promise<void>
}

export type Route = KeyRoute | ReadRoute

/** Why a route did not open a file; `name` is what the evidence shows. The message holds no secret. */
export class RouteFailure extends Error {
  constructor(name: string, message: string) {
    super(message)
    this.name = name
  }
}

const MAX_MESSAGE = 500

/** Runs one thing and says how it went, in the words of whoever refused it; never rejects. */
export async function tried(action: () => Promise<unknown>): Promise<Attempt> {
  const at = Date.now()
  const start = performance.now()
  try {
    await action()
    return { at, took: performance.now() - start, ok: true, error: '', message: '' }
  } catch (error) {
    const { name, message } = described(error)
    return { at, took: performance.now() - start, ok: false, error: name, message: message.slice(0, MAX_MESSAGE) }
  }
}

/** Name and text of an error; the boundary's by their codes, and the owner's proxy's by the names that it answered. */
export function described(error: unknown): { name: string; message: string } {
  if (error instanceof BoundaryError) return { name: error.code, message: error.detail }
  if (error instanceof XksFailure) return { name: error.failure, message: error.detail }
  if (!(error instanceof Error)) return { name: 'Error', message: '' }
  const { code } = error as NodeJS.ErrnoException
  return { name: error.name === 'Error' && code !== undefined ? code : error.name, message: error.message }
}
