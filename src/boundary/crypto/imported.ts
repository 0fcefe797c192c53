/**
 * Key material that comes from outside: read, checked against its spec and against itself, and brought into one form. Whatever does not fit is
 * IncorrectKeyMaterial.
 */
import {
  createECDH,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import { promisify } from 'node:util'
import { type MaterialKind, SPECS } from '../algorithms.ts'
import { NativeKey, unavailable } from '../pkcs11/libcrypto.ts'
import { BoundaryError, type KeySpec } from '../words.ts'
import { DerReader, element, onlySequence, TAG } from './der.ts'
import { publicBytes } from './pairs.ts'

export interface ImportedMaterial {
  readonly material: KeyObject
  /** DER SPKI; empty for secret bytes. */
  readonly publicKey: Buffer
}

const incorrect = (what: string): BoundaryError => new BoundaryError('IncorrectKeyMaterial', what)
const VERSIONS = [0, 1]

/** Of a PKCS #8 key (RFC 5958): algorithm, private key, and the public key where one stands beside it. */
function readPkcs8(der: Buffer): { algorithm: Buffer; privateKey: Buffer; publicKey: Buffer | undefined } {
  const reader = onlySequence(der)
  const version = reader.take(TAG.integer)
  if (version.length !== 1 || !VERSIONS.includes(version[0] as number)) throw incorrect('PKCS #8 of another version')
  const algorithm = reader.take(TAG.sequence)
  const privateKey = reader.take(TAG.octetString)
  if (reader.tag === 0xa0) reader.take(0xa0)
  const publicKey = reader.tag === 0x81 ? reader.take(0x81) : undefined
  if (!reader.ended) throw incorrect('PKCS #8 with more than belongs there')
  return { algorithm, privateKey, publicKey }
}

/** What stands in front of the key's bits in SPKI and PKCS #8: id-ecPublicKey and the curve's name. */
const CURVES = {
  prime256v1: { name: '2a8648ce3d030107', bytes: 32 },
  secp384r1: { name: '2b81040022', bytes: 48 },
  secp521r1: { name: '2b81040023', bytes: 66 },
  secp256k1: { name: '2b8104000a', bytes: 32 },
} as const
const EC_PUBLIC_KEY = Buffer.from('2a8648ce3d0201', 'hex')

/**
 * An ECPrivateKey (RFC 5915) of a named curve as PKCS #8 with its public key, whatever of it was there: the same key has the same bytes. A scalar out of
 * range or a public key of another is refused.
 */
function normalEc(curve: keyof typeof CURVES, algorithm: Buffer, privateKey: Buffer): Buffer {
  const { name, bytes } = CURVES[curve]
  const oid = Buffer.from(name, 'hex')
  const head = new DerReader(algorithm)
  if (!head.take(TAG.oid).equals(EC_PUBLIC_KEY) || !head.take(TAG.oid).equals(oid) || !head.ended) {
    throw incorrect('a key of another curve')
  }
  const reader = onlySequence(privateKey)
  if (!reader.take(TAG.integer).equals(Buffer.from([1]))) throw incorrect('an EC key of another version')
  const given = reader.take(TAG.octetString)
  const named = reader.tag === 0xa0 ? new DerReader(reader.take(0xa0)).take(TAG.oid) : oid
  const stated = reader.tag === 0xa1 ? new DerReader(reader.take(0xa1)).take(TAG.bitString).subarray(1) : undefined
  if (!reader.ended || !named.equals(oid) || given.length > bytes) throw incorrect('an EC key that is none')
  const scalar = Buffer.alloc(bytes)
  given.copy(scalar, bytes - given.length)
  const pair = createECDH(curve)
  pair.setPrivateKey(scalar)
  const point = pair.getPublicKey()
  const fits = stated === undefined || stated.equals(point) || stated.equals(pair.getPublicKey(null, 'compressed'))
  const inner = fits
    ? element(
        TAG.sequence,
        element(TAG.integer, Buffer.from([1])),
        element(TAG.octetString, scalar),
        element(0xa1, element(TAG.bitString, Buffer.from([0]), point)),
      )
    : undefined
  scalar.fill(0)
  if (inner === undefined) throw incorrect('private and public key do not belong together')
  const wrapped = element(TAG.octetString, inner)
  inner.fill(0)
  const ids = element(TAG.sequence, element(TAG.oid, EC_PUBLIC_KEY), element(TAG.oid, oid))
  const normal = element(TAG.sequence, element(TAG.integer, Buffer.from([0])), ids, wrapped)
  wrapped.fill(0)
  return normal
}

/** FIPS 186-5 §A.1.1: odd, and between 2^16 and 2^256. */
const isExponent = (e: bigint): boolean => e > 0x10000n && e < 1n << 256n && (e & 1n) === 1n

function open(kind: Exclude<MaterialKind, { kind: 'secret' }>, der: Buffer): KeyObject {
  const { algorithm, privateKey, publicKey } = readPkcs8(der)
  const normal = kind.kind === 'ec' ? normalEc(kind.curve, algorithm, privateKey) : der
  const key = createPrivateKey({ key: normal, format: 'der', type: 'pkcs8' })
  if (kind.kind === 'ec') normal.fill(0)
  if (key.asymmetricKeyType !== kind.kind) throw incorrect('a key of another type')
  if (publicKey !== undefined) {
    const own = publicBytes(key)
    if (!own.subarray(own.length - publicKey.length + 1).equals(publicKey.subarray(1))) {
      throw incorrect('private and public key do not belong together')
    }
  }
  const { modulusLength, publicExponent } = key.asymmetricKeyDetails ?? {}
  if (kind.kind === 'rsa' && (modulusLength !== kind.modulusBits || !isExponent(publicExponent ?? 0n))) {
    throw incorrect('an RSA key of another size or exponent')
  }
  return key
}

const signOnPool = promisify(sign) as (digest: string | null, data: Buffer, key: KeyObject) => Promise<Buffer>
const PAIR_TEST = Buffer.from('private and public key belong together')

/** Whether what one half signs the other verifies. */
async function signsForItsPublicHalf(key: KeyObject): Promise<boolean> {
  const digest = key.asymmetricKeyType === 'rsa' ? 'sha256' : null
  return verify(digest, PAIR_TEST, createPublicKey(key), await signOnPool(digest, PAIR_TEST, key))
}

/** `whole`: primes, exponents, the two halves; up to seconds for RSA. `signature`: that the two halves belong together; a millisecond. On the thread pool. */
export type SelfCheck = 'whole' | 'signature'

async function agrees(key: KeyObject, bytes: Buffer, check: SelfCheck): Promise<boolean> {
  const signs = check === 'signature' && !key.asymmetricKeyType?.startsWith('ml-kem')
  return signs ? signsForItsPublicHalf(key) : NativeKey.read(bytes, 'private').check()
}

/** The material that an import of this spec brings; the bytes are the caller's to wipe. Private keys but those of curves are checked against themselves. */
export async function readMaterial(
  spec: KeySpec,
  bytes: Buffer,
  check: SelfCheck = 'whole',
): Promise<ImportedMaterial> {
  const { material: kind } = SPECS[spec]
  if (kind.kind === 'secret') {
    if (bytes.length < kind.min || bytes.length > kind.max) {
      throw incorrect(
        `key material of this spec has ${kind.min === kind.max ? kind.min : `${kind.min} to ${kind.max}`} bytes`,
      )
    }
    return { material: createSecretKey(bytes), publicKey: Buffer.alloc(0) }
  }
  if (unavailable !== undefined) throw new BoundaryError('NotPermitted', unavailable)
  let material: KeyObject
  try {
    material = open(kind, bytes)
  } catch (error) {
    throw error instanceof BoundaryError ? error : incorrect('key material of this spec is a PKCS #8 private key, DER')
  }
  if (kind.kind !== 'ec' && kind.kind !== 'ed25519' && !(await agrees(material, bytes, check))) {
    throw incorrect('a private key that does not agree with itself')
  }
  return { material, publicKey: publicBytes(material) }
}
