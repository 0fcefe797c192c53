import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, request as httpRequest, type RequestOptions } from 'node:http'
import { connect, type Socket } from 'node:net'
import { after, describe, it } from 'node:test'
import { startListener } from './listener.ts'
import type { HttpRequest, Listener, ListenerOptions, Reply } from './types.ts'

const listeners: Listener[] = []
after(async () => {
  for (const listener of listeners) await listener.close({ deadlineMs: 0 })
})

interface Started {
  readonly listener: Listener
  readonly seen: HttpRequest[]
  readonly refused: string[]
}

async function start(options: Partial<ListenerOptions> = {}): Promise<Started> {
  const seen: HttpRequest[] = []
  const refused: string[] = []
  const { handler = () => reply('ok'), ...rest } = options
  const listener = await startListener({
    name: 'test',
    host: '127.0.0.1',
    port: 0,
    errors: kind => ({
      status: kind === 'TooLarge' ? 413 : 400,
      headers: { 'x-kind': kind },
      body: `{"error":"${kind}"}`,
    }),
    onUnauthenticated: reason => refused.push(reason),
    handler: request => {
      seen.push(request)
      return handler(request)
    },
    ...rest,
  })
  listeners.push(listener)
  return { listener, seen, refused }
}

function reply(body: string | Buffer, status = 200): Reply {
  return { status, headers: { 'Content-Type': 'text/plain' }, body }
}

/** What comes back for raw bytes, until the server ends the connection or `until` is seen. */
async function raw(port: number, parts: (string | Buffer)[], until?: RegExp): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  const { promise, resolve } = Promise.withResolvers<void>()
  socket.on('data', chunk => {
    text += chunk.toString('latin1')
    if (until?.test(text)) resolve()
  })
  socket.on('close', () => resolve())
  socket.on('error', () => resolve())
  for (const part of parts) socket.write(part)
  await promise
  socket.destroy()
  return text
}

function ask(
  port: number,
  options: RequestOptions = {},
  body: string | Buffer = '',
): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ host: '127.0.0.1', port, method: 'POST', ...options }, response => {
      const chunks: Buffer[] = []
      response.on('data', chunk => chunks.push(chunk))
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      )
      response.on('error', reject)
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

