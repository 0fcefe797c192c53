/**
 * The provider's front end, put together: boundary, replica, access, stores, the API's listener and the operator's. It holds no key and no root;
 * without its boundary it answers 5xx at once and goes on when that is back.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeOffset } from '../boundary/service/clock.ts'
import { BoundaryError, type WriteSet } from '../boundary/words.ts'
import { serviceFolders } from '../config/folders.ts'
import type { KmsConfig } from '../config/kms.ts'
import { endForStore } from '../http/front-end.ts'
import { startListener } from '../http/listener.ts'
import { type Log, type LogFields, logReload, openLog, placeOf } from '../http/logging.ts'
import { Metrics, startOperations } from '../http/metrics.ts'
import { Strangers } from '../http/strangers.ts'
import type { Listener, ListenerTls } from '../http/types.ts'
import { type Link, openLink } from '../store/link.ts'
import { openSqliteStore } from '../store/sqlite/open.ts'
import type { Store } from '../store/types.ts'
import { Principals } from './access/principals.ts'
import { Sessions } from './access/sessions.ts'
import type { Attestations } from './attestation/verify.ts'
import { healthOf } from './health.ts'
import { Grants } from './keys/grants.ts'
import { MarkerKey } from './operations/markers.ts'
import { markingErrors } from './operations/recorded.ts'
import { Runner } from './operations/run.ts'
import { OPERATIONS } from './operations/table.ts'
import type { Clocks, Services } from './operations/types.ts'
import { openKeyStores } from './stores/manage.ts'
import { acceptAnyCredentials, type DANGEROUSLY_ACCEPT_ANY_CREDENTIALS } from './wire/any-credentials.ts'
import { signatures, type Verifier, type Who } from './wire/authenticate.ts'
import { listenerError, makeHandler } from './wire/handler.ts'
import { RequestLimits } from './wire/request-quotas.ts'

export interface KmsService {
  readonly url: string
  /** Of the operator's listener. */
  readonly operationsUrl: string
  /** Finishes what is in flight, within the deadline. */
  close(): Promise<void>
}

const CLOSE_DEADLINE_MS = 10_000
const ANY_CREDENTIALS = 'any credentials are accepted: whoever reaches the port is root of an account'

/**
 * Resolves when requests are answered; with a boundary that is locked or away they are answered 5xx. `danger`: whoever reaches the port is root of
 * an account; only on loopback, and only with a boundary that is for development.
 */
export async function startKms(
  config: KmsConfig,
  danger?: typeof DANGEROUSLY_ACCEPT_ANY_CREDENTIALS,
): Promise<KmsService> {
  const log = openLog({ name: 'kms', level: config.logging.level })
  const folders = serviceFolders(config.data)
  mkdirSync(folders.frontEnd, { recursive: true, mode: 0o700 })
  const store = await openSqliteStore({ file: join(folders.frontEnd, 'store.db') })
  try {
    const link = await connect(config, store, join(folders.boundary, 'use.sock'), log)
    return await serve(config, store, link, log, danger)
  } catch (error) {
    await store.close()
    throw error
  }
}

interface Linked extends Link {
  readonly markers: MarkerKey
  readonly clocks: Clocks
}

/** Connects to the boundary, and follows lifecycle time, which is ahead of real time only in a service made with --dev. */
async function connect(config: KmsConfig, store: Store, socket: string, log: Log): Promise<Linked> {
  const { bytes, secrets } = config.cache
  const markers = new MarkerKey()
  let offset = 0
  const link = await openLink({
    store,
    socket,
    limits: { bytes, secrets },
    log,
    onFailed: endForStore(log),
    onWriteSet: set => {
      offset = movedClock(set) ?? offset
    },
    onChange: async ({ boundary, replica }) => {
      if (!replica.ready) return
      markers.take(await boundary.markerKey())
      const row = await replica.get('clock', 'offset')
      offset = row?.body == null ? 0 : decodeOffset(row.body)
    },
  })
  return { ...link, markers, clocks: { lifecycle: () => Date.now() + offset, real: Date.now } }
}

function movedClock({ rows }: WriteSet): number | undefined {
  for (const { kind, body } of rows) if (kind === 'clock' && body !== null) return decodeOffset(body)
  return undefined
}

/** The trust anchor of each configured cluster, PEM. Throws where a file cannot be read. */
function trustAnchors({ cloudHsm }: KmsConfig): ReadonlyMap<string, string> {
  const clusters = Object.entries(cloudHsm.clusters)
  return new Map(clusters.map(([id, { trustAnchorFile }]) => [id, readFileSync(trustAnchorFile, 'utf8')]))
}

