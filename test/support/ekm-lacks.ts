/** What a caller of an owner's key manager can lack, one thing at a time, as data: for the tests of promise 5. */
import type { CertificateFiles } from './certificates.ts'
import { type Caller, type Changed, MINE, NO_TOKENS, THEIRS, tokensOf } from './ekm-callers.ts'
import { NO_ANSWER, type Use } from './ekm-use.ts'
import { certificateNames, type World } from './ekm-world.ts'
import type { SignerClient } from './xks-clients.ts'

export interface Lack {
  readonly name: string
  /** Which uses need it. */
  readonly of: (use: Use) => boolean
  readonly caller: (world: World) => Promise<Caller>
}

export interface StrangerLack extends Lack {
  readonly said: (use: Use) => 'stranger' | 'denied' | typeof NO_ANSWER
}

const ofTokens = ({ protocol }: Use): boolean => ['dke', 'kacls', 'google'].includes(protocol)
/** Not the socket, whose callers have no certificate. */
const ofCertificates = ({ protocol, principal }: Use): boolean =>
  ['xks', 'azure', 'kubernetes'].includes(protocol) && !principal.startsWith('unix:')
const ofXks = ({ protocol }: Use): boolean => protocol === 'xks'

/** Whoever asks for the tenant, with these certificates instead of its own. */
function withCertificate(world: World, client: CertificateFiles | undefined): Caller {
  const caller = world.caller(MINE)
  const { accessKeyId, secretAccessKey } = caller.xks.target
  return {
    ...caller,
    xks: world.xks(MINE, accessKeyId, secretAccessKey, client),
    azure: world.azure(client),
    plugin: world.door(client, MINE),
  }
}

const HOUR = 3_600_000
/** Certificates that are not the provider's for this tenant. */
const CERTIFICATES: Readonly<
  Record<string, { readonly make: (world: World) => Promise<CertificateFiles | undefined>; readonly served: boolean }>
> = {
  'no certificate': { make: async () => undefined, served: false },
  'a certificate of another root': {
    make: ({ authorities }) =>
      authorities.stranger.issue('foreign-root', { commonName: certificateNames(MINE).azure, use: 'client' }),
    served: false,
  },
  'a certificate that has expired': {
    make: ({ authorities }) =>
      authorities.provider.issue('expired', {
        commonName: certificateNames(MINE).azure,
        use: 'client',
        notAfter: new Date(Date.now() - HOUR),
      }),
    served: false,
  },
  'a certificate for servers': {
    make: ({ authorities }) =>
      authorities.provider.issue('wrong-use', { commonName: certificateNames(MINE).azure, use: 'server' }),
    served: false,
  },
  'a certificate of the right root with nobody’s name': {
    make: ({ authorities }) =>
      authorities.provider.issue('nobody', {
        commonName: `${certificateNames(MINE).azure}.example.com`,
        use: 'client',
      }),
    served: true,
  },
  'another tenant’s certificate': { make: async world => world.certificate(THEIRS, 'azure'), served: true },
}

const certificates: readonly StrangerLack[] = Object.entries(CERTIFICATES).map(([name, { make, served }]) => ({
  name,
  of: ofCertificates,
  caller: async world => withCertificate(world, await make(world)),
  said: () => (served ? 'stranger' : NO_ANSWER),
}))

/** XKS alone signs what it asks. */
const signatures: readonly StrangerLack[] = (
  [
    ['another tenant’s credential', (mine, theirs) => ({ ...theirs, ...certificateOf(mine) })],
    ['a credential that nobody has', mine => ({ ...mine, accessKeyId: 'A'.repeat(26) })],
    ['a wrong secret', (mine, theirs) => ({ ...mine, secretAccessKey: theirs.secretAccessKey })],
  ] satisfies [string, (mine: SignerClient['target'], theirs: SignerClient['target']) => SignerClient['target']][]
).map(([name, targetOf]) => ({
  name: `${name} at XKS`,
  of: ofXks,
  caller: async (world: World) => {
    const target = targetOf(world.caller(MINE).xks.target, world.caller(THEIRS).xks.target)
    return { ...world.caller(MINE), xks: world.xks(MINE, target.accessKeyId, target.secretAccessKey, target.client) }
  },
  said: () => 'stranger',
}))

