/**
 * The real `holdfast ekm`, its supervisor, front end and boundary as processes, and the CLI against it.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { DevLine } from '../../src/ekm/dev.ts'

export const ROOT = resolve(import.meta.dirname, '..', '..')
/** Time for an ekm's answers: the machine that runs the tests may be busy with others. What is tested of deadlines is tested with the usual ones. */
export const PATIENT = { withinMs: 5000 } as const

const HOLDFAST = join(ROOT, 'bin', 'holdfast')

export interface CliResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs `holdfast` to its end. Never rejects. */
export function holdfast(args: readonly string[]): Promise<CliResult> {
  return new Promise(done => {
    // A whole log may be asked for.
    execFile(HOLDFAST, args, { maxBuffer: 1 << 29 }, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr })
    })
  })
}

export class Ekm<Line extends object = DevLine> {
  readonly process: ChildProcess
  readonly line: Line
  readonly data: string
  readonly #stderr: string[]

  constructor(child: ChildProcess, line: Line, data: string, stderr: string[]) {
    this.process = child
    this.line = line
    this.data = data
    this.#stderr = stderr
  }

  /** Everything that its three processes have written to stderr. */
  get stderr(): string {
    return this.#stderr.join('')
  }

  /** `holdfast ekm … --data DIR --json` on this service's folder; rejects where it is refused. */
  async cli<T = Record<string, unknown>>(...args: string[]): Promise<T> {
    const { code, stdout, stderr } = await holdfast(['ekm', ...args, '--data', this.data, '--json'])
    if (code !== 0) throw new Error(`holdfast ekm ${args.join(' ')}: exit code ${code}: ${stderr}`)
    return JSON.parse(stdout) as T
  }

  /** Ids of the two processes below the supervisor, as they are now. */
  children(): { readonly frontEnd: number; readonly boundary: number } {
    const found = { frontEnd: 0, boundary: 0 }
    const pid = this.process.pid ?? 0
    for (const child of readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')) {
      const command = commandOf(child)
      if (command.includes('/ekm/main')) found.frontEnd = Number(child)
      if (command.includes('/service/main')) found.boundary = Number(child)
    }
    return found
  }

  async stop(): Promise<number | null> {
    const ended = new Promise<number | null>(done => this.process.once('exit', done))
    if (this.process.exitCode !== null) return this.process.exitCode
    this.process.kill('SIGTERM')
    return ended
  }
}

/** Empty of a process that has ended meanwhile. */
function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

/** Starts `holdfast ekm` with these arguments and waits for its line. */
export async function startEkm<Line extends { readonly data: string } = DevLine>(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Ekm<Line>> {
  const child = spawn(HOLDFAST, ['ekm', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  const stderr: string[] = []
  child.stderr?.on('data', chunk => stderr.push(String(chunk)))
  const text = await new Promise<string>((ready, failed) => {
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).once('line', ready)
    child.once('exit', code =>
      failed(new Error(`holdfast ekm ${args.join(' ')} ended with ${code}: ${stderr.join('')}`)),
    )
  })
  const line = JSON.parse(text) as Line
  return new Ekm(child, line, line.data, stderr)
}
