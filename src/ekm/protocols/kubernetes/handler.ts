/**
 * Kubernetes KMS v2 from a whole gRPC call to its reply. Who calls is known by the connection: a Unix socket is bound to a tenant and a key by the
 * configuration; a plugin on another machine says which tenant and key it is for, and its certificate must be one of that tenant's.
 */
import type { IncomingHttpHeaders } from 'node:http2'
import type { Peer } from '../../../http/types.ts'
import type { AuthenticatedCaller } from '../../access/caller.ts'
import { certificateCaller, socketCaller } from '../../access/connection.ts'
import { isKeyId, isTenantName } from '../../keys/names.ts'
import { readTenant } from '../../keys/tenants.ts'
import { answer } from '../answer.ts'
import type { ProtocolContext } from '../types.ts'
import { ERROR_NAMES, KubernetesError } from './errors.ts'
import { unframe } from './grpc/frames.ts'
import { header, type UnaryCall, type UnaryReply } from './grpc/server.ts'
import { GrpcError, type GrpcStatus } from './grpc/status.ts'
import { type Method, methodAt } from './messages.ts'
import { OPERATION_NAMES, OPERATIONS, type World } from './operations.ts'

export const KUBERNETES_PROTOCOL = 'kubernetes'
/** What a plugin on another machine says it is for. */
export const TENANT_HEADER = 'holdfast-tenant'
export const KEY_HEADER = 'holdfast-key'

export type ConnectionPeer =
  | { readonly kind: 'socket'; readonly url: string; readonly tenant: string; readonly key: string }
  | { readonly kind: 'certificate'; readonly peer: Peer }

export type KubernetesOptions = Pick<
  ProtocolContext,
  'core' | 'replica' | 'nextRequestId' | 'onStranger' | 'onAnswer' | 'onDefect'
> & { readonly health: World['health'] }

/** One text for a tenant that there is not and one that has not named the certificate: which tenants there are is nobody's to know. */
const STRANGER: UnaryReply = {
  status: 'UNAUTHENTICATED',
  text: 'The client certificate is not one of this tenant. Its owner admits it with: holdfast ekm tenant set-clients',
}
const AWAY: UnaryReply = { status: 'UNAVAILABLE', text: 'The key manager does not answer; try again.' }

/** Of what the client still waits this is left for the answer's way. */
const WAY_MS = 300
const MAX_WAIT_MS = 60_000

interface Known {
  readonly caller: AuthenticatedCaller
  readonly keyId: string
}

export function kubernetesHandler(
  options: KubernetesOptions,
): (call: UnaryCall<ConnectionPeer>) => Promise<UnaryReply> {
  return async call => {
    const method = methodAt(call.path)
    if (method === undefined) return { status: 'UNIMPLEMENTED', text: 'There is no such method here.' }
    const begun = performance.now()
    let known: Known | undefined
    try {
      known = await authenticate(options, call)
    } catch (error) {
      // Only asking the boundary or the store can fail here, before anyone is authenticated.
      options.onDefect(error)
      return AWAY
    }
    if (known === undefined) return STRANGER
    const { outcome, reply } = await authenticated(options, call, method, known)
    options.onAnswer(OPERATION_NAMES[method], outcome, (performance.now() - begun) / 1000)
    return reply
  }
}

async function authenticate(
  { replica, onStranger }: KubernetesOptions,
  { peer, headers, address }: UnaryCall<ConnectionPeer>,
): Promise<Known | undefined> {
  const userAgent = header(headers, 'user-agent') ?? ''
  if (peer.kind === 'socket') {
    const { tenant, url, key } = peer
    return { caller: socketCaller(KUBERNETES_PROTOCOL, tenant, url, userAgent), keyId: key }
  }
  const { tenant, keyId } = named(headers)
  const row = isTenantName(tenant)
    ? (replica.peek('tenant', tenant) ?? (await replica.get('tenant', tenant)))
    : undefined
  const caller = row && certificateCaller(KUBERNETES_PROTOCOL, readTenant(row), peer.peer, address, userAgent)
  if (caller === undefined) {
    onStranger(row === undefined ? 'UnknownTenant' : 'ClientCertificate', address)
    return undefined
  }
  return { caller, keyId }
}

const named = (headers: IncomingHttpHeaders) => ({
  tenant: header(headers, TENANT_HEADER) ?? '',
  keyId: header(headers, KEY_HEADER) ?? '',
})

function authenticated(
  { core, health, nextRequestId, onDefect }: KubernetesOptions,
  { body, timeoutMs }: UnaryCall<ConnectionPeer>,
  method: Method,
  { caller, keyId }: Known,
) {
  const requestId = nextRequestId()
  const waitMs = Math.min(MAX_WAIT_MS, Math.max(0, (timeoutMs ?? 0) - WAY_MS))
  return answer<UnaryReply>({
    core,
    busy: false,
    onDefect,
    call: claims => ({
      caller,
      claims,
      operation: OPERATION_NAMES[method],
      keyId: isKeyId(keyId) ? keyId : '',
      requestId,
      waitMs,
      errorNames: ERROR_NAMES,
    }),
    run: async told => {
      if (!isKeyId(keyId)) throw new KubernetesError('NOT_FOUND', 'There is no external key of this id at this path.')
      const message = await OPERATIONS[method]({ core, health, told }, messageOf(body))
      body.fill(0)
      return { status: 'OK', message }
    },
    refusal: (name, text) => ({ status: name as Exclude<GrpcStatus, 'OK'>, text }),
  })
}

function messageOf(body: Buffer): Buffer {
  try {
    return unframe(body)
  } catch (error) {
    if (error instanceof GrpcError) throw new KubernetesError(error.status as Exclude<GrpcStatus, 'OK'>, error.message)
    throw error
  }
}
