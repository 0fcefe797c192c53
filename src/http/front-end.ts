/** A front end as a process: its configuration is the supervisor's first message, `ready` its answer, SIGTERM its end. */
import { EXIT_CODES } from '../boundary/config.ts'
import type { FrontEndMessage } from '../boundary/supervisor/supervisor.ts'
import { openLog, placeOf } from './logging.ts'

export interface FrontEnd {
  /** What the service's line of JSON says of it, without secrets. */
  readonly line: Readonly<Record<string, unknown>>
  /** Finishes what is in flight. */
  close(): Promise<void>
}

/** Call once, at the top of the process. */
export function runFrontEnd<Config>(name: string, start: (config: Config) => Promise<FrontEnd>): void {
  const tell = (message: FrontEndMessage, then: () => void = () => {}): void => {
    if (process.send === undefined) then()
    else process.send(message, () => then())
  }
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
      process.on('disconnect', stop)
      tell({ type: 'ready', line: frontEnd.line })
    } catch (error) {
      // A port that is taken, a certificate or a store that cannot be read: starting anew would not mend it.
      const reason = error instanceof Error ? error.message : String(error)
      tell({ type: 'failed', reason }, () => process.exit(EXIT_CODES.refused))
    }
  })
  // Ctrl-C reaches the whole process group; the supervisor decides the order of stopping.
  process.on('SIGINT', () => {})
}
