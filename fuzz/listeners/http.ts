/** Scripts of clients that speak HTTP, after a fashion. */
import { damagedBytes, damagedText, text } from '../mutate.ts'
import type { Random } from '../random.ts'
import type { Script } from './play.ts'

const METHODS = ['GET', 'POST', 'HEAD', 'OPTIONS', 'PUT', 'CONNECT', 'BREW', 'post', '']
const TARGETS = ['/', '*', 'http://x/', '//', '/%00', '/../..', 'x', '/a b', `/${'a'.repeat(9000)}`, '/#', '/?\u00e9']
const VERSIONS = ['HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/1.1 ', 'http/1.1', '']
const LENGTHS = ['-1', '0', '1', '2', '1e3', '0x10', '+2', ' 2', '2, 2', '99999999999999999999', '70000', '']
const ENCODINGS = [
  'chunked',
  'Chunked',
  'gzip',
  'chunked, chunked',
  'gzip, chunked',
  'identity',
  'chunked;q=1',
  '\tchunked',
]
const CHUNKS = ['0', '1', '5', 'a', '0x5', '-1', 'ffffffffffffffff', '5;ext=1', `5;${'x'.repeat(20_000)}`, 'zz', '']
const ENDS = ['\r\n', '\n', '\r', '']
const ODD = [
  'Expect: 100-continue',
  'Expect: something',
  'Connection: close',
  'Connection: Upgrade\r\nUpgrade: websocket',
  'Host: b',
  'Host:',
  'Content-Length: 3',
  'Authorization: AWS4-HMAC-SHA256 x',
  'x: a\r\n b',
  'no colon',
  ': no name',
  'a b: c',
  'a: \0',
  'Trailer: x',
]
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
/** A handshake that goes no further. */
const HELLO = Buffer.from(
  '160301003a0100003603030000000000000000000000000000000000000000000000000000000000000000000002130101',
  'hex',
)

export function httpScript(random: Random, requests: readonly Buffer[], hasTls: boolean): Script {
  const bare = hasTls && random.chance(0.15)
  const good = random.pick(requests)
  const parts = bare
    ? [random.pick([good, HELLO, damagedBytes(random, HELLO), random.bytes(40)])]
    : streamOf(random, good, requests)
  const slow = random.chance(0.1)
  return {
    bare,
    parts: slow ? parts.flatMap(part => pieces(random, part)) : parts,
    pauseMs: slow ? 1 + random.below(30) : 0,
    last: random.pick(['end', 'stay', 'stay', 'cut']),
  }
}

function streamOf(random: Random, good: Buffer, requests: readonly Buffer[]): Buffer[] {
  switch (random.below(12)) {
    case 0:
      return [good]
    case 1:
    case 2:
      return [damagedBytes(random, good, random.pick(requests))]
    case 3:
      return [good.subarray(0, random.below(good.length))]
    case 4:
      return [Buffer.from(head(random), 'latin1'), good]
    case 5:
      return [flood(random, good)]
    case 6:
      return [withLength(random, good)]
    case 7:
    case 8:
      return chunked(random, good)
    case 9:
      // One behind the other, the last of them cut short or damaged.
      return [...Array.from({ length: random.below(20) }, () => random.pick(requests)), damagedBytes(random, good)]
    case 10:
      return [random.pick([PREFACE, random.bytes(random.below(400)), Buffer.from(text(random)), Buffer.alloc(2000)])]
    default:
      return [withField(good, random.pick(ODD)), good]
  }
}

const pieces = (random: Random, part: Buffer): Buffer[] => {
  const at = random.below(part.length + 1)
  const to = at + random.below(part.length - at + 1)
  return [part.subarray(0, at), part.subarray(at, to), part.subarray(to)].filter(each => each.length > 0)
}

function head(random: Random): string {
  const line = `${random.pick(METHODS)} ${random.chance(0.3) ? damagedText(random, '/acme/k') : random.pick(TARGETS)} ${random.pick(VERSIONS)}`
  return `${line}${random.pick(ENDS)}Host: x${random.pick(ENDS)}${random.pick(ODD)}${random.pick(ENDS)}${random.pick(ENDS)}`
}

/** Puts a line before the others of a request. */
function withField(good: Buffer, line: string): Buffer {
  const at = good.indexOf('\r\n') + 2
  return Buffer.concat([good.subarray(0, at), Buffer.from(`${line}\r\n`, 'latin1'), good.subarray(at)])
}

function flood(random: Random, good: Buffer): Buffer {
  if (random.chance(0.5)) return withField(good, `x: ${'y'.repeat(random.pick([1000, 15_000, 17_000, 70_000]))}`)
  const count = random.pick([60, 64, 65, 500, 5000])
  return withField(
    good,
    Array.from({ length: count }, (_, n) => `${random.chance(0.5) ? 'x' : `x${n}`}: y`).join('\r\n'),
  )
}

const bodyAt = (good: Buffer): number => good.indexOf('\r\n\r\n') + 4

function withLength(random: Random, good: Buffer): Buffer {
  const top = good
    .subarray(0, bodyAt(good) - 2)
    .toString('latin1')
    .replace(/content-length:[^\r]*\r\n/, '')
  return Buffer.concat([
    Buffer.from(`${top}Content-Length: ${random.pick(LENGTHS)}\r\n\r\n`, 'latin1'),
    good.subarray(bodyAt(good)),
  ])
}

function chunked(random: Random, good: Buffer): Buffer[] {
  const both = random.chance(0.1)
  const top = good.subarray(0, bodyAt(good) - 2).toString('latin1')
  const without = both ? top : top.replace(/content-length:[^\r]*\r\n/, '')
  const body = good.subarray(bodyAt(good)).toString('latin1')
  const encoding = random.chance(0.7) ? 'chunked' : random.pick(ENCODINGS)
  const parts = [`${without}Transfer-Encoding: ${encoding}\r\n\r\n`]
  if (random.chance(0.5)) parts.push(`${body.length.toString(16)}\r\n${body}\r\n`)
  for (let more = random.below(4); more > 0; more--)
    parts.push(`${random.pick(CHUNKS)}${random.pick(ENDS)}${random.chance(0.5) ? 'abcde' : body}${random.pick(ENDS)}`)
  if (random.chance(0.03)) parts.push(...Array.from({ length: 20 }, () => `4000\r\n${'z'.repeat(0x4000)}\r\n`))
  if (random.chance(0.8)) parts.push(random.chance(0.7) ? '0\r\n\r\n' : '0\r\nx: y\r\nContent-Length: 1\r\n\r\n')
  return parts.map(part => Buffer.from(part, 'latin1'))
}