describe('a listener', () => {
  it('hands over requests as they were sent', async () => {
    const { listener, seen } = await start({ handler: () => reply(Buffer.from('bytes')) })
    const answer = await ask(
      listener.port,
      {
        path: '/a/%2F/./b?x=%20&y',
        headers: { 'X-A': 'One', 'x-list': ['1', '2'], 'Content-Type': 'application/json' },
      },
      '{"é":1}',
    )
    assert.equal(answer.body, 'bytes')
    assert.equal(answer.headers['content-length'], '5')
    assert.ok(answer.headers.date)
    const [request] = seen
    assert.equal(request?.method, 'POST')
    assert.equal(request?.rawPath, '/a/%2F/./b')
    assert.equal(request?.query, 'x=%20&y')
    assert.equal(request?.headers['x-a'], 'One')
    assert.equal(request?.headers['x-list'], '1,2')
    assert.equal(request?.headers.host, `127.0.0.1:${listener.port}`)
    assert.equal(request?.body.toString(), '{"é":1}')
    assert.equal(request?.remoteAddress, '127.0.0.1')
    assert.equal(request?.peer, undefined)
    assert.ok(Math.abs((request?.receivedAt ?? 0) - Date.now()) < 5000)
    assert.equal(listener.url, `http://127.0.0.1:${listener.port}`)
  })

  it('sends head and body in one write, and keeps the connection', async () => {
    const { listener } = await start({ handler: async () => reply('hello') })
    const socket = connect(listener.port, '127.0.0.1')
    for (let i = 0; i < 3; i++) {
      socket.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab')
      const [chunk] = (await once(socket, 'data')) as [Buffer]
      assert.match(
        chunk.toString(),
        /^HTTP\/1\.1 200 OK\r\n[\s\S]*Content-Length: 5\r\n[\s\S]*Date: [\s\S]*\r\n\r\nhello$/,
      )
    }
    socket.destroy()
  })

  it('answers pipelined requests in order', async () => {
    const later: (() => void)[] = []
    const { listener } = await start({
      handler: request =>
        request.rawPath === '/1' ? new Promise(resolve => later.push(() => resolve(reply('one')))) : reply('two'),
    })
    const one = (path: string) => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`
    const text = raw(listener.port, [one('/1') + one('/2')], /two$/)
    while (later.length === 0) await new Promise(resolve => setImmediate(resolve))
    later[0]?.()
    assert.match(await text, /one[\s\S]*two$/)
  })

  it('plain HTTP is for loopback only', async () => {
    for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.com']) {
      await assert.rejects(
        start({ host }),
        /listens on .* without TLS: configure listen\.tls, or listen on 127\.0\.0\.1/,
      )
    }
    const { listener } = await start({ host: 'localhost' })
    assert.equal((await ask(listener.port, { host: 'localhost' })).status, 200)
  })

  it('a defect of the handler is an Internal error that says nothing', async () => {
    const defects: unknown[] = []
    const handlers: ListenerOptions['handler'][] = [
      () => {
        throw new Error('canary')
      },
      () => Promise.reject(new Error('canary')),
      () => ({ status: 200, headers: { 'bad name': 'x' }, body: '' }),
    ]
    for (const handler of handlers) {
      const { listener, refused } = await start({ handler, onDefect: error => defects.push(error) })
      const { body, headers } = await ask(listener.port)
      assert.equal(body, '{"error":"Internal"}')
      assert.ok(!JSON.stringify(headers).includes('canary'))
      assert.deepEqual(refused, [])
    }
    assert.equal(defects.length, handlers.length)
  })
})

describe('promise 11: bad input gets a clear error and costs nothing', () => {
  const small = { limits: { bodyBytes: 1000, headerBytes: 2048, headerCount: 12 } }

  it('a declared body above the limit is refused before it is read', async () => {
    const { listener, seen, refused } = await start(small)
    const head = 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n'
    const text = await raw(listener.port, [`${head}\r\n`])
    assert.match(
      text,
      /^HTTP\/1\.1 413 Payload Too Large\r\nx-kind: TooLarge\r\nDate: [\s\S]*Connection: close[\s\S]*{"error":"TooLarge"}$/,
    )
    assert.match(await raw(listener.port, [`${head}Expect: 100-continue\r\n\r\n`]), /^HTTP\/1\.1 413/)
    assert.equal((await ask(listener.port, {}, Buffer.alloc(300_000))).body, '{"error":"TooLarge"}')
    assert.equal((await ask(listener.port, {}, Buffer.alloc(1000))).body, 'ok')
    assert.equal(seen.length, 1)
    assert.deepEqual(refused, ['TooLarge', 'TooLarge', 'TooLarge'])
  })

  it('a chunked body is counted while it comes', async () => {
    const { listener, seen, refused } = await start(small)
    const chunk = `${(400).toString(16)}\r\n${'x'.repeat(400)}\r\n`
    const head = 'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n'
    assert.match(await raw(listener.port, [head, chunk, chunk, chunk]), /^HTTP\/1\.1 413[\s\S]*TooLarge"}$/)
    assert.match(await raw(listener.port, [head, chunk, chunk, '0\r\n\r\n'], /ok$/), /ok$/)
    assert.equal(seen[0]?.body.length, 800)
    assert.match(await raw(listener.port, [head, 'zz\r\n']), /^HTTP\/1\.1 400[\s\S]*BadRequest"}$/)
    assert.deepEqual(refused, ['TooLarge', 'BadRequest'])
    assert.equal(listener.inFlight, 0)
  })

  it('headers are bounded in size and number, and none is passed over', async () => {
    const { listener, seen } = await start(small)
    const many = (count: number) => Array.from({ length: count }, (_, i) => `x-${i}: 1\r\n`).join('')
    const get = (headers: string) => raw(listener.port, [`GET / HTTP/1.1\r\nHost: h\r\n${headers}\r\n`], /}$|ok$/)
    assert.match(await get(`x: ${'y'.repeat(3000)}\r\n`), /^HTTP\/1\.1 413[\s\S]*TooLarge/)
    assert.match(await get(many(12)), /^HTTP\/1\.1 400[\s\S]*BadRequest/)
    assert.match(await get(many(11)), /ok$/)
    assert.equal(seen.length, 1)
  })

  it('what two readers could read differently is refused (request smuggling)', async () => {
    const { listener, seen } = await start()
    const host = 'Host: h\r\n'
    const length = 'Content-Length: 4\r\n'
    const chunked = 'Transfer-Encoding: chunked\r\n'
    const body = '0\r\n\r\n'
    const shapes = [
      `POST / HTTP/1.1\r\n${host}${length}${chunked}\r\n${body}`,
      `POST / HTTP/1.1\r\n${host}${chunked}${length}\r\n${body}`,
      `POST / HTTP/1.1\r\n${host}${length}Content-Length: 5\r\n\r\n${body}`,
      `POST / HTTP/1.1\r\n${host}${length}${length}\r\nabcd`,
      `POST / HTTP/1.1\r\n${host}Content-Length: 4, 4\r\n\r\nabcd`,
      `POST / HTTP/1.1\r\n${host}Content-Length: +4\r\n\r\nabcd`,
      `POST / HTTP/1.1\r\n${host}Content-Length: 0x4\r\n\r\nabcd`,
      `POST / HTTP/1.1\r\n${host}Content-Length: -1\r\n\r\n`,
      `POST / HTTP/1.1\r\n${host}Content-Length : 4\r\n\r\nabcd`,
      `POST / HTTP/1.1\r\n${host}Transfer-Encoding: xchunked\r\n\r\n${body}`,
      `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked, identity\r\n\r\n${body}`,
      `POST / HTTP/1.1\r\n${host}Transfer-Encoding: identity\r\n\r\n${body}`,
      `POST / HTTP/1.1\r\n${host}${chunked}${chunked}\r\n${body}`,
      `POST / HTTP/1.1\r\n${host}Transfer-Encoding:\x0bchunked\r\n\r\n${body}`,
      `POST / HTTP/1.1\r\n${host}X: a\r\n ${chunked}\r\n${body}`,
      `POST / HTTP/1.1\r\n${host}X: a\nY: b\r\n\r\n`,
      `POST / HTTP/1.1\r\n${host}X: a\rY: b\r\n\r\n`,
      `POST / HTTP/1.1\r\n${host}X: a\0b\r\n\r\n`,
      `POST / HTTP/1.1\r\n${host}X Y: a\r\n\r\n`,
      `POST / HTTP/1.1\r\n${host}: a\r\n\r\n`,
      `POST / HTTP/1.1\r\n${host}${host}\r\n`,
      'POST / HTTP/1.1\r\n\r\n',
      `POST http://h/ HTTP/1.1\r\n${host}\r\n`,
      `POST * HTTP/1.1\r\n${host}\r\n`,
      `POST /a#b HTTP/1.1\r\n${host}\r\n`,
      `POST /\xe9 HTTP/1.1\r\n${host}\r\n`,
      `POST / HTTP/9.9\r\n${host}\r\n`,
      `POST / HTTP/1.1 \r\n${host}\r\n`,
      `P()T / HTTP/1.1\r\n${host}\r\n`,
      `POST / HTTP/1.1\r\n${host}Authorization: a\r\nAuthorization: b\r\n\r\n`,
      `POST / HTTP/1.1\r\n${host}X-Amz-Date: a\r\nx-amz-date: a\r\n\r\n`,
      `POST / HTTP/1.1\r\n${host}Expect: something\r\n\r\n`,
      `POST / HTTP/1.1\r\n${host}${chunked}\r\n5\rabcde\r\n${body}`,
      `POST / HTTP/1.1\r\n${host}${chunked}\r\n5 \r\nabcde\r\n${body}`,
      '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    ]
    for (const shape of shapes) {
      const text = await raw(listener.port, [Buffer.from(shape, 'latin1')], /}$|ok$/)
      assert.match(text, /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*"BadRequest"}$/, JSON.stringify(shape))
      assert.equal(text.match(/HTTP\/1\.1/g)?.length, 1, `one answer to ${JSON.stringify(shape)}`)
    }
    assert.deepEqual(seen, [])
  })

  it('headers and bodies that dawdle are cut off', async () => {
    const { listener, seen, refused } = await start({ limits: { headersMs: 80, requestMs: 160 } })
    const texts = await Promise.all([
      raw(listener.port, []),
      raw(listener.port, ['POST / HTTP/1.1\r\nHost:']),
      raw(listener.port, ['POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab']),
    ])
    for (const text of texts.slice(1)) assert.match(text, /^HTTP\/1\.1 400[\s\S]*"Timeout"}$/)
    assert.deepEqual(seen, [])
    assert.ok(refused.length >= 2 && refused.every(reason => reason === 'Timeout'))
    assert.equal(listener.inFlight, 0)
  })

  it('connections and requests in flight are bounded, and the busy are told so in their own words', async () => {
    const waiting: ((reply: Reply) => void)[] = []
    const { listener, refused } = await start({
      limits: { connections: 4, inFlight: 2 },
      handler: () => new Promise<Reply>(resolve => waiting.push(resolve)),
    })
    const agent = new Agent({ keepAlive: true, maxSockets: 3 })
    const first = [ask(listener.port, { agent }), ask(listener.port, { agent })]
    while (waiting.length < 2) await new Promise(resolve => setImmediate(resolve))
    assert.equal(listener.inFlight, 2)
    const turnedAway = await ask(listener.port, { agent }, Buffer.alloc(100_000))
    assert.equal(turnedAway.body, '{"error":"Overloaded"}')
    assert.equal(turnedAway.headers.connection, 'keep-alive')
    for (const resolve of waiting.splice(0)) resolve(reply('late'))
    assert.deepEqual(
      (await Promise.all(first)).map(answer => answer.body),
      ['late', 'late'],
    )
    agent.destroy()
    while (listener.connections > 0) await new Promise(resolve => setImmediate(resolve))
    const sockets = Array.from({ length: 6 }, () => connect(listener.port, '127.0.0.1').on('error', () => {}))
    let ended = 0
    const two = Promise.withResolvers<void>()
    for (const socket of sockets) socket.on('close', () => ++ended === 2 && two.resolve())
    await two.promise
    assert.equal(listener.connections, 4)
    assert.deepEqual(refused, ['Overloaded', 'TooManyConnections', 'TooManyConnections'])
    for (const socket of sockets) socket.destroy()
  })

  it('a client that waits before it sends its body is told to go on', async () => {
    const { listener, seen } = await start()
    const socket: Socket = connect(listener.port, '127.0.0.1')
    socket.write('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n')
    assert.match(String((await once(socket, 'data'))[0]), /^HTTP\/1\.1 100 Continue/)
    socket.write('abc')
    assert.match(String((await once(socket, 'data'))[0]), /200 OK/)
    socket.destroy()
    assert.equal(seen[0]?.body.toString(), 'abc')
  })

  it('one that offers another protocol is answered in this one', async () => {
    const { listener } = await start()
    const text = await raw(
      listener.port,
      [
        'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n',
      ],
      /ok$/,
    )
    assert.match(text, /^HTTP\/1\.1 200 OK/)
  })

  it('one that goes away leaves nothing behind', async () => {
    const aborted = Promise.withResolvers<void>()
    const { listener, seen } = await start({ handler: () => aborted.promise.then(() => reply('nobody there')) })
    for (const part of [
      'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab',
      'GET / HTTP/1.1\r\nHost: h\r\n\r\n',
    ]) {
      const socket = connect(listener.port, '127.0.0.1')
      socket.write(part)
      while (listener.inFlight === 0) await new Promise(resolve => setImmediate(resolve))
      socket.destroy()
      while (listener.inFlight > 0 || listener.connections > 0) await new Promise(resolve => setImmediate(resolve))
    }
    aborted.resolve()
    assert.equal(seen.length, 1)
  })
})

