/**
 * What a protocol is to the service: it gets its part of the configuration and the core, and serves until it is closed. Protocols translate; they
 * decide nothing.
 */
import type { EkmConfig } from '../../config/ekm.ts'
import type { Log } from '../../http/logging.ts'
import type { Listener, ListenerOptions } from '../../http/types.ts'
import type { Replica } from '../../store/replica.ts'
import type { Core } from '../core.ts'
import type { HealthMonitor } from '../health.ts'

export interface ProtocolContext {
  readonly config: EkmConfig
  readonly core: Core
  /** For an answer about a key that also says how the key manager is; the call of the core has the record. */
  readonly health: Pick<HealthMonitor, 'current'>
  readonly replica: Pick<Replica, 'get' | 'peek' | 'secret' | 'peekSecret'>
  readonly log: Log
  /** Unique for each request of this process. */
  readonly nextRequestId: () => string
  /** A request of nobody who is known, with a reason out of a table. */
  readonly onStranger: (reason: string, address: string) => void
  /** Every other, when it is answered: `ok` or the protocol's name of the error, and how long it took. */
  readonly onAnswer: (operation: string, outcome: string, seconds: number) => void
  readonly onDefect: (error: unknown, requestId?: string) => void
  /** Something to be seen in /metrics. */
  readonly gauge: (name: string, help: string, value: () => number) => void
  /** Starts an HTTP listener that is measured; counting strangers, defects and reloads are seen to. Closing it is the protocol's. */
  readonly listen: (options: Omit<ListenerOptions, 'onUnauthenticated' | 'onDefect' | 'onReload'>) => Promise<Listener>
}

export interface RunningProtocol {
  /** Where clients reach it: `https://…`, `unix://…`. */
  readonly url: string
  /** Stops accepting, lets requests finish, and cuts what is left after `deadlineMs`. Resolves to how many were cut. */
  close(options: { readonly deadlineMs: number }): Promise<number>
}

export interface Protocol {
  /** As in records, metrics and the configuration. */
  readonly name: string
  /** Every operation that its requests are for, as its own table of them has it: each is declared in `access/operations.ts`, or nothing is served. */
  readonly routes: readonly string[]
  /** Undefined where the configuration does not ask for it. */
  start(context: ProtocolContext): Promise<RunningProtocol | undefined>
}
