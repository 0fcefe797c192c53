/** Who asks an owner's key manager, by every protocol, in the name of one tenant; and the tokens that are shown, made by issuers of the tests. */
import { createHash, generateKeyPairSync } from 'node:crypto'
import type { JWTPayload } from 'jose'
import type { Issuer } from '../../src/ekm/access/testing.ts'
import type { AzureClient } from './azure.ts'
import type { World } from './ekm-world.ts'
import type { GrpcCaller } from './grpc.ts'
import type { SignerClient } from './xks-clients.ts'

export const MINE = 'mine'
export const THEIRS = 'theirs'
/** Takes part as the key service from which `rewrap` takes over a key. */
export const OLD = 'old'
export const AUDIENCE = 'https://ekm.acme.example'

export const directoryOf = (tenant: string): string =>
  `00000000-0000-0000-0000-${Buffer.from(tenant.padEnd(6)).toString('hex')}`

/** A pair as a person has one for S/MIME. */
export const PAIR = generateKeyPairSync('rsa', { modulusLength: 2048 })

/** The service account by which Cloud EKM calls for a tenant. */
export const accountOf = (tenant: string): string => `service-${tenant}@gcp-sa-ekms.iam.gserviceaccount.com`

export interface Caller {
  /** At whose path it asks. */
  readonly tenant: string
  readonly xks: SignerClient
  readonly azure: AzureClient
  /** An API server beside the key manager, and one beside a plugin. */
  readonly socket: GrpcCaller
  readonly plugin: GrpcCaller
  readonly tokens: Tokens
}

export const ROLES = ['writer', 'reader', 'verifier', 'migrator', 'signer', 'decrypter'] as const
export type Role = (typeof ROLES)[number]

/** Undefined where none is shown. */
export interface Tokens {
  readonly dke: string | undefined
  readonly google: string | undefined
  /** Of the owner's identity provider, for Workspace: a user's, and an administrator's. */
  readonly user: string | undefined
  readonly admin: string | undefined
  /** Google's, by role; and those that name a delegate. */
  readonly granted: Readonly<Record<Role, string | undefined>>
  readonly delegating: Readonly<Record<Role, string | undefined>>
  /** What the key service itself signed for the delegate; in what `tokensOf` makes, a forgery. */
  readonly delegated: string | undefined
}

export const RESOURCE = 'document-1'
export const PERIMETER = 'legal'
export const DELEGATE = 'room@meet.example'
/** Base64 of SHA-256 over the DER SPKI of the person's pair. */
export const SPKI = createHash('sha256')
  .update(PAIR.publicKey.export({ format: 'der', type: 'spki' }))
  .digest('base64')

export interface Changed {
  /** Over every token of the owner's people. */
  readonly person?: JWTPayload
  /** Over every token of Google's. */
  readonly google?: JWTPayload
  /** Who signs in place of the right issuer, under its name where `forged`. */
  readonly by?: Issuer
  readonly forged?: boolean
}

/** Everything that whoever asks for `tenant` can show, but for what is changed. */
export async function tokensOf(
  world: Pick<World, 'issuers' | 'url'>,
  tenant: string,
  changed: Changed = {},
): Promise<Tokens> {
  const { people, google, accounts } = world.issuers
  const idp = people[tenant]
  if (idp === undefined) throw new Error(`${tenant} has no people`)
  const sign = (issuer: Issuer, claims: JWTPayload) => {
    const { by = issuer, forged = false } = changed
    return by.sign({ ...claims, ...(forged ? { iss: issuer.name } : {}) }, forged ? { kid: issuer.current.kid } : {})
  }
  const person = (claims: JWTPayload) => sign(idp, { sub: 'subject', ...claims, ...changed.person })
  const grant = (role: Role, more: JWTPayload = {}) =>
    sign(google, {
      aud: 'cse-authorization',
      email: `ada@${tenant}.example`,
      role,
      kacls_url: `${world.url('kacls')}/${tenant}/v1`,
      resource_name: RESOURCE,
      perimeter_id: PERIMETER,
      kacls_owner_domain: `${tenant}.example`,
      ...(role === 'signer' || role === 'decrypter' ? { spki_hash: SPKI, spki_hash_algorithm: 'SHA-256' } : {}),
      ...more,
      ...changed.google,
    })
  const each = async (more: JWTPayload): Promise<Record<Role, string>> =>
    Object.fromEntries(await Promise.all(ROLES.map(async role => [role, await grant(role, more)]))) as Record<
      Role,
      string
    >
  return {
    dke: await person({ aud: AUDIENCE, tid: directoryOf(tenant), upn: `ada@${tenant}.example` }),
    user: await person({ aud: 'workspace', email: `ada@${tenant}.example` }),
    admin: await person({ aud: 'workspace', email: `root@${tenant}.example` }),
    google: await sign(accounts, {
      aud: AUDIENCE,
      sub: '42',
      email: accountOf(tenant),
      email_verified: true,
      ...changed.google,
    }),
    granted: await each({}),
    delegating: await each({ delegated_to: DELEGATE }),
    delegated: await person({
      iss: `${world.url('kacls')}/${tenant}/v1`,
      aud: `${world.url('kacls')}/${tenant}/v1`,
      email: `ada@${tenant}.example`,
      delegated_to: DELEGATE,
      resource_name: RESOURCE,
    }),
  }
}

const none = Object.fromEntries(ROLES.map(role => [role, undefined])) as Record<Role, undefined>
export const NO_TOKENS: Tokens = {
  dke: undefined,
  google: undefined,
  user: undefined,
  admin: undefined,
  granted: none,
  delegating: none,
  delegated: undefined,
}
