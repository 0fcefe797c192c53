/**
 * The front end of an owner's key manager, put together: its replica of the rows, the connection to its boundary, the listener of the XKS proxy
 * API, and the operator's listener. It holds no key and no root; without its boundary it answers 5xx at once and goes on when that is back.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { BoundaryError } from '../boundary/words.ts'
import { serviceFolders } from '../config/boundary.ts'
import type { EkmConfig } from '../config/ekm.ts'
import { startListener } from '../http/listener.ts'
import { type Log, type LogFields, logReload, openLog, placeOf } from '../http/logging.ts'
import { Metrics, startOperations } from '../http/metrics.ts'
import { Strangers } from '../http/strangers.ts'
import type { Listener, ListenerTls, Reply } from '../http/types.ts'
import { type Link, openLink } from '../store/link.ts'
import { openSqliteStore } from '../store/sqlite/open.ts'
import type { Store } from '../store/types.ts'
import { ownTenantOnly } from './access/policy.ts'
import { ReplayMemory } from './access/replay.ts'
import { Core } from './core.ts'
import { HealthMonitor, readiness } from './health.ts'
import { pingListener } from './ping.ts'
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
  const log = openLog({ name: 'ekm', level: config.logging.level })
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
  const metrics = new Metrics('ekm')
  const onDefect = (error: unknown, requestId = ''): void =>
    log('error', 'a request failed for a reason of ours', {
      ...(requestId === '' ? {} : { requestId }),
      ...causeOf(error),
    })
  const strangers = new Strangers(entry => boundary.record(entry), XKS_PROTOCOL)
  const onStranger = (reason: string, address: string): void => {
    metrics.refused(XKS_PROTOCOL, reason)
    strangers.count(reason, address)
  }
  const { repeatMs, remembered } = config.replay
  const clock = { now: Date.now, monotonic: () => performance.now() }
  const replay = new ReplayMemory(clock, { repeatMs, perCredential: remembered, total: remembered * 2 }, Date.now())
  const core = new Core({ boundary, replica, policy: ownTenantOnly, health, onDefect })
  const handler = xksHandler({
    core,
    replica,
    authenticator: { protocol: XKS_PROTOCOL, service: XKS_SERVICE, replica, replay, now: Date.now },
    nextRequestId: requestIds(),
    onStranger,
    onAnswer: (operation, outcome, seconds) => metrics.requests.observe(operation, outcome, seconds),
    onDefect,
  })
  const { tls, host, port } = config.listen
  const started: Listener[] = []
  const start = async (starting: Promise<Listener>): Promise<Listener> => {
    const listener = await starting
    started.push(listener)
    metrics.watch(listener)
    return listener
  }
  metrics.gauge('cached_rows', 'Verified rows in memory', () => replica.cached.rows)
  metrics.gauge('cached_bytes', 'Memory of verified rows', () => replica.cached.bytes)
  metrics.gauge('write_set', 'Number of the last write set in the store', () => replica.appliedUpTo)
  metrics.gauge('remembered_requests', 'Signatures that a replay would be recognised by', () => replay.size)
  metrics.gauge('healthy', 'Whether the last check with the test key went well', () => (health.last?.ok ? 1 : 0))
  try {
    const xks = await start(
      startListener({
        name: XKS_PROTOCOL,
        host,
        port,
        ...(tls === undefined ? {} : { tls: listenerTls(tls) }),
        limits: { ...config.limits, bodyBytes: Math.min(config.limits.bodyBytes, MAX_BODY) },
        handler,
        errors: xksListenerError,
        onUnauthenticated: onStranger,
        onDefect,
        onReload: error => logReload(log, error),
      }),
    )
    const ping = async (): Promise<Reply> => ({
      status: (await readiness(health, replica)).ready ? 200 : 503,
      headers: {},
      body: '',
    })
    if (config.listen.ping !== undefined) await start(startListener(pingListener(config.listen, ping)))
    const operations = await start(
      startOperations({
        ...config.operations,
        metrics,
        health: () => readiness(health, replica),
        routes: { '/ping': ping },
        onDefect,
      }),
    )
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
        for (const listener of started) if (listener !== xks) await listener.close({ deadlineMs: 0 })
        boundary.close()
        await store.close()
      },
    }
  } catch (error) {
    for (const listener of started) await listener.close({ deadlineMs: 0 })
    throw error
  }
}

/** What the boundary's errors say is for the operator; of what nobody foresaw only the place, since its text may hold what it was about. */
function causeOf(error: unknown): LogFields {
  if (error instanceof BoundaryError) return { error: error.name, reason: error.message }
  return placeOf(error)
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
