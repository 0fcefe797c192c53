/** External key management of Azure Managed HSM, as settings of the key manager. */
import { z } from 'zod'
import * as shared from './shared.ts'

export const azure = z
  .strictObject({
    host: shared.host().default('127.0.0.1').describe('address to listen on'),
    port: shared.port().default(8445).describe('port of the EKM proxy API; Azure calls 443'),
    tls: shared.tls
      .extend({ clients: shared.clients })
      .describe('TLS 1.3; the client certificate is the authentication'),
  })
  .optional()
  .describe('the EKM proxy API of Azure Managed HSM, 0.1-preview; path prefixes are tenants')