function certificateOf({ client }: SignerClient['target']): Pick<SignerClient['target'], 'client'> {
  return client === undefined ? {} : { client }
}

const past = { exp: Math.floor((Date.now() - HOUR) / 1000), iat: Math.floor((Date.now() - 2 * HOUR) / 1000) }
const future = { iat: Math.floor((Date.now() + HOUR) / 1000), exp: Math.floor((Date.now() + 2 * HOUR) / 1000) }
const elsewhere = { aud: 'https://elsewhere.example' }
/** Tokens that count for nothing. */
const TOKENS: Readonly<Record<string, (world: World) => Changed | undefined>> = {
  'no token': () => undefined,
  'a token of an issuer that nobody named': ({ issuers }) => ({ by: issuers.stranger }),
  'a token that somebody else signed': ({ issuers }) => ({ by: issuers.stranger, forged: true }),
  'a token that has expired': () => ({ person: past, google: past }),
  'a token of the future': () => ({ person: future, google: future }),
  'a token for another service': () => ({ person: elsewhere, google: elsewhere }),
}
const tokens: readonly StrangerLack[] = Object.entries(TOKENS).map(([name, change]) => ({
  name,
  of: ofTokens,
  caller: async world => {
    const changed = change(world)
    return { ...world.caller(MINE), tokens: changed === undefined ? NO_TOKENS : await tokensOf(world, MINE, changed) }
  },
  said: () => 'stranger',
}))

/** Under Google's token alone: it is Google's, and for another service. */
const byGoogleAlone = ({ operation }: Use): boolean => operation === 'digest' || operation === 'rewrap'
const foreignTokens: StrangerLack = {
  name: 'another tenant’s tokens',
  of: ofTokens,
  caller: async world => ({ ...world.caller(MINE), tokens: world.caller(THEIRS).tokens }),
  said: use => (byGoogleAlone(use) ? 'denied' : 'stranger'),
}

export const STRANGERS: readonly StrangerLack[] = [...certificates, ...signatures, ...tokens, foreignTokens]

const rule = (name: string, of: Lack['of'], changed: Changed): Lack => ({
  name,
  of,
  caller: async world => {
    const { delegated } = world.caller(MINE).tokens
    return { ...world.caller(MINE), tokens: { ...(await tokensOf(world, MINE, changed)), delegated } }
  },
})
const privileged = ({ principal }: Use): boolean => principal.startsWith('root@')
/** Under a token of Google's. */
const granted = (use: Use): boolean => use.protocol === 'kacls' && !privileged(use)
const eve = { email: `eve@${MINE}.example` }

/** What tokens and lists say of somebody who is known, and what is refused for it. */
export const RULES: readonly Lack[] = [
  rule('not on the list of the key', ({ protocol }) => protocol === 'dke', { person: { upn: eve.email } }),
  rule('no administrator', use => use.protocol === 'kacls' && privileged(use), { person: eve }),
  rule('a role that is not for the method', granted, { google: { role: 'nobody' } }),
  rule('a grant for another key service', granted, { google: { kacls_url: 'https://elsewhere.example/v1' } }),
  rule('a grant of another owner', granted, { google: { kacls_owner_domain: 'elsewhere.example' } }),
  rule('a guest', granted, { google: { email_type: 'google-visitor' } }),
  rule('a grant of another person', use => granted(use) && !byGoogleAlone(use) && !use.delegated, { google: eve }),
  rule('a grant in another perimeter', use => granted(use) && /unwrap|digest|privatekey/.test(use.name), {
    google: { perimeter_id: 'sales' },
  }),
  rule('a grant for another private key', use => granted(use) && /privatekey/.test(use.name), {
    google: { spki_hash: Buffer.alloc(32).toString('base64') },
  }),
]

/** Uses that open what a key has made. */
export const OPENS = /decrypt|unwrap|digest|privatekeysign/i
