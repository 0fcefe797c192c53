/** Scripts of clients that speak HTTP/2 to the gRPC server, frame by frame (RFC 9113), and a good call. */
import { connect } from 'node:http2'
import type { Socket } from 'node:net'
import { frame } from '../../src/ekm/protocols/kubernetes/grpc/frames.ts'
import { damagedBytes } from '../mutate.ts'
import { field, protobuf } from '../protobuf.ts'
import type { Random } from '../random.ts'
import type { Script } from './play.ts'

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const TYPES = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const
const END_STREAM = 1
const END_HEADERS = 4
const ENCRYPT = '/v2.KeyManagementService/Encrypt'
const METHODS = [ENCRYPT, '/v2.KeyManagementService/Decrypt', '/v2.KeyManagementService/Status', '/x', '', '*']
const SEED = Buffer.from('a seed')

const named = (type: keyof typeof TYPES, flags: number, stream: number, body: Buffer): Buffer =>
  raw(TYPES[type], flags, stream, body)

function raw(type: number, flags: number, stream: number, body: Buffer, length = body.length): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(length & 0xff_ffff, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream >>> 0, 5)
  return Buffer.concat([head, body])
}

/** HPACK without its tables: every field in full (RFC 7541 §6.2.2). */
function literal([name, value]: readonly [string, string]): Buffer {
  const text = (of: string): Buffer =>
    Buffer.concat([integer(Buffer.byteLength(of, 'latin1')), Buffer.from(of, 'latin1')])
  return Buffer.concat([Buffer.of(0), text(name), text(value)])
}

function integer(value: number): Buffer {
  if (value < 127) return Buffer.of(value)
  const bytes = [127]
  let rest = value - 127
  for (; rest >= 128; rest >>= 7) bytes.push((rest & 127) | 128)
  return Buffer.of(...bytes, rest)
}

function fields(random: Random): (readonly [string, string])[] {
  const all: (readonly [string, string])[] = [
    [':method', random.chance(0.95) ? 'POST' : random.pick(['GET', 'PUT', ''])],
    [':scheme', 'http'],
    [':path', random.chance(0.9) ? random.pick(METHODS.slice(0, 3)) : random.pick(METHODS)],
    [':authority', 'x'],
    ['content-type', random.chance(0.95) ? 'application/grpc' : 'text/plain'],
    ['te', 'trailers'],
    ['holdfast-tenant', random.chance(0.9) ? 'acme' : '../\u00e9'],
    ['holdfast-key', 'k'],
  ]
  if (random.chance(0.3)) all.push(['grpc-timeout', random.pick(['1S', '1n', '99999999H', 'x', ''])])
  if (random.chance(0.05))
    all.push(
      ...Array.from(
        { length: random.pick([10, 70, 300]) },
        (_, n) => [`x${n}`, 'y'.repeat(random.below(100))] as const,
      ),
    )
  if (random.chance(0.05))
    all.splice(
      random.below(all.length),
      0,
      random.pick([
        [':path', '/'],
        ['Upper', 'x'],
        ['connection', 'close'],
        [':odd', ''],
        ['a', '\0'],
        ['content-length', '7'],
      ] as const),
    )
  return all
}

function stream(random: Random, id: number): Buffer[] {
  const block = Buffer.concat(fields(random).map(literal))
  const header = random.chance(0.95) ? block : damagedBytes(random, block)
  const message = frame(
    protobuf(random, [
      [1, SEED],
      [2, 'uid'],
      [3, 'acme/k:v1'],
    ]),
  )
  const body = random.chance(0.9) ? message : damagedBytes(random, message)
  const frames: Buffer[] = []
  if (random.chance(0.9)) frames.push(named('headers', END_HEADERS, id, header))
  else {
    const at = random.below(header.length)
    frames.push(named('headers', 0, id, header.subarray(0, at)))
    for (let more = random.pick([1, 1, 1, 3, 200]); more > 0; more--)
      frames.push(
        named('continuation', more === 1 ? END_HEADERS : 0, id, more === 1 ? header.subarray(at) : Buffer.alloc(0)),
      )
  }
  if (random.chance(0.1)) frames.push(named('reset', 0, id, Buffer.of(0, 0, 0, 8)))
  if (random.chance(0.9)) frames.push(named('data', random.chance(0.9) ? END_STREAM : 0, id, body))
  if (random.chance(0.02)) frames.push(...Array.from({ length: 12 }, () => named('data', 0, id, Buffer.alloc(16_384))))
  return frames
}

