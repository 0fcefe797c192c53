/** Microsoft Purview Double Key Encryption, as settings. */
import { z } from 'zod'
import { listener, namesOfTenants, publicUrl } from './ekm-listen.ts'
import { issuers } from './ekm-tokens.ts'
import { checkListen } from './shared.ts'

const SIGN_IN = 'https://login.windows.net/common/oauth2/authorize'
const GUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

const tenant = z.strictObject({
  directory: z
    .string()
    .regex(GUID, { error: 'must be a GUID in lower case' })
    .describe('id of the Entra tenant: tid of its tokens'),
  issuers: issuers.describe('whose tokens are accepted, by iss: those of this Entra tenant'),
  audience: z
    .string()
    .regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,512}$/, { error: 'must be printable ASCII, without quotes' })
    .describe('what clients are told to get a token for: one of the audiences'),
  decidedBy: z
    .enum(['list', 'policy'])
    .default('list')
    .describe('list: who stands in keys may decrypt; policy: the policy of the owner alone decides'),
  keys: z
    .record(
      z.string(),
      z.strictObject({
        emails: z.array(z.string().min(3).max(320)).default([]).describe('people who may decrypt, by address'),
        roles: z
          .array(z.string().min(1).max(256))
          .default([])
          .describe('values of roles or groups in the token, of which one is enough'),
      }),
    )
    .default({})
    .describe('by name of the key, who may decrypt; a key that is not here decrypts for nobody'),
})

export const dke = z
  .strictObject({
    ...listener(8447),
    publicUrl: publicUrl.describe('URL of this service as clients have it; key ids begin with it'),
    signInUrl: z
      .string()
      .regex(/^https:\/\/[\x21\x23-\x5b\x5d-\x7e]{1,500}$/, { error: 'must be an https: URL' })
      .default(SIGN_IN)
      .describe('where clients are sent to sign in'),
    cacheDays: z.int().min(1).max(3650).optional().describe('how long clients may keep a public key; default: unsaid'),
    tenants: z.record(z.string(), tenant).describe('by path prefix of the tenant; / is the one without'),
  })
  .optional()
  .describe('Microsoft Purview Double Key Encryption')

/** What concerns several settings at once. */
export function checkDke(settings: z.output<typeof dke>): { path: string; message: string }[] {
  if (settings === undefined) return []
  const problems = [...checkListen('dke', settings), ...namesOfTenants('dke.tenants', settings.tenants)]
  for (const [name, { audience, issuers: trusted }] of Object.entries(settings.tenants)) {
    const path = `dke.tenants.${name}`
    if (!Object.values(trusted).some(({ audiences }) => audiences.includes(audience)))
      problems.push({ path: `${path}.audience`, message: 'must be one of the audiences of its issuers' })
  }
  return problems
}
