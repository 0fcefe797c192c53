/**
 * How each host name of an endpoint is reached: as `xks.hosts` of the configuration says, or by public addresses and roots. The files of the
 * configured ones are read at the start, and again when they change, so that a certificate is renewed without a restart.
 */
import { watchFiles } from '../../http/tls-context.ts'
import { configuredRoute, type Route, type XksHost } from './transport.ts'

export interface RoutesOptions {
  /** By host name in lower case. */
  readonly hosts: Readonly<Record<string, XksHost>>
  /** For every other name. */
  readonly others: Route
  /** A host has new certificates, and is reached by them from now on. */
  readonly onChange: (hostName: string, route: Route) => void
  /** After the files of a host have changed: undefined, or why they cannot be used; the old ones stay in use then. Must not throw. */
  readonly onReload?: ((hostName: string, error: Error | undefined) => void) | undefined
}

export class Routes {
  readonly #options: RoutesOptions
  readonly #routes = new Map<string, Route>()
  readonly #unwatch: () => void

  /** Throws where a file cannot be read, or a certificate and its key do not belong together. */
  constructor(options: RoutesOptions) {
    this.#options = options
    for (const [hostName, host] of Object.entries(options.hosts)) this.#routes.set(hostName, configuredRoute(host))
    const named = Object.values(options.hosts).flatMap(host => [host.caFile, host.certificateFile, host.keyFile])
    // One watch for all hosts, which may share files: each host is compared when any of them changes.
    const files = new Set(named.filter(file => file !== undefined))
    this.#unwatch = watchFiles([...files], () => {
      for (const [hostName, host] of Object.entries(options.hosts)) this.#reload(hostName, host)
    })
  }

  of(hostName: string): Route {
    return this.#routes.get(hostName) ?? this.#options.others
  }

  #reload(hostName: string, host: XksHost): void {
    const { onChange, onReload } = this.#options
    try {
      const route = configuredRoute(host)
      if (same(route, this.of(hostName))) return
      this.#routes.set(hostName, route)
      onChange(hostName, route)
      onReload?.(hostName, undefined)
    } catch (error) {
      onReload?.(hostName, error instanceof Error ? error : new Error(String(error)))
    }
  }

  close(): void {
    this.#unwatch()
  }
}

function same(one: Route, other: Route): boolean {
  if (!('host' in one && 'host' in other)) return false
  return one.ca === other.ca && one.cert === other.cert && one.key === other.key
}
