/** A boundary without a service around it: for ceremonies in which nobody but the administrator is served. */
import { closeSync, openSync } from 'node:fs'
import type { BoundaryConfig, BoundaryMessage } from '../config.ts'
import { Child } from './children.ts'
import { boundaryProgram } from './programs.ts'
import { ServiceFailed } from './supervisor.ts'
import { giveFolders } from './users.ts'

const STOP_DEADLINE_MS = 15_000

export interface Alone {
  readonly controlSocket: string
  stop(): Promise<void>
}

/** Resolves when its control socket is there. Rejects with `ServiceFailed`, whose message says what to change. Its log lines go nowhere. */
export async function startAlone(config: BoundaryConfig): Promise<Alone> {
  if (config.users !== undefined) giveFolders(config, [])
  const ready = Promise.withResolvers<string>()
  let reason = ''
  const stderr = openSync('/dev/null', 'w')
  const boundary = new Child({
    name: 'boundary',
    ...boundaryProgram(config),
    user: config.users?.boundary,
    config,
    isFinal: () => true,
    onMessage: message => {
      const told = message as BoundaryMessage
      if (told.type === 'failed') reason = told.reason
      else if (told.type === 'ready') ready.resolve(told.controlSocket)
    },
    onFinal: (code, how) => ready.reject(new ServiceFailed(code, reason === '' ? how : reason)),
    log: () => {},
    stderr,
  })
  boundary.start()
  closeSync(stderr)
  const controlSocket = await ready.promise
  return { controlSocket, stop: () => boundary.stop(STOP_DEADLINE_MS) }
}
