/** gRPC over HTTP/2 (grpc/grpc, doc/PROTOCOL-HTTP2.md): a message with its prefix, the deadline and the text of an error as headers. */
import { GrpcError } from './status.ts'

/** u8 compressed, u32 length. */
export const PREFIX_BYTES = 5

export const CONTENT_TYPE = 'application/grpc'
const CONTENT_TYPES = /^application\/grpc(?:\+proto)?(?:;|$)/
export const isGrpc = (contentType: string | undefined): boolean => CONTENT_TYPES.test(contentType ?? '')

export function frame(message: Buffer): Buffer {
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.length)
  framed[0] = 0
  framed.writeUInt32BE(message.length, 1)
  framed.set(message, PREFIX_BYTES)
  return framed
}

/** The one message of a unary call, as a view. Throws GrpcError for none, several, a part of one, or a compressed one. */
export function unframe(body: Buffer): Buffer {
  if (body.length < PREFIX_BYTES) throw new GrpcError('INVALID_ARGUMENT', 'There is no message.')
  if (body[0] !== 0)
    throw new GrpcError('UNIMPLEMENTED', 'The message is compressed, or has no valid prefix; only identity is spoken.')
  if (body.readUInt32BE(1) !== body.length - PREFIX_BYTES)
    throw new GrpcError('INVALID_ARGUMENT', 'The message is not as long as its prefix says.')
  return body.subarray(PREFIX_BYTES)
}

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000001 }

/** `grpc-timeout` in milliseconds; undefined where there is none. Throws GrpcError for what is no timeout. */
export function readTimeout(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const [, digits, unit = ''] = /^(\d{1,8})([HMSmun])$/.exec(header) ?? []
  const each = UNIT_MS[unit]
  if (digits === undefined || each === undefined) throw new GrpcError('INVALID_ARGUMENT', 'grpc-timeout is not one.')
  return Number(digits) * each
}

export const writeTimeout = (milliseconds: number): string => `${Math.max(1, Math.round(milliseconds))}m`

/** Longest text of an error that is sent or taken. */
const MAX_MESSAGE = 1024

/** Percent-encodes what may not stand in `grpc-message`. */
export function writeMessage(text: string): string {
  return Buffer.from(text.slice(0, MAX_MESSAGE), 'utf8')
    .toString('latin1')
    .replace(/[^\x20-\x24\x26-\x7e]/g, byte => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
}

/** What is not well encoded is left as it is. */
export function readMessage(header: unknown): string {
  if (typeof header !== 'string') return ''
  const bytes = header
    .slice(0, 3 * MAX_MESSAGE)
    .replace(/%([0-9A-Fa-f]{2})/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1').toString('utf8').slice(0, MAX_MESSAGE)
}
