import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Sha256 } from '@aws-crypto/sha256-js'
import { SignatureV4 } from '@smithy/signature-v4'
import fc from 'fast-check'
import { Secret } from '../store/secret.ts'
import { signRequest } from './sigv4-sign.ts'

const path = fc.stringMatching(/^\/[A-Za-z0-9_/.-]{0,80}$/).filter(text => !/\/\/|\/\.{1,2}(\/|$)/.test(text))

test("signatures equal those of the AWS SDK's own signer", async () => {
  await fc.assert(
    fc.asyncProperty(
      path,
      fc.uint8Array({ maxLength: 300 }),
      fc.stringMatching(/^[A-Za-z0-9/+=]{43,64}$/),
      fc.date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true }),
      fc.constantFrom('us-east-1', 'eu-central-2'),
      async (path, bytes, secretAccessKey, at, region) => {
        const accessKeyId = 'BETWEEN2TENAND3TENCHARACTERS'
        const theirs = new SignatureV4({
          credentials: { accessKeyId, secretAccessKey },
          region,
          service: 'kms-xks-proxy',
          sha256: Sha256,
          uriEscapePath: false,
          applyChecksum: false,
        })
        const request = { method: 'POST', protocol: 'https:', hostname: 'xks.example.com', path, query: {} }
        const signed = await theirs.sign(
          { ...request, headers: { host: 'xks.example.com' }, body: bytes },
          { signingDate: at },
        )
        const signer = { accessKeyId, secret: new Secret(Buffer.from(secretAccessKey)) }
        const ours = signRequest(
          { method: 'POST', path, host: 'xks.example.com', body: Buffer.from(bytes) },
          signer,
          'kms-xks-proxy',
          region,
          at.getTime(),
        )
        assert.equal(ours.authorization, signed.headers.authorization)
        assert.equal(ours['x-amz-date'], signed.headers['x-amz-date'])
      },
    ),
    { numRuns: 60 },
  )
})

test('one secret serves several days and Regions', () => {
  const signer = { accessKeyId: 'A', secret: new Secret(Buffer.from('secret')) }
  const request = { method: 'POST', path: '/', host: 'h', body: Buffer.alloc(0) }
  const sign = (region: string, now: number) => signRequest(request, signer, 's', region, now).authorization
  const first = sign('us-east-1', 0)
  assert.notEqual(sign('us-east-2', 0), first)
  assert.notEqual(sign('us-east-1', 86_400_000), first)
  assert.equal(sign('us-east-1', 0), first)
})
