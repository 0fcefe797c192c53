import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { inspect, promisify } from 'node:util'
import { Sha256 } from '@aws-crypto/sha256-js'
import { SignatureV4 } from '@smithy/signature-v4'
import fc from 'fast-check'
import { Secret } from '../store/secret.ts'
import { formatAmzDate, MAX_SKEW_MS, type ParsedAuthorization, parseAuthorization, verifySignature } from './sigv4.ts'
import { canonicalQuery } from './sigv4-canonical.ts'
import { signHeaders } from './sigv4-sign.ts'
import { codePoint } from './testing.ts'

const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
const secret = new Secret(Buffer.from(SECRET))
const SIGNER = { accessKeyId: 'AKIDEXAMPLE', secret }
const NOW = Date.UTC(2026, 2, 1, 12, 0, 0)
const OPTIONS = { service: 'kms', regions: new Set(['eu-central-1']), now: NOW }

interface Sent {
  method: string
  rawPath: string
  query: string
  headers: Record<string, string>
  body: Buffer
}

function signed(
  change: Partial<Sent> & { sign?: string[]; now?: number; service?: string; region?: string } = {},
): Sent {
  const { sign, now = NOW, service = 'kms', region = 'eu-central-1', ...rest } = change
  const request: Sent = {
    method: 'POST',
    rawPath: '/',
    query: '',
    headers: {
      host: '127.0.0.1:8443',
      'x-amz-target': 'TrentService.Encrypt',
      'content-type': 'application/x-amz-json-1.1',
    },
    body: Buffer.from('{}'),
    ...rest,
  }
  const options = { region, service, now, ...(sign ? { sign } : {}) }
  return {
    ...request,
    headers: signHeaders({ ...request, headers: { host: 'h', ...request.headers } }, SIGNER, options),
  }
}

function verify(request: Sent, options: Partial<Parameters<typeof verifySignature>[3]> = {}, key = secret) {
  const parsed = parseAuthorization(request.headers)
  return parsed.ok ? verifySignature(parsed, request, key, { ...OPTIONS, ...options }) : parsed
}

function refused(request: Sent, code: string, text?: RegExp, options = {}) {
  const result = verify(request, options)
  assert.ok(!result.ok, `accepted, where ${code} was expected`)
  assert.equal(result.code, code)
  if (text) assert.match(result.message, text)
}

describe('a signature that the AWS SDK made', () => {
  const token = fc.string({ minLength: 1, maxLength: 12, unit: fc.constantFrom(...'abcXYZ019-_.~') })
  const value = fc.string({ maxLength: 30, unit: fc.constantFrom(...'abcXYZ 019;,="/é\t') }).map(text => text.trim())
  const names = fc.uniqueArray(
    fc.constantFrom('x-amz-meta-a', 'x-b', 'content-type', 'amz-sdk-request', 'x-amz-user-agent'),
  )

  it('is verified, whatever path, query, headers, port and body it covers', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          token.filter(part => part !== '.' && part !== '..'),
          { maxLength: 4 },
        ),
        fc.dictionary(token, token, { maxKeys: 3 }),
        fc.record({ names, values: fc.array(value, { minLength: 5, maxLength: 5 }) }),
        fc.integer({ min: 1, max: 65535 }),
        fc.uint8Array({ maxLength: 200 }),
        async (path, query, { names, values }, port, body) => {
          const signer = new SignatureV4({
            credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: SECRET },
            region: 'eu-central-1',
            service: 'kms',
            sha256: Sha256,
          })
          const headers: Record<string, string> = { host: `localhost:${port}`, 'x-amz-target': 'TrentService.Decrypt' }
          names.forEach((name, i) => {
            headers[name] = values[i] ?? ''
          })
          const rawPath = `/${path.join('/')}`
          const request = {
            method: 'POST',
            protocol: 'http:',
            hostname: 'localhost',
            port,
            path: rawPath,
            query,
            headers,
            body,
          }
          const result = await signer.sign(request, { signingDate: new Date(NOW) })
          // Onto the wire and back: UTF-8 bytes, read as Latin-1.
          const wire = Object.entries(result.headers).map(([name, text]) => [
            name,
            Buffer.from(text).toString('latin1'),
          ])
          const raw = Object.entries(query).map(
            ([name, text]) => `${encodeURIComponent(name)}=${encodeURIComponent(text)}`,
          )
          const sent = {
            method: 'POST',
            rawPath,
            query: raw.join('&'),
            headers: Object.fromEntries(wire),
            body: Buffer.from(body),
          }
          assert.deepEqual(verify(sent), { ok: true })
        },
      ),
      { numRuns: 150 },
    )
  })

  it('is byte for byte the one that our signer makes', async () => {
    const signer = new SignatureV4({
      credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: SECRET },
      region: 'eu-central-1',
      service: 'kms',
      sha256: Sha256,
      applyChecksum: false,
    })
    const ours = signed()
    const headers = { ...ours.headers }
    delete headers.authorization
    const theirs = await signer.sign(
      { method: 'POST', protocol: 'http:', hostname: '127.0.0.1', path: '/', headers, body: ours.body },
      { signingDate: new Date(NOW) },
    )
    assert.equal(ours.headers.authorization, theirs.headers.authorization)
  })
})

