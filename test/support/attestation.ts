/**
 * A Nitro system of our own: a root, the authorities below it, and documents signed as the real one signs them, or wrong in any one way that a test asks for.
 */
import { generateKeyPairSync, KeyObject, randomBytes, sign, webcrypto } from 'node:crypto'
import '../../src/http/reflect.ts'
import * as x509 from '@peculiar/x509'

export { x509 }

const { subtle } = webcrypto
const { keyCertSign, cRLSign, digitalSignature } = x509.KeyUsageFlags

/** What the CBOR writer writes. Numbers are integers. */
export type Cbor = number | string | boolean | null | undefined | Buffer | readonly Cbor[] | CborPairs | Raw

/** A map as its pairs, in this order and as often as they stand here. `open`: of indefinite length. */
export class CborPairs {
  readonly pairs: readonly (readonly [Cbor, Cbor])[]
  readonly open: boolean
  constructor(pairs: readonly (readonly [Cbor, Cbor])[], open = false) {
    this.pairs = pairs
    this.open = open
  }
}

/** Bytes that stand as they are. */
export class Raw {
  readonly bytes: Buffer
  constructor(bytes: Buffer) {
    this.bytes = bytes
  }
}

export const raw = (hex: string): Raw => new Raw(Buffer.from(hex, 'hex'))

/** CBOR (RFC 8949) in the shortest form. */
export function encodeCbor(value: Cbor): Buffer {
  if (value instanceof Raw) return value.bytes
  if (value === null) return Buffer.of(0xf6)
  if (value === undefined) return Buffer.of(0xf7)
  if (typeof value === 'boolean') return Buffer.of(value ? 0xf5 : 0xf4)
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value)
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)])
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value])
  if (value instanceof CborPairs) {
    const members = value.pairs.flat().map(encodeCbor)
    if (value.open) return Buffer.concat([Buffer.of(0xbf), ...members, Buffer.of(0xff)])
    return Buffer.concat([head(5, value.pairs.length), ...members])
  }
  return Buffer.concat([head(4, value.length), ...value.map(encodeCbor)])
}

function head(major: number, value: number): Buffer {
  const first = major << 5
  if (value < 24) return Buffer.of(first | value)
  if (value < 0x100) return Buffer.of(first | 24, value)
  if (value < 0x10000) return Buffer.of(first | 25, value >> 8, value & 0xff)
  const large = Buffer.alloc(value < 0x1_0000_0000 ? 5 : 9)
  large[0] = first | (large.length === 5 ? 26 : 27)
  if (large.length === 5) large.writeUInt32BE(value, 1)
  else large.writeBigUInt64BE(BigInt(value), 1)
  return large
}

/** One certificate of a chain. */
export interface Link {
  readonly name: string
  readonly ca: boolean
  readonly pathLength?: number
  readonly usages: number
  readonly notBefore?: number
  readonly notAfter?: number
  readonly curve?: 'P-256' | 'P-384'
  /** Instead of the name of the one above. */
  readonly issuer?: string
  readonly constraintsCritical?: boolean
  readonly noConstraints?: boolean
  readonly extensions?: readonly x509.Extension[]
  /** Signed by a key that is not that of the one above. */
  readonly forged?: boolean
}

/** As the documents of AWS have it: a root, three authorities with path lengths 2, 1 and 0, and the certificate that signs. */
export const LINKS: readonly Link[] = [
  { name: 'C=US, O=Example, CN=example.nitro-enclaves', ca: true, usages: keyCertSign | cRLSign | digitalSignature },
  { name: 'CN=region', ca: true, pathLength: 2, usages: keyCertSign | cRLSign | digitalSignature },
  { name: 'CN=zone', ca: true, pathLength: 1, usages: keyCertSign | cRLSign | digitalSignature },
  { name: 'CN=instance', ca: true, pathLength: 0, usages: keyCertSign },
  { name: 'CN=enclave', ca: false, usages: digitalSignature },
]

export interface Hierarchy {
  /** DER, the root first, the one that signs last. */
  readonly certificates: readonly Buffer[]
  readonly root: Buffer
  readonly rootPem: string
  readonly signingKey: KeyObject
}

const HOUR = 3_600_000

