/**
 * HTTPS to one proxy: kept-alive connections, as many as the store may have requests; TLS 1.2 or later with the protocol's suites and, where configured, a
 * client certificate; a deadline over everything from the name's look-up to the last byte; answers bounded. Redirects are not followed.
 */
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https'
import { createSecureContext } from 'node:tls'
import type { PublicAddresses } from './addresses.ts'
import { type FailureName, XksFailure } from './failures.ts'

/** One entry of `xks.hosts` in the configuration: how a host name of an endpoint is reached instead. */
export interface XksHost {
  /** `host:port`; the host may be an address. */
  readonly connect: string
  /** PEM of the only roots for the proxy's certificate; absent: the public ones. */
  readonly caFile?: string | undefined
  /** PEM of our client certificate and its key. */
  readonly certificateFile?: string | undefined
  readonly keyFile?: string | undefined
}

/** Where to connect, and with which certificates. The certificate must always bear the endpoint's own host name. */
export type Route =
  | {
      readonly host: string
      readonly port: number
      readonly ca?: string | undefined
      readonly cert?: string | undefined
      readonly key?: string | undefined
    }
  | { readonly addresses: PublicAddresses }

/** Reads the files of a configured host. Throws where one cannot be read, or a certificate and its key do not belong together. */
export function configuredRoute(host: XksHost): Route {
  const at = host.connect.lastIndexOf(':')
  const read = (file: string | undefined) => (file === undefined ? undefined : readFileSync(file, 'utf8'))
  const files = { ca: read(host.caFile), cert: read(host.certificateFile), key: read(host.keyFile) }
  createSecureContext(files)
  return {
    host: host.connect.slice(0, at).replace(/^\[(.*)\]$/, '$1'),
    port: Number(host.connect.slice(at + 1)),
    ...files,
  }
}

export interface HttpAnswer {
  readonly status: number
  readonly body: Buffer
}

/** A kept-alive connection was closed by the other side as we used it: nothing was lost but the attempt. */
export class StaleConnection extends XksFailure {
  constructor(detail: string) {
    super('tcp', detail)
  }
}

/** TLS 1.3's and 1.2's suites of the XKS proxy API, in OpenSSL's names. */
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
].join(':')
const HTTPS_PORT = 443
/** The largest answer, an encryption of 4300 bytes, takes 6 KiB. */
export const MAX_ANSWER_BYTES = 32 * 1024
/** Below what proxies and load balancers usually close idle connections after. */
const IDLE_MS = 45_000

export class Transport {
  readonly #hostName: string
  readonly #connections: number
  #route: Route
  #agent: Agent

  /** `connections`: how many at most. */
  constructor(hostName: string, route: Route, connections: number) {
    this.#hostName = hostName
    this.#connections = connections
    this.#route = route
    this.#agent = agentFor(route, connections)
  }

  /** New requests go this way, over new connections; those in use end with their requests. */
  renew(route: Route): void {
    const before = this.#agent
    this.#route = route
    this.#agent = agentFor(route, this.#connections)
    before.maxFreeSockets = 0
    for (const sockets of Object.values(before.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
  }

  /** POSTs JSON. Rejects with `XksFailure` tcp, tls, timeout or malformed; never later than `timeoutMs`. */
  async post(
    path: string,
    headers: Readonly<Record<string, string>>,
    body: Buffer,
    timeoutMs: number,
  ): Promise<HttpAnswer> {
    const deadline = performance.now() + timeoutMs
    const to = await this.#target(timeoutMs)
    const options: RequestOptions = {
      ...to,
      agent: this.#agent,
      method: 'POST',
      path,
      servername: this.#hostName,
      headers: { ...headers, 'content-type': 'application/json', 'content-length': String(body.length) },
    }
    return exchange(options, body, deadline - performance.now())
  }

  async #target(timeoutMs: number): Promise<{ host: string; port: number }> {
    const route = this.#route
    if ('host' in route) return { host: route.host, port: route.port }
    const address = route.addresses.address(this.#hostName)
    return { host: typeof address === 'string' ? address : await inTime(address, timeoutMs), port: HTTPS_PORT }
  }

  /** Closes all connections, those in use too. */
  close(): void {
    this.#agent.destroy()
  }
}

function agentFor(route: Route, connections: number): Agent {
  const certificates = 'host' in route ? { ca: route.ca, cert: route.cert, key: route.key } : {}
  return new Agent({
    keepAlive: true,
    maxSockets: connections,
    maxFreeSockets: connections,
    scheduling: 'lifo',
    timeout: IDLE_MS,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    ...certificates,
  })
}

async function inTime<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new XksFailure('timeout', "the endpoint's name did not resolve in time")), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** How far a connection had come, which decides what its failure is called. */
type Stage = 'connecting' | 'handshake' | 'open'

function exchange(options: RequestOptions, body: Buffer, timeoutMs: number): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    let stage: Stage = 'connecting'
    const request = httpsRequest(options)
    const fail = (failure: XksFailure) => {
      clearTimeout(timer)
      reject(failure)
      request.destroy()
    }
    const timer = setTimeout(
      () => fail(new XksFailure('timeout', `no answer in time (${stage})`)),
      Math.max(0, timeoutMs),
    )
    request.on('socket', socket => {
      if (!socket.connecting) {
        stage = 'open'
        return
      }
      socket.once('connect', () => {
        stage = 'handshake'
      })
      socket.once('secureConnect', () => {
        stage = 'open'
      })
    })
    request.on('error', (error: NodeJS.ErrnoException) => {
      const code = error.code ?? error.message
      if (request.reusedSocket && (code === 'ECONNRESET' || code === 'EPIPE')) fail(new StaleConnection(code))
      else fail(new XksFailure(failureOf(code, stage), code))
    })
    request.on('response', response => {
      collect(response).then(answer => {
        clearTimeout(timer)
        resolve(answer)
      }, fail)
    })
    request.end(body)
  })
}

function failureOf(code: string, stage: Stage): FailureName {
  if (code.startsWith('HPE_')) return 'malformed'
  if (stage === 'connecting') return 'tcp'
  // Under TLS 1.3 a proxy refuses our certificate only after our side has finished its handshake.
  const ofTls = /^(?:ERR_SSL|ERR_TLS|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH|EPROTO)/.test(code)
  return stage === 'handshake' || ofTls ? 'tls' : 'tcp'
}

function collect(response: IncomingMessage): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    let size = 0
    response.on('data', (part: Buffer) => {
      size += part.length
      if (size > MAX_ANSWER_BYTES)
        reject(new XksFailure('malformed', `the answer is longer than ${MAX_ANSWER_BYTES} bytes`))
      else parts.push(part)
    })
    response.on('end', () => {
      if (response.complete) resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts, size) })
    })
    response.on('close', () => reject(new XksFailure('tcp', 'the connection ended within the answer')))
    response.on('error', () => reject(new XksFailure('tcp', 'the connection ended within the answer')))
  })
}
