/** A bare server of gRPC over node:http2 on a Unix socket: reads a message, answers one that is always the same. No authentication, no policy, no record. */
import { createServer, type ServerHttp2Stream } from 'node:http2'

/** As long as a small answer of a key manager. */
const ANSWER = Buffer.alloc(5 + 120)
ANSWER.writeUInt32BE(ANSWER.length - 5, 1)

const server = createServer()
server.on('stream', (stream: ServerHttp2Stream) => {
  stream.on('error', () => {})
  stream.resume()
  stream.on('end', () => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.end(ANSWER)
  })
})
server.listen(process.argv[2], () => process.send?.(0))
process.on('disconnect', () => process.exit(0))
