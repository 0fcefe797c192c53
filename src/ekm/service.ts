/**
 * The front end of an owner's key manager, put together: its replica of the rows, the connection to its boundary, the protocols that its
 * configuration asks for, and the operator's listener. It holds no key and no root; without its boundary it answers 5xx at once and goes on when that is back.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { BoundaryError } from '../boundary/words.ts'
import type { EkmConfig } from '../config/ekm.ts'
import { serviceFolders } from '../config/folders.ts'
import { endForStore } from '../http/front-end.ts'
import { startListener } from '../http/listener.ts'
import { type Log, type LogFields, logReload, openLog, placeOf } from '../http/logging.ts'
import { Metrics, startOperations } from '../http/metrics.ts'
import { Strangers } from '../http/strangers.ts'
import type { Listener, Reply } from '../http/types.ts'
import { type Link, openLink } from '../store/link.ts'
import { openSqliteStore } from '../store/sqlite/open.ts'
import type { Store } from '../store/types.ts'
import { CedarPolicy } from './access/cedar/policy.ts'
import { assertEveryRouteDeclared } from './access/operations.ts'
import { Rules } from './access/rules.ts'
import { Core } from './core.ts'
import { HealthMonitor, readiness } from './health.ts'
import { ANSWER_WITHIN_MS, type ProtocolName } from './keys/protocols.ts'
import { startLoad } from './load/start.ts'
import { readsWithin } from './load/within.ts'
import { pingListener } from './ping.ts'
import { PROTOCOLS } from './protocols/index.ts'
import type { ProtocolContext, RunningProtocol } from './protocols/types.ts'

export interface EkmService {
  /** Where clients reach each protocol that the configuration asks for. */
  readonly urls: Readonly<Record<string, string>>
  /** Of the operator's listener. */
  readonly operationsUrl: string
  /** Finishes what is in flight, within the deadline. */
  close(): Promise<void>
}

const CLOSE_DEADLINE_MS = 10_000

/** Resolves when requests are answered; with a boundary that is locked or away they are answered 5xx. */
export async function startEkm(config: EkmConfig): Promise<EkmService> {
  assertEveryRouteDeclared(PROTOCOLS)
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
    onFailed: endForStore(log),
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
  const policy = new CedarPolicy({ replica, now: Date.now, onDefect })
  policy.warmUp()
  const load = startLoad({ config, boundary, replica, metrics, log })
  const core = new Core({
    boundary,
    replica,
    policy,
    rules: new Rules(config.rules),
    health,
    ...load.forCore,
    onDefect,
  })
  const nextRequestId = requestIds()
  const protocols: RunningProtocol[] = []
  const own: Listener[] = []
  const strangers: Strangers[] = []
  const measured = async (starting: Promise<Listener>): Promise<Listener> => {
    const listener = await starting
    metrics.watch(listener)
    return listener
  }
  /** What one protocol gets of this service. */
  const contextOf = (name: string): ProtocolContext => {
    const unknown = new Strangers(entry => boundary.record(entry), name)
    strangers.push(unknown)
    const onStranger = (reason: string, address: string): void => {
      metrics.refused(name, reason)
      unknown.count(reason, address)
    }
    return {
      config,
      core,
      health,
      replica: readsWithin(config.load.withinMs ?? ANSWER_WITHIN_MS[name as ProtocolName], replica),
      log,
      nextRequestId,
      onStranger,
      onDefect,
      onAnswer: (operation, outcome, seconds) => metrics.requests.observe(operation, outcome, seconds, name),
      gauge: (id, help, value) => metrics.gauge(id, help, value),
      listen: options =>
        measured(
          startListener({
            ...options,
            onUnauthenticated: onStranger,
            onDefect,
            onReload: error => logReload(log, error),
          }),
        ),
    }
  }
  metrics.gauge('cached_rows', 'Verified rows in memory', () => replica.cached.rows)
  metrics.gauge('cached_bytes', 'Memory of verified rows', () => replica.cached.bytes)
  metrics.gauge('cached_decisions', 'Decisions of policies in memory', () => policy.cached)
  metrics.gauge('write_set', 'Number of the last write set in the store', () => replica.appliedUpTo)
  metrics.gauge('boundary_connected', 'Whether there is a connection to the boundary', () =>
    boundary.connected ? 1 : 0,
  )
  metrics.gauge('health_age_seconds', 'Age of the last check with the test key', () => health.age)
  metrics.gauge('healthy', 'Whether the last check with the test key went well', () => (health.last?.ok ? 1 : 0))
  try {
    const urls: Record<string, string> = {}
    for (const protocol of PROTOCOLS) {
      const running = await protocol.start(contextOf(protocol.name))
      if (running === undefined) continue
      protocols.push(running)
      urls[protocol.name] = running.url
    }
    const ping = async (): Promise<Reply> => ({
      status: (await readiness(health, replica)).ready ? 200 : 503,
      headers: {},
      body: '',
    })
    if (config.listen.ping !== undefined) own.push(await measured(startListener(pingListener(config.listen, ping))))
    const operations = await measured(
      startOperations({
        ...config.operations,
        metrics,
        health: () => readiness(health, replica),
        routes: { '/ping': ping },
        onDefect,
      }),
    )
    own.push(operations)
    for (const unknown of strangers) unknown.start()
    health.start(config.health.everyMs)
    return {
      urls,
      operationsUrl: operations.url,
      close: async () => {
        const cuts = await Promise.all(protocols.map(each => each.close({ deadlineMs: CLOSE_DEADLINE_MS })))
        const cut = cuts.reduce((sum, each) => sum + each, 0)
        if (cut > 0) log('warn', 'requests were cut at the deadline', { cut })
        health.stop()
        for (const unknown of strangers) await unknown.stop()
        await load.stop()
        for (const listener of own) await listener.close({ deadlineMs: 0 })
        boundary.close()
        await store.close()
      },
    }
  } catch (error) {
    for (const each of [...protocols, ...own]) await each.close({ deadlineMs: 0 })
    throw error
  }
}

/** What the boundary's errors say is for the operator; of what nobody foresaw only the place, since its text may hold what it was about. */
function causeOf(error: unknown): LogFields {
  if (error instanceof BoundaryError) return { error: error.name, reason: error.message }
  return placeOf(error)
}

/** Ids that no other request of this or another process has: 64 random bits for the process, and a count. */
function requestIds(): () => string {
  const prefix = randomBytes(8).toString('hex')
  let count = 0
  return () => `${prefix}-${++count}`
}
