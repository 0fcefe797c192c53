/** Kubernetes KMS v2 as the service starts it: a Unix socket for each API server of this machine, and a door over mutual TLS for plugins on others. */
import { logReload } from '../../../http/logging.ts'
import { isKeyId, isTenantName } from '../../keys/names.ts'
import type { Protocol, ProtocolContext } from '../types.ts'
import { GrpcServer } from './grpc/server.ts'
import { listenTls, type TlsDoor } from './grpc/tls.ts'
import { listenUnix, type UnixDoor, urlOf } from './grpc/unix.ts'
import { type ConnectionPeer, KUBERNETES_PROTOCOL, kubernetesHandler } from './handler.ts'
import { MAX_MESSAGE, METHODS, methodAt } from './messages.ts'
import { OPERATION_NAMES } from './operations.ts'

type Doors = readonly (UnixDoor | TlsDoor)[]

export const kubernetes: Protocol = {
  name: KUBERNETES_PROTOCOL,
  routes: METHODS.map(method => OPERATION_NAMES[method]),
  start: async context => {
    const { config, onStranger, onDefect } = context
    if (config.kubernetes === undefined) return undefined
    const server = new GrpcServer<ConnectionPeer>({
      limits: config.limits,
      maxMessage: MAX_MESSAGE,
      has: path => methodAt(path) !== undefined,
      handle: kubernetesHandler({ ...context, health: () => context.health.current() }),
      onRefused: onStranger,
      onDefect,
    })
    context.gauge('kubernetes_in_flight', 'Requests being read or handled', () => server.inFlight)
    context.gauge('kubernetes_connections', 'Open connections', () => server.connections)
    const doors = await open(context, server)
    return {
      url: doors.at(-1)?.url ?? '',
      close: options => {
        for (const door of doors) door.close()
        return server.close(options)
      },
    }
  },
}

/** The one for other machines last. */
async function open({ config, log, onStranger }: ProtocolContext, server: GrpcServer<ConnectionPeer>): Promise<Doors> {
  const { limits } = config
  const doors: (UnixDoor | TlsDoor)[] = []
  try {
    for (const socket of config.kubernetes?.sockets ?? []) {
      const { tenant, key } = socket
      if (!isTenantName(tenant) || !isKeyId(key))
        throw new Error(`kubernetes.sockets: ${tenant}/${key} is no key's name`)
      const peer: ConnectionPeer = { kind: 'socket', url: urlOf(socket), tenant, key }
      doors.push(await listenUnix(socket, limits.connections, each => server.accept(each, '', () => peer)))
    }
    const listen = config.kubernetes?.listen
    if (listen !== undefined) {
      const { host, port, tls } = listen
      const door = await listenTls({
        host,
        port,
        tls: { profile: 'xks', ...tls },
        limits,
        accept: (socket, address, identify) =>
          server.accept(socket, address, () => {
            const peer = identify()
            return peer && { kind: 'certificate', peer }
          }),
        onRefused: onStranger,
        onReload: error => logReload(log, error, { listener: KUBERNETES_PROTOCOL }),
      })
      doors.push(door)
    }
  } catch (error) {
    for (const door of doors) door.close()
    throw error
  }
  return doors
}