/** The chain that `links` describe, valid around `now` unless a link says otherwise. */
export async function makeHierarchy(links: readonly Link[] = LINKS, now = Date.now()): Promise<Hierarchy> {
  const certificates: x509.X509Certificate[] = []
  let above: webcrypto.CryptoKeyPair | undefined
  for (const link of links) {
    const algorithm = { name: 'ECDSA', namedCurve: link.curve ?? 'P-384', hash: 'SHA-384' }
    const keys = (await subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair
    const forger = { ...algorithm, namedCurve: 'P-384' }
    const signer = link.forged
      ? ((await subtle.generateKey(forger, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair)
      : (above ?? keys)
    const certificate = await x509.X509CertificateGenerator.create(
      {
        serialNumber: `01${randomBytes(14).toString('hex')}`,
        subject: link.name,
        issuer: link.issuer ?? certificates.at(-1)?.subject ?? link.name,
        notBefore: new Date(link.notBefore ?? now - HOUR),
        notAfter: new Date(link.notAfter ?? now + HOUR),
        publicKey: keys.publicKey,
        signingKey: signer.privateKey,
        signingAlgorithm: { name: 'ECDSA', hash: 'SHA-384' },
        extensions: [
          ...(link.noConstraints === true
            ? []
            : [new x509.BasicConstraintsExtension(link.ca, link.pathLength, link.constraintsCritical ?? true)]),
          new x509.KeyUsagesExtension(link.usages, true),
          ...(link.extensions ?? []),
        ],
      },
      webcrypto as Crypto,
    )
    certificates.push(certificate)
    above = keys
  }
  const ders = certificates.map(one => Buffer.from(one.rawData))
  const [root] = certificates
  if (above === undefined || root === undefined) throw new Error('a chain has at least one certificate')
  return {
    certificates: ders,
    root: Buffer.from(root.rawData),
    rootPem: `${root.toString('pem')}\n`,
    signingKey: KeyObject.from(above.privateKey),
  }
}

/** The fields of a document, each by its name; `undefined` leaves one out. */
export type Fields = Readonly<Record<string, Cbor>>

export const registers = (values: Readonly<Record<number, Buffer>>): CborPairs =>
  new CborPairs(Object.entries(values).map(([index, value]) => [Number(index), value]))

/** Sixteen registers, each filled with its index. */
export const PCRS: CborPairs = registers(
  Object.fromEntries(Array.from({ length: 16 }, (_, index) => [index, Buffer.alloc(48, index)])),
)

/** A whole document of an enclave with this recipient key. */
export function enclaveFields(hierarchy: Hierarchy, publicKey: Buffer, timestamp = Date.now()): Fields {
  return {
    module_id: 'i-00000000000000000-enc0000000000000000',
    digest: 'SHA384',
    timestamp,
    pcrs: PCRS,
    certificate: hierarchy.certificates.at(-1) ?? Buffer.alloc(0),
    cabundle: hierarchy.certificates.slice(0, -1),
    public_key: publicKey,
    user_data: null,
    nonce: null,
  }
}

export const asMap = (fields: Fields, open = true): CborPairs =>
  new CborPairs(
    Object.entries(fields).filter(([, value]) => value !== undefined),
    open,
  )

/** How a document is signed; each may be wrong. */
export interface Signing {
  readonly tagged?: boolean
  readonly header?: Cbor
  readonly unprotected?: Cbor
  readonly key?: KeyObject
  /** What is signed instead of the payload. */
  readonly signed?: Buffer
  readonly signature?: Buffer
  /** What stands behind the four parts of the structure. */
  readonly more?: readonly Cbor[]
}

const ES384 = new CborPairs([[1, -35]])

/** COSE_Sign1 (RFC 9052 §4.2) over `payload`. */
export function signDocument(hierarchy: Hierarchy, payload: Cbor, signing: Signing = {}): Buffer {
  const encoded = encodeCbor(payload)
  const header = encodeCbor(signing.header ?? ES384)
  const toSign = encodeCbor(['Signature1', header, Buffer.alloc(0), signing.signed ?? encoded])
  const key = signing.key ?? hierarchy.signingKey
  const signature = signing.signature ?? sign('sha384', toSign, { key, dsaEncoding: 'ieee-p1363' })
  const whole = encodeCbor([
    header,
    signing.unprotected ?? new CborPairs([]),
    encoded,
    signature,
    ...(signing.more ?? []),
  ])
  return signing.tagged === true ? Buffer.concat([Buffer.of(0xd2), whole]) : whole
}

export interface RecipientKeys {
  /** DER SPKI. */
  readonly publicKey: Buffer
  readonly privateKey: KeyObject
}

export function recipientKeys(modulusLength = 2048): RecipientKeys {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength })
  return { publicKey: publicKey.export({ format: 'der', type: 'spki' }), privateKey }
}
