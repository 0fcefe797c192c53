/** The XKS proxy API: paths, headers and SigV4, bodies; half of it from somebody who has a credential. */

import { ReplayMemory } from '../../src/ekm/access/replay.ts'
import { XKS_ERRORS } from '../../src/ekm/protocols/xks/errors.ts'
import { XKS_SERVICE, xksHandler } from '../../src/ekm/protocols/xks/handler.ts'
import { MAX_BODY } from '../../src/ekm/protocols/xks/request.ts'
import { formatAmzDate } from '../../src/http/sigv4.ts'
import { signRequest } from '../../src/http/sigv4-sign.ts'
import { Secret } from '../../src/store/secret.ts'
import { type Asked, demandRefusal, NOW, World } from '../exchange.ts'
import { jsonBody } from '../json.ts'
import { damagedText } from '../mutate.ts'
import type { Random } from '../random.ts'
import { demand, type Target } from '../target.ts'

const TENANT = 'customers/acme'
const ID = 'FUZZ3ACCESSKEYID2THATISNONE'
const PLAINTEXT = Buffer.from('what is opened is what was sealed')
const KEYS = ['k', 'encrypt-only', 'decrypt-only', 'revoked', 'none']
const HOST = 'xks.example.com'
const LIMITS = { repeatMs: 2000, perCredential: 1 << 20, total: 1 << 20 }

const METADATA = {
  awsPrincipalArn: 'arn:aws:iam::123456789012:user/Alice',
  kmsKeyArn: 'arn:aws:kms:us-east-2:123456789012:/key/1234abcd-12ab-34cd-56ef-1234567890ab',
  kmsOperation: 'Encrypt',
  kmsRequestId: '4112f4d6-db54-4af4-ae30-c55a22a8dfae',
  kmsViaService: 'ebs',
  awsSourceVpc: 'vpc-123',
  awsSourceVpce: 'vpce-123',
}
const AAD = Buffer.from('bound to this').toString('base64')
const NAMES = [
  ...['requestMetadata', 'plaintext', 'ciphertext', 'initializationVector', 'authenticationTag', 'ciphertextMetadata'],
  ...['additionalAuthenticatedData', 'encryptionAlgorithm', 'ciphertextDataIntegrityValueAlgorithm'],
  ...Object.keys(METADATA),
]

