/**
 * Wrapping key material for a provider's import (BYOK): made or taken by the owner's boundary, wrapped there under the provider's public key, and
 * kept there too if the owner wants a durable copy.
 */
import { createPublicKey } from 'node:crypto'
import type { BoundaryControl, WrappingAlgorithm } from '../../boundary/client/api.ts'
import { AdminError, operator, type ReadControl } from '../../store/admin.ts'
import { keyRowId, splitKeyRowId } from '../keys/names.ts'
import { explained, resolveKey } from './keys.ts'
import { findTenant } from './tenants.ts'

export interface WrapRequest {
  /** The provider's wrapping key: DER (SubjectPublicKeyInfo), PEM, or Base64 of the DER as the AWS CLI prints it. */
  readonly publicKey: Buffer
  readonly algorithm: WrappingAlgorithm
  /** 32 bytes; made in the boundary where it is left out. */
  readonly material?: Buffer | undefined
  /** `<tenant>/<key id>` under which the same material is kept. */
  readonly keepAs?: string | undefined
  /** A key that is kept already, instead of new material. */
  readonly from?: string | undefined
}

export interface Wrapped {
  readonly wrapped: Buffer
  /** Tells materials apart, and says nothing about them. */
  readonly fingerprint: Buffer
}

const MATERIAL_BYTES = 32
const MODULUS_BITS: readonly number[] = [2048, 3072, 4096]

/** Throws `AdminError` for what cannot be wrapped so. */
export async function wrapForImport(
  control: ReadControl & Pick<BoundaryControl, 'wrapForImport'>,
  request: WrapRequest,
): Promise<Wrapped> {
  const { algorithm, material, keepAs, from } = request
  const publicKey = readWrappingKey(request.publicKey)
  if (material !== undefined && material.length !== MATERIAL_BYTES)
    throw new AdminError(`Key material is ${MATERIAL_BYTES} bytes; the file has ${material.length}.`)
  if (from !== undefined && (material !== undefined || keepAs !== undefined))
    throw new AdminError('Give --from alone: it wraps a key that is kept here already.')
  const input = {
    publicKey,
    algorithm,
    material,
    keepAs: keepAs === undefined ? undefined : await place(control, keepAs),
    ...(from === undefined ? {} : { from: await resolveKey(control, from) }),
  }
  try {
    return await control.wrapForImport(input, operator('WrapForImport', keepAs ?? from ?? ''))
  } catch (error) {
    throw explained(error, {
      AlreadyExists: `A key ${keepAs} exists, or did once: choose another id for --keep-as.`,
      InvalidState: `The material of ${from ?? 'this key'} is in the token, which it cannot leave.`,
      KeyRevoked: `The key ${from} is revoked, by itself or with its tenant or all keys; restore it first.`,
    })
  }
}

async function place(control: ReadControl, keepAs: string) {
  const names = splitKeyRowId(keepAs)
  if (names === undefined) throw new AdminError('Write --keep-as as TENANT/KEY.')
  const tenant = (await findTenant(control, names.tenant)).tenant.name
  return { id: keyRowId(tenant, names.keyId), scope: tenant, tenant }
}

/** The DER of an RSA public key of 2048, 3072 or 4096 bits. Throws `AdminError`. */
export function readWrappingKey(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1').trim()
  const encoded = /^[A-Za-z0-9+/\s]+={0,2}$/.test(text)
  try {
    const key = text.startsWith('-----BEGIN')
      ? createPublicKey(text)
      : createPublicKey({ key: encoded ? Buffer.from(text, 'base64') : bytes, format: 'der', type: 'spki' })
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
    if (key.asymmetricKeyType !== 'rsa' || !MODULUS_BITS.includes(bits)) throw new TypeError('another kind of key')
    return key.export({ format: 'der', type: 'spki' })
  } catch {
    throw new AdminError(
      `The file of --public-key must hold an RSA public key of ${MODULUS_BITS.join(', ')} bits, as DER, PEM or Base64 (GetParametersForImport answers one).`,
    )
  }
}
