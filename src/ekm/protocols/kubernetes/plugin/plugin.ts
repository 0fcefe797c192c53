/**
 * `holdfast ekm kubernetes-plugin`: what stands on a control-plane node. It serves Kubernetes KMS v2 on a Unix socket, and asks the owner's key manager, over
 * mutual TLS, for every call. It holds no key and decides nothing; whoever runs the cluster can stop it, and can do no more with it than ask.
 */
import type { PluginConfig } from '../../../../config/kubernetes-plugin.ts'
import type { Log } from '../../../../http/logging.ts'
import { placeOf } from '../../../../http/logging.ts'
import { DEFAULT_LIMITS } from '../../../../http/types.ts'
import { GrpcClient } from '../grpc/client.ts'
import { unframe } from '../grpc/frames.ts'
import { GrpcServer, type UnaryCall, type UnaryReply } from '../grpc/server.ts'
import { GrpcError } from '../grpc/status.ts'
import { listenUnix } from '../grpc/unix.ts'
import { KEY_HEADER, TENANT_HEADER } from '../handler.ts'
import { ENCRYPT_RESPONSE, MAX_MESSAGE, type Method, methodAt, pathOf, STATUS_RESPONSE } from '../messages.ts'
import { API_VERSION } from '../operations.ts'
import { decode, encode } from '../protobuf.ts'
import { KnownKey } from './known-key.ts'

export interface Plugin {
  /** As the API server's configuration names it. */
  readonly endpoint: string
  close(): Promise<void>
}

/** Of what the API server still waits this is left for the answer's way. */
const WAY_MS = 200
const CLOSE_DEADLINE_MS = 5000

export async function startPlugin(config: PluginConfig, log: Log): Promise<Plugin> {
  const { ekm, tenant, key, deadlineMs } = config
  let connected: boolean | undefined
  const client = new GrpcClient({
    ...ekm,
    serverName: ekm.serverName,
    maxMessage: MAX_MESSAGE,
    onConnection: (event, reason) => {
      const now = event === 'connected'
      if (now === connected) return
      connected = now
      const fields = { host: ekm.host, port: ekm.port, ...(reason === '' ? {} : { reason }) }
      if (now) log('info', 'connected to the key manager', fields)
      else log('warn', 'the key manager cannot be reached', fields)
    },
  })
  const headers = { [TENANT_HEADER]: tenant, [KEY_HEADER]: key, 'user-agent': `holdfast-kubernetes-plugin` }
  const known = new KnownKey()
  const ask = (method: Method, message: Buffer, timeoutMs: number | undefined): Promise<Buffer> => {
    const left = timeoutMs === undefined ? deadlineMs : Math.min(deadlineMs, timeoutMs - WAY_MS)
    if (left <= 0) throw new GrpcError('DEADLINE_EXCEEDED', 'The API server waits too short a time.')
    return client.call(pathOf(method), headers, message, left)
  }
  const server = new GrpcServer<true>({
    limits: DEFAULT_LIMITS,
    maxMessage: MAX_MESSAGE,
    has: path => methodAt(path) !== undefined,
    handle: call => handle(call, ask, known),
    onRefused: reason => log('warn', 'a request was refused unread', { reason }),
    onDefect: error => log('error', 'a request failed for a reason of ours', placeOf(error)),
  })
  let door: Awaited<ReturnType<typeof listenUnix>>
  try {
    door = await listenUnix(config.socket, DEFAULT_LIMITS.connections, socket => server.accept(socket, '', () => true))
  } catch (error) {
    client.close()
    throw error
  }
  return {
    endpoint: door.url,
    close: async () => {
      door.close()
      await server.close({ deadlineMs: CLOSE_DEADLINE_MS })
      client.close()
    },
  }
}

type Ask = (method: Method, message: Buffer, timeoutMs: number | undefined) => Promise<Buffer>

async function handle({ path, body, timeoutMs }: UnaryCall<true>, ask: Ask, known: KnownKey): Promise<UnaryReply> {
  const method = methodAt(path) ?? 'Status'
  try {
    const request = unframe(body)
    if (method === 'Status') return { status: 'OK', message: await status(request, timeoutMs, ask, known) }
    const message = await ask(method, request, timeoutMs)
    if (method === 'Encrypt') known.seen(decode(ENCRYPT_RESPONSE, message).key_id)
    return { status: 'OK', message }
  } catch (error) {
    if (error instanceof GrpcError && error.status !== 'OK') return { status: error.status, text: error.message }
    throw error
  } finally {
    body.fill(0)
  }
}

/**
 * What the key manager says. Where it says nothing, that it is not well, under the `key_id` that it last named: another one would be a rotation to the API
 * server, and none at all an answer that it cannot use.
 */
async function status(request: Buffer, timeoutMs: number | undefined, ask: Ask, known: KnownKey): Promise<Buffer> {
  const notWell = (healthz: string) => encode(STATUS_RESPONSE, { version: API_VERSION, healthz, key_id: known.keyId })
  try {
    const message = await ask('Status', request, timeoutMs)
    const { key_id } = decode(STATUS_RESPONSE, message)
    if (known.seen(key_id)) return message
    return notWell('the key manager answers with an older version of the key than before')
  } catch (error) {
    if (!(error instanceof GrpcError) || known.keyId === '') throw error
    return notWell(`${error.status}: ${error.message}`)
  }
}
