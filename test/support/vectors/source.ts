/**
 * What all vectors are made from: bytes that look random and are the same every time, and one boundary with two root generations.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { RANDOM_FOR_VECTORS, type RandomOption } from '../../../src/boundary/crypto/random.ts'
import { Keyring } from '../../../src/boundary/root/keyring.ts'
import { Secret } from '../../../src/boundary/root/types.ts'
import type { KeyHeader } from '../../../src/boundary/words.ts'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }
export type VectorFile = { readonly [section: string]: Json }

export const VECTOR_FOLDER = join(import.meta.dirname, '..', '..', 'vectors')

/** Bytes that look random and are the same every time: SHA-256 of a name and a counter. */
export function stream(name: string): RandomOption {
  let counter = 0
  let held = Buffer.alloc(0)
  return {
    [RANDOM_FOR_VECTORS]: (target, offset, length) => {
      while (held.length < length)
        held = Buffer.concat([held, createHash('sha256').update(`holdfast vectors ${name} ${counter++}`).digest()])
      held.copy(target, offset, 0, length)
      held = held.subarray(length)
    },
  }
}

export const fixed = (name: string, length: number): Buffer => {
  const bytes = Buffer.alloc(length)
  stream(name)[RANDOM_FOR_VECTORS]?.(bytes, 0, length)
  return bytes
}
export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
export const utf8 = (text: string): string => hex(Buffer.from(text))

export const BOUNDARY_ID = fixed('boundary id', 16)
export const ROOTS = [fixed('root 1', 32), fixed('root 2', 32)] as const
export const boundary = { boundaryId: hex(BOUNDARY_ID), roots: { 1: hex(ROOTS[0]), 2: hex(ROOTS[1]) } }
export const keyring = (): Keyring => new Keyring(BOUNDARY_ID, new Map(ROOTS.map((root, at) => [at + 1, copied(root)])))
export const copied = (bytes: Buffer): Secret => new Secret(Buffer.from(bytes))

export const ACCOUNT = '111122223333'
export const KEY_ID = '1234abcd-12ab-34cd-56ef-1234567890ab'
export const MULTI_REGION = 'mrk-1234abcd12ab34cd56ef1234567890ab'
export const MATERIAL = fixed('material', 32)

export const CONTEXTS: readonly (readonly [string, string])[][] = [
  [],
  [
    ['b', '2'],
    ['a', '1'],
  ],
  [['a', 'bc']],
  [['ab', 'c']],
  [
    ['', ''],
    ['département', 'été'],
    ['\u{1f511}', 'key'],
    ['\uffee', 'sorts before the key in UTF-8, after it in UTF-16'],
    ['ab', 'x'],
    ['a', ''],
  ],
]

export const HEADER: KeyHeader = {
  id: `eu-central-1/${KEY_ID}`,
  account: ACCOUNT,
  revision: 7,
  rootGeneration: 2,
  fence: 1,
  createdAt: 1_790_000_000_000,
  spec: 'SYMMETRIC_DEFAULT',
  usage: 'ENCRYPT_DECRYPT',
  origin: 'EXTERNAL',
  manager: 'CUSTOMER',
  managerService: '',
  state: 'PendingDeletion',
  previousState: 'Enabled',
  deletionDate: 1_792_592_000_000,
  pendingWindowDays: 30,
  policyDigest: fixed('policy digest', 32),
  rotationEnabled: true,
  rotationPeriodDays: 365,
  nextRotationAt: 1_821_536_000_000,
  onDemandRotations: 2,
  keyStoreId: '',
  xksKeyId: '',
  backing: 'SEALED',
  tokenObject: '',
  mayEncrypt: true,
  mayDecrypt: true,
  publicKey: Buffer.alloc(0),
  multiRegion: 'NONE',
  primaryRegion: '',
  replicaRegions: [],
  materials: [],
}

/** A vector file as it is now: for what cannot be made twice alike. */
export function kept(name: string): VectorFile | undefined {
  try {
    return JSON.parse(readFileSync(join(VECTOR_FOLDER, `${name}.json`), 'utf8')) as VectorFile
  } catch {
    return undefined
  }
}