export const xks: Target<Asked> = {
  name: 'xks',
  about: 'requests of the XKS proxy API: path, SigV4, body',
  start: async () => {
    const world = new World()
    const { owner, context } = world
    owner.tenant(TENANT, { credentials: { [ID]: { created: 1 }, GONE: { created: 1 } } })
    owner.credential(TENANT, ID, 'a secret access key of the fuzzed tenant')
    owner.key(TENANT, 'k')
    owner.key(TENANT, 'encrypt-only', { mayDecrypt: false })
    owner.key(TENANT, 'decrypt-only', { mayEncrypt: false })
    owner.key(TENANT, 'revoked', { state: 'Revoked' })
    const clock = { now: () => NOW, monotonic: () => 0 }
    const authenticator = {
      ...{ protocol: 'xks', service: XKS_SERVICE, replica: owner.replica, now: () => NOW },
      replay: new ReplayMemory(clock, LIMITS, 0),
    }
    const handler = xksHandler({ ...context, replica: owner.replica, authenticator })
    const signer = { accessKeyId: ID, secret: new Secret(Buffer.from('a secret access key of the fuzzed tenant')) }
    const signed = (method: string, path: string, body: Buffer, at = NOW) =>
      signRequest({ method, path, host: HOST, body }, signer, XKS_SERVICE, 'us-east-1', at)

    const encrypt = {
      requestMetadata: METADATA,
      plaintext: PLAINTEXT.toString('base64'),
      encryptionAlgorithm: 'AES_GCM',
      additionalAuthenticatedData: AAD,
      ciphertextDataIntegrityValueAlgorithm: 'SHA_256',
    }
    const path = `/${TENANT}/kms/xks/v1/keys/k/encrypt`
    const body = Buffer.from(JSON.stringify(encrypt))
    const made = await world.answerOf(handler, {
      ...{ method: 'POST', path, query: '', body },
      headers: { ...signed('POST', path, body) },
    })
    const { authenticationTag, ciphertext, ciphertextMetadata, initializationVector } = made.json
    const sealed = { authenticationTag, ciphertext, ciphertextMetadata, initializationVector }
    const bodies = {
      health: { requestMetadata: METADATA },
      metadata: { requestMetadata: METADATA },
      encrypt,
      decrypt: {
        ...sealed,
        requestMetadata: METADATA,
        encryptionAlgorithm: 'AES_GCM',
        additionalAuthenticatedData: AAD,
      },
    }
    const operations = Object.keys(bodies) as (keyof typeof bodies)[]
    const values = [...Object.values(sealed), encrypt.plaintext, AAD, METADATA, 'AES_GCM', 'SHA_256', 'x'.repeat(5740)]

    return {
      make: random => {
        const operation = random.pick(operations)
        const key = random.chance(0.85) ? 'k' : random.pick(KEYS)
        const at = operation === 'health' ? 'health' : `keys/${key}/${operation}`
        const good = `/${TENANT}/kms/xks/v1/${at}`
        const path = random.chance(0.1) ? target(damagedText(random, good)) : good
        const method = random.chance(0.02) ? random.pick(['GET', 'PUT', 'HEAD', 'post', 'DELETE']) : 'POST'
        // Of its own for each: one that comes twice is a replay.
        const requestMetadata = { ...METADATA, kmsRequestId: `${random.word()}-${random.word()}` }
        const body = jsonBody(
          random,
          { ...bodies[operation], requestMetadata },
          { names: NAMES, values, max: MAX_BODY },
        )
        const query = random.chance(0.02) ? random.pick(['a=1', 'a', '&', 'x=%00']) : ''
        const headers: Record<string, string> = { ...signed(method, path, body), 'user-agent': 'fuzz' }
        if (random.chance(0.25)) damagedHeaders(random, headers)
        return { method, path, query, headers, body }
      },
      run: async asked => {
        const { status, json } = await world.answerOf(handler, asked)
        if (status === 200) {
          if (json.plaintext !== undefined) demand(json.plaintext === encrypt.plaintext, () => 'another plaintext')
          return `200 ${asked.path.slice(asked.path.lastIndexOf('/') + 1)}`
        }
        if (status === 405) return '405'
        const { errorName, errorMessage } = json
        demand(/^[\x20-\x7e]{0,511}$/.test(String(errorMessage)), () => `not a message of this API: ${errorMessage}`)
        // "501 … for a request that an implementation does not support": what is longer than it has to be.
        return demandRefusal({ status, json }, errorName, XKS_ERRORS, ['UnsupportedOperationException'])
      },
      rest: () => {
        authenticator.replay = new ReplayMemory(clock, LIMITS, 0)
      },
    }
  },
}

/** What the listener would let through as a path. */
function target(text: string): string {
  const path = [...text].filter(character => character >= '!' && character <= '~' && !'?#'.includes(character)).join('')
  return path.startsWith('/') ? path : `/${path}`
}

/** Of the wire: Latin-1, without what ends a field. */
const field = (text: string): string =>
  Buffer.from(text)
    .toString('latin1')
    .replace(/[\r\n\0]/g, '')

function damagedHeaders(random: Random, headers: Record<string, string>): void {
  const name = random.pick(Object.keys(headers))
  const value = headers[name] ?? ''
  switch (random.below(8)) {
    case 0:
      delete headers[name]
      break
    case 1:
      headers[name] = `${value},${value}`
      break
    case 2:
      headers['x-amz-date'] = random.pick([
        formatAmzDate(NOW - random.below(1_000_000)),
        ...['20261124T250000Z', '20260230T000000Z', '00000000T000000Z', '99991231T235959Z', '20261124T120000'],
      ])
      break
    case 3:
      headers[random.pick(['x-amz-security-token', 'x-amz-content-sha256', 'x-amz-target', 'x-amz-source-arn'])] = 'x'
      break
    case 4:
      headers.authorization = (headers.authorization ?? '').replace(
        ID,
        random.pick(['GONE', 'NOBODY', '__proto__', '']),
      )
      break
    case 5:
      headers.authorization = (headers.authorization ?? '').replace(
        'host;x-amz-date',
        random.pick([
          'host',
          'x-amz-date',
          'host;host;x-amz-date',
          'host;x-amz-date;__proto__',
          'host;x-amz-date;user-agent',
          ';',
          'HOST',
        ]),
      )
      break
    default:
      headers[name] = field(damagedText(random, value))
  }
}