it('curl --aws-sigv4 is verified', async () => {
  const seen: ReturnType<typeof verify>[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const [rawPath = '', query = ''] = (request.url ?? '').split('?')
    const sent = {
      method: request.method ?? '',
      rawPath,
      query,
      headers: request.headers as Record<string, string>,
      body: Buffer.concat(chunks),
    }
    seen.push(verify(sent, { service: 'kms-xks-proxy', now: Date.now() }))
    response.end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const common = ['-sS', '--aws-sigv4', 'aws:amz:eu-central-1:kms-xks-proxy', '--user', `AKIDEXAMPLE:${SECRET}`]
  const url = `http://127.0.0.1:${port}/tenant-a/kms/xks/v1/keys/a-key_1.x/encrypt`
  await promisify(execFile)('curl', [...common, '-H', 'content-type: application/json', '-d', '{"a": "é"}', url])
  await promisify(execFile)('curl', [...common, '-d', '', `http://127.0.0.1:${port}/`])
  server.close()
  assert.deepEqual(seen, [{ ok: true }, { ok: true }])
})

describe('promise 11: a request that is not the one that was signed is refused', () => {
  it('in any part', () => {
    const good = signed()
    assert.deepEqual(verify(good), { ok: true })
    const { headers } = good
    refused({ ...good, method: 'PUT' }, 'InvalidSignature', /does not match the signature you provided/)
    refused({ ...good, rawPath: '/a' }, 'InvalidSignature')
    refused({ ...good, query: 'a=b' }, 'InvalidSignature')
    refused({ ...good, body: Buffer.from('{} ') }, 'InvalidSignature')
    refused({ ...good, headers: { ...headers, host: '127.0.0.1' } }, 'InvalidSignature')
    refused({ ...good, headers: { ...headers, 'x-amz-target': 'TrentService.Decrypt' } }, 'InvalidSignature')
    refused({ ...good, headers: { ...headers, 'x-amz-date': formatAmzDate(NOW + 1000) } }, 'InvalidSignature')
    assert.ok(!verify(good, {}, new Secret(Buffer.from(`${SECRET}x`))).ok)
  })

  it('with a path or query written another way, since neither is decoded', () => {
    const good = signed({ rawPath: '/a/%41', query: 'b=1&a=%2f' })
    assert.deepEqual(verify(good), { ok: true })
    refused({ ...good, rawPath: '/a/A' }, 'InvalidSignature')
    refused({ ...good, rawPath: '/a//%41' }, 'InvalidSignature')
    assert.deepEqual(verify({ ...good, query: 'a=%2F&b=1' }), { ok: true })
    assert.equal(canonicalQuery('b&a=2&a=1&c=%7e+&=x'), '=x&a=1&a=2&b=&c=~%2B')
  })

  it('when any one character of the signature differs', () => {
    const good = signed()
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.constantFrom(...'0123456789abcdef'), (place, digit) => {
        const text = good.headers.authorization ?? ''
        const at = text.length - place
        fc.pre(text[at] !== digit)
        const authorization = text.slice(0, at) + digit + text.slice(at + 1)
        refused({ ...good, headers: { ...good.headers, authorization } }, 'InvalidSignature')
      }),
    )
  })

  it('when what decides its meaning is not signed, while content-type need not be', () => {
    assert.deepEqual(verify(signed({ sign: ['x-amz-target'] })), { ok: true })
    const sourced = signed({ headers: { host: '127.0.0.1:8443', 'x-amz-target': 'T' }, sign: ['x-amz-target'] })
    const added = { ...sourced, headers: { ...sourced.headers, 'x-amz-source-arn': 'arn:aws:s3:::b' } }
    refused(added, 'InvalidSignature', /'x-amz-source-arn' must be a 'SignedHeader'/)
    refused(signed2('host;x-amz-date'), 'InvalidSignature', /'x-amz-target' must be a 'SignedHeader'/)
    refused(signed2('x-amz-date;x-amz-target'), 'InvalidSignature', /'Host' or ':authority' must be/)
    refused(signed2('host;x-amz-target'), 'InvalidSignature', /'x-amz-date' must be/)
    refused(
      signed2('host;nothing;x-amz-date;x-amz-target'),
      'InvalidSignature',
      /'nothing', which the request does not have/,
    )
    for (const list of [
      'Host;x-amz-date',
      'host;host;x-amz-date',
      'host;;x-amz-date',
      'host x-amz-date',
      'a;'.repeat(70),
    ]) {
      refused(signed2(list), 'IncompleteSignature')
    }
  })

  function signed2(list: string): Sent {
    const good = signed()
    const authorization = (good.headers.authorization ?? '').replace(/SignedHeaders=[^,]*/, `SignedHeaders=${list}`)
    return { ...good, headers: { ...good.headers, authorization } }
  }

  it("x-amz-content-sha256 must be the body's own", () => {
    const body = Buffer.from('{}')
    const digest = '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a'
    const host = { host: 'h', 'x-amz-content-sha256': digest }
    assert.deepEqual(verify(signed({ body, headers: host })), { ok: true })
    for (const wrong of ['UNSIGNED-PAYLOAD', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD', digest.toUpperCase(), '']) {
      refused(signed({ body, headers: { host: 'h', 'x-amz-content-sha256': wrong } }), 'InvalidSignature')
    }
  })
})

