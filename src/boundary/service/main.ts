/**
 * The boundary's process. Started by the supervisor, which sends the configuration over the spawn's own channel; hardens itself before it reads a secret, and
 * ends with the supervisor, with SIGTERM, on request over the control socket, or at once when a write has failed.
 */
import { type BoundaryConfig, type BoundaryMessage, EXIT_CODES } from '../config.ts'
import { endWithParent, harden } from '../harden.ts'
import { StartRefused } from './lock.ts'
import { placeOf, stderrLog } from './log.ts'
import { type RunningBoundary, startBoundary } from './start.ts'

/** Milliseconds that stopping may take before the process ends anyway: what is durable is durable. */
const STOP_DEADLINE = 10_000

const log = stderrLog('boundary')
let running: RunningBoundary | undefined
let stopping = false

function tell(message: BoundaryMessage, then: () => void = () => {}): void {
  if (process.connected !== true || process.send === undefined) then()
  else process.send(message, () => then())
}

function stop(why: string, code: number): void {
  if (stopping) return
  stopping = true
  log('info', `stopping: ${why}`)
  setTimeout(() => process.exit(EXIT_CODES.internal), STOP_DEADLINE).unref()
  Promise.resolve(running?.stop()).then(
    () => process.exit(code),
    error => {
      log('error', 'stopping failed', placeOf(error))
      process.exit(EXIT_CODES.internal)
    },
  )
}

async function start(config: BoundaryConfig, warnings: readonly string[]): Promise<void> {
  try {
    running = await startBoundary({
      config,
      warnings,
      log,
      onFatal: error => {
        // Synchronously: whatever waits for this write is never answered.
        log('error', `storage failed, nothing that was waiting is answered as done: ${error.message}`)
        process.exit(EXIT_CODES.storage)
      },
      onStop: () => setImmediate(() => stop('asked over the control socket', EXIT_CODES.stopped)),
    })
  } catch (error) {
    const reason = error instanceof StartRefused ? error.message : 'the boundary could not start'
    log('error', reason, error instanceof StartRefused ? {} : placeOf(error))
    const code = error instanceof StartRefused ? error.exitCode : EXIT_CODES.internal
    tell({ type: 'failed', reason }, () => process.exit(code))
    return
  }
  for (const warning of running.warnings) log('warn', warning)
  const { boundary, useSocket, controlSocket } = running
  log('info', boundary.locked ? 'ready, and locked: holdfast unlock opens it' : 'ready')
  tell({
    type: 'ready',
    pid: process.pid,
    locked: boundary.locked,
    useSocket,
    controlSocket,
    warnings: running.warnings,
  })
}

process.umask(0o077)
endWithParent()
const warnings = harden()
process.on('SIGTERM', () => stop('SIGTERM', EXIT_CODES.terminated))
// Ctrl-C reaches the whole group: the supervisor stops the front end first.
process.on('SIGINT', () => {})
process.on('uncaughtException', error => {
  log('error', 'a defect', placeOf(error))
  process.exit(EXIT_CODES.internal)
})
if (process.send === undefined) {
  log('error', 'the boundary is started by its supervisor, which sends the configuration')
  process.exit(EXIT_CODES.refused)
}
process.once('message', message => void start(message as BoundaryConfig, warnings))
process.on('disconnect', () => stop('the supervisor is gone', EXIT_CODES.terminated))
