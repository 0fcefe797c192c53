/** The transport by itself, over a Unix socket and TLS, as node:http2 speaks to it: what it refuses, and how. */
import assert from 'node:assert/strict'
import { existsSync, lstatSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import http2, { type ClientHttp2Session, type OutgoingHttpHeaders } from 'node:http2'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import fc from 'fast-check'
import { DEFAULT_LIMITS } from '../../../../http/types.ts'
import { frame, readMessage, readTimeout, unframe, writeMessage, writeTimeout } from './frames.ts'
import { GrpcServer, type UnaryCall, type UnaryReply } from './server.ts'
import { GrpcError } from './status.ts'
import { listenUnix, type UnixDoor } from './unix.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-grpc-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const LIMITS = { ...DEFAULT_LIMITS, requestMs: 200, inFlight: 2 }
let count = 0

/** A server that echoes, unless `handle` says otherwise. */
async function serve(
  t: { after: (fn: () => unknown) => void },
  handle: (call: UnaryCall<string>) => Promise<UnaryReply> = async ({ body }) => ({
    status: 'OK',
    message: unframe(body),
  }),
  limits = LIMITS,
) {
  const refused: string[] = []
  const defects: unknown[] = []
  const world = { peer: 'someone' as string | undefined, calls: [] as UnaryCall<string>[] }
  const server = new GrpcServer<string>({
    limits,
    maxMessage: 1000,
    has: path => path === '/a.B/C',
    handle: call => {
      world.calls.push(call)
      return handle(call)
    },
    onRefused: reason => void refused.push(reason),
    onDefect: error => void defects.push(error),
  })
  const path = join(folder, `${++count}.sock`)
  const door = await listenUnix({ path }, 8, socket => server.accept(socket, '', () => world.peer))
  const session = http2.connect('http://localhost', { createConnection: () => connect(path) })
  session.on('error', () => {})
  t.after(async () => {
    session.destroy()
    door.close()
    await server.close({ deadlineMs: 0 })
  })
  return { server, door, path, session, refused, defects, world }
}

interface Answer {
  readonly http: unknown
  readonly status: unknown
  readonly text: string
  readonly body: Buffer
  readonly rst: number
}

const HEAD = { ':method': 'POST', ':path': '/a.B/C', 'content-type': 'application/grpc', te: 'trailers' }

function call(
  session: ClientHttp2Session,
  body: Buffer | undefined,
  headers: OutgoingHttpHeaders = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ...HEAD, ...headers }, { endStream: false })
    let head: Record<string, unknown> = {}
    let trailers: Record<string, unknown> = {}
    const chunks: Buffer[] = []
    stream.on('response', got => {
      head = got
    })
    stream.on('trailers', got => {
      trailers = got
    })
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('error', error => {
      if (head[':status'] === undefined) reject(error)
    })
    stream.on('close', () => {
      const found = (name: string) => trailers[name] ?? head[name]
      const rst = stream.rstCode ?? 0
      const text = readMessage(found('grpc-message'))
      resolve({ http: head[':status'], status: found('grpc-status'), text, body: Buffer.concat(chunks), rst })
    })
    if (body !== undefined) stream.end(body)
  })
}

test('one message in, one out, with status 0 in the trailers', async t => {
  const { session, world } = await serve(t)
  const got = await call(session, frame(Buffer.from('hello')), { 'grpc-timeout': '3S', 'user-agent': 'me' })
  assert.deepEqual([got.http, got.status, String(unframe(got.body))], [200, '0', 'hello'])
  assert.equal(world.calls[0]?.headers['user-agent'], 'me')
  const left = world.calls[0]?.timeoutMs ?? 0
  assert.ok(left > 2000 && left <= 3000)
})

