/** `holdfast health`: one question to a running service, answered by the exit code, for what restarts containers and sends them requests. */
import { join } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { connectControl } from '../boundary/client/control.ts'
import { BoundaryError } from '../boundary/words.ts'
import { serviceFolders } from '../config/folders.ts'
import { isLoopback } from '../config/loopback.ts'

interface Options {
  readonly url?: URL
  readonly data?: string
  readonly live?: boolean
  readonly json?: boolean
}

interface Found {
  readonly ok: boolean
  /** For a person, one line. */
  readonly text: string
}

const DEADLINE_MS = 5000
const MAX_SHOWN = 2000

/** Adds `holdfast health`. */
export function registerHealth(program: Command): void {
  const command = program
    .command('health')
    .description('ask a running service on this machine whether it is ready')
    .option(
      '--url <url>',
      'its operations listener: "operations" in the line that it printed, or operations.port of its configuration',
      urlOption,
    )
    .option('--data <dir>', 'or its data folder: asks its boundary only, as the boundary’s user or root')
    .option('--live', '--url: only whether the front end runs, whatever the boundary does')
    .option('--json', 'print the answer as JSON')
    .addHelpText(
      'after',
      `
Examples:
  holdfast health --url http://127.0.0.1:9464
  holdfast health --data /var/lib/holdfast-kms

Exit codes: 0 ready; 1 not ready, with the reason, or no answer within ${DEADLINE_MS / 1000} seconds.`,
    )
    .action(async ({ url, data, live, json }: Options) => {
      if ((url === undefined) === (data === undefined)) command.error('holdfast health: give --url URL or --data DIR')
      if (data !== undefined && live) command.error('holdfast health: --live goes with --url')
      const { ok, text } = url === undefined ? await askBoundary(data ?? '') : await askFrontEnd(url, live === true)
      const shown = json ? JSON.stringify({ ready: ok, text }) : text
      ;(ok || json ? process.stdout : process.stderr).write(`${shown}\n`)
      process.exitCode = ok ? 0 : 1
    })
}

/** The listener has no authentication and no TLS, and is on loopback only; what answers elsewhere is another. */
function urlOption(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'http:' || !isLoopback(url.hostname.replace(/^\[|\]$/g, '')))
    throw new InvalidArgumentError('It looks like http://127.0.0.1:9464, on loopback.')
  return url
}

async function askFrontEnd(url: URL, live: boolean): Promise<Found> {
  try {
    const answer = await fetch(new URL(live ? '/health/live' : '/health/ready', url), {
      signal: AbortSignal.timeout(DEADLINE_MS),
      redirect: 'error',
    })
    const text = (await answer.text()).trim().slice(0, MAX_SHOWN)
    return { ok: answer.status === 200, text: answer.status === 200 ? text : `not ready: ${text}` }
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    return {
      ok: false,
      text: `no answer from ${url.origin}: ${cause instanceof Error ? cause.message : String(cause)}`,
    }
  }
}

async function askBoundary(data: string): Promise<Found> {
  const control = connectControl({ socket: join(serviceFolders(data).boundary, 'control.sock') })
  const late = new Promise<Found>(resolve => {
    setTimeout(resolve, DEADLINE_MS, {
      ok: false,
      text: `the boundary did not answer within ${DEADLINE_MS / 1000} seconds`,
    }).unref()
  })
  try {
    return await Promise.race([statusOf(control), late])
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error
    return { ok: false, text: `no boundary answers on ${data} (${error.detail})` }
  } finally {
    control.close()
  }
}

async function statusOf(control: ReturnType<typeof connectControl>): Promise<Found> {
  const { locked, warnings } = await control.status()
  if (locked) return { ok: false, text: 'the boundary is locked: run holdfast unlock' }
  return { ok: true, text: ['the boundary answers', ...warnings].join('; ') }
}
