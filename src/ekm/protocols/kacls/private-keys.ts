/** The methods of Gmail: private S/MIME keys are opened in the boundary only, each time for one signature or one decryption. */
import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import type { PrivateKeyAlgorithm } from '../../../boundary/algorithms.ts'
import { MAX_RESOURCE } from '../../access/workspace.ts'
import type { Call } from '../../core.ts'
import { base64, type Members, optionalString, own, string } from '../members.ts'
import { decodeCanonical } from '../xks/base64.ts'
import { denied, invalid } from './errors.ts'
import type { Asked } from './protocol.ts'
import { decodePrivateKey, encodePrivateKey, privateKeyAad, type WrappedPrivateKey } from './wrapped.ts'

/** Bytes; Base64 is at most 8 KB. */
const MAX_WRAPPED = 6144
/** Characters of a private key as PEM or Base64. */
const MAX_PRIVATE_KEY = 8192
const MAX_DIGEST = 128
const MAX_ENCRYPTED = 768
const MAX_LABEL = 512
const MODULUS_BITS: readonly number[] = [2048, 3072, 4096]
const NO_LABEL = Buffer.alloc(0)

/** By name in lower case: Java's, which the protocol uses; those of PSS are not in its text. */
const SIGNING: Readonly<Record<string, PrivateKeyAlgorithm>> = {
  sha256withrsa: 'RSASSA_PKCS1_V1_5_SHA_256',
  sha384withrsa: 'RSASSA_PKCS1_V1_5_SHA_384',
  sha512withrsa: 'RSASSA_PKCS1_V1_5_SHA_512',
  'sha256withrsa/pss': 'RSASSA_PSS_SHA_256',
  'sha384withrsa/pss': 'RSASSA_PSS_SHA_384',
  'sha512withrsa/pss': 'RSASSA_PSS_SHA_512',
}
/** RSASSA-PSS names no hash: the digest's length does. */
const PSS_BY_LENGTH: Readonly<Record<number, PrivateKeyAlgorithm>> = {
  32: 'RSASSA_PSS_SHA_256',
  48: 'RSASSA_PSS_SHA_384',
  64: 'RSASSA_PSS_SHA_512',
}
const DECRYPTING: Readonly<Record<string, PrivateKeyAlgorithm>> = {
  'rsa/ecb/pkcs1padding': 'RSAES_PKCS1_V1_5',
  'rsa/ecb/oaepwithsha-1andmgf1padding': 'RSAES_OAEP_SHA_1',
  'rsa/ecb/oaepwithsha-256andmgf1padding': 'RSAES_OAEP_SHA_256',
  'rsa/ecb/oaepwithsha-512andmgf1padding': 'RSAES_OAEP_SHA_512',
}

function algorithmOf(table: Readonly<Record<string, PrivateKeyAlgorithm>>, name: string): PrivateKeyAlgorithm {
  const algorithm = Object.hasOwn(table, name) ? table[name] : undefined
  if (algorithm === undefined) throw invalid('algorithm is none that is supported.')
  return algorithm
}

export async function wrapPrivateKey(asked: Asked, call: Call): Promise<object> {
  const { core, tenant, members } = asked
  const perimeter = optionalString(members, 'perimeter_id', MAX_RESOURCE, invalid) ?? ''
  const key = readPrivateKey(string(members, 'private_key', MAX_PRIVATE_KEY, invalid))
  const spki = createHash('sha256')
    .update(createPublicKey(key).export({ format: 'der', type: 'spki' }))
    .digest()
  const bytes = key.export({ format: 'der', type: 'pkcs8' })
  const ciphertext = await core.encrypt(call, bytes, privateKeyAad(tenant.name, tenant.keyId, perimeter, spki), false)
  bytes.fill(0)
  return { wrapped_private_key: encodePrivateKey({ perimeter, spki, ciphertext }).toString('base64') }
}

/** PEM, whose lines may be divided by `\n` in letters as in the protocol's example, or Base64 of DER; PKCS #8 or PKCS #1. */
function readPrivateKey(text: string): KeyObject {
  const key = text.startsWith('-----BEGIN ') ? parsed(text.replaceAll('\\n', '\n')) : parsedDer(decodeCanonical(text))
  const bits = key?.asymmetricKeyDetails?.modulusLength ?? 0
  if (key?.asymmetricKeyType !== 'rsa' || !MODULUS_BITS.includes(bits))
    throw invalid('private_key is no RSA key of 2048, 3072 or 4096 bits.')
  return key
}