const REFUSALS: readonly (readonly [string, OutgoingHttpHeaders, Buffer, readonly [unknown, unknown], string])[] = [
  ['another method of HTTP', { ':method': 'PUT' }, frame(Buffer.alloc(1)), [405, undefined], 'BadRequest'],
  ['another content type', { 'content-type': 'application/json' }, Buffer.from('{}'), [415, undefined], 'BadRequest'],
  ['gRPC-Web', { 'content-type': 'application/grpc-web' }, Buffer.alloc(5), [415, undefined], 'BadRequest'],
  ['a method that there is not', { ':path': '/a.B/D' }, frame(Buffer.alloc(1)), [200, '12'], 'UnknownMethod'],
  [
    'reflection',
    { ':path': '/grpc.reflection.v1.ServerReflection/Info' },
    Buffer.alloc(5),
    [200, '12'],
    'UnknownMethod',
  ],
  ['a deadline that is none', { 'grpc-timeout': 'soon' }, frame(Buffer.alloc(1)), [200, '3'], 'BadRequest'],
  ['a message above the bound', {}, frame(Buffer.alloc(1001)), [200, '8'], 'TooLarge'],
]
for (const [name, headers, body, [http, status], reason] of REFUSALS) {
  test(`refused, and the connection goes on: ${name}`, async t => {
    const { session, refused, world } = await serve(t)
    const got = await call(session, body, headers)
    assert.deepEqual([got.http, got.status], [http, status])
    assert.deepEqual(refused, [reason])
    assert.equal(world.calls.length, 0)
    assert.equal((await call(session, frame(Buffer.alloc(1)))).status, '0')
  })
}

test('a message that does not come is not waited for', async t => {
  const { session, refused, server } = await serve(t)
  const got = await call(session, undefined)
  assert.equal(got.status, '4')
  assert.deepEqual(refused, ['Timeout'])
  assert.equal(server.inFlight, 0)
})

test('more calls than may be in flight are told to come back', async t => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const { session, refused, world } = await serve(t, async () => {
    await promise
    return { status: 'OK', message: Buffer.alloc(0) }
  })
  const two = [call(session, frame(Buffer.alloc(1))), call(session, frame(Buffer.alloc(1)))]
  while (world.calls.length < 2) await new Promise(next => setImmediate(next))
  assert.equal((await call(session, frame(Buffer.alloc(1)))).status, '8')
  assert.deepEqual(refused, ['Overloaded'])
  resolve()
  for (const each of await Promise.all(two)) assert.equal(each.status, '0')
})

test('a peer that is not known any more is served no further', async t => {
  const { session, refused, world } = await serve(t)
  assert.equal((await call(session, frame(Buffer.alloc(1)))).status, '0')
  world.peer = undefined
  const closed = new Promise(resolve => session.once('close', resolve))
  const got = await call(session, frame(Buffer.alloc(1))).catch(() => undefined)
  assert.equal(got?.status, undefined)
  await closed
  assert.deepEqual(refused, ['ClientCertificate'])
})

test('a handler that fails is a defect, and tells nothing', async t => {
  const { session, defects } = await serve(t, async () => Promise.reject(new Error('secret')))
  const got = await call(session, frame(Buffer.alloc(1)))
  assert.equal(got.status, '13')
  assert.doesNotMatch(got.text, /secret/)
  assert.equal(defects.length, 1)
})

test('closing lets calls finish, and cuts those that do not', async t => {
  for (const [finish, cut] of [
    [true, 0],
    [false, 1],
  ] as const) {
    const { promise, resolve } = Promise.withResolvers<UnaryReply>()
    const { session, server, door, world, path } = await serve(t, () => promise)
    const under = call(session, frame(Buffer.alloc(1))).catch(() => undefined)
    while (world.calls.length < 1) await new Promise(next => setImmediate(next))
    door.close()
    const closing = server.close({ deadlineMs: finish ? 10_000 : 20 })
    if (finish) resolve({ status: 'OK', message: Buffer.alloc(0) })
    assert.equal(await closing, cut)
    assert.equal((await under)?.status, finish ? '0' : undefined)
    assert.equal(existsSync(path), false)
  }
})

