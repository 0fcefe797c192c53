/** The provider's front end, put together: boundary, replica, access, stores, listener. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { connectUse } from '../boundary/client/use.ts'
import { stderrLog } from '../boundary/service/log.ts'
import { serviceFolders } from '../config/boundary.ts'
import type { KmsConfig } from '../config/kms.ts'
import { startListener } from '../http/listener.ts'
import { Strangers } from '../http/strangers.ts'
import { openReplica, type Replica } from '../store/replica.ts'
import { openSqliteStore } from '../store/sqlite/open.ts'
import { Principals } from './access/principals.ts'
import { Runner } from './operations/run.ts'
import { OPERATIONS } from './operations/table.ts'
import type { Services } from './operations/types.ts'
import { openKeyStores } from './stores/manage.ts'
import { listenerError, makeHandler } from './wire/handler.ts'

export interface KmsService {
  readonly url: string
  /** Finishes what is in flight, within the deadline. */
  close(): Promise<void>
}

const CLOSE_DEADLINE_MS = 10_000

/** Resolves when requests are answered; waits for the boundary as long as it takes. */
export async function startKms(config: KmsConfig): Promise<KmsService> {
  const log = stderrLog('kms')
  const folders = serviceFolders(config.data)
  mkdirSync(folders.frontEnd, { recursive: true, mode: 0o700 })
  const store = await openSqliteStore({ file: join(folders.frontEnd, 'store.db') })
  let lifecycleOffset = 0
  const ready = Promise.withResolvers<Replica>()
  const boundary = connectUse({
    socket: join(folders.boundary, 'use.sock'),
    onWriteSet: async set => (await ready.promise).onWriteSet(set),
    onState: async state => {
      const replica = await ready.promise
      if (state.kind === 'disconnected') {
        replica.suspend()
        log('warn', 'the boundary does not answer', { reason: state.reason })
        return
      }
      if (state.hello.locked) {
        log('warn', 'the boundary is locked: run holdfast unlock')
        return
      }
      await replica.catchUp()
      lifecycleOffset = (await boundary.status()).lifecycleNow - Date.now()
    },
  })
  const replica = await openReplica({ store, boundary })
  ready.resolve(replica)
  const principals = new Principals(replica)
  const stores = openKeyStores({
    replica,
    boundary,
    hosts: config.xks.hosts,
    onFailure: (id, failure) => log('warn', 'an external key store failed', { store: id, failure: failure.message }),
  })
  const services: Services = {
    boundary,
    replica,
    principals,
    stores,
    clocks: { lifecycle: () => Date.now() + lifecycleOffset, real: Date.now },
    settings: { partition: 'aws', regions: config.regions, services: ['objects'] },
  }
  const runner = new Runner(services, OPERATIONS, (error, requestId) =>
    log('error', 'a request failed for a reason of ours', {
      requestId,
      error: error instanceof Error ? error.message : typeof error,
    }),
  )
  const strangers = new Strangers(entry => boundary.record(entry), 'kms')
  strangers.start()
  const listener = await startListener({
    name: 'kms',
    host: config.listen.host,
    port: config.listen.port,
    ...(config.listen.tls === undefined
      ? {}
      : {
          tls: {
            profile: 'aws-api' as const,
            certificateFile: config.listen.tls.certificateFile,
            keyFile: config.listen.tls.keyFile,
            ...(config.listen.tls.clients === undefined ? {} : { clients: config.listen.tls.clients }),
          },
        }),
    handler: makeHandler({
      runner,
      principals,
      regions: new Set(config.regions),
      secure: config.listen.tls !== undefined,
      record: (operation, requestId, caller) =>
        boundary.record({
          outcome: 'allowed',
          error: '',
          keyId: '',
          asserted: { operation, requestId, account: caller.account, principal: caller.arn },
          count: 0,
        }),
      onStranger: (reason, address) => strangers.count(reason, address),
    }),
    errors: listenerError,
    onUnauthenticated: (reason, address) => strangers.count(reason, address),
    onDefect: error =>
      log('error', 'a request failed for a reason of ours', {
        error: error instanceof Error ? error.message : typeof error,
      }),
  })
  return {
    url: listener.url,
    close: async () => {
      await listener.close({ deadlineMs: CLOSE_DEADLINE_MS })
      await strangers.stop()
      stores.close()
      boundary.close()
      await store.close()
    },
  }
}
