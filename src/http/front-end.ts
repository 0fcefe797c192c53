/** A front end as a process: its configuration is the supervisor's first message, `ready` its answer, SIGTERM its end. */
import { EXIT_CODES } from '../boundary/config.ts'
import type { FrontEndMessage } from '../boundary/supervisor/supervisor.ts'
import { StoreError } from '../store/errors.ts'
import { openLog, placeOf } from './logging.ts'

export interface FrontEnd {
  /** What the service's line of JSON says of it, without secrets. */
  readonly line: Readonly<Record<string, unknown>>
  /** Finishes what is in flight. */
  close(): Promise<void>
}

/** A port that is taken or a certificate that cannot be read: starting anew would not mend it. A disk may be mended meanwhile. */
function exitCodeOf(error: unknown): number {
  if (!(error instanceof StoreError)) return EXIT_CODES.refused
  if (error.code === 'Locked') return EXIT_CODES.inUse
  return error.code === 'Full' || error.code === 'Failed' ? EXIT_CODES.storage : EXIT_CODES.refused
}

/** Call once, at the top of the process. */
export function runFrontEnd<Config>(name: string, start: (config: Config) => Promise<FrontEnd>): void {
  const tell = (message: FrontEndMessage, then: () => void = () => {}): void => {
    if (process.send === undefined) then()
    else process.send(message, () => then())
  }
  // Nobody waits for what is not ready yet, and what goes on without a supervisor keeps the store from the next one.
  const orphaned = (): void => process.exit(EXIT_CODES.terminated)
  process.once('disconnect', orphaned)
  process.once('message', async (config: Config) => {
    try {
      const frontEnd = await start(config)
      let stopping = false
      const stop = (): void => {
        if (stopping) return
        stopping = true
        frontEnd.close().then(
          () => process.exit(EXIT_CODES.stopped),
          error => {
            openLog({ name, level: 'error' })('error', 'stopping failed', placeOf(error))
            process.exit(EXIT_CODES.internal)
          },
        )
      }
      process.on('SIGTERM', stop)
      process.off('disconnect', orphaned)
      process.on('disconnect', stop)
      tell({ type: 'ready', line: frontEnd.line })
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      tell({ type: 'failed', reason }, () => process.exit(exitCodeOf(error)))
    }
  })
  // Ctrl-C reaches the whole process group; the supervisor decides the order of stopping.
  process.on('SIGINT', () => {})
}
