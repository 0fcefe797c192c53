/**
 * `GET /ping` for load balancers, on a port of its own: 200 while requests can be served, else 503, never a body. HTTPS with the service's own
 * certificate where it has one, and no client certificate asked, since load balancers have none ("Load balancers").
 */
import type { EkmConfig } from '../config/ekm.ts'
import { ERROR_STATUS } from '../http/metrics.ts'
import type { ListenerOptions, Reply } from '../http/types.ts'

const empty = (status: number, headers: Reply['headers'] = {}): Reply => ({ status, headers, body: '' })

/** `ping` answers the one route that there is. */
export function pingListener(listen: EkmConfig['listen'], ping: () => Promise<Reply>): ListenerOptions {
  const { host, tls } = listen
  return {
    name: 'ping',
    host: listen.ping?.host ?? host,
    port: listen.ping?.port ?? 0,
    ...(tls === undefined
      ? {}
      : { tls: { profile: 'xks', certificateFile: tls.certificateFile, keyFile: tls.keyFile } as const }),
    limits: { bodyBytes: 1, connections: 256, inFlight: 64 },
    errors: kind => empty(ERROR_STATUS[kind]),
    handler: ({ method, rawPath }) => {
      if (rawPath !== '/ping') return empty(404)
      return method === 'GET' || method === 'HEAD' ? ping() : empty(405, { Allow: 'GET, HEAD' })
    },
  }
}