describe('closing', () => {
  it('finishes what is in flight, ends idle connections at once, and takes no more', async () => {
    const waiting: ((reply: Reply) => void)[] = []
    const { listener } = await start({
      handler: request => (request.rawPath === '/wait' ? new Promise(resolve => waiting.push(resolve)) : reply('ok')),
    })
    const idle = new Agent({ keepAlive: true })
    await ask(listener.port, { agent: idle })
    const busy = ask(listener.port, { path: '/wait', agent: new Agent({ keepAlive: true }) })
    while (waiting.length === 0) await new Promise(resolve => setImmediate(resolve))
    const { port } = listener
    const closing = listener.close({ deadlineMs: 10_000 })
    while (listener.connections > 1) await new Promise(resolve => setImmediate(resolve))
    await assert.rejects(ask(port), { code: 'ECONNREFUSED' })
    waiting[0]?.(reply('done'))
    const answer = await busy
    assert.equal(answer.body, 'done')
    assert.equal(answer.headers.connection, 'close')
    assert.equal(await closing, 0)
    idle.destroy()
  })

  it('cuts what is left at the deadline, and says how much', async () => {
    const started = Promise.withResolvers<void>()
    const { listener } = await start({
      handler: () => {
        started.resolve()
        return new Promise<Reply>(() => {})
      },
    })
    const cut = assert.rejects(ask(listener.port))
    await started.promise
    assert.equal(await listener.close({ deadlineMs: 20 }), 1)
    await cut
  })
})
