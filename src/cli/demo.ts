/** `holdfast demo`: the four custody models from one command, and the test that tells them apart. */
import { join } from 'node:path'
import type { Command } from 'commander'
import pkg from '../../package.json' with { type: 'json' }
import { FROM_SOURCE, ROOT } from '../boundary/installed.ts'
import { type Demo, runDemo, type Say } from '../custody/demo/demo.ts'
import { CUSTOMER, REGION } from '../custody/demo/sides.ts'
import { notRestored } from '../custody/report/answers.ts'
import { renderTerminal } from '../custody/report/terminal.ts'

interface Options {
  readonly data?: string
  readonly dir: string
  readonly once?: boolean
  readonly fresh?: boolean
  readonly cache: string
}

/** How whoever reads the output calls this program: in a clone, or where the package is installed. */
const COMMAND = FROM_SOURCE ? './bin/holdfast' : 'npx holdfast'

export function registerDemo(program: Command): void {
  program
    .command('demo')
    .description('run both sides with four keys, revoke in each custody model, and show who can still read')
    .option('--data <dir>', 'files to encrypt instead of this project’s documentation; any size')
    .option('--dir <dir>', 'where everything is kept, so that the next start resumes', './holdfast-demo')
    .option('--once', 'exit when the report is there: 0 if every cell of the table was established')
    .option('--fresh', 'start anew: remove what an earlier demo kept')
    .option('--cache <seconds>', 'how long the data service may use an opened data key again', '5')
    .addHelpText(
      'after',
      `
Examples:
  holdfast demo
  holdfast demo --data ~/Documents --once

Exit codes: 0 every cell of the table was established; 1 something could not be; 130 interrupted, and everything restored.`,
    )
    .action(async (options: Options) => {
      process.exitCode = await demo(options)
    })
}

async function demo(options: Options): Promise<number> {
  const interrupted = new AbortController()
  const onSignal = (): void => {
    process.stderr.write('\nholdfast: restoring what was revoked, then stopping …\n')
    interrupted.abort(new Error('interrupted'))
  }
  process.once('SIGINT', onSignal)
  process.once('SIGTERM', onSignal)
  const cacheSeconds = Number(options.cache)
  if (!Number.isInteger(cacheSeconds) || cacheSeconds < 1 || cacheSeconds > 3600) {
    process.stderr.write('holdfast demo: --cache is 1 to 3600 seconds\n')
    return 1
  }
  const started = performance.now()
  let run: Demo
  try {
    run = await runDemo({
      folder: options.dir,
      data: options.data,
      fresh: options.fresh === true,
      cacheSeconds,
      root: ROOT,
      version: pkg.version,
      signal: interrupted.signal,
      say: speaker(started),
    })
  } catch (error) {
    process.stderr.write(`holdfast demo: ${error instanceof Error ? error.message : String(error)}\n`)
    return interrupted.signal.aborted ? 130 : 1
  }
  const colour = process.stdout.isTTY === true && process.env.NO_COLOR === undefined
  const width = Math.min(120, Math.max(72, process.stdout.columns ?? 100))
  process.stdout.write(`${renderTerminal(run.evidence, { width, colour })}\n`)
  process.stdout.write(
    `  evidence   ${run.evidenceFile}\n  report     ${run.reportFile}\n  log        ${run.logFile}\n`,
  )
  process.stderr.write(`\n  ${seconds(started)} from start to report\n`)
  const left = notRestored(run.evidence)
  for (const line of left) process.stderr.write(`  NOT RESTORED   ${line}\n`)
  const code = run.complete && left.length === 0 ? 0 : 1
  if (options.once !== true && !interrupted.signal.aborted) {
    process.stdout.write(tryNext(run, options.dir))
    await new Promise<void>(stop => {
      if (interrupted.signal.aborted) stop()
      else interrupted.signal.addEventListener('abort', () => stop())
    })
  }
  process.off('SIGINT', onSignal)
  process.off('SIGTERM', onSignal)
  await run.stop()
  return code
}

const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`

/** Progress on stderr: a line a step, a bar while files are stored on a terminal. */
function speaker(started: number): Say {
  const tty = process.stderr.isTTY === true
  let bar = false
  let shown = 0
  const line = (text: string): void => {
    process.stderr.write(`${bar ? '\r\u001b[K' : ''}${seconds(started).padStart(7)}  ${text}\n`)
    bar = false
  }
  return {
    step: line,
    model: (name, what) => line(`  ${name.padEnd(18)} ${what}`),
    bytes: (done, total) => {
      const part = total === 0 ? 1 : done / total
      if (!tty || (part < 1 && performance.now() - shown < 100)) return
      shown = performance.now()
      bar = true
      const full = Math.round(part * 30)
      process.stderr.write(
        `\r         [${'#'.repeat(full)}${' '.repeat(30 - full)}] ${(part * 100).toFixed(0).padStart(3)} %`,
      )
    },
  }
}

/** The exact lines to try next. */
function tryNext({ state, sides, evidence, example }: Demo, dir: string): string {
  const endpoint = sides.kmsEndpoint
  const owner = join(dir, 'owner')
  return `
Everything keeps running. To try, in another terminal:

  # the customer, account ${CUSTOMER}
  export AWS_ACCESS_KEY_ID=${state.owner.accessKeyId} AWS_SECRET_ACCESS_KEY=${state.owner.secretAccessKey} AWS_DEFAULT_REGION=${REGION}
  aws --endpoint-url ${endpoint} kms list-aliases
  aws --endpoint-url ${endpoint} kms describe-key --key-id ${state.keys.heldByOwner}

  # read a file; the owner takes the key away; after ${evidence.cacheSeconds} s no cached data key is left, and reading is refused
  curl -s -H 'Authorization: Bearer ${state.dataService.token}' ${example} | head -c 300
  ${COMMAND} ekm revoke acme-hsm1/files --data ${owner}
  sleep ${evidence.cacheSeconds}; curl -s -H 'Authorization: Bearer ${state.dataService.token}' ${example}
  ${COMMAND} ekm restore acme-hsm1/files --data ${owner}

  # the provider under compulsion
  ${COMMAND} custody compel --plan ${join(dir, 'plan.json')} --model HYOK

Ctrl-C stops. The next start resumes with the same keys and data; --fresh starts anew.
`
}
