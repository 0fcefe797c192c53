/** Google Workspace client-side encryption, as settings. */
import { z } from 'zod'
import { listener, namesOfTenants, publicUrl } from './ekm-listen.ts'
import { isServiceUrl, issuers, reach } from './ekm-tokens.ts'
import { checkListen } from './shared.ts'

const GOOGLE_KEYS = 'https://www.googleapis.com/service_accounts/v1/jwk'
const GOOGLE_ISSUERS = [
  ...['drive', 'meet', 'calendar', 'gmail'].map(name => `gsuitecse-tokenissuer-${name}`),
  'apps-security-cse-kaclscommunication',
].map(name => `${name}@system.gserviceaccount.com`)
const GOOGLE_AUDIENCE = 'cse-authorization'

/** Whose authorization tokens are accepted where nothing else is set ("Authorization tokens"). */
const google = Object.fromEntries(
  GOOGLE_ISSUERS.map(name => [name, { audiences: [GOOGLE_AUDIENCE], keys: `${GOOGLE_KEYS}/${name}` }]),
)

const emails = z.array(z.string().min(3).max(320)).default([])
// It names a principal: with any tenant before it a kill switch can.
const serviceUrl = z
  .string()
  .max(320)
  .regex(/^[!-~]*$/, { error: 'must be of printable ASCII' })
  .refine(isServiceUrl, { error: 'must be an https: URL (http: on loopback only)' })

const tenant = z.strictObject({
  key: z.string().min(1).max(128).describe('name of the key of this tenant that wraps: AES_256'),
  signingKey: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe(
      'name of a pair of this tenant that signs (usage sign): for delegating, and for taking over from another service',
    ),
  authentication: issuers.describe("whose authentication tokens are accepted, by iss: the owner's identity provider"),
  authorization: issuers
    .default(google)
    .describe(
      'whose authorization tokens are accepted, by iss; default: those of Google, for the audience cse-authorization',
    ),
  ownerDomain: z
    .string()
    .max(253)
    .optional()
    .describe(
      'Workspace domain of the owner; tokens that name another one are refused, and without it all that name one',
    ),
  guests: z
    .array(z.enum(['google-visitor', 'customer-idp']))
    .default([])
    .describe('kinds of guests that are served (email_type); default: none'),
  admins: emails.describe('people who may use the privileged methods, by address'),
  perimeters: z
    .record(
      z.string().max(128),
      z.strictObject({
        emails: emails.describe('people who may use keys of the perimeter, by address'),
        domains: z.array(z.string().min(1).max(253)).default([]).describe('domains of addresses that may'),
      }),
    )
    .optional()
    .describe('who may use keys of each perimeter_id; one that is not here is refused; default: no rule'),
  peers: z
    .record(serviceUrl, z.strictObject(reach))
    .default({})
    .describe('other key services, by their URL exactly: rewrap asks them, and they may ask privilegedunwrap'),
})

export const kacls = z
  .strictObject({
    ...listener(8448),
    publicUrl: publicUrl.describe(
      'URL of this service as browsers have it; that of a tenant is this, its path and /v1',
    ),
    name: z.string().max(64).default('Holdfast').describe('what status calls it'),
    origins: z
      .array(z.string().regex(/^https?:\/\/[^/\s*]+$/, { error: 'must be like https://example.com' }))
      .default(['https://client-side-encryption.google.com', 'https://admin.google.com'])
      .describe('origins of pages that may call it (CORS)'),
    delegationMinutes: z.int().min(1).max(60).default(15).describe('how long a delegated token is good'),
    tenants: z.record(z.string(), tenant).describe('by path prefix of the tenant; / is the one without'),
  })
  .optional()
  .describe('Google Workspace client-side encryption (KACLS)')

/** What concerns several settings at once. */
export function checkKacls(settings: z.output<typeof kacls>): { path: string; message: string }[] {
  if (settings === undefined) return []
  const problems = [...checkListen('kacls', settings), ...namesOfTenants('kacls.tenants', settings.tenants)]
  for (const [name, { authentication, authorization, peers, signingKey, key }] of Object.entries(settings.tenants)) {
    const path = `kacls.tenants.${name}`
    const own = kaclsUrl(settings.publicUrl, name)
    for (const issuer of Object.keys(authentication)) {
      if (issuer in authorization || issuer in peers || issuer === own)
        problems.push({ path: `${path}.authentication`, message: `${issuer} is trusted for something else already` })
    }
    if (own in peers) problems.push({ path: `${path}.peers`, message: 'names this very service' })
    if (key === signingKey) problems.push({ path: `${path}.signingKey`, message: 'is the key that wraps' })
  }
  return problems
}

/** The KACLS URL of a tenant, as Google is told it. */
export function kaclsUrl(publicUrl: string, tenant: string): string {
  return tenant === '/' ? `${publicUrl}/v1` : `${publicUrl}/${tenant}/v1`
}
