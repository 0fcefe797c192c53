/**
 * The provider's data service: files on disk under envelope encryption, over a small HTTP API on loopback.
 *
 *   PUT  /v1/<bucket>/<path>   store; 201 {"bytes": n}
 *   GET  /v1/<bucket>/<path>   read; 200, 403 where the KMS refuses, 404, 503 where it does not answer
 *   POST /v1/-/keep            the provider's operator orders that every data key opened from now on is kept
 *   GET  /v1/-/health
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { appendFile, mkdir, rename, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { PassThrough } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { DataServiceConfig } from './config.ts'
import { type Bucket, FRAME_BYTES, kmsClient, openBucket, SUITE, sdk } from './envelope.ts'

export interface DataService {
  readonly endpoint: string
  close(): Promise<void>
}

class Refusal extends Error {
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Where an object rests; refuses every path that could leave its bucket's folder. */
export function objectFile(folder: string, bucket: string, path: string): string {
  const parts = path.split('/')
  if (
    path.length > 1024 ||
    parts.some(part => part === '' || part === '.' || part === '..' || part.includes('\0') || part.length > 200)
  ) {
    throw new Refusal(400, 'InvalidObjectName', 'An object name is a relative path without empty, "." or ".." parts.')
  }
  return `${join(folder, bucket, ...parts)}.esdk`
}

/** Starts the service and resolves when it listens. */
export async function startDataService(config: DataServiceConfig): Promise<DataService> {
  const client = kmsClient(config.kms)
  const buckets = new Map<string, Bucket>()
  for (const [name, key] of Object.entries(config.buckets)) {
    buckets.set(name, openBucket(name, key, client, config.cacheSeconds))
    await mkdir(join(config.folder, name), { recursive: true, mode: 0o700 })
  }
  const userToken = digest(config.token)
  const operatorToken = digest(config.operatorToken)

  function authenticate(request: IncomingMessage, wanted: Buffer): void {
    const given = /^Bearer (\S{1,200})$/.exec(request.headers.authorization ?? '')?.[1]
    if (given === undefined || !timingSafeEqual(digest(given), wanted))
      throw new Refusal(401, 'Unauthorized', 'A bearer token is needed.')
  }

  /** Every data key that the KMS opens from now on goes to a file of the provider's, once each. */
  function keepDataKeys(): void {
    const seen = new Set<string>()
    for (const bucket of buckets.values()) {
      bucket.keyring.keep = (encrypted, dataKey) => {
        const id = createHash('sha256').update(encrypted).digest('hex')
        if (seen.has(id)) return
        seen.add(id)
        const line = `${JSON.stringify({ at: Date.now(), bucket: bucket.name, edk: id, dataKey: Buffer.from(dataKey).toString('base64') })}\n`
        void appendFile(join(config.folder, 'kept-data-keys.jsonl'), line, { mode: 0o600 })
      }
    }
  }

  async function put(bucket: Bucket, path: string, request: IncomingMessage): Promise<number> {
    const file = objectFile(config.folder, bucket.name, path)
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    const temporary = `${file}.${process.pid}-${Math.random().toString(36).slice(2)}.part`
    let bytes = 0
    const counter = new PassThrough()
    counter.on('data', chunk => {
      bytes += chunk.length
    })
    try {
      const encrypt = sdk.encryptStream(bucket.sealing, {
        suiteId: SUITE,
        frameLength: FRAME_BYTES,
        encryptionContext: { bucket: bucket.name, object: path },
      })
      await pipeline(request, counter, encrypt, createWriteStream(temporary, { mode: 0o600 }))
      await rename(temporary, file)
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    }
    return bytes
  }

  async function get(bucket: Bucket, path: string, response: ServerResponse): Promise<void> {
    const source = createReadStream(objectFile(config.folder, bucket.name, path))
    const decrypt = sdk.decryptUnsignedMessageStream(bucket.opening)
    // The header's context is authenticated, so an object moved under another name is refused here.
    decrypt.on('MessageHeader', (header: { encryptionContext: Record<string, string> }) => {
      const context = header.encryptionContext
      if (context.bucket !== bucket.name || context.object !== path) {
        decrypt.destroy(new Refusal(403, 'WrongObject', 'This file was encrypted as another object.'))
      }
    })
    const plain = new PassThrough()
    const opened = pipeline(source, decrypt as unknown as NodeJS.ReadWriteStream, plain)
    // Nothing is promised to the reader before the KMS has opened the data key: until then a refusal can still be told.
    await Promise.race([opened, once(plain, 'readable')])
    response.writeHead(200, { 'content-type': 'application/octet-stream' })
    await Promise.all([opened, pipeline(plain, response)])
  }

  async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, version, first, ...rest] = new URL(request.url ?? '/', 'http://localhost').pathname
      .split('/')
      .map(decodeURIComponent)
    if (version !== 'v1' || first === undefined) throw new Refusal(404, 'NotFound', 'Paths begin with /v1/<bucket>/.')
    const path = rest.join('/')
    if (first === '-') {
      if (path === 'health') return reply(response, 200, { status: 'ok' })
      if (path !== 'keep' || request.method !== 'POST') throw new Refusal(404, 'NotFound', 'No such path.')
      authenticate(request, operatorToken)
      keepDataKeys()
      return reply(response, 200, { keeping: true })
    }
    authenticate(request, userToken)
    const bucket = buckets.get(first)
    if (!bucket) throw new Refusal(404, 'NoSuchBucket', 'There is no such bucket.')
    if (request.method === 'PUT') return reply(response, 201, { bytes: await put(bucket, path, request) })
    if (request.method === 'GET') return get(bucket, path, response)
    throw new Refusal(405, 'MethodNotAllowed', 'GET and PUT only.')
  }

  const server = createServer((request, response) => {
    route(request, response).catch((error: unknown) => {
      if (response.headersSent) {
        response.destroy()
        return
      }
      const { status, code, message } = describe(error)
      request.resume()
      reply(response, status, { error: code, message })
    })
  })
  server.requestTimeout = 0
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(config.port, '127.0.0.1', resolve)
  })
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeIdleConnections()
        setTimeout(() => server.closeAllConnections(), 2000).unref()
      }),
  }
}

