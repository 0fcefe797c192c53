/** The EKM proxy API of Azure Managed HSM: paths, queries, certificates' names, bodies. */
import { constants, createPublicKey, publicEncrypt } from 'node:crypto'
import type { KeyRow } from '../../src/boundary/client/api.ts'
import { headerOf } from '../../src/ekm/keys/description.ts'
import { AZURE_ERRORS } from '../../src/ekm/protocols/azure/errors.ts'
import { azureHandler } from '../../src/ekm/protocols/azure/handler.ts'
import { MAX_BODY } from '../../src/ekm/protocols/azure/request.ts'
import { type Asked, demandRefusal, World } from '../exchange.ts'
import { jsonBody } from '../json.ts'
import { damagedText, text } from '../mutate.ts'
import { demand, type Target } from '../target.ts'

const TENANT = 'customers/acme'
const PLAINTEXT = Buffer.from('a key of thirty-two bytes, wrapd')
const VERSION = 'api-version=0.1-preview'
const NAMES = ['request_context', 'correlation_id', 'pool_name', 'request_id', 'alg', 'value']
const ALGORITHMS = ['A256KW', 'A256KWP', 'RSA-OAEP', 'RSA-OAEP-256', 'RSA1_5', 'a256kw', '__proto__', 'toString']
const KEYS = ['aes', 'rsa', 'wrap-only', 'revoked', 'none']
const CONTEXT = { correlation_id: '3f1e5c2a-7d4b', pool_name: 'contoso-pool', request_id: 'r-1' }

export const peerNamed = (commonName: string, dnsNames: readonly string[] = []) => ({
  ...{ commonName, dnsNames, uris: [], fingerprint: 'ab'.repeat(32), validTo: Number.MAX_SAFE_INTEGER },
})

export const azure: Target<Asked> = {
  name: 'azure',
  about: 'requests of the EKM proxy API of Azure Managed HSM: path, query, certificate, body',
  start: async () => {
    const world = new World()
    const { owner, context } = world
    owner.tenant(TENANT, { clients: ['mhsm.example'] })
    owner.tenant('closed')
    owner.key(TENANT, 'aes')
    owner.key(TENANT, 'rsa', { spec: 'RSA_2048' })
    owner.key(TENANT, 'wrap-only', { mayDecrypt: false })
    owner.key(TENANT, 'revoked', { state: 'Revoked' })
    const handler = azureHandler({ ...context, replica: owner.replica })
    const good: Omit<Asked, 'path' | 'body'> = {
      method: 'POST',
      query: VERSION,
      headers: {},
      peer: peerNamed('mhsm.example'),
    }
    const wrapped: string[] = []
    for (const alg of ['A256KW', 'A256KWP']) {
      const body = Buffer.from(
        JSON.stringify({ request_context: CONTEXT, alg, value: PLAINTEXT.toString('base64url') }),
      )
      const { json } = await world.answerOf(handler, { ...good, path: `/${TENANT}/aes/wrapkey`, body })
      wrapped.push(String(json.value))
    }
    const { publicKey } = headerOf(owner.rows.get(`key ${TENANT}/rsa`) as KeyRow)
    const key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' })
    const sealed = publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }, PLAINTEXT)
    owner.known.set(sealed.toString('latin1'), PLAINTEXT)
    const uses = [
      ['aes', 'A256KW', wrapped[0]],
      ['aes', 'A256KWP', wrapped[1]],
      ['rsa', 'RSA-OAEP-256', sealed.toString('base64url')],
    ] as const
    const plain = PLAINTEXT.toString('base64url')
    const values = [...wrapped, plain, CONTEXT, ...ALGORITHMS, 'A'.repeat(5478), 'A'.repeat(5473)]
    const peers = [
      good.peer,
      peerNamed('', ['x', 'mhsm.example']),
      peerNamed('other.example'),
      peerNamed(''),
      undefined,
    ]
    return {
      make: random => {
        const [usual, alg, value] = random.pick(uses)
        const name = random.chance(0.85) ? usual : random.pick(KEYS)
        const operation = random.pick(['info', 'metadata', 'wrapkey', 'wrapkey', 'unwrapkey', 'unwrapkey'])
        const tenant = random.chance(0.97) ? TENANT : random.pick(['closed', 'nobody'])
        let path = operation === 'info' ? `/${tenant}/info` : `/${tenant}/${name}/${operation}`
        if (random.chance(0.1)) path = damagedText(random, path)
        const query = random.chance(0.05) ? damagedText(random, random.pick([VERSION, `x=1&${VERSION}`])) : VERSION
        const sent = operation.endsWith('key') ? { alg, value: operation === 'wrapkey' ? plain : value } : {}
        const body = jsonBody(random, { request_context: CONTEXT, ...sent }, { names: NAMES, values, max: MAX_BODY })
        const method = random.chance(0.02) ? random.pick(['GET', 'PUT', 'OPTIONS']) : 'POST'
        const headers = random.chance(0.9) ? good.headers : { 'user-agent': text(random) }
        return { method, path, query, headers, body, peer: random.chance(0.95) ? good.peer : random.pick(peers) }
      },
      run: async asked => {
        const { status, json } = await world.answerOf(handler, asked)
        const operation = asked.path.slice(asked.path.lastIndexOf('/') + 1)
        if (status !== 200) {
          demand(Object.keys(json).join() === 'code,message', () => JSON.stringify(json))
          return demandRefusal({ status, json }, json.code, AZURE_ERRORS, [])
        }
        if (operation === 'unwrapkey') demand(json.value === plain, () => 'another plaintext')
        return `200 ${operation}`
      },
    }
  },
}
