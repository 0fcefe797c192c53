/**
 * From a configuration to a boundary that answers on its sockets: folder, lock, root of trust, journal, sockets, in this order.
 */
import { type BoundaryConfig, EXIT_CODES } from '../config.ts'
import type { Disk } from '../journal/disk.ts'
import { ClockBehind, JournalDamage } from '../journal/types.ts'
import { unavailable } from '../pkcs11/libcrypto.ts'
import type { Token, TokenStatus } from '../pkcs11/types.ts'
import { Boundary } from './boundary.ts'
import type { Stopwatch } from './ceremonies/ceremony.ts'
import { ownCall } from './core.ts'
import { prepareAdmin, prepareFolder } from './folder.ts'
import { lockFolder, StartRefused } from './lock.ts'
import type { Log } from './log.ts'
import { openByConfig, openTokens, readRoot, startsLocked } from './roots.ts'
import { DEFAULT_IN_FLIGHT, listen } from './sockets.ts'

export const ONE_USER = 'not isolated from a taken-over front end: front end and boundary run under one user'

export interface StartParts {
  readonly config: BoundaryConfig
  /** What could not be done to protect the process. */
  readonly warnings: readonly string[]
  readonly log: Log
  readonly onFatal: (error: Error) => void
  /** The administrator asked it to stop. */
  readonly onStop: () => void
  readonly now?: () => number
  readonly disk?: Disk
  readonly held?: () => boolean
  readonly watch?: Stopwatch
}

export interface RunningBoundary {
  readonly boundary: Boundary
  readonly useSocket: string
  readonly controlSocket: string
  readonly warnings: readonly string[]
  /** Ends the connections once their answers have left, makes all durable, and lets go of the folder. */
  stop(): Promise<void>
}

/** Throws `StartRefused` where the operator must change something. */
export async function startBoundary(parts: StartParts): Promise<RunningBoundary> {
  const { config, log } = parts
  const warnings = [
    ...parts.warnings,
    ...(config.users === undefined ? [ONE_USER] : []),
    ...(config.service === 'kms' && unavailable !== undefined ? [unavailable] : []),
  ]
  const files = prepareFolder(config)
  const adminSocket = prepareAdmin(config)
  const unlock = lockFolder(config.folder, EXIT_CODES)
  let tokens: ReadonlyMap<string, Token> = new Map()
  const onToken = (name: string, { state, detail }: TokenStatus): void =>
    log(
      state === 'open' || state === 'closed' ? 'info' : 'error',
      `the token${name === '' ? '' : ` ${name}`} is ${state}`,
      { detail },
    )
  try {
    const rootState = await readRoot(config, files)
    const cut = { all: () => {} }
    tokens = await openTokens(config, onToken)
    const boundary = new Boundary({
      ...parts,
      files,
      rootState,
      warnings,
      tokens,
      onUnlocked: () => cut.all(),
      onRootToken: status => onToken('', status),
    })
    if (!startsLocked(config.root)) {
      const opened = await openByConfig(config, files, rootState, status => onToken('', status))
      await openJournalOf(boundary, opened)
    }
    const socketParts = {
      boundary,
      service: config.service,
      inFlight: config.limits?.inFlight ?? DEFAULT_IN_FLIGHT,
      log,
    }
    // With two users the folder's group, which the socket inherits, is the front end's.
    const socketMode = config.users === undefined ? 0o600 : 0o660
    const use = await listen(files.useSocket, socketMode, 'use', socketParts)
    const control = await listen(files.controlSocket, 0o600, 'control', socketParts)
    const admin = adminSocket === undefined ? undefined : await listen(adminSocket, socketMode, 'admin', socketParts)
    cut.all = () => use.cutAll()
    return {
      boundary,
      useSocket: files.useSocket,
      controlSocket: files.controlSocket,
      warnings,
      stop: async () => {
        await boundary.stop()
        await Promise.all([use.close(), control.close(), admin?.close()])
        unlock()
      },
    }
  } catch (error) {
    for (const token of tokens.values()) await token.close()
    unlock()
    throw error
  }
}

async function openJournalOf(boundary: Boundary, opened: Parameters<Boundary['open']>[0]): Promise<void> {
  try {
    await boundary.open(opened, ownCall())
  } catch (error) {
    await opened.token?.close()
    if (error instanceof JournalDamage || error instanceof ClockBehind) {
      throw new StartRefused(EXIT_CODES.damaged, error.message)
    }
    throw error
  }
}
