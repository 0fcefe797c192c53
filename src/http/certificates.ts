/**
 * Certificates for services that nobody has given any: `--dev`, the demo, tests. A root that signs what is asked of it now and whose private key is
 * then forgotten, so that nothing else can ever be signed under it.
 */
import { randomBytes, webcrypto } from 'node:crypto'
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs'
import './reflect.ts'
import * as x509 from '@peculiar/x509'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 86_400_000

export interface CertificateRequest {
  readonly commonName: string
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly string[]
  readonly uris?: readonly string[]
  readonly use: 'server' | 'client'
  /** Instead of as long as the root. */
  readonly notAfter?: Date
}

export interface Issued {
  /** PEM. */
  readonly certificate: string
  /** PEM, PKCS #8; a secret. */
  readonly key: string
}

export interface Authority {
  /** PEM. */
  readonly certificate: string
  issue(request: CertificateRequest): Promise<Issued>
}

/** A root that is valid for `days` from now, and a day back for clocks that differ. What it issues is valid as long. */
export async function makeAuthority(name: string, days: number): Promise<Authority> {
  const validity = { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + days * DAY_MS) }
  const keys = await newKeys()
  const root = await x509.X509CertificateGenerator.createSelfSigned(
    {
      ...validity,
      serialNumber: serial(),
      name: `CN=${name}`,
      keys,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto as Crypto),
      ],
    },
    webcrypto as Crypto,
  )
  const issue = async (request: CertificateRequest): Promise<Issued> => {
    const own = await newKeys()
    const certificate = await x509.X509CertificateGenerator.create(
      {
        ...validity,
        ...(request.notAfter === undefined ? {} : { notAfter: request.notAfter }),
        serialNumber: serial(),
        subject: `CN=${request.commonName}`,
        issuer: root.subject,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: ALGORITHM,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage[`${request.use}Auth`]]),
          await x509.AuthorityKeyIdentifierExtension.create(root.publicKey, false, webcrypto as Crypto),
          ...names(request),
        ],
      },
      webcrypto as Crypto,
    )
    return { certificate: `${certificate.toString('pem')}\n`, key: await pkcs8(own.privateKey) }
  }
  return { certificate: `${root.toString('pem')}\n`, issue }
}

function names({ dnsNames = [], ipAddresses = [], uris = [] }: CertificateRequest): x509.Extension[] {
  const entries = [
    ...dnsNames.map(value => ({ type: 'dns' as const, value })),
    ...ipAddresses.map(value => ({ type: 'ip' as const, value })),
    ...uris.map(value => ({ type: 'url' as const, value })),
  ]
  return entries.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(entries)]
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']) as Promise<webcrypto.CryptoKeyPair>
}

/** Positive and of 15 bytes (RFC 5280 §4.1.2.2). */
function serial(): string {
  return `01${randomBytes(14).toString('hex')}`
}

async function pkcs8(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)).toString('base64')
  return `-----BEGIN PRIVATE KEY-----\n${der.replace(/(.{64})(?=.)/g, '$1\n')}\n-----END PRIVATE KEY-----\n`
}

/** Writes PEM text to a file of mode 0600, whole or not at all: a reader sees the old text or the new one. */
export function writePem(file: string, text: string): void {
  const temporary = `${file}.${randomBytes(6).toString('hex')}`
  const descriptor = openSync(temporary, 'wx', 0o600)
  try {
    writeSync(descriptor, text)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  renameSync(temporary, file)
}