function odd(random: Random): Buffer {
  const id = random.pick([0, 1, 2, 3, 0x7fff_ffff, 0xffff_ffff])
  switch (random.below(9)) {
    case 0:
      return raw(random.below(256), random.below(256), id, random.bytes(random.below(40)))
    case 1:
      return raw(random.below(10), 0, id, random.bytes(8), random.pick([0, 7, 9, 16_385, 0xff_ffff]))
    case 2:
      return named('window', 0, id, Buffer.of(0x7f, 0xff, 0xff, 0xff))
    case 3:
      return named('settings', random.below(2), id, random.bytes(6 * random.below(4)))
    case 4:
      return Buffer.concat(
        Array.from({ length: random.pick([1, 50, 2000]) }, () => named('ping', 0, 0, Buffer.alloc(8))),
      )
    case 5:
      return Buffer.concat(
        Array.from({ length: random.pick([1, 50, 500]) }, () => named('settings', 0, 0, Buffer.alloc(0))),
      )
    case 6:
      return named('goaway', 0, 0, random.bytes(8))
    case 7:
      return named('priority', 0, id, random.bytes(5))
    default:
      return named('push', END_HEADERS, id, random.bytes(12))
  }
}

export function grpcScript(random: Random, hasTls: boolean): Script {
  const parts: Buffer[] = [PREFACE, named('settings', 0, 0, Buffer.alloc(0))]
  const streams = random.pick([1, 1, 2, 5, 150])
  for (let n = 0; n < streams; n++) {
    parts.push(...stream(random, random.chance(0.98) ? 2 * n + 1 : 2 * n))
    if (random.chance(0.1)) parts.push(odd(random))
  }
  if (random.chance(0.4)) parts.push(odd(random))
  const whole = Buffer.concat(parts)
  const sent = random.chance(0.7)
    ? whole
    : random.chance(0.5)
      ? damagedBytes(random, whole)
      : whole.subarray(0, random.below(whole.length))
  const slow = random.chance(0.1)
  const at = random.below(sent.length + 1)
  return {
    bare: hasTls && random.chance(0.1),
    parts: slow ? [sent.subarray(0, at), sent.subarray(at)] : [sent],
    pauseMs: slow ? 1 + random.below(30) : 0,
    last: random.pick(['end', 'stay', 'cut']),
  }
}

/** `grpc-status` of one good Encrypt. */
export function statusOfCall(socket: Socket, mostMs: number): Promise<unknown> {
  const session = connect('http://localhost', { createConnection: () => socket })
  return new Promise((resolve, reject) => {
    session.on('error', reject)
    session.setTimeout(mostMs, () => session.destroy(new Error('no answer in time')))
    const call = session.request({
      ...{ ':method': 'POST', ':path': ENCRYPT, 'content-type': 'application/grpc', te: 'trailers' },
      ...{ 'holdfast-tenant': 'acme', 'holdfast-key': 'k' },
    })
    let head: Record<string, unknown> = {}
    let trailers: Record<string, unknown> = {}
    call.on('response', got => {
      head = got
    })
    call.on('trailers', got => {
      trailers = got
    })
    call.on('error', reject)
    call.on('close', () => resolve(trailers['grpc-status'] ?? head['grpc-status']))
    call.resume()
    call.end(frame(field(1, SEED)))
  }).finally(() => session.close())
}
