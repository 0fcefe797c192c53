/** The admin API of an owner's key manager, as settings. */
import { z } from 'zod'
import * as shared from './shared.ts'

export const admin = z
  .strictObject({
    host: shared.host().default('127.0.0.1').describe('address to listen on'),
    port: shared.port().default(8449).describe('port of the admin API'),
    tls: z
      .strictObject({
        certificateFile: shared.file().describe('PEM file: certificate, then its intermediates'),
        keyFile: shared.secretFile().describe('PEM file of its private key, mode 0600'),
        clients: shared.clients,
      })
      .describe('it speaks TLS with client certificates, and nothing else'),
    restore: z
      .array(z.string().min(1).max(256))
      .default([])
      .describe(
        'names in client certificates that may also restore; everyone admitted may revoke and decide about holds',
      ),
  })
  .describe('revoking, restoring and deciding about holds from afar, in a process of its own')
