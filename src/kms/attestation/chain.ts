/**
 * The certificates of an attestation document, from a configured root to the one that signed it: AWS's "Nitro Enclaves Attestation Process" §3.2.3 and
 * RFC 5280 §6, without revocation, which that process leaves out. node:crypto reads, compares names and verifies; @peculiar/x509 reads the extensions.
 */
import { type KeyObject, X509Certificate } from 'node:crypto'
import '../../http/reflect.ts'
import * as x509 from '@peculiar/x509'
import { AttestationError } from './refusal.ts'

const BASIC_CONSTRAINTS = '2.5.29.19'
const KEY_USAGE = '2.5.29.15'
/** The critical extensions that are looked at here; any other critical one must be refused (RFC 5280 §4.2). */
const UNDERSTOOD: ReadonlySet<string> = new Set([BASIC_CONSTRAINTS, KEY_USAGE])
const ECDSA_SHA384 = 'ecdsa-with-SHA384'

interface Read {
  readonly certificate: X509Certificate
  readonly publicKey: KeyObject
  /** Undefined: there is no such extension. */
  readonly constraints:
    | { readonly ca: boolean; readonly pathLength: number | undefined; readonly critical: boolean }
    | undefined
  /** The bits of KeyUsageFlags; 0 where there is no such extension. */
  readonly usages: number
}

/** A chain that holds, while it is valid. */
export interface Chain {
  /** Of the certificate at its end. */
  readonly publicKey: KeyObject
  /** Milliseconds since 1970: when every certificate of it is valid. */
  readonly validFrom: number
  readonly validTo: number
}

/**
 * The chain of `certificate` (DER) to one of `roots`; everything is verified but whether it is valid now. `cabundle` is DER, the root first, which must be
 * one of `roots`, byte for byte. Throws AttestationError.
 */
export function verifyChain(certificate: Buffer, cabundle: readonly Buffer[], roots: readonly Buffer[]): Chain {
  const [root] = cabundle
  if (root === undefined || !roots.some(one => one.equals(root)))
    throw new AttestationError('does not chain to a root that this service trusts')
  if (cabundle.some((one, at) => cabundle.slice(0, at).some(before => before.equals(one))))
    throw new AttestationError('has an authority twice in its chain')
  const authorities = cabundle.map(one => read(one))
  const leaf = read(certificate)
  for (const one of [...authorities, leaf]) checkKind(one)
  authorities.forEach((authority, at) => {
    checkAuthority(authority, authorities.length - 1 - at)
    const below = authorities[at + 1] ?? leaf
    if (!issued(authority, below)) throw new AttestationError('has a certificate that the one before it did not issue')
  })
  checkLeaf(leaf)
  const all = [...authorities, leaf].map(one => one.certificate)
  return {
    publicKey: leaf.publicKey,
    validFrom: Math.max(...all.map(one => one.validFromDate.getTime())),
    validTo: Math.min(...all.map(one => one.validToDate.getTime())),
  }
}

/** PEM certificates as DER, for `roots`. Throws where one cannot be an attestation root, whatever its dates. */
export function readRoots(pem: string): readonly Buffer[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) throw new AttestationError('holds no PEM certificate')
  return blocks.map(block => {
    const root = read(new X509Certificate(block).raw)
    checkKind(root)
    checkAuthority(root, 0)
    return root.certificate.raw
  })
}

function read(der: Buffer): Read {
  try {
    const certificate = new X509Certificate(der)
    const parsed = new x509.X509Certificate(new Uint8Array(der))
    // Both readers must have read all of it, and the same.
    if (!certificate.raw.equals(der) || !Buffer.from(parsed.rawData).equals(der)) throw new Error('not the same bytes')
    return { certificate, publicKey: certificate.publicKey, ...extensionsOf(parsed) }
  } catch (error) {
    if (error instanceof AttestationError) throw error
    throw new AttestationError('has a certificate that cannot be read')
  }
}

function extensionsOf(parsed: x509.X509Certificate): Pick<Read, 'constraints' | 'usages'> {
  const seen = new Map<string, x509.Extension>()
  for (const extension of parsed.extensions) {
    if (seen.has(extension.type)) throw new AttestationError('has a certificate with an extension that comes twice')
    if (extension.critical && !UNDERSTOOD.has(extension.type))
      throw new AttestationError('has a certificate with a critical extension that is not known')
    seen.set(extension.type, extension)
  }
  const constraints = seen.get(BASIC_CONSTRAINTS)
  const usages = seen.get(KEY_USAGE)
  return {
    constraints:
      constraints instanceof x509.BasicConstraintsExtension
        ? { ca: constraints.ca, pathLength: constraints.pathLength, critical: constraints.critical }
        : undefined,
    usages: usages instanceof x509.KeyUsagesExtension ? usages.usages : 0,
  }
}

/** The whole hierarchy is P-384 with SHA-384. */
function checkKind({ certificate: { signatureAlgorithm }, publicKey }: Read): void {
  if (publicKey.asymmetricKeyType !== 'ec' || publicKey.asymmetricKeyDetails?.namedCurve !== 'secp384r1')
    throw new AttestationError('has a certificate whose key is not one of P-384')
  if (signatureAlgorithm !== ECDSA_SHA384)
    throw new AttestationError('has a certificate that is not signed with ECDSA and SHA-384')
}

/** `below`: how many authorities follow it in the chain. */
function checkAuthority({ certificate, constraints, usages }: Read, below: number): void {
  if ((usages & x509.KeyUsageFlags.keyCertSign) === 0)
    throw new AttestationError('has a certificate of an authority that may not sign certificates')
  if (constraints === undefined || !constraints.ca || !constraints.critical || !certificate.ca)
    throw new AttestationError('has a certificate of an authority that is none')
  if (constraints.pathLength !== undefined && below > constraints.pathLength)
    throw new AttestationError('has a chain that is longer than one of its authorities allows')
}

function checkLeaf({ certificate, constraints, usages }: Read): void {
  if (certificate.ca || constraints?.ca === true || constraints?.pathLength !== undefined)
    throw new AttestationError('is signed with the certificate of an authority')
  if ((usages & x509.KeyUsageFlags.digitalSignature) === 0)
    throw new AttestationError('is signed with a certificate that may not sign')
}

/** `checkIssued` compares names and key identifiers; `verify` the signature. */
function issued(issuer: Read, { certificate }: Read): boolean {
  return certificate.checkIssued(issuer.certificate) && certificate.verify(issuer.publicKey)
}
