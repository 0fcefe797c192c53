/** What the front end knows of an external key by its row, and what of it a provider may know. */
import type { ExternalSpec } from '../../boundary/algorithms.ts'
import type { KeyRow } from '../../boundary/client/api.ts'
import { readKeyHeader } from '../../boundary/crypto/sealed.ts'
import type { KeyHeader } from '../../boundary/words.ts'

export interface KeyDescription {
  readonly enabled: boolean
  readonly spec: ExternalSpec
  readonly mayEncrypt: boolean
  readonly mayDecrypt: boolean
  /** The version that wraps now, from 1. */
  readonly version: number
  /** DER SPKI of an RSA key's current version; else empty. */
  readonly publicKey: Buffer
}

const headers = new WeakMap<KeyRow, KeyHeader>()
export function headerOf(row: KeyRow): KeyHeader {
  let header = headers.get(row)
  if (header === undefined) {
    header = readKeyHeader(row.body ?? Buffer.alloc(0))
    headers.set(row, header)
  }
  return header
}

export function describe(header: KeyHeader, enabled: boolean): KeyDescription {
  const { spec, mayEncrypt, mayDecrypt, materials, publicKey } = header
  const current = materials.find(({ state }) => state === 'CURRENT')
  return {
    enabled,
    // The boundary makes no other for an owner.
    spec: spec as ExternalSpec,
    mayEncrypt,
    mayDecrypt,
    version: Number.parseInt(current?.id ?? '0', 16),
    publicKey,
  }
}
