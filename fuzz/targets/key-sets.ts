/** The documents in which issuers of tokens publish their keys (RFC 7517). */
import { randomBytes } from 'node:crypto'
import { MAX_KID, readKeys } from '../../src/ekm/access/jwks.ts'
import { jsonBody } from '../json.ts'
import { demand, type Target } from '../target.ts'

const MAX = 256 * 1024

export const keySets: Target<Buffer> = {
  name: 'key-sets',
  about: 'documents with the keys of issuers of tokens',
  start: () => {
    /** Nobody asks a modulus for its factors. */
    const modulus = (bits: number): Buffer => {
      const bytes = randomBytes(bits / 8)
      bytes[0] = 0xc0
      bytes[bytes.length - 1] = 1
      return bytes
    }
    const jwk = (bits: number, kid: string) => ({
      ...{ kty: 'RSA', n: modulus(bits).toString('base64url'), e: 'AQAB' },
      ...{ kid, use: 'sig', alg: 'RS256' },
    })
    const two = { keys: [jwk(2048, 'a'), jwk(2048, 'b'), { kty: 'EC', crv: 'P-256', kid: 'c', x: 'AA', y: 'AA' }] }
    const weak = { keys: [jwk(1024, 'a'), { kty: 'oct', k: 'AA', kid: 'b' }] }
    const values = [two.keys, 'AQAB', 'AA', 'AAAA', 'RSA', 'oct', 'enc', 'x'.repeat(256), 'x'.repeat(257)]
    const options = { names: ['keys', 'kty', 'kid', 'use', 'alg', 'n', 'e', 'd'], values, max: MAX }
    return {
      make: random => jsonBody(random, random.chance(0.8) ? two : weak, options),
      run: document => {
        let keys: ReturnType<typeof readKeys>
        try {
          keys = readKeys(document)
        } catch (error) {
          demand(error instanceof Error && error.name === 'KeySetError', () => String(error))
          return 'refused'
        }
        for (const [kid, key] of keys) {
          demand(kid !== '' && kid.length <= MAX_KID, () => 'a kid out of bounds')
          const { modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
          demand(
            key.type === 'public' && key.asymmetricKeyType === 'rsa' && modulusLength >= 2048,
            () => `a key of ${modulusLength} bits`,
          )
        }
        return `${keys.size} keys`
      },
    }
  },
}
