/** Google Workspace client-side encryption: paths, origins, the claims of both tokens, the bodies of all its methods. */
import { constants, createHash, generateKeyPairSync, publicEncrypt } from 'node:crypto'
import { WORKSPACE_METHODS, type WorkspaceMethod } from '../../src/ekm/access/workspace-rules.ts'
import { KACLS_ERRORS } from '../../src/ekm/protocols/kacls/errors.ts'
import { kaclsHandler, MAX_BODY } from '../../src/ekm/protocols/kacls/handler.ts'
import { Signer } from '../../src/ekm/protocols/kacls/signer.ts'
import { type Asked, demandRefusal, NOW, revokingOthers, World } from '../exchange.ts'
import { jsonBody, jsonText } from '../json.ts'
import { damagedText } from '../mutate.ts'
import { demand, type Target } from '../target.ts'
import { believing, openToken } from '../tokens.ts'

const HERE = 'https://kacls.example/acme/v1'
const PEER = 'https://old.example/v1'
const ORIGIN = 'https://client-side-encryption.google.com'
const KEY = Buffer.from('a data key of thirty-two bytes..').toString('base64')
const METHODS = Object.keys(WORKSPACE_METHODS) as WorkspaceMethod[]
const NAMES = [
  ...['authentication', 'authorization', 'key', 'wrapped_key', 'reason', 'resource_name', 'perimeter_id', 'algorithm'],
  ...['original_kacls_url', 'digest', 'private_key', 'wrapped_private_key', 'encrypted_data_encryption_key'],
  ...['rsa_oaep_label', 'rsa_pss_salt_length', 'spki_hash', 'spki_hash_algorithm'],
]
const ALGORITHMS = [
  'SHA256withRSA',
  'SHA512withRSA/PSS',
  'RSASSA-PSS',
  'RSA/ECB/PKCS1Padding',
  'RSA/ECB/OAEPwithSHA-256andMGF1Padding',
  '__proto__',
]