function reply(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

/** Errors that say that the KMS could not answer, as opposed to that it refused. */
const UNAVAILABLE = new Set([
  'KMSInternalException',
  'DependencyTimeoutException',
  'KeyUnavailableException',
  'TimeoutError',
  'Error',
])

/** The KMS's own error name reaches the reader: it is the evidence. */
function describe(error: unknown): { status: number; code: string; message: string } {
  if (error instanceof Refusal) return { status: error.status, code: error.code, message: error.message }
  const failure = error as { code?: string; name?: string; message?: string; $metadata?: { httpStatusCode?: number } }
  if (failure.code === 'ENOENT') return { status: 404, code: 'NoSuchObject', message: 'There is no such object.' }
  // The SDK's keyring wraps what the KMS answered into one text with the stack of each error.
  const wrapped = /Error #1\s+(\w+): ([^\n]*)/.exec(failure.message ?? '')
  if (wrapped) {
    const [, code = 'Error', message = ''] = wrapped
    return { status: UNAVAILABLE.has(code) ? 503 : 403, code, message }
  }
  const status = failure.$metadata?.httpStatusCode
  if (status !== undefined)
    return { status: status >= 500 ? 503 : 403, code: failure.name ?? 'Error', message: failure.message ?? '' }
  if (failure.code?.startsWith('ECONN'))
    return { status: 503, code: 'KmsUnavailable', message: 'The KMS did not answer.' }
  return { status: 403, code: failure.name ?? 'Error', message: failure.message ?? '' }
}
