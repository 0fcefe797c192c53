/** An attestation document verified: what it says is then what the Nitro system says. docs/attestation.md tells what that means and what it does not. */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readRoots, verifyChain } from './chain.ts'
import { isSignedBy, readSignedDocument } from './cose.ts'
import { type AttestedKind, readDocument } from './document.ts'
import { AttestationError } from './refusal.ts'

/** What a verified document says. */
export interface Attestation {
  readonly kind: AttestedKind
  readonly moduleId: string
  /** Registers by their index, 0 to 31, as lower-case hexadecimal digits. */
  readonly pcrs: ReadonlyMap<number, string>
  /** DER SPKI of the RSA key (2048 to 4096 bits) that alone is to open the answer. */
  readonly publicKey: Buffer
}

/** A document is for use at once. */
const MAX_AGE_MS = 5 * 60_000
/** How far the clock of whoever signs may be ahead of ours. */
const MAX_AHEAD_MS = 60_000

/**
 * Verifies a signed document at `now` (real time, milliseconds since 1970) under `roots` (DER). The cheap checks come first; no field has any effect before
 * the chain and the signature have been verified. Throws AttestationError.
 */
export function verifyAttestation(bytes: Buffer, roots: readonly Buffer[], now: number): Attestation {
  const signed = readSignedDocument(bytes)
  const document = readDocument(signed.payload)
  if (now - document.timestamp > MAX_AGE_MS) throw new AttestationError('is older than 5 minutes')
  if (document.timestamp - now > MAX_AHEAD_MS) throw new AttestationError('is dated in the future')
  const key = verifyChain(document.certificate, document.cabundle, roots, now)
  if (!isSignedBy(key, signed)) throw new AttestationError('has a signature that is not valid')
  const { kind, moduleId } = document
  const pcrs = new Map([...document.pcrs].map(([index, register]) => [index, register.toString('hex')]))
  return { kind, moduleId, pcrs, publicKey: recipientKey(document.publicKey) }
}

function recipientKey(spki: Buffer | undefined): Buffer {
  if (spki === undefined) throw new AttestationError('has no public_key')
  let key: KeyObject | undefined
  try {
    key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  } catch {
    key = undefined
  }
  const bits = key?.asymmetricKeyDetails?.modulusLength ?? 0
  if (key?.asymmetricKeyType !== 'rsa' || bits < 2048 || bits > 4096)
    throw new AttestationError('has a public_key that is not an RSA key of 2048 to 4096 bits')
  return spki
}

/** The roots in the files of the setting `attestation.roots`, as DER. Throws with the file's name where one holds none. */
export function loadRoots(files: readonly string[]): readonly Buffer[] {
  return files.flatMap(file => {
    try {
      return readRoots(readFileSync(file, 'utf8'))
    } catch (error) {
      const why = error instanceof AttestationError ? error.message : 'it cannot be read'
      throw new Error(`attestation.roots: ${file}: ${why}`)
    }
  })
}
