/**
 * What no good client sends, at every door of a running key manager: requests that are too large, too slow, no requests at all, or over old TLS. Each is
 * refused in the protocol's own form, in bounded time, and nobody else notices.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import http2 from 'node:http2'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import tls from 'node:tls'
import { statusNamed } from '../src/ekm/protocols/kubernetes/grpc/status.ts'
import { MAX_MESSAGE, pathOf } from '../src/ekm/protocols/kubernetes/messages.ts'
import { MINE } from './support/ekm-callers.ts'
import { World } from './support/ekm-world.ts'

const REQUEST_MS = 700
const HEADERS_MS = 500

interface Door {
  readonly protocol: 'xks' | 'azure' | 'dke' | 'kacls' | 'google'
  readonly path: string
  /** Whose certificate it asks for. */
  readonly certificate?: 'xks' | 'azure'
  /** Its own words: status and name of the error. */
  readonly tooLarge: readonly [number, string]
  readonly late: readonly [number, string]
  readonly malformed: readonly [number, string]
}

const DOORS: readonly Door[] = [
  {
    protocol: 'xks',
    path: `/${MINE}/kms/xks/v1/keys/vault/encrypt`,
    certificate: 'xks',
    tooLarge: [501, 'UnsupportedOperationException'],
    late: [400, 'ValidationException'],
    malformed: [400, 'ValidationException'],
  },
  {
    protocol: 'azure',
    path: `/${MINE}/vault/wrapkey?api-version=0.1-preview`,
    certificate: 'azure',
    tooLarge: [400, 'InvalidRequest'],
    late: [408, 'RequestTimeout'],
    malformed: [400, 'InvalidRequest'],
  },
  {
    protocol: 'dke',
    path: `/${MINE}/pair/00000000-0000-0000-0000-000000000000/decrypt`,
    tooLarge: [400, 'InvalidRequest'],
    late: [400, 'InvalidRequest'],
    malformed: [400, 'InvalidRequest'],
  },
  {
    protocol: 'kacls',
    path: `/${MINE}/v1/wrap`,
    tooLarge: [400, 'InvalidRequest'],
    late: [400, 'InvalidRequest'],
    malformed: [400, 'InvalidRequest'],
  },
  {
    protocol: 'google',
    path: `/v0/${MINE}/vault:wrap`,
    tooLarge: [400, 'INVALID_ARGUMENT'],
    late: [400, 'INVALID_ARGUMENT'],
    malformed: [400, 'INVALID_ARGUMENT'],
  },
]

const folder = mkdtempSync(join(tmpdir(), 'holdfast-bad-'))
let world: World

before(async () => {
  world = await World.start(folder, { headersMs: HEADERS_MS, requestMs: REQUEST_MS })
})
after(async () => {
  const code = await world?.stop()
  rmSync(folder, { recursive: true, force: true })
  assert.equal(code, 0)
})

function options({ protocol, certificate }: Door): tls.ConnectionOptions {
  const files = certificate && world.certificate(MINE, certificate)
  return {
    host: '127.0.0.1',
    port: world.ports[protocol],
    ca: readFileSync(world.listening.caFile),
    ...(files && { cert: readFileSync(files.certificateFile), key: readFileSync(files.keyFile) }),
  }
}

/** Everything that comes back until the other side ends it. The parts are sent at once; nothing more ever is. */
function send(door: Door, ...parts: readonly (string | Buffer)[]): Promise<string> {
  return new Promise((done, failed) => {
    const socket = tls.connect(options(door), () => {
      for (const part of parts) socket.write(part)
    })
    let text = ''
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => {
      text += chunk
    })
    // After the refusal what is still on its way may be answered with a reset.
    socket.on('error', error => (text === '' ? failed(error) : done(text)))
    socket.on('close', () => done(text))
  })
}

