/** What each cloud demands of a key manager's front door, as data. Sources: docs/xks.md, docs/azure.md, docs/google.md, docs/kacls.md, docs/dke.md. */
import type { ProtocolName } from '../keys/protocols.ts'

export type CloudName = Exclude<ProtocolName, 'kubernetes'>

export interface Cloud {
  /** For people. */
  readonly title: string
  /** From the start of a request to its last byte, in milliseconds; 0: none is published. */
  readonly deadlineMs: number
  /** Whether connecting counts into it. */
  readonly deadlineWithConnection: boolean
  /** Only this port is reached from the cloud. */
  readonly port: 443
  readonly minTls: 'TLSv1.2' | 'TLSv1.3'
  /** At least one of these must be offered, by OpenSSL's names. */
  readonly ciphers: readonly string[]
  /** Whether the server's certificate must be of a CA that the public trusts. */
  readonly publicCa: boolean
  /** Whether nobody without a client certificate may be served. */
  readonly clientCertificate: 'required' | 'advised' | 'none'
}

const ANY_MODERN = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_AES_128_GCM_SHA256',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
] as const

export const CLOUDS: Readonly<Record<CloudName, Cloud>> = {
  xks: {
    title: 'AWS KMS external key store',
    deadlineMs: 250,
    deadlineWithConnection: true,
    port: 443,
    minTls: 'TLSv1.2',
    ciphers: [
      'TLS_AES_256_GCM_SHA384',
      'TLS_CHACHA20_POLY1305_SHA256',
      'ECDHE-RSA-AES256-GCM-SHA384',
      'ECDHE-ECDSA-AES256-GCM-SHA384',
    ],
    publicCa: true,
    clientCertificate: 'advised',
  },
  azure: {
    title: 'Azure Managed HSM external key management',
    deadlineMs: 250,
    deadlineWithConnection: false,
    port: 443,
    minTls: 'TLSv1.3',
    ciphers: ['TLS_AES_256_GCM_SHA384', 'TLS_AES_128_GCM_SHA256'],
    publicCa: false,
    clientCertificate: 'required',
  },
  google: {
    title: 'Google Cloud EKM (experimental)',
    deadlineMs: 0,
    deadlineWithConnection: false,
    port: 443,
    minTls: 'TLSv1.2',
    ciphers: ANY_MODERN,
    publicCa: false,
    clientCertificate: 'none',
  },
  kacls: {
    title: 'Google Workspace client-side encryption',
    deadlineMs: 200,
    deadlineWithConnection: false,
    port: 443,
    minTls: 'TLSv1.2',
    ciphers: ANY_MODERN,
    publicCa: true,
    clientCertificate: 'none',
  },
  dke: {
    title: 'Microsoft Purview double key encryption',
    deadlineMs: 0,
    deadlineWithConnection: false,
    port: 443,
    minTls: 'TLSv1.2',
    ciphers: ANY_MODERN,
    publicCa: true,
    clientCertificate: 'none',
  },
}
