/**
 * What the administration commands of `holdfast ekm` share: the connection to the boundary of a data folder, its refusals in words, options that all
 * have, and printing as text or JSON.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { type ControlConnection, connectControl } from '../boundary/client/control.ts'
import { BoundaryError } from '../boundary/words.ts'
import { AdminError } from '../ekm/admin/index.ts'

export const DEFAULT_EKM_DATA = './holdfast-ekm'

/** What the commands need of the world; tests give their own. */
export interface EkmWorld {
  /** Connects to the boundary of a data folder. */
  connect(data: string): ControlConnection
  out(text: string): void
  err(text: string): void
}

const EXIT = { refused: 1, unavailable: 69 } as const
export const EXIT_HELP =
  '\nExit codes: 0 done; 1 refused, with the reason; 69 no boundary is running on the folder, or it is locked.'

const world: EkmWorld = {
  connect: data => connectControl({ socket: join(data, 'boundary', 'control.sock') }),
  out: text => process.stdout.write(`${text}\n`),
  err: text => process.stderr.write(`${text}\n`),
}

export interface Common {
  readonly data: string
  readonly json?: boolean
}

export interface Tools {
  run(options: Common, what: (control: ControlConnection) => Promise<void>): Promise<void>
  common(parent: Command, name: string, description: string): Command
  print(options: Common, value: unknown, text: string): void
  note(text: string): void
}

/** Every command ends through `run`: it closes the connection, and sets the exit code where it is refused. */
export function makeTools(use: EkmWorld = world): Tools {
  return {
    run: async (options, what) => {
      const control = use.connect(options.data)
      try {
        await what(control)
      } catch (error) {
        const [text, code] = explain(error, options.data)
        use.err(text)
        process.exitCode = code
      } finally {
        control.close()
      }
    },
    common: (parent, name, description) =>
      parent
        .command(name)
        .description(description)
        .option('--data <dir>', 'data folder of the service', DEFAULT_EKM_DATA)
        .option('--json', 'print JSON'),
    print: (options, value, text) => use.out(options.json === true ? JSON.stringify(value) : text),
    note: text => use.err(text),
  }
}

function explain(error: unknown, data: string): [text: string, code: number] {
  if (error instanceof AdminError) return [error.message, EXIT.refused]
  if (!(error instanceof BoundaryError)) return [error instanceof Error ? error.message : String(error), EXIT.refused]
  if (error.code === 'Unavailable') {
    const text = `No boundary of an owner can be reached on ${data} (${error.detail || 'no answer'}).`
    const start = 'Start it: holdfast ekm --config FILE, or name another folder with --data.'
    return [`${text}\n${start}`, EXIT.unavailable]
  }
  if (error.code === 'Locked')
    return [`The boundary is locked. Open it first: holdfast unlock --data ${data}`, EXIT.unavailable]
  return [`The boundary refuses it: ${error.detail || error.code}.`, EXIT.refused]
}

export function readInput(file: string): Buffer {
  try {
    return readFileSync(file === '-' ? 0 : file)
  } catch (error) {
    throw new AdminError(`${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown reason'}.`)
  }
}

export interface NewFile {
  write(content: string | Buffer): void
  /** Where nothing came of it. */
  remove(): void
}

/** Makes the file, closed to others, before what goes into it: it must not exist, so that nobody's open file gets a secret. */
export function newFile(file: string): NewFile {
  try {
    writeFileSync(file, '', { flag: 'wx', mode: 0o600 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why = code === 'EEXIST' ? 'exists already; name a new one' : `cannot be made: ${code ?? 'unknown reason'}`
    throw new AdminError(`${file} ${why}.`)
  }
  return {
    write: content => writeFileSync(file, content, { mode: 0o600 }),
    remove: () => rmSync(file, { force: true }),
  }
}

/** As it stands in a path, or as a name. */
export function tenantName(prefix: string): string {
  return prefix.replace(/^\/+|\/+$/g, '') || '/'
}

export function prefixOption(prefix: string | undefined): string | undefined {
  return prefix === undefined ? undefined : tenantName(prefix)
}

export function time(milliseconds: number): string {
  return milliseconds === 0 ? '' : new Date(milliseconds).toISOString()
}
