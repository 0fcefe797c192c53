/**
 * The boundary's lines for the operator: one JSON object each, on stderr. Built from what is given here and nothing else; never a secret, and of an
 * unforeseen error only its name and where it arose.
 */
import { writeSync } from 'node:fs'

export type Level = 'info' | 'warn' | 'error'
export type Log = (level: Level, message: string, fields?: Readonly<Record<string, string | number | boolean>>) => void

/** `fd`: where to, when not stderr: a file. */
export const stderrLog =
  (name: string, fd = 2): Log =>
  (level, message, fields) => {
    const line = `${JSON.stringify({ level, time: Date.now(), name, pid: process.pid, msg: message, ...fields })}\n`
    // A pipe that is full would make a bare write fail; the stream waits for it.
    if (fd === 2) process.stderr.write(line)
    else writeSync(fd, line)
  }

/** An error without its message, which may hold what it was about. */
export function placeOf(error: unknown): Record<string, string> {
  if (!(error instanceof Error)) return { error: typeof error }
  const frames = (error.stack ?? '').split('\n').filter(line => line.startsWith('    at '))
  return {
    error: error.name,
    at: frames
      .slice(0, 4)
      .map(line => line.trim())
      .join(' '),
  }
}