export const kacls: Target<Asked> = {
  name: 'kacls',
  about: 'requests of Google Workspace client-side encryption: path, origin, claims, body',
  start: async () => {
    const world = new World(revokingOthers(['ada@acme.example', 'root@acme.example']))
    const { owner, context } = world
    owner.tenant('acme')
    owner.key('acme', 'workspace')
    owner.key('acme', 'signer', { spec: 'RSA_2048', mayEncrypt: false, mayDecrypt: false })
    const rule = { emails: new Set(['ada@acme.example']), domains: new Set(['acme.example']) }
    const tenant = {
      ...{ name: 'acme', kaclsUrl: HERE, keyId: 'workspace', signer: new Signer(context.core, 'acme', 'signer') },
      users: believing('https://id.acme.example/'),
      administrators: believing('https://id.acme.example/'),
      peers: believing('https://id.acme.example/'),
      authorization: believing('gsuitecse-tokenissuer-drive@system.gserviceaccount.com'),
      peerUrls: new Set([PEER]),
      // None: nothing is to be asked of anyone.
      peerHosts: new Map(),
      ownerDomain: 'acme.example',
      guests: new Set(['google-visitor']),
      admins: new Set(['root@acme.example']),
      perimeters: new Map([['legal', rule]]),
    }
    const handler = kaclsHandler({
      ...context,
      tenants: new Map([['acme', tenant]]),
      ...{ name: 'Acme', origins: new Set([ORIGIN]), delegationSeconds: 900, now: () => NOW },
    })
    const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const spki = createHash('sha256')
      .update(pair.publicKey.export({ format: 'der', type: 'spki' }))
      .digest('base64')
    const sealed = publicEncrypt(
      { key: pair.publicKey, padding: constants.RSA_PKCS1_PADDING },
      Buffer.from(KEY, 'base64'),
    )
    owner.known.set(sealed.toString('latin1'), Buffer.from(KEY, 'base64'))

    const user = { email: 'Ada@acme.example', sub: 'ada' }
    const admin = { email: 'root@acme.example', sub: 'root' }
    const grant = {
      ...{ email: 'ada@ACME.example', kacls_url: HERE, resource_name: 'document-1', perimeter_id: 'legal' },
      ...{ kacls_owner_domain: 'acme.example', email_type: 'google', spki_hash: spki, spki_hash_algorithm: 'SHA-256' },
    }
    const claimOptions = {
      names: [...Object.keys(grant), 'delegated_to', 'google_email', 'iss', 'role'],
      values: [
        user.email,
        admin.email,
        HERE,
        PEER,
        'google-visitor',
        'reader',
        'x'.repeat(128),
        'é'.repeat(64),
        `${'é'.repeat(60)}@${'é'.repeat(200)}`,
      ],
    }
    const tokensOf = (method: WorkspaceMethod) => {
      const { tokens, roles } = WORKSPACE_METHODS[method]
      const delegated = method === 'delegate' ? { delegated_to: 'bob@acme.example' } : {}
      if (tokens === 'privileged' || tokens === 'peers') return { authentication: admin }
      return { authentication: user, authorization: { ...grant, ...delegated, role: roles[0] } }
    }
    const withTokens = (method: WorkspaceMethod, members: object): object =>
      Object.fromEntries(
        Object.entries({ ...tokensOf(method), ...members }).map(([name, value]) => [
          name,
          typeof value === 'object' ? openToken(JSON.stringify(value)) : value,
        ]),
      )
    const ask = (method: WorkspaceMethod, members: object) => {
      const body = Buffer.from(JSON.stringify(withTokens(method, members)))
      return world.answerOf(handler, { method: 'POST', path: `/acme/v1/${method}`, query: '', headers: {}, body })
    }
    const { wrapped_key } = (await ask('wrap', { key: KEY })).json
    const pem = pair.privateKey.export({ format: 'pem', type: 'pkcs8' })
    const { wrapped_private_key } = (await ask('wrapprivatekey', { private_key: pem, perimeter_id: 'legal' })).json
    const place = { resource_name: 'document-1', perimeter_id: 'legal' }
    const decrypt = {
      wrapped_private_key,
      encrypted_data_encryption_key: sealed.toString('base64'),
      algorithm: 'RSA/ECB/PKCS1Padding',
    }
    const bodies: Readonly<Record<WorkspaceMethod, object>> = {
      wrap: { key: KEY },
      unwrap: { wrapped_key },
      digest: { wrapped_key },
      delegate: {},
      rewrap: { wrapped_key, original_kacls_url: PEER },
      privilegedwrap: { key: KEY, ...place },
      privilegedunwrap: { wrapped_key, ...place },
      wrapprivatekey: { private_key: '-----BEGIN PRIVATE KEY-----\\nAA==', perimeter_id: 'legal' },
      privatekeysign: { wrapped_private_key, digest: KEY, algorithm: 'RSASSA-PSS', rsa_pss_salt_length: 32 },
      privatekeydecrypt: { ...decrypt, rsa_oaep_label: 'AA==' },
      privilegedprivatekeydecrypt: { ...decrypt, spki_hash: spki, spki_hash_algorithm: 'SHA-256' },
    }
    const values = [
      KEY,
      wrapped_key,
      wrapped_private_key,
      spki,
      ...ALGORITHMS,
      32,
      PEER,
      place.resource_name,
      'x'.repeat(129),
    ]
    return {
      make: random => {
        const method = random.pick(METHODS)
        const open = random.chance(0.03) ? random.pick(['status', 'certs', 'takeout_unwrap']) : method
        let path = `/acme/v1/${open}`
        if (random.chance(0.05)) path = damagedText(random, path)
        const rate = random.pick([0, 0, 0.06, 0.2])
        const tokens: Record<string, string> = {}
        for (const [name, claims] of Object.entries(tokensOf(method)))
          tokens[name] = openToken(jsonText(random, claims, rate, claimOptions))
        const sent = { ...tokens, reason: '{"client":"drive"}', ...bodies[method] }
        const body = jsonBody(random, sent, { names: NAMES, values, max: MAX_BODY })
        const verb = random.chance(0.02)
          ? random.pick(['GET', 'OPTIONS', 'PUT'])
          : open === 'status' || open === 'certs'
            ? 'GET'
            : 'POST'
        const origin = random.chance(0.1) ? { origin: random.chance(0.5) ? ORIGIN : damagedText(random, ORIGIN) } : {}
        return { method: verb, path, query: '', headers: origin as Record<string, string>, body }
      },
      run: async asked => {
        // One that signs and one for what the signature is for.
        const { status, json } = await world.answerOf(handler, asked, 2)
        const method = asked.path.slice(asked.path.lastIndexOf('/') + 1)
        if (status === 204) return '204'
        if (status !== 200) return demandRefusal({ status, json }, json.details, KACLS_ERRORS, [])
        const opened = json.key ?? json.data_encryption_key
        if (opened !== undefined) demand(opened === KEY, () => 'another key')
        return `200 ${method}`
      },
    }
  },
}
