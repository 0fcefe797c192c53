/** An attestation document verified: what it says is then what the Nitro system says. docs/attestation.md tells what that means and what it does not. */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type Chain, readRoots, verifyChain } from './chain.ts'
import { isSignedBy, readSignedDocument } from './cose.ts'
import { type AttestationDocument, type AttestedKind, readDocument } from './document.ts'
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

/** Chains that are kept: an enclave sends the same one for hours, and verifying it costs several times what the rest of a request does. */
const MAX_CHAINS = 256

/** Verifies documents under `roots` (DER). */
export class Attestations {
  readonly #roots: readonly Buffer[]
  /** By the digest of all certificates; only those that hold. What is kept of them does not depend on the time. */
  readonly #chains = new Map<string, Chain>()

  constructor(roots: readonly Buffer[]) {
    this.#roots = roots
  }

  /**
   * Verifies a signed document at `now` (real time, milliseconds since 1970). The cheap checks come first; no field has any effect before the chain and the
   * signature have been verified. Throws AttestationError.
   */
  verify(bytes: Buffer, now: number): Attestation {
    const signed = readSignedDocument(bytes)
    const document = readDocument(signed.payload)
    if (now - document.timestamp > MAX_AGE_MS) throw new AttestationError('is older than 5 minutes')
    if (document.timestamp - now > MAX_AHEAD_MS) throw new AttestationError('is dated in the future')
    const { publicKey, validFrom, validTo } = this.#chainOf(document)
    // In this form a date that cannot be read is one that does not hold.
    if (!(validFrom <= now && now <= validTo)) throw new AttestationError('has a certificate that is not valid now')
    if (!isSignedBy(publicKey, signed)) throw new AttestationError('has a signature that is not valid')
    const { kind, moduleId } = document
    const pcrs = new Map([...document.pcrs].map(([index, register]) => [index, register.toString('hex')]))
    return { kind, moduleId, pcrs, publicKey: recipientKey(document.publicKey) }
  }

  #chainOf({ certificate, cabundle }: AttestationDocument): Chain {
    const digest = createHash('sha256')
    for (const one of [...cabundle, certificate])
      digest.update(Buffer.of(one.length >> 8, one.length & 0xff)).update(one)
    const id = digest.digest('base64')
    const kept = this.#chains.get(id)
    if (kept !== undefined) return kept
    const chain = verifyChain(certificate, cabundle, this.#roots)
    const [oldest] = this.#chains.keys()
    if (oldest !== undefined && this.#chains.size >= MAX_CHAINS) this.#chains.delete(oldest)
    this.#chains.set(id, chain)
    return chain
  }
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
