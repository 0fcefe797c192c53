/** TLS versions and suites of each kind of listener, as data. */
import type { TlsProfileName } from './types.ts'

interface TlsProfile {
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  readonly ciphers: string
  readonly honorCipherOrder: true
}

export const TLS_PROFILES: Readonly<Record<TlsProfileName, TlsProfile>> = {
  /** What AWS SDKs speak: forward secrecy and authenticated encryption only. */
  'aws-api': {
    minVersion: 'TLSv1.2',
    ciphers:
      'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384',
    honorCipherOrder: true,
  },
  /** XKS proxy API, section "TLS": at least one of these must be there, and no weaker one is. */
  xks: {
    minVersion: 'TLSv1.2',
    ciphers:
      'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384',
    honorCipherOrder: true,
  },
  /** EKM proxy API 0.1-preview, section "Transport and content type": these two, and nothing before TLS 1.3. */
  azure: {
    minVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256',
    honorCipherOrder: true,
  },
}
