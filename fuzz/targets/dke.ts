/** Double key encryption: paths, tokens' claims, bodies. */
import { constants, createPublicKey, publicEncrypt } from 'node:crypto'
import type { KeyRow } from '../../src/boundary/client/api.ts'
import { allowList } from '../../src/ekm/access/allow-list.ts'
import { headerOf } from '../../src/ekm/keys/description.ts'
import { DKE_ERRORS } from '../../src/ekm/protocols/dke/errors.ts'
import { dkeHandler, MAX_BODY } from '../../src/ekm/protocols/dke/handler.ts'
import { versionGuid } from '../../src/ekm/protocols/dke/key-id.ts'
import { type Asked, demandRefusal, NOW, revokingOthers, World } from '../exchange.ts'
import { jsonBody, jsonText } from '../json.ts'
import { damagedText } from '../mutate.ts'
import { demand, type Target } from '../target.ts'
import { believing, ISSUER, openToken } from '../tokens.ts'

const DIRECTORY = '11111111-2222-3333-4444-555555555555'
const PLAINTEXT = Buffer.from('a content key of 32 bytes .......')
const CLAIMS = {
  tid: DIRECTORY,
  upn: 'Ada@Example.com',
  email: 'ada@example.com',
  sub: 'ada',
  roles: ['Payroll'],
  groups: ['g1', 'g2'],
}
const CLAIM_NAMES = {
  names: Object.keys(CLAIMS),
  values: [DIRECTORY, 'Ada@Example.com', ['Payroll'], [1, null, 'Payroll'], `${'é'.repeat(60)}@${'é'.repeat(250)}`],
}
const KEYS = ['payroll', 'aes', 'revoked', 'none', 'unlisted']

export const dke: Target<Asked> = {
  name: 'dke',
  about: 'requests of double key encryption: path, claims, body',
  start: async () => {
    const world = new World(revokingOthers(['ada@example.com']))
    const { owner, context } = world
    owner.tenant('acme')
    owner.key('acme', 'payroll', { spec: 'RSA_2048' })
    owner.key('acme', 'revoked', { state: 'Revoked' })
    owner.key('acme', 'unlisted')
    owner.key('acme', 'aes')
    const { publicKey } = headerOf(owner.rows.get('key acme/payroll') as KeyRow)
    const key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' })
    const sealed = publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }, PLAINTEXT)
    owner.known.set(sealed.toString('latin1'), PLAINTEXT)
    const list = allowList(['ada@example.com'], ['Payroll'])
    const tenant = {
      ...{ name: 'acme', directory: DIRECTORY, audience: 'https://dke.example', verifier: believing(ISSUER) },
      lists: new Map(['payroll', 'aes', 'revoked', 'none'].map(name => [name, list])),
    }
    const handler = dkeHandler({
      ...context,
      tenants: new Map([['acme', tenant]]),
      ...{ publicUrl: 'https://dke.example', signInUrl: 'https://sign.in/', cacheDays: 1, now: () => NOW },
    })
    const sent = { alg: 'RSA-OAEP-256', value: sealed.toString('base64') }
    const options = {
      names: ['alg', 'value'],
      values: [sent.alg, sent.value, 'RSA-OAEP', 'A'.repeat(684), 'A'.repeat(688)],
      max: MAX_BODY,
    }
    const guids = KEYS.flatMap(name => [1, 2, 0xffff_ffff].map(version => versionGuid('acme', name, version)))
    return {
      make: random => {
        const name = random.chance(0.9) ? 'payroll' : random.pick(KEYS)
        const guid = random.chance(0.9) ? versionGuid('acme', name, 1) : random.pick(guids)
        const published = random.chance(0.1)
        let path = published ? `/acme/${name}` : `/acme/${name}/${guid}/${random.chance(0.9) ? 'decrypt' : 'DeCrypt'}`
        if (random.chance(0.1)) path = damagedText(random, path)
        const token = openToken(jsonText(random, CLAIMS, random.pick([0, 0.1, 0.3]), CLAIM_NAMES))
        const authorization = `Bearer ${token}`
        const headers = { authorization: random.chance(0.05) ? damagedText(random, authorization) : authorization }
        const method = random.chance(0.03) ? random.pick(['GET', 'POST', 'PUT']) : published ? 'GET' : 'POST'
        return { method, path, query: '', headers, body: jsonBody(random, sent, options) }
      },
      run: async asked => {
        const { status, json } = await world.answerOf(handler, asked)
        if (status !== 200) return demandRefusal({ status, json }, json.code, DKE_ERRORS, [])
        if (asked.method === 'GET') return '200 publickey'
        demand(json.value === PLAINTEXT.toString('base64'), () => 'another plaintext')
        return '200 decrypt'
      },
    }
  },
}
