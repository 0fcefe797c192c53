/** Kubernetes KMS v2: gRPC's frames and headers, the messages, and who a plugin says it is for. */
import type { IncomingHttpHeaders } from 'node:http2'
import {
  frame,
  isGrpc,
  readMessage,
  readTimeout,
  writeMessage,
} from '../../src/ekm/protocols/kubernetes/grpc/frames.ts'
import { GrpcError } from '../../src/ekm/protocols/kubernetes/grpc/status.ts'
import {
  type ConnectionPeer,
  KEY_HEADER,
  kubernetesHandler,
  TENANT_HEADER,
} from '../../src/ekm/protocols/kubernetes/handler.ts'
import { keyIdOf } from '../../src/ekm/protocols/kubernetes/key-id.ts'
import {
  DECRYPT_RESPONSE,
  ENCRYPT_RESPONSE,
  MAX_MESSAGE,
  METHODS,
  type Method,
  pathOf,
  STATUS_RESPONSE,
} from '../../src/ekm/protocols/kubernetes/messages.ts'
import { decode } from '../../src/ekm/protocols/kubernetes/protobuf.ts'
import { World } from '../exchange.ts'
import { damagedBytes, damagedText } from '../mutate.ts'
import { type Fields, field, protobuf } from '../protobuf.ts'
import type { Random } from '../random.ts'
import { demand, type Target } from '../target.ts'
import { peerNamed } from './azure.ts'

const TENANT = 'clusters/prod'
const SEED = Buffer.from('the seed of thirty-two bytes ...')
const SOCKET: ConnectionPeer = { kind: 'socket', url: 'unix:///run/kms.sock', tenant: TENANT, key: 'etcd' }
const PLUGIN: ConnectionPeer = { kind: 'certificate', peer: peerNamed('node.example') }
const NAMED: Readonly<Record<string, string>> = { [TENANT_HEADER]: TENANT, [KEY_HEADER]: 'etcd', 'user-agent': 'kube' }
const ANSWERS: ReadonlySet<string> = new Set([
  'INVALID_ARGUMENT',
  'UNIMPLEMENTED',
  'NOT_FOUND',
  'UNAUTHENTICATED',
  'FAILED_PRECONDITION',
])
const TIMEOUTS = ['3S', '1m', '99999999H', '1n', '0S', '100000000S', '-1S', '1', 'S', '1.5S', '']
const TYPES = [
  'application/grpc',
  'application/grpc+proto',
  'application/grpc-web',
  'application/grpc;x',
  'application/json',
]

interface Input {
  readonly method: Method
  readonly peer: ConnectionPeer
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly timeout: string
  readonly type: string
}

export const kubernetes: Target<Input> = {
  name: 'kubernetes',
  about: 'calls of Kubernetes KMS v2: gRPC frames and headers, Protocol Buffers, names',
  start: async () => {
    const world = new World()
    const { owner, context } = world
    owner.tenant(TENANT, { clients: ['node.example'] })
    owner.key(TENANT, 'etcd')
    owner.key(TENANT, 'revoked', { state: 'Revoked' })
    const health = { ok: true, checkedAt: 0 } as never
    const handle = kubernetesHandler({ ...context, replica: owner.replica, health: async () => health })
    const call = ({
      method,
      peer,
      headers,
      body,
      timeoutMs,
    }: Omit<Input, 'timeout' | 'type'> & { timeoutMs: number | undefined }) =>
      world.counted(() => handle({ path: pathOf(method), headers, body, timeoutMs, peer, address: '192.0.2.7' }))
    const body = frame(field(1, SEED))
    const made = await call({ method: 'Encrypt', peer: SOCKET, headers: {}, body, timeoutMs: undefined })
    demand(made.status === 'OK', () => made.status)
    const { ciphertext } = decode(ENCRYPT_RESPONSE, made.message)
    const key_id = keyIdOf(TENANT, 'etcd', 1)
    const annotations = Buffer.concat([field(1, Buffer.from('a.example')), field(2, Buffer.from('b'))])
    const messages: Readonly<Record<Method, Fields>> = {
      Status: [],
      Encrypt: [
        [1, SEED],
        [2, 'uid-1'],
      ],
      Decrypt: [
        [1, ciphertext],
        [2, 'uid-1'],
        [3, key_id],
        [4, annotations],
      ],
    }
    return {
      make: random => {
        const method = random.pick(METHODS)
        const message = frame(protobuf(random, random.chance(0.97) ? messages[method] : messages.Decrypt))
        const body = random.chance(0.05) ? damagedBytes(random, message) : message
        const timeout = random.chance(0.5)
          ? '3S'
          : random.chance(0.5)
            ? random.pick(TIMEOUTS)
            : damagedText(random, '3S')
        const type = random.chance(0.9) ? random.pick(TYPES) : damagedText(random, 'application/grpc')
        const socket = random.chance(0.5)
        const headers = socket ? {} : random.chance(0.8) ? NAMED : otherNames(random)
        const peer = socket
          ? SOCKET
          : random.chance(0.95)
            ? PLUGIN
            : ({ kind: 'certificate', peer: peerNamed('other') } as const)
        return { method, peer, headers, body: body.subarray(0, MAX_MESSAGE), timeout, type }
      },
      run: async ({ timeout, type, ...input }) => {
        const timeoutMs = timeoutOf(timeout)
        isGrpc(type)
        const text = writeMessage(timeout + type)
        demand(/^[\x20-\x7e]*$/.test(text), () => `not a grpc-message: ${text}`)
        readMessage(type)
        const reply = await call({ ...input, timeoutMs })
        if (reply.status !== 'OK') {
          demand(ANSWERS.has(reply.status), () => `${reply.status}: ${reply.text}`)
          return reply.status
        }
        if (input.method === 'Status') {
          const key = String(input.peer.kind === 'socket' ? 'etcd' : input.headers[KEY_HEADER])
          demand(decode(STATUS_RESPONSE, reply.message).key_id === keyIdOf(TENANT, key, 1), () => 'another key')
        }
        if (input.method === 'Decrypt')
          demand(decode(DECRYPT_RESPONSE, reply.message).plaintext.equals(SEED), () => 'another plaintext')
        return `OK ${input.method}`
      },
    }
  },
}

function otherNames(random: Random): IncomingHttpHeaders {
  const name = random.pick(Object.keys(NAMED))
  const headers: IncomingHttpHeaders = { ...NAMED, [name]: damagedText(random, NAMED[name] ?? '') }
  if (random.chance(0.1)) headers[KEY_HEADER] = random.pick(['revoked', 'none', ''])
  return headers
}

function timeoutOf(text: string): number | undefined {
  try {
    const milliseconds = readTimeout(text)
    demand(milliseconds === undefined || (milliseconds >= 0 && milliseconds <= 3.6e14), () => `${milliseconds} ms`)
    return milliseconds
  } catch (error) {
    demand(error instanceof GrpcError, () => String(error))
    return undefined
  }
}