/** The reader of certificates is a third of what a front end would load: it waits for it only where there is a root. */
async function openAttestations(files: readonly string[]): Promise<Attestations | undefined> {
  if (files.length === 0) return undefined
  const { Attestations, loadRoots } = await import('./attestation/verify.ts')
  return new Attestations(loadRoots(files))
}

async function serve(
  config: KmsConfig,
  store: Store,
  link: Linked,
  log: Log,
  danger: typeof DANGEROUSLY_ACCEPT_ANY_CREDENTIALS | undefined,
): Promise<KmsService> {
  const { boundary, replica, clocks, markers } = link
  const metrics = new Metrics('kms')
  const onDefect = (error: unknown, requestId = ''): void =>
    log('error', 'a request failed for a reason of ours', {
      ...(requestId === '' ? {} : { requestId }),
      ...causeOf(error),
    })
  const principals = new Principals(replica)
  const recording = markingErrors(boundary)
  const stores = openKeyStores({
    most: config.quotas.keyStores,
    replica,
    boundary: recording,
    hosts: config.xks.hosts,
    clusters: trustAnchors(config),
    onFailure: (id, failure) => log('warn', 'an external key store failed', { store: id, failure: failure.message }),
    onReload: (hostName, error) => logReload(log, error, { host: hostName }),
  })
  const services: Services = {
    boundary: recording,
    replica,
    principals,
    grants: new Grants(replica),
    stores,
    clocks,
    settings: { partition: 'aws', regions: config.regions, services: config.services, quotas: config.quotas },
    markers,
    attestations: await openAttestations(config.attestation.roots),
  }
  const { requests } = config.quotas
  const runner = new Runner(services, OPERATIONS, {
    ...(requests.enforced ? { limits: new RequestLimits(requests, config.regions) } : {}),
    onDefect,
    onAnswer: (operation, outcome, seconds) => metrics.requests.observe(operation, outcome, seconds),
  })
  const strangers = new Strangers(entry => boundary.record(entry), 'kms')
  const onStranger = (reason: string, address: string): void => {
    metrics.refused('kms', reason)
    strangers.count(reason, address)
  }
  const { tls, host, port } = config.listen
  const who = { principals, sessions: new Sessions(principals, recording, config.cache.secrets) }
  const api = await startListener({
    name: 'kms',
    host,
    port,
    ...(tls === undefined ? {} : { tls: listenerTls(tls) }),
    limits: config.limits,
    handler: makeHandler({
      runner,
      verify: verifierOf(config, who, boundary, danger),
      secure: tls !== undefined,
      onStranger,
      onDefect,
    }),
    errors: listenerError,
    onUnauthenticated: onStranger,
    onDefect,
    onReload: error => logReload(log, error),
  })
  metrics.watch(api)
  metrics.gauge('cached_rows', 'Verified rows in memory', () => replica.cached.rows)
  metrics.gauge('cached_bytes', 'Memory of verified rows', () => replica.cached.bytes)
  metrics.gauge('cached_grant_bytes', 'Memory of grants, about', () => services.grants.bytes)
  metrics.gauge('write_set', 'Number of the last write set in the store', () => replica.appliedUpTo)
  let operations: Listener
  try {
    operations = await startOperations({
      ...config.operations,
      metrics,
      health: () => healthOf(boundary, replica, danger === undefined ? [] : [ANY_CREDENTIALS]),
      onDefect,
    })
  } catch (error) {
    await api.close({ deadlineMs: 0 })
    throw error
  }
  strangers.start()
  return {
    url: api.url,
    operationsUrl: operations.url,
    close: async () => {
      const cut = await api.close({ deadlineMs: CLOSE_DEADLINE_MS })
      if (cut > 0) log('warn', 'requests were cut at the deadline', { cut })
      await strangers.stop()
      await operations.close({ deadlineMs: 0 })
      stores.close()
      boundary.close()
      await store.close()
    },
  }
}

function verifierOf(
  { regions, listen, account }: KmsConfig,
  who: Who,
  boundary: Linked['boundary'],
  danger: typeof DANGEROUSLY_ACCEPT_ANY_CREDENTIALS | undefined,
): Verifier {
  const usual = signatures(who, new Set(regions))
  if (danger === undefined) return usual
  if (account === undefined) throw new Error('account is not set: callers who name none need one')
  return acceptAnyCredentials({ danger, host: listen.host, usual, boundary, account, regions })
}

/** What the boundary's errors say is for the operator; of what nobody foresaw only the place, since its text may hold what it was about. */
function causeOf(error: unknown): LogFields {
  if (error instanceof BoundaryError) return { error: error.name, reason: error.message }
  return placeOf(error)
}

function listenerTls({ certificateFile, keyFile, clients }: NonNullable<KmsConfig['listen']['tls']>): ListenerTls {
  return { profile: 'aws-api', certificateFile, keyFile, ...(clients === undefined ? {} : { clients }) }
}