describe('the credential scope', () => {
  it('names a served Region, the right service and the terminator, and the day of the request', () => {
    refused(signed({ region: 'us-east-1' }), 'WrongRegion', /^Credential should be scoped to a valid region\.$/)
    refused(signed({ service: 's3' }), 'WrongService', /correct service: 'kms'/)
    assert.deepEqual(verify(signed({ service: 'sts' }), { service: ['kms', 'sts'] }), { ok: true })
    const { regions, ...any } = OPTIONS
    const far = signed({ region: 'ap-far-9' })
    assert.deepEqual(verifySignature(parseAuthorization(far.headers) as ParsedAuthorization, far, secret, any), {
      ok: true,
    })
    const good = signed()
    const with_ = (from: string | RegExp, to: string) => ({
      ...good,
      headers: { ...good.headers, authorization: (good.headers.authorization ?? '').replace(from, to) },
    })
    refused(with_('aws4_request', 'aws5_request'), 'InvalidSignature', /valid terminator/)
    refused(with_('/20260301/', '/20260302/'), 'InvalidSignature', /'20260302' != '20260301', from '20260301T120000Z'/)
  })

  it('allows five minutes either way, and says by how much a request missed them', () => {
    assert.deepEqual(verify(signed({ now: NOW - MAX_SKEW_MS })), { ok: true })
    assert.deepEqual(verify(signed({ now: NOW + MAX_SKEW_MS })), { ok: true })
    refused(
      signed({ now: NOW - MAX_SKEW_MS - 1000 }),
      'SignatureExpired',
      /^Signature expired: 20260301T115459Z is now earlier than 20260301T115500Z \(20260301T120000Z - 5 min\.\)$/,
    )
    refused(
      signed({ now: NOW + MAX_SKEW_MS + 1000 }),
      'NotYetCurrent',
      /^Signature not yet current: 20260301T120501Z is still later than 20260301T120500Z \(20260301T120000Z \+ 5 min\.\)$/,
    )
  })
})

