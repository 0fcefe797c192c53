/**
 * A front end as a process: its configuration is the supervisor's first message, `ready` its answer, SIGTERM its end. Alone, under a service manager, it prints
 * what it would have answered.
 */
import { spawn } from 'node:child_process'
import { EXIT_CODES } from '../boundary/config.ts'
import { takeConfig } from '../boundary/supervisor/alone.ts'
import type { FrontEndMessage } from '../boundary/supervisor/supervisor.ts'
import { StoreError } from '../store/errors.ts'
import { type Log, openLog, placeOf } from './logging.ts'

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

/** Ends the process, so that the next one opens the store anew: whoever started this one starts it. */
export function endForStore(log: Log): (error: StoreError) => void {
  return error => {
    log('error', 'this process ends, and the next opens the store anew', { reason: error.message })
    process.exit(exitCodeOf(error))
  }
}

/** Call once, at the top of the process. */
export function runFrontEnd<Config>(name: string, start: (config: Config) => Promise<FrontEnd>): void {
  const alone = takeConfig<Config>()
  const tell = (message: FrontEndMessage, then: () => void = () => {}): void => {
    if (process.send !== undefined) process.send(message, () => then())
    else if (message.type === 'failed') process.stderr.write(`holdfast ${name}: ${message.reason}\n`, then)
    else {
      process.stdout.write(`${JSON.stringify({ ...message.line, pid: process.pid })}\n`)
      notifyReady(reason => openLog({ name, level: 'error' })('error', 'telling systemd failed', { reason }))
    }
  }
  // Nobody waits for what is not ready yet, and what goes on without a supervisor keeps the store from the next one.
  const orphaned = (): void => process.exit(EXIT_CODES.terminated)
  process.once('disconnect', orphaned)
  const run = async (config: Config): Promise<void> => {
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
      if (alone !== undefined) process.on('SIGINT', stop)
      tell({ type: 'ready', line: frontEnd.line })
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      tell({ type: 'failed', reason }, () => process.exit(exitCodeOf(error)))
    }
  }
  if (alone !== undefined) void run(alone)
  else process.once('message', run)
  // Ctrl-C reaches the whole process group; the supervisor decides the order of stopping.
  process.on('SIGINT', () => {})
}

/** Through systemd's own program: Node cannot send datagrams to a Unix socket, and what calls C stays out of front ends. */
function notifyReady(onFailure: (reason: string) => void): void {
  const { NOTIFY_SOCKET, PATH } = process.env
  delete process.env.NOTIFY_SOCKET
  if (NOTIFY_SOCKET === undefined) return
  const env = { NOTIFY_SOCKET, ...(PATH === undefined ? {} : { PATH }) }
  spawn('systemd-notify', ['--ready', '--status=ready'], { env, stdio: 'ignore' })
    .once('error', error => onFailure(error.message))
    .once('exit', code => {
      if (code !== 0) onFailure(`systemd-notify ended with ${code}`)
    })
}
