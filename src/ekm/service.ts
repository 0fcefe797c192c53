/**
 * The front end of an owner's key manager, put together: its replica of the rows, the connection to its boundary, the listener of the XKS proxy
 * API, and the operator's listener. It holds no key and no root; without its boundary it answers 5xx at once and goes on when that is back.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Log, placeOf, stderrLog } from '../boundary/service/log.ts'
import { serviceFolders } from '../config/boundary.ts'
import type { EkmConfig } from '../config/ekm.ts'
import { startListener } from '../http/listener.ts'
import { Strangers } from '../http/strangers.ts'
import type { Listener, ListenerTls } from '../http/types.ts'
import { type Link, openLink } from '../store/link.ts'
import { openSqliteStore } from '../store/sqlite/open.ts'
import type { Store } from '../store/types.ts'
import { ownTenantOnly } from './access/policy.ts'
import { ReplayMemory } from './access/replay.ts'
import { Core } from './core.ts'
import { HealthMonitor } from './health.ts'
import { operationsHandler } from './operations.ts'
import { XKS_PROTOCOL, XKS_SERVICE, xksHandler, xksListenerError } from './protocols/xks/handler.ts'
import { MAX_BODY } from './protocols/xks/request.ts'

export interface EkmService {
  readonly url: string
  /** Of the operator's listener. */
  readonly operationsUrl: string
  /** Finishes what is in flight, within the deadline. */
  close(): Promise<void>
}

const CLOSE_DEADLINE_MS = 10_000

/** Resolves when requests are answered; with a boundary that is locked or away they are answered 5xx. */
export async function startEkm(config: EkmConfig): Promise<EkmService> {
  const log = stderrLog('ekm')
  const folders = serviceFolders(config.data)
  mkdirSync(folders.frontEnd, { recursive: true, mode: 0o700 })
  const store = await openSqliteStore({ file: join(folders.frontEnd, 'store.db') })
  try {
    const link = await connect(config, store, join(folders.boundary, 'use.sock'), log)
    return await listen(config, store, link, log)
  } catch (error) {
    await store.close()
    throw error
  }
}

interface Linked extends Link {
  readonly health: HealthMonitor
}

async function connect(config: EkmConfig, store: Store, socket: string, log: Log): Promise<Linked> {
  const { bytes, secrets } = config.cache
  let health: HealthMonitor | undefined
  const link = await openLink({
    store,
    socket,
    limits: { bytes, secrets },
    log,
    onChange: ({ boundary }) => {
      health ??= new HealthMonitor(boundary)
      void health.check()
    },
  })
  return { ...link, health: health ?? new HealthMonitor(link.boundary) }
}

async function listen(config: EkmConfig, store: Store, link: Linked, log: Log): Promise<EkmService> {
  const { boundary, replica, health } = link
  const onDefect = (error: unknown): void => log('error', 'a request failed for a reason of ours', placeOf(error))
  const strangers = new Strangers(entry => boundary.record(entry), XKS_PROTOCOL)
  const { repeatMs, remembered } = config.replay
  const clock = { now: Date.now, monotonic: () => performance.now() }
  const replay = new ReplayMemory(clock, { repeatMs, perCredential: remembered, total: remembered * 2 })
  const core = new Core({ boundary, replica, policy: ownTenantOnly, health, onDefect })
  const handler = xksHandler({
    core,
    replica,
    authenticator: { protocol: XKS_PROTOCOL, service: XKS_SERVICE, replica, replay, now: Date.now },
    strangers,
    nextRequestId: requestIds(),
    onDefect,
  })
  const { tls, host, port } = config.listen
  const xks = await startListener({
    name: 'xks',
    host,
    port,
    ...(tls === undefined ? {} : { tls: listenerTls(tls) }),
    limits: { ...config.limits, bodyBytes: Math.min(config.limits.bodyBytes, MAX_BODY) },
    handler,
    errors: xksListenerError,
    onUnauthenticated: (reason, address) => strangers.count(reason, address),
    onDefect,
    onReload: error =>
      error === undefined
        ? log('info', 'certificates were read again')
        : log('error', 'certificates could not be read again; the old ones stay in use', placeOf(error)),
  })
  let operations: Listener
  try {
    operations = await startListener({
      name: 'operations',
      ...config.operations,
      ...operationsHandler(health, replica),
    })
  } catch (error) {
    await xks.close({ deadlineMs: 0 })
    throw error
  }
  strangers.start()
  health.start(config.health.everyMs)
  return {
    url: xks.url,
    operationsUrl: operations.url,
    close: async () => {
      const cut = await xks.close({ deadlineMs: CLOSE_DEADLINE_MS })
      if (cut > 0) log('warn', 'requests were cut at the deadline', { cut })
      health.stop()
      await strangers.stop()
      await operations.close({ deadlineMs: 0 })
      boundary.close()
      await store.close()
    },
  }
}

function listenerTls({ certificateFile, keyFile, clients }: NonNullable<EkmConfig['listen']['tls']>): ListenerTls {
  return { profile: 'xks', certificateFile, keyFile, ...(clients === undefined ? {} : { clients }) }
}

/** Ids that no other request of this or another process has: 64 random bits for the process, and a count. */
function requestIds(): () => string {
  const prefix = randomBytes(8).toString('hex')
  let count = 0
  return () => `${prefix}-${++count}`
}
