/**
 * The boundary's lines for the operator: one JSON object each, on stderr. Built from what is given here and nothing else; never a secret, and of an
 * unforeseen error only its name and where it arose.
 */
export type Level = 'info' | 'warn' | 'error'
export type Log = (level: Level, message: string, fields?: Readonly<Record<string, string | number | boolean>>) => void

export const stderrLog =
  (name: string): Log =>
  (level, message, fields) => {
    process.stderr.write(
      `${JSON.stringify({ level, time: Date.now(), name, pid: process.pid, msg: message, ...fields })}\n`,
    )
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