test('property: no bytes on a connection end the server', async t => {
  const { path, session, defects } = await serve(t)
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
  const anyBytes = fc.uint8Array({ maxLength: 200 }).map(bytes => Buffer.from(bytes))
  await fc.assert(
    fc.asyncProperty(fc.boolean(), anyBytes, async (withPreface, bytes) => {
      await new Promise<void>(resolve => {
        const socket = connect(path, () => socket.end(withPreface ? Buffer.concat([preface, bytes]) : bytes))
        socket.on('error', () => {})
        socket.on('close', () => resolve())
        socket.resume()
      })
    }),
    { numRuns: 100 },
  )
  assert.equal((await call(session, frame(Buffer.alloc(1)))).status, '0')
  assert.deepEqual(defects, [])
})

/** A frame of headers of which no more than its beginning comes. */
const BEGUN = Buffer.from('00006401040000000100073a6d6574686f64', 'hex')
const GREETING = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from('000000040000000000', 'hex'),
])
for (const [name, bytes] of [
  ['that rests', GREETING],
  ['that stops inside a frame', Buffer.concat([GREETING, BEGUN])],
  ['that says nothing', Buffer.alloc(0)],
] as const) {
  test(`a peer ${name} and never ends its own side is cut off`, async t => {
    const { path, server, session } = await serve(t, undefined, { ...LIMITS, idleMs: 50 })
    const gone = new Promise(resolve => session.once('close', resolve))
    const socket = connect({ path, allowHalfOpen: true })
    t.after(() => socket.destroy())
    socket.on('error', () => {})
    socket.write(bytes)
    socket.resume()
    await new Promise(resolve => socket.once('end', resolve))
    await gone
    while (server.connections > 0) await new Promise(next => setImmediate(next))
  })
}

test('the socket: closed to others from its first moment, in place of a dead one, never of a live one or of a file', async () => {
  const path = join(folder, 'kms.sock')
  const doors: UnixDoor[] = []
  doors.push(await listenUnix({ path }, 8, socket => socket.destroy()))
  assert.equal(lstatSync(path).mode & 0o777, 0o600)
  await assert.rejects(
    listenUnix({ path }, 8, () => {}),
    /served by another process/,
  )
  const group = String(process.getgid?.())
  const shared = join(folder, 'shared.sock')
  doors.push(await listenUnix({ path: shared, group }, 8, socket => socket.destroy()))
  assert.equal(lstatSync(shared).mode & 0o777, 0o660)
  for (const door of doors) door.close()
  assert.equal(existsSync(path), false)
  // What a process that was killed leaves behind: a name that nobody listens at.
  const dead = createServer()
  const elsewhere = join(folder, 'elsewhere')
  await new Promise<void>(resolve => dead.listen(path, resolve))
  renameSync(path, elsewhere)
  dead.close()
  renameSync(elsewhere, path)
  const again = await listenUnix({ path }, 8, socket => socket.destroy())
  again.close()
  writeFileSync(path, '')
  await assert.rejects(
    listenUnix({ path }, 8, () => {}),
    /is no socket/,
  )
  rmSync(path)
  await assert.rejects(
    listenUnix({ path: join(folder, 'no', 's') }, 8, () => {}),
    /its folder does not exist/,
  )
  await assert.rejects(
    listenUnix({ path, user: 'nobody-of-that-name' }, 8, () => {}),
    /there is no user/,
  )
  assert.deepEqual(
    readdirSync(folder).filter(name => name.startsWith('.')),
    [],
    'nothing is left behind',
  )
})

test('deadlines and texts of errors, there and back', () => {
  assert.deepEqual(
    ['1H', '2M', '3S', '4m', '5u', '6n'].map(readTimeout),
    [3_600_000, 120_000, 3000, 4, 0.005, 0.000006],
  )
  assert.equal(readTimeout(undefined), undefined)
  for (const text of ['', 'm', '1', '123456789m', '1 m', '-1m', '1x'])
    assert.throws(() => readTimeout(text), GrpcError, text)
  assert.equal(readTimeout(writeTimeout(2500.4)), 2500)
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), text => {
      const sent = writeMessage(text)
      assert.match(sent, /^[\x20-\x7e]*$/)
      assert.equal(readMessage(sent), text)
    }),
  )
  assert.equal(readMessage('%zz %'), '%zz %')
})
