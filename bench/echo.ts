/** A bare node:http server, or node:https with client certificates: reads a JSON body, answers it. No authentication, no policy, no record. */
import { readFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'

const echo: RequestListener = (request, response) => {
  const chunks: Buffer[] = []
  request.on('data', chunk => chunks.push(chunk))
  request.on('end', () => {
    const body = JSON.stringify(JSON.parse(Buffer.concat(chunks).toString() || '{}'))
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    response.end(body)
  })
}
const [cert, key, ca] = process.argv.slice(2).map(file => readFileSync(file))
const server =
  cert === undefined || key === undefined || ca === undefined
    ? createServer(echo)
    : createTlsServer({ cert, key, ca, requestCert: true, rejectUnauthorized: true }, echo)
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
process.on('disconnect', () => process.exit(0))
