/** What is asked of an owner's key manager by an API server of Kubernetes: gRPC on a Unix socket, one for each key. */
import { once } from 'node:events'
import http2 from 'node:http2'
import { connect } from 'node:net'
import { join } from 'node:path'
import { frame, unframe } from '../../src/ekm/protocols/kubernetes/grpc/frames.ts'
import {
  DECRYPT_REQUEST,
  ENCRYPT_REQUEST,
  ENCRYPT_RESPONSE,
  type Method,
  pathOf,
} from '../../src/ekm/protocols/kubernetes/messages.ts'
import { decode, encode } from '../../src/ekm/protocols/kubernetes/protobuf.ts'
import { grpcRequest } from '../load-grpc.ts'
import { type EkmTarget, type Place, type Protocol, QUARTER, SOFTHSM, SOFTWARE } from './protocols.ts'

const uid = '8a3d2f60-0000-4000-8000-000000000000'
const ENCRYPT = encode(ENCRYPT_REQUEST, { plaintext: Buffer.alloc(32, 7), uid })

/** What the bare server is sent, too. */
export const ENCRYPT_REQUEST_BYTES = grpcRequest(pathOf('Encrypt'), ENCRYPT)

/** One call, and its message. */
async function call(socket: string, method: Method, message: Buffer): Promise<Buffer> {
  const session = http2.connect('http://localhost', { createConnection: () => connect(socket) })
  const headers = { ':method': 'POST', ':path': pathOf(method), 'content-type': 'application/grpc', te: 'trailers' }
  const stream = session.request(headers)
  const parts: Buffer[] = []
  stream.on('data', (part: Buffer) => parts.push(part))
  stream.end(frame(message))
  await once(stream, 'end')
  session.close()
  return unframe(Buffer.concat(parts))
}

export const kubernetes: Protocol = async ({ folder }) => {
  const socketOf = ({ tenant }: Place): string => join(folder, `${tenant}.sock`)
  const sockets = [SOFTWARE, SOFTHSM].map(place => ({ path: socketOf(place), tenant: place.tenant, key: place.key }))
  return {
    config: { kubernetes: { sockets } },
    stop: async () => {},
    targets: async ({ places }) => {
      const both = async (place: Place): Promise<EkmTarget[]> => {
        const socket = socketOf(place)
        const { ciphertext, key_id, annotations } = decode(ENCRYPT_RESPONSE, await call(socket, 'Encrypt', ENCRYPT))
        const decrypt = encode(DECRYPT_REQUEST, { ciphertext, key_id, annotations, uid })
        const target = (name: string, request: Buffer): EkmTarget => ({
          ...{ name: `${name}${place.suffix}`, where: { socket }, slowness: QUARTER * place.slowness },
          requests: () => [request],
        })
        return [
          target('Kubernetes Encrypt, gRPC', ENCRYPT_REQUEST_BYTES),
          target('Kubernetes Decrypt, gRPC', grpcRequest(pathOf('Decrypt'), decrypt)),
        ]
      }
      return (await Promise.all(places.map(both))).flat()
    },
  }
}
