/** The XKS proxy API as the service starts it: its listener, its verifier, and the memory of signatures. */
import type { EkmConfig } from '../../../config/ekm.ts'
import type { ListenerTls } from '../../../http/types.ts'
import { ReplayMemory } from '../../access/replay.ts'
import type { Protocol } from '../types.ts'
import { XKS_PROTOCOL, XKS_SERVICE, xksHandler, xksListenerError } from './handler.ts'
import { OPERATIONS } from './operations.ts'
import { MAX_BODY } from './request.ts'

export const xks: Protocol = {
  name: XKS_PROTOCOL,
  routes: Object.keys(OPERATIONS),
  start: async context => {
    const { config, replica } = context
    const { repeatMs, remembered } = config.replay
    const clock = { now: Date.now, monotonic: () => performance.now() }
    const replay = new ReplayMemory(clock, { repeatMs, perCredential: remembered, total: remembered * 2 }, Date.now())
    context.gauge('remembered_requests', 'Signatures that a replay would be recognised by', () => replay.size)
    const { tls, host, port } = config.listen
    return context.listen({
      name: XKS_PROTOCOL,
      host,
      port,
      ...(tls === undefined ? {} : { tls: listenerTls(tls) }),
      limits: { ...config.limits, bodyBytes: Math.min(config.limits.bodyBytes, MAX_BODY) },
      handler: xksHandler({
        ...context,
        authenticator: { protocol: XKS_PROTOCOL, service: XKS_SERVICE, replica, replay, now: Date.now },
      }),
      errors: xksListenerError,
    })
  },
}

function listenerTls({ certificateFile, keyFile, clients }: NonNullable<EkmConfig['listen']['tls']>): ListenerTls {
  return { profile: 'xks', certificateFile, keyFile, ...(clients === undefined ? {} : { clients }) }
}
