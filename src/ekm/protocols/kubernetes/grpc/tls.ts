/** The door for plugins on other machines: TLS 1.3 with client certificates, and nobody is served without one. Certificates are read again like everywhere. */
import { type AddressInfo, isIP, type Socket } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import { peerOf } from '../../../../http/peer.ts'
import { readContext, type TlsContext, watchContext } from '../../../../http/tls-context.ts'
import type { ListenerLimits, ListenerTls, Peer, RefusalReason } from '../../../../http/types.ts'

export interface TlsDoorOptions {
  readonly host: string
  readonly port: number
  readonly tls: ListenerTls & { readonly clients: NonNullable<ListenerTls['clients']> }
  readonly limits: Pick<ListenerLimits, 'connections' | 'headersMs'>
  /** `identify` is undefined as soon as the certificate is not, or no longer, one of a client that is admitted. */
  readonly accept: (socket: Socket, address: string, identify: () => Peer | undefined) => void
  readonly onRefused: (reason: RefusalReason, address: string) => void
  readonly onReload: (error: Error | undefined) => void
}

export interface TlsDoor {
  readonly url: string
  /** Stops accepting. */
  close(): void
}

export const H2 = 'h2'

export async function listenTls(options: TlsDoorOptions): Promise<TlsDoor> {
  const { host, tls, limits, accept, onRefused, onReload } = options
  let context = readContext(tls)
  const open = new Map<TLSSocket, () => Peer | undefined>()
  const server = createServer({
    ...settings(context),
    ALPNProtocols: [H2],
    handshakeTimeout: limits.headersMs,
    noDelay: true,
  })
  server.maxConnections = limits.connections
  server.on('drop', dropped => onRefused('TooManyConnections', plain(dropped?.remoteAddress)))
  server.on('tlsClientError', (_error, socket) => onRefused('TlsHandshake', plain(socket.remoteAddress)))
  server.on('secureConnection', socket => {
    const address = plain(socket.remoteAddress)
    const roots = context.clientRoots
    const identify = (): Peer | undefined =>
      roots === context.clientRoots ? peerOf(socket, tls.clients.subjects) : undefined
    const reason =
      socket.alpnProtocol !== H2 ? 'TlsHandshake' : identify() === undefined ? 'ClientCertificate' : undefined
    if (reason !== undefined) {
      onRefused(reason, address)
      socket.destroy()
      return
    }
    open.set(socket, identify)
    socket.once('close', () => open.delete(socket))
    accept(socket, address, identify)
  })
  const reload = (): void => {
    try {
      const next = readContext(tls)
      server.setSecureContext(settings(next))
      context = next
      for (const [socket, identify] of open) if (identify() === undefined) socket.destroy()
      onReload(undefined)
    } catch (error) {
      onReload(error instanceof Error ? error : new Error(String(error)))
    }
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, host, resolve)
  })
  const unwatch = watchContext(tls, reload)
  const { port } = server.address() as AddressInfo
  return {
    url: `https://${isIP(host) === 6 ? `[${host}]` : host}:${port}`,
    close: () => {
      unwatch()
      server.close()
    },
  }
}

/** Both ends are Holdfast's own, so nothing older is needed. */
const settings = ({ options }: TlsContext) => ({ ...options, minVersion: 'TLSv1.3' }) as const

/** IPv4-mapped IPv6 addresses as IPv4. */
function plain(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:/, '')
}
