/**
 * The few requests that a key manager makes by itself: for the keys of those who issue tokens, and to another key service. Only to destinations out of the
 * configuration; the address that was checked is the one that is connected to; no redirect is followed; time and size are bounded.
 */
import { lookup as resolve } from 'node:dns'
import { request as requestPlain } from 'node:http'
import { request as requestTls } from 'node:https'
import { type BlockList, isIP, isIPv6, type LookupFunction } from 'node:net'
import { isLoopback } from '../../config/loopback.ts'

export interface Destination {
  /** `https:`; `http:` is spoken with this machine only. */
  readonly url: string
  /** PEM of the only roots that its certificate may chain to. Absent: the public ones. */
  readonly ca?: string
  /** The only addresses that its name may resolve to. Absent: any. */
  readonly addresses?: BlockList
}

export interface OutboundRequest {
  readonly method: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** For all of it: name, connection, TLS, request and answer. */
  readonly deadlineMs: number
  /** Of the answer's body. */
  readonly maxBytes: number
}

export interface OutboundAnswer {
  readonly status: number
  readonly body: Buffer
}

/** `message` is for the operator: no part of the request or the answer. */
export class OutboundError extends Error {
  override readonly name = 'OutboundError'
}

/** Resolves for every status that is no redirect. Rejects with an OutboundError. */
export function outbound(destination: Destination, asked: OutboundRequest): Promise<OutboundAnswer> {
  const url = new URL(destination.url)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const plain = url.protocol === 'http:'
  const isAllowed = (address: string): boolean => {
    if (plain && !isLoopback(address)) return false
    return destination.addresses?.check(address, isIPv6(address) ? 'ipv6' : 'ipv4') ?? true
  }
  return new Promise((resolved, rejected) => {
    const fail = (message: string): void => rejected(new OutboundError(message))
    if (!plain && url.protocol !== 'https:') return fail('is neither https nor http')
    if (isIP(host) !== 0 && !isAllowed(host)) return fail('is at an address that is not allowed')
    const signal = AbortSignal.timeout(asked.deadlineMs)
    const options = {
      method: asked.method,
      headers: { Accept: 'application/json', ...asked.headers },
      agent: false,
      lookup: checked(isAllowed),
      signal,
      ...(destination.ca === undefined ? {} : { ca: destination.ca }),
    }
    const request = (plain ? requestPlain : requestTls)(url, options, response => {
      const status = response.statusCode ?? 0
      const parts: Buffer[] = []
      let size = 0
      response.on('data', (part: Buffer) => {
        size += part.length
        if (size <= asked.maxBytes) return parts.push(part)
        fail(`answered with more than ${asked.maxBytes} bytes`)
        return request.destroy()
      })
      response.on('error', error => fail(reasonOf(error, signal)))
      response.on('end', () => {
        if (status >= 300 && status < 400) fail('answered with a redirect, and none is followed')
        else resolved({ status, body: Buffer.concat(parts) })
      })
    })
    request.on('error', error => fail(reasonOf(error, signal)))
    request.end(asked.body)
  })
}

/** Resolves names as ever, and hands on none of whose addresses is not allowed. */
function checked(isAllowed: (address: string) => boolean): LookupFunction {
  return (hostname, options, callback) =>
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      const [first] = addresses ?? []
      if (error !== null || first === undefined) return callback(error ?? new OutboundError('has no address'), '', 0)
      if (!addresses.every(({ address }) => isAllowed(address)))
        return callback(new OutboundError('resolves to an address that is not allowed'), '', 0)
      return options.all === true ? callback(null, addresses) : callback(null, first.address, first.family)
    })
}

function reasonOf(error: Error, signal: AbortSignal): string {
  if (error instanceof OutboundError) return error.message
  if (signal.aborted) return 'did not answer in time'
  return `cannot be reached (${(error as NodeJS.ErrnoException).code ?? error.name})`
}