function refused(text: string, [status, name]: readonly [number, string]): void {
  assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `))
  assert.match(text, /\r\nConnection: close\r\n/i)
  assert.ok(text.includes(`"${name}"`), text)
  assert.equal(text.indexOf('HTTP/1.1', 1), -1, 'answered once')
}

const head = ({ path }: Door, ...lines: readonly string[]): string =>
  [`POST ${path} HTTP/1.1`, 'host: ekm', 'content-type: application/json', ...lines, '', ''].join('\r\n')

/** A use by each protocol, as its provider asks. */
async function everybodyIsServed(): Promise<void> {
  const { azure, socket } = world.caller(MINE)
  assert.equal((await azure.post(`/${MINE}/info`, {})).status, 200)
  assert.equal((await world.https('GET', `${world.url('dke')}/${MINE}/pair`)).status, 200)
  assert.equal((await world.https('GET', `${world.url('kacls')}/${MINE}/v1/status`)).status, 200)
  assert.equal((await socket.call('Status', Buffer.alloc(0))).status, 'OK')
}

for (const door of DOORS) {
  describe(door.protocol, () => {
    test('a body that says it is too large is refused before it is sent', async () => {
      refused(await send(door, head(door, 'content-length: 2000000')), door.tooLarge)
    })

    test('a body that becomes too large is refused while it comes', async () => {
      const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`
      refused(await send(door, head(door, 'transfer-encoding: chunked'), chunk.repeat(20)), door.tooLarge)
    })

    test('a head that is too large is refused', async () => {
      refused(await send(door, head(door, `x-much: ${'y'.repeat(40_000)}`, 'content-length: 0')), door.tooLarge)
    })

    test('a head that does not end, and a body that does not come, have their time', async () => {
      refused(await send(door, `POST ${door.path} HTTP/1.1\r\nhost: ekm\r\n`), door.late)
      refused(await send(door, head(door, 'content-length: 10'), '{'), door.late)
    })

    test('what is no HTTP is refused', async () => {
      refused(await send(door, '\0\x01\x02 no such thing\r\n\r\n'), door.malformed)
      refused(await send(door, head(door, 'content-length: 1', 'content-length: 2'), '{}'), door.malformed)
    })

    test('old TLS is no connection', async () => {
      for (const version of ['TLSv1', 'TLSv1.1'] as const) {
        const old = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' } as const
        const failed = new Promise<Error>((done, connected) => {
          const socket = tls.connect({ ...options(door), ...old }, () => connected(new Error('connected')))
          socket.on('error', done)
        })
        assert.match((await failed).message, /alert protocol version/)
      }
    })

    test('and everybody else is served', everybodyIsServed)
  })
}

describe('kubernetes', () => {
  /** The status of a call of which so much is sent, and whose end is sent or not. */
  function called(sent: Buffer, ends: boolean): Promise<string> {
    return new Promise((done, failed) => {
      const session = http2.connect('http://localhost', { createConnection: () => connect(world.socketOf(MINE)) })
      session.on('error', failed)
      const headers = { 'content-type': 'application/grpc', te: 'trailers' }
      const stream = session.request({ ':method': 'POST', ':path': pathOf('Encrypt'), ...headers })
      let status: unknown
      const note = (fields: http2.IncomingHttpHeaders): void => {
        status = fields['grpc-status'] ?? status
      }
      stream.on('response', note)
      stream.on('trailers', note)
      stream.on('error', () => {})
      stream.on('close', () => {
        session.destroy()
        done(statusNamed(status))
      })
      stream.resume()
      if (ends) stream.end(sent)
      else stream.write(sent)
    })
  }

  test('a message that is too large is refused while it comes', async () => {
    assert.equal(await called(Buffer.alloc(4 * MAX_MESSAGE), true), 'RESOURCE_EXHAUSTED')
  })

  test('a message that does not come has its time', async () => {
    assert.equal(await called(Buffer.from([0, 0, 0]), false), 'DEADLINE_EXCEEDED')
  })

  test('a frame that is none is refused', async () => {
    assert.equal(await called(Buffer.from([1, 0, 0, 0, 0]), true), 'UNIMPLEMENTED')
    assert.equal(await called(Buffer.from([0, 0, 0, 0, 9, 1]), true), 'INVALID_ARGUMENT')
  })

  test('and everybody else is served', everybodyIsServed)
})
