/** Google Cloud External Key Manager, as settings. Experimental: the wire is known from public sources only. */
import { z } from 'zod'
import { listener, namesOfTenants } from './ekm-listen.ts'
import { issuers } from './ekm-tokens.ts'
import { checkListen } from './shared.ts'

const tenant = z.strictObject({
  issuers: issuers.describe('whose tokens are accepted, by iss: https://accounts.google.com'),
  serviceAccounts: z
    .array(z.email().max(320))
    .min(1)
    .max(64)
    .describe('who may ask: service-PROJECT_NUMBER@gcp-sa-ekms.iam.gserviceaccount.com'),
  denials: z
    .enum(['PERMISSION_DENIED', 'FAILED_PRECONDITION'])
    .default('PERMISSION_DENIED')
    .describe('what a denial by policy is told; PERMISSION_DENIED has Google disable the key version as well'),
})

export const googleExperimental = z
  .strictObject({
    ...listener(8450),
    tenants: z.record(z.string(), tenant).describe('by path prefix of the tenant; / is the one without'),
  })
  .optional()
  .describe('Google Cloud EKM, experimental: from public sources, untested against Google')

export function checkGoogle(settings: z.output<typeof googleExperimental>): { path: string; message: string }[] {
  if (settings === undefined) return []
  const path = 'googleExperimental'
  return [...checkListen(path, settings), ...namesOfTenants(`${path}.tenants`, settings.tenants)]
}
