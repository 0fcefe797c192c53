/** The operator's log of the front end: one JSON object a line on stderr. Built from what is given here and nothing else; never a line a request. */
import { destination, pino } from 'pino'
import type { Log } from '../boundary/service/log.ts'
import type { KmsConfig } from '../config/kms.ts'

export function operatorLog(level: KmsConfig['logging']['level']): Log {
  // Written at once: the last line before an end is the one that matters.
  const to = pino(
    { name: 'kms', level, base: { pid: process.pid }, formatters: { level: label => ({ level: label }) } },
    destination({ fd: 2, sync: true }),
  )
  return (severity, message, fields) => to[severity](fields ?? {}, message)
}