describe('the Authorization header', () => {
  const good = signed().headers
  const code = (authorization: string | undefined, more: Record<string, string> = {}) => {
    const headers: Record<string, string> = { 'x-amz-date': good['x-amz-date'] ?? '', ...more }
    if (authorization !== undefined) headers.authorization = authorization
    const result = parseAuthorization(headers)
    return result.ok ? 'ok' : result.code
  }
  const text = good.authorization ?? ''

  it('is parsed strictly', () => {
    assert.equal(code(text), 'ok')
    assert.equal(code(text.replaceAll(', ', ',')), 'ok')
    assert.equal(code(undefined), 'MissingAuthenticationToken')
    assert.equal(code(''), 'MissingAuthenticationToken')
    const wrong = [
      'Bearer abc',
      'AWS4-HMAC-SHA256',
      'AWS4-HMAC-SHA256 ',
      text.replace('AWS4-HMAC-SHA256 ', 'AWS4-ECDSA-P256-SHA256 '),
      text.replace('Signature=', 'Sig='),
      text.replace(/, Signature=.*/, ''),
      `${text}, Signature=${'0'.repeat(64)}`,
      `${text},`,
      `${text}0`,
      text.replace(/Signature=../, 'Signature=AB'),
      text.replace('/kms/', '/kms/x/'),
      text.replace('AKIDEXAMPLE', ''),
      text.replace('AKIDEXAMPLE', 'A\u0000B'),
      `${text}${' '.repeat(5000)}`,
    ]
    for (const authorization of wrong) assert.equal(code(authorization), 'IncompleteSignature', authorization)
    for (const date of ['', '2026-03-01', '20260301T120000', '20260301T120000Z ']) {
      assert.equal(code(text, { 'x-amz-date': date }), 'IncompleteSignature')
    }
    refused(
      { ...signed(), headers: { ...good, 'x-amz-date': '20261301T120000Z' } },
      'IncompleteSignature',
      /is no date/,
    )
  })

  it('never throws and never repeats a secret, whatever is sent', () => {
    fc.assert(
      fc.property(fc.string({ unit: codePoint, maxLength: 300 }), rest => {
        const result = parseAuthorization({
          authorization: `AWS4-HMAC-SHA256 Credential=canary${rest}`,
          'x-amz-date': rest,
        })
        assert.ok(result.ok || !result.message.includes('canary'))
      }),
    )
  })

  it('tells of a session token', () => {
    const result = parseAuthorization({ ...good, 'x-amz-security-token': 'token' })
    assert.ok(result.ok && result.sessionToken)
  })
})

it('a secret that changes is not served from the cache of signing keys', () => {
  const request = signed()
  assert.deepEqual(verify(request), { ok: true })
  assert.ok(!verify(request, {}, new Secret(Buffer.from('another'))).ok)
  assert.deepEqual(verify(request), { ok: true })
})

it('promise 1: a Secret shows itself nowhere', () => {
  for (const shown of [
    String(secret),
    JSON.stringify({ secret }),
    inspect(secret, { showHidden: true, depth: 9 }),
    `${secret}`,
  ]) {
    assert.ok(!shown.includes('wJalr') && shown.includes('[secret]'), shown)
  }
  const wiped = new Secret(Buffer.from('abc'))
  wiped.wipe()
  assert.ok(wiped.reveal(bytes => bytes.every(byte => byte === 0)))
})
