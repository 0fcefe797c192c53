/** Google Cloud EKM: paths, tokens' claims, bodies. */
import { GOOGLE_ERRORS } from '../../src/ekm/protocols/google/errors.ts'
import { googleHandler } from '../../src/ekm/protocols/google/handler.ts'
import { MAX_BODY } from '../../src/ekm/protocols/google/request.ts'
import { type Asked, demandRefusal, World } from '../exchange.ts'
import { jsonBody, jsonText } from '../json.ts'
import { damagedText } from '../mutate.ts'
import { demand, type Target } from '../target.ts'
import { believing, ISSUER, openToken } from '../tokens.ts'

const ACCOUNT = 'service-1@gcp-sa-ekms.iam.gserviceaccount.com'
const CLAIMS = { email: ACCOUNT, email_verified: true, sub: '1' }
const PLAINTEXT = Buffer.from('a key of a key of a disk').toString('base64')
const FULL = '//cloudkms.googleapis.com/projects/p-1/locations/europe-west1/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1'
const CONTEXT = {
  fullResourceName: FULL,
  relativeResourceName: FULL.slice(2),
  accessReasonContext: { reason: 'CUSTOMER_INITIATED_ACCESS' },
  isKeyHealthCheck: true,
}
const NAMES = [
  ...[
    'plaintext',
    'wrappedBlob',
    'wrapped_blob',
    'additionalContext',
    'additional_context',
    'additionalAuthenticatedData',
  ],
  ...['additional_authenticated_data', 'fullResourceName', 'full_resource_name', 'relative_resource_name'],
  ...['accessReasonContext', 'access_reason_context', 'reason', 'isKeyHealthCheck', 'is_key_health_check', 'keyPath'],
]

export const google: Target<Asked> = {
  name: 'google',
  about: 'requests of Google Cloud EKM: path, claims, body',
  start: async () => {
    const world = new World()
    const { owner, context } = world
    owner.tenant('acme')
    owner.key('acme', 'k')
    owner.key('acme', 'wrap-only', { mayDecrypt: false })
    owner.key('acme', 'revoked', { state: 'Revoked' })
    const tenant = {
      name: 'acme',
      denials: 'PERMISSION_DENIED',
      serviceAccounts: new Set([ACCOUNT]),
      verifier: believing(ISSUER),
    } as const
    const handler = googleHandler({ ...context, tenants: new Map([['acme', tenant]]) })
    const headers = { authorization: `Bearer ${openToken(JSON.stringify(CLAIMS))}` }
    const wrap = { plaintext: PLAINTEXT, additionalContext: CONTEXT, additionalAuthenticatedData: 'Ym91bmQ=' }
    const body = Buffer.from(JSON.stringify(wrap))
    const { json } = await world.answerOf(handler, { method: 'POST', path: '/acme/k:wrap', query: '', headers, body })
    const bodies = { wrap, unwrap: { ...wrap, plaintext: undefined, wrappedBlob: json.wrappedBlob } }
    const values = [
      PLAINTEXT,
      json.wrappedBlob,
      CONTEXT,
      CONTEXT.accessReasonContext,
      FULL,
      1,
      5,
      99,
      'CUSTOMER_INITIATED_ACCESS',
      'Ym91bmQ=',
    ]
    return {
      make: random => {
        const verb = random.pick(['wrap', 'unwrap'] as const)
        const key = random.chance(0.9) ? 'k' : random.pick(['wrap-only', 'revoked', 'none'])
        const other = random.chance(0.01) ? random.pick(['getPublicKey', 'confidentialwrap', '']) : verb
        let path = `/${random.chance(0.98) ? 'acme' : 'nobody'}/${key}:${other}`
        if (random.chance(0.1)) path = damagedText(random, path)
        const rate = random.chance(0.9) ? 0 : 0.3
        let authorization =
          rate === 0 ? headers.authorization : `Bearer ${openToken(jsonText(random, CLAIMS, rate, {}))}`
        if (random.chance(0.03)) authorization = damagedText(random, authorization)
        const method = random.chance(0.99) ? 'POST' : 'GET'
        const body = jsonBody(random, bodies[verb], { names: NAMES, values, max: MAX_BODY })
        return { method, path, query: '', headers: { authorization }, body }
      },
      run: async asked => {
        const { status, json } = await world.answerOf(handler, asked)
        if (status !== 200) {
          const { status: name } = (json.error ?? {}) as { status?: unknown }
          // What Holdfast does not speak of Cloud EKM is said so.
          return demandRefusal({ status, json }, name, GOOGLE_ERRORS, ['UNIMPLEMENTED'])
        }
        if (asked.path.endsWith(':wrap')) return '200 wrap'
        demand(json.plaintext === PLAINTEXT, () => 'another plaintext')
        return '200 unwrap'
      },
    }
  },
}
