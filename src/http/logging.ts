/**
 * The operator's log of a front end: one JSON object a line, on stderr. Redacted by construction: a line is built from the fields of a table and of
 * nothing else, so what nobody listed is never written. No line is written for a request at `info` and above.
 */
import { type DestinationStream, destination, pino } from 'pino'

/** What may stand in a line beside its message: names, numbers and places, never content of requests or rows. Values are cut to `max` characters. */
export const LOG_FIELDS = {
  /** Why something is so, in words of ours. */
  reason: { max: 512 },
  /** Name of an error, not its message. */
  error: { max: 128 },
  /** Frames of its stack. */
  at: { max: 2048 },
  requestId: { max: 128 },
  operation: { max: 64 },
  listener: { max: 64 },
  address: { max: 128 },
  port: { max: 16 },
  file: { max: 1024 },
  /** Row ids of key stores, tenants and keys. */
  store: { max: 512 },
  tenant: { max: 512 },
  protocol: { max: 64 },
  key: { max: 512 },
  failure: { max: 512 },
  host: { max: 255 },
  detail: { max: 512 },
  version: { max: 64 },
  boundaryId: { max: 64 },
  writeSet: { max: 32 },
  count: { max: 32 },
  cut: { max: 32 },
  milliseconds: { max: 32 },
  ready: { max: 8 },
} as const satisfies Record<string, { max: number }>
export type LogField = keyof typeof LOG_FIELDS

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug'
export type LogFields = { readonly [F in LogField]?: string | number | boolean }
export type Log = (level: LogLevel, message: string, fields?: LogFields) => void

export interface LogOptions {
  /** The process: `kms`, `ekm`. */
  readonly name: string
  /** Less severe lines are not written. */
  readonly level: LogLevel
  /** Default: stderr, written at once, so that a line before an exit is not lost. */
  readonly to?: DestinationStream
}

/** `message` is a constant of the program: what varies goes into fields. */
export function openLog({ name, level, to = destination({ fd: 2, sync: true }) }: LogOptions): Log {
  const logger = pino(
    { level, base: { name, pid: process.pid }, messageKey: 'msg', formatters: { level: label => ({ level: label }) } },
    to,
  )
  return (severity, message, fields = {}) => {
    if (logger.isLevelEnabled(severity)) logger[severity](allowed(fields), message)
  }
}

function allowed(fields: LogFields): Record<string, string | number | boolean> {
  const line: Record<string, string | number | boolean> = {}
  for (const [name, value] of Object.entries(fields)) {
    if (!Object.hasOwn(LOG_FIELDS, name)) continue
    if (typeof value === 'number' || typeof value === 'boolean') line[name] = value
    else if (typeof value === 'string') line[name] = value.slice(0, LOG_FIELDS[name as LogField].max)
  }
  return line
}

/** Tells that certificates were read again, or why they could not be. */
export function logReload(log: Log, error: Error | undefined, fields: LogFields = {}): void {
  if (error === undefined) log('info', 'certificates were read again', fields)
  else log('error', 'certificates could not be read again; the old ones stay in use', { ...fields, ...placeOf(error) })
}

/** Of an unforeseen error its name and where it arose. Its message may hold what it was about, and is left out. */
export function placeOf(error: unknown): LogFields {
  if (!(error instanceof Error)) return { error: typeof error }
  const frames = (error.stack ?? '').split('\n').filter(line => line.startsWith('    at '))
  const at = frames.slice(0, 4).map(frame => frame.trim())
  return { error: error.name, at: at.join(' ') }
}