function parsed(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem)
  } catch {
    return undefined
  }
}

function parsedDer(key: Buffer | undefined): KeyObject | undefined {
  if (key === undefined) return undefined
  for (const type of ['pkcs8', 'pkcs1'] as const) {
    try {
      return createPrivateKey({ key, format: 'der', type })
    } catch {
      // The other form, or none.
    }
  }
  return undefined
}

function readWrapped(members: Members): WrappedPrivateKey {
  const wrapped = decodePrivateKey(base64(members, 'wrapped_private_key', MAX_WRAPPED, invalid))
  if (wrapped === undefined) throw invalid('wrapped_private_key is none of this key service.')
  return wrapped
}

/** The key that Google's token is for, in its perimeter. */
function readGranted({ members, grant }: Asked): WrappedPrivateKey {
  const wrapped = readWrapped(members)
  if (grant === undefined || wrapped.perimeter !== grant.perimeter)
    throw denied('The private key was wrapped in another perimeter.')
  checkHash(wrapped, grant.spki?.hash, grant.spki?.algorithm)
  return wrapped
}

function checkHash({ spki }: WrappedPrivateKey, hash: string | undefined, algorithm: string | undefined): void {
  if (algorithm?.toUpperCase() !== 'SHA-256' || hash !== spki.toString('base64'))
    throw denied('spki_hash is not that of this private key.')
}

function use({ core, tenant }: Asked, call: Call, wrapped: WrappedPrivateKey, work: Work): Promise<Buffer> {
  const { perimeter, spki, ciphertext } = wrapped
  return core.usePrivateKey(call, ciphertext, privateKeyAad(tenant.name, tenant.keyId, perimeter, spki), {
    spki,
    ...work,
  })
}

interface Work {
  readonly algorithm: PrivateKeyAlgorithm
  readonly message: Buffer
  readonly label: Buffer
}

export async function privateKeySign(asked: Asked, call: Call): Promise<object> {
  const { members } = asked
  const wrapped = readGranted(asked)
  const message = base64(members, 'digest', MAX_DIGEST, invalid)
  const name = string(members, 'algorithm', 64, invalid).toLowerCase()
  const byLength = name === 'rsassa-pss' ? PSS_BY_LENGTH[message.length] : undefined
  const algorithm = byLength ?? algorithmOf(SIGNING, name)
  const salt = own(members, 'rsa_pss_salt_length')
  if (salt !== undefined && algorithm.startsWith('RSASSA_PSS') && salt !== message.length)
    throw invalid('rsa_pss_salt_length must be the length of the digest.')
  const signature = await use(asked, call, wrapped, { algorithm, message, label: NO_LABEL })
  return { signature: signature.toString('base64') }
}

function readEncrypted(members: Members): Work {
  const algorithm = algorithmOf(DECRYPTING, string(members, 'algorithm', 64, invalid).toLowerCase())
  const message = base64(members, 'encrypted_data_encryption_key', MAX_ENCRYPTED, invalid)
  const labelled = algorithm !== 'RSAES_PKCS1_V1_5' && (own(members, 'rsa_oaep_label') ?? '') !== ''
  return { algorithm, message, label: labelled ? base64(members, 'rsa_oaep_label', MAX_LABEL, invalid) : NO_LABEL }
}

async function decryptWith(asked: Asked, call: Call, wrapped: WrappedPrivateKey): Promise<object> {
  const key = await use(asked, call, wrapped, readEncrypted(asked.members))
  const answer = { data_encryption_key: key.toString('base64') }
  key.fill(0)
  return answer
}

export function privateKeyDecrypt(asked: Asked, call: Call): Promise<object> {
  return decryptWith(asked, call, readGranted(asked))
}

export function privilegedPrivateKeyDecrypt(asked: Asked, call: Call): Promise<object> {
  const { members } = asked
  const wrapped = readWrapped(members)
  const hash = string(members, 'spki_hash', 128, invalid)
  checkHash(wrapped, hash, string(members, 'spki_hash_algorithm', 32, invalid))
  return decryptWith(asked, call, wrapped)
}
