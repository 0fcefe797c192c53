import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { type AddressInfo, BlockList } from 'node:net'
import test, { type TestContext } from 'node:test'
import { OutboundError, outbound } from './outbound.ts'

const LIMITS = { deadlineMs: 5000, maxBytes: 1000 }

async function server(t: TestContext, listener: RequestListener): Promise<{ url: string; seen: IncomingMessage[] }> {
  const seen: IncomingMessage[] = []
  const running = createServer((request, response) => {
    seen.push(request)
    listener(request, response)
  })
  await new Promise<void>(done => running.listen(0, '127.0.0.1', done))
  t.after(() => {
    running.closeAllConnections()
    running.close()
  })
  return { url: `http://127.0.0.1:${(running.address() as AddressInfo).port}/v1`, seen }
}

const fails = (message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof OutboundError)
  assert.match(error.message, message)
  return true
}

test('sends what it is told, and gives status and body, whatever the status', async t => {
  const { url, seen } = await server(t, (request, response) => {
    request.on('data', part => response.writeHead(403).end(`got ${part}`))
  })
  const answer = await outbound({ url }, { method: 'POST', headers: { 'X-A': 'b' }, body: '{}', ...LIMITS })
  assert.deepEqual([answer.status, answer.body.toString()], [403, 'got {}'])
  assert.deepEqual([seen[0]?.method, seen[0]?.url, seen[0]?.headers['x-a']], ['POST', '/v1', 'b'])
})

test('follows no redirect, and reads no more than it was told', async t => {
  const target = await server(t, (_request, response) => response.end('secret'))
  const moved = await server(t, (_request, response) => response.writeHead(302, { Location: target.url }).end())
  await assert.rejects(outbound({ url: moved.url }, { method: 'GET', ...LIMITS }), fails(/redirect/))
  assert.deepEqual(target.seen, [])
  const endless = await server(t, (_request, response) => response.end(Buffer.alloc(1001)))
  await assert.rejects(outbound({ url: endless.url }, { method: 'GET', ...LIMITS }), fails(/more than 1000 bytes/))
})

test('waits no longer than its deadline, for the head or for the body', async t => {
  const silent = await server(t, () => {})
  const slow = await server(t, (_request, response) => response.writeHead(200).write('{'))
  for (const { url } of [silent, slow])
    await assert.rejects(outbound({ url }, { method: 'GET', ...LIMITS, deadlineMs: 50 }), fails(/in time/))
})

test('speaks plainly with this machine only, and connects to no address but those that are allowed', async t => {
  const { url, seen } = await server(t, (_request, response) => response.end())
  await assert.rejects(outbound({ url: 'http://192.0.2.1/' }, { method: 'GET', ...LIMITS }), fails(/not allowed/))
  await assert.rejects(
    outbound({ url: 'ftp://127.0.0.1/' }, { method: 'GET', ...LIMITS }),
    fails(/neither https nor http/),
  )
  const addresses = new BlockList()
  addresses.addAddress('192.0.2.1')
  for (const host of ['127.0.0.1', 'localhost']) {
    const named = url.replace('127.0.0.1', host)
    await assert.rejects(outbound({ url: named, addresses }, { method: 'GET', ...LIMITS }), fails(/not allowed/))
  }
  assert.deepEqual(seen, [])
  addresses.addSubnet('127.0.0.0', 8)
  assert.equal((await outbound({ url, addresses }, { method: 'GET', ...LIMITS })).status, 200)
})

test('nobody there is an error without details of the request', async () => {
  await assert.rejects(
    outbound({ url: 'http://127.0.0.1:1/secret' }, { method: 'GET', ...LIMITS }),
    fails(/^cannot be reached \(ECONNREFUSED\)$/),
  )
})
