/** JSON Web Tokens, with the whole verifier and real signatures: headers that choose their own algorithm or key, parts of other tokens, other times and issuers. */
import { createHmac, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { bearerToken, TokenVerifier } from '../../src/ekm/access/token.ts'
import { NOW } from '../exchange.ts'
import { jsonText } from '../json.ts'
import { damagedText } from '../mutate.ts'
import type { Random } from '../random.ts'
import { demand, type Target } from '../target.ts'

const SECONDS = NOW / 1000
const AUDIENCE = 'https://this.example'
const ALGORITHMS = [
  'none',
  'None',
  'HS256',
  'HS512',
  'RS384',
  'RS512',
  'PS256',
  'ES256',
  'EdDSA',
  'rs256',
  'RS256 ',
  '',
  null,
  ['RS256'],
  256,
]
const MORE = [
  { crit: ['exp'] },
  { crit: [] },
  { b64: false, crit: ['b64'] },
  { jwk: {} },
  { jku: 'https://evil.example/keys' },
  { x5u: 'https://evil.example' },
  { typ: 'at+jwt' },
  { cty: 'JWT' },
  { zip: 'DEF' },
  { enc: 'A256GCM' },
]

const part = (text: string): string => Buffer.from(text, 'utf8').toString('base64url')

interface Issuer {
  readonly name: string
  readonly kid: string
  readonly key: KeyObject
  /** Bytes that are public, by which somebody may try to make a MAC. */
  readonly publicForms: readonly Buffer[]
  readonly publicKey: KeyObject
}

function issuerOf(name: string, kid: string): Issuer {
  const { privateKey: key, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const publicForms = [
    Buffer.from(publicKey.export({ format: 'pem', type: 'spki' })),
    publicKey.export({ format: 'der', type: 'spki' }),
    Buffer.from(String(publicKey.export({ format: 'jwk' }).n), 'base64url'),
  ]
  return { name, kid, key, publicKey, publicForms }
}

interface Signed {
  readonly issuer: Issuer
  readonly head: string
  readonly body: string
  readonly signature: string
}

function sign(issuer: Issuer, header: object, claims: object): Signed {
  const head = part(JSON.stringify(header))
  const body = part(JSON.stringify(claims))
  return {
    issuer,
    head,
    body,
    signature: createSign('sha256').update(`${head}.${body}`).sign(issuer.key).toString('base64url'),
  }
}

/** Tokens by somebody who is trusted, that are not good for us. */
const BAD: readonly object[] = [
  ...[
    { exp: SECONDS - 61 },
    { exp: undefined },
    { exp: '9999999999' },
    { exp: -1 },
    { iat: SECONDS + 61 },
    { iat: undefined },
  ],
  ...[
    { nbf: SECONDS + 61 },
    { nbf: 'x' },
    { aud: 'https://other.example' },
    { aud: [] },
    { aud: undefined },
    { aud: `${AUDIENCE}/` },
  ],
]
const GOOD: readonly object[] = [
  {},
  { aud: ['x', AUDIENCE] },
  { nbf: SECONDS },
  { exp: SECONDS - 59 },
  { iat: SECONDS + 59 },
  { sub: 7 },
]

export const tokens: Target<string> = {
  name: 'tokens',
  about: 'JSON Web Tokens: form, algorithm, key, signature, issuer, audience, times',
  start: () => {
    const one = issuerOf('https://one.example/', 'key-1')
    const two = issuerOf('https://two.example/', 'key-2')
    const trusted = [one, two].map(({ name, kid, publicKey }) => ({
      issuer: name,
      audiences: [AUDIENCE],
      keys: { find: (asked: string) => (asked === kid ? publicKey : ('unknown' as const)) },
    }))
    const verifier = new TokenVerifier({ issuers: trusted, now: () => NOW })
    const claims = (issuer: Issuer) => ({
      iss: issuer.name,
      aud: AUDIENCE,
      sub: 'ada',
      iat: SECONDS,
      exp: SECONDS + 3600,
    })
    const header = (issuer: Issuer) => ({ alg: 'RS256', kid: issuer.kid, typ: 'JWT' })
    const good = [one, two].flatMap(issuer =>
      GOOD.map(more => sign(issuer, header(issuer), { ...claims(issuer), ...more })),
    )
    const others = [
      ...[one, two].flatMap(issuer => BAD.map(more => sign(issuer, header(issuer), { ...claims(issuer), ...more }))),
      sign(one, { ...header(one), crit: ['x'], x: 1 }, claims(one)),
      sign(one, header(two), claims(two)),
      sign(one, header(one), claims(two)),
      sign(two, header(one), claims(one)),
    ]
    const all = [...good, ...others]
    /** What an issuer that is trusted has signed, and means for us. */
    const meant = new Set(good.map(({ head, body }) => `${head}.${body}`))
    return {
      make: random => {
        if (random.chance(0.05)) return compact(random.pick(random.chance(0.5) ? good : others))
        const from = random.pick(all)
        const { issuer } = from
        switch (random.below(7)) {
          case 0:
            return ownAlgorithm(random, issuer, header(issuer), from.body)
          case 1: {
            const head = part(JSON.stringify({ ...header(issuer), ...random.pick(MORE) }))
            return `${head}.${from.body}.${from.signature}`
          }
          case 2: {
            const other = random.pick(all)
            return random.chance(0.5)
              ? `${from.head}.${from.body}.${other.signature}`
              : `${from.head}.${other.body}.${from.signature}`
          }
          case 3: {
            const changed = part(jsonText(random, claims(issuer), 0.2, {}))
            return `${from.head}.${changed}.${from.signature}`
          }
          case 4: {
            const changed = part(jsonText(random, header(issuer), 0.4, { values: ALGORITHMS }))
            return `${changed}.${from.body}.${from.signature}`
          }
          default:
            return damagedText(random, compact(from))
        }
      },
      run: async token => {
        const bearer = bearerToken({ headers: { authorization: `Bearer ${token}` } })
        demand(bearer === undefined || token.includes(bearer), () => 'a token that was not sent')
        const verdict = await verifier.verify(token)
        if (!verdict.ok) return verdict.reason
        demand(meant.has(token.slice(0, token.lastIndexOf('.'))), () => 'accepted, and nobody has signed it for us')
        return 'accepted'
      },
    }
  },
}

const compact = ({ head, body, signature }: Signed): string => `${head}.${body}.${signature}`

/** By an algorithm of the sender's choice, with what is public for a secret. */
function ownAlgorithm(random: Random, issuer: Issuer, header: object, body: string): string {
  const alg = random.pick(ALGORITHMS)
  const head = part(JSON.stringify({ ...header, alg }))
  if (!String(alg).startsWith('HS')) return `${head}.${body}.${random.chance(0.5) ? '' : 'AAAA'}`
  const mac = createHmac(alg === 'HS512' ? 'sha512' : 'sha256', random.pick(issuer.publicForms)).update(
    `${head}.${body}`,
  )
  return `${head}.${body}.${mac.digest('base64url')}`
}
