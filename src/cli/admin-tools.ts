/**
 * What the administration commands of both services share: the connection to the boundary of a data folder, its refusals in words, options that all
 * have, and printing as text or JSON.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { type ControlConnection, connectControl } from '../boundary/client/control.ts'
import { BoundaryError } from '../boundary/words.ts'
import { AdminError } from '../store/admin.ts'
import { EXIT_REFUSED, EXIT_UNAVAILABLE } from './exit-codes.ts'
import { columns } from './table.ts'

export const EXIT_HELP =
  '\nExit codes: 0 done; 1 refused, with the reason; 69 no service is running on the folder, or its boundary is locked.'

/** What the commands need of the world; tests give their own. */
export interface World<C> {
  /** Connects to the boundary of a data folder. */
  connect(data: string): C & { close(): void }
  out(text: string): void
  err(text: string): void
}

export const world: World<ControlConnection> = {
  connect: data => connectControl({ socket: join(data, 'boundary', 'control.sock') }),
  out: text => process.stdout.write(`${text}\n`),
  err: text => process.stderr.write(`${text}\n`),
}

export interface Common {
  readonly data: string
  readonly json?: boolean
}

export interface Tools<C> {
  run(options: Common, what: (control: C) => Promise<void>): Promise<void>
  /** A command with the options that all have. `example`: a line as it is typed. */
  common(parent: Command, name: string, description: string, example?: string): Command
  print(options: Common, value: unknown, text: string): void
  /** Rows as columns, `none` where there are none; as JSON the rows themselves. */
  table(options: Common, rows: readonly object[], none: string): void
  note(text: string): void
}

/** Every command ends through `run`: it closes the connection, and sets the exit code where it is refused. */
export function makeTools<C>(service: 'kms' | 'ekm', defaultData: string, use: World<C>): Tools<C> {
  const print: Tools<C>['print'] = (options, value, text) =>
    use.out(options.json === true ? JSON.stringify(value) : text)
  return {
    run: async (options, what) => {
      const control = use.connect(options.data)
      try {
        await what(control)
      } catch (error) {
        const [text, code] = explain(service, error, options.data)
        use.err(text)
        process.exitCode = code
      } finally {
        control.close()
      }
    },
    common: (parent, name, description, example) =>
      parent
        .command(name)
        .description(description)
        .option('--data <dir>', 'data folder of the service', defaultData)
        .option('--json', 'print JSON')
        .addHelpText('after', `${EXIT_HELP}${example === undefined ? '' : `\n\nExample:\n  ${example}`}`),
    print,
    table: (options, rows, none) => print(options, rows, rows.length === 0 ? none : columns(rows)),
    note: text => use.err(text),
  }
}

function explain(service: 'kms' | 'ekm', error: unknown, data: string): [text: string, code: number] {
  if (!(error instanceof BoundaryError)) return [error instanceof Error ? error.message : String(error), EXIT_REFUSED]
  if (error.code === 'Unavailable') {
    const text = `No holdfast ${service} can be reached on ${data} (${error.detail || 'no answer'}).`
    const start = `Start it: holdfast ${service} --config FILE, or name another folder with --data.`
    return [`${text}\n${start}`, EXIT_UNAVAILABLE]
  }
  if (error.code === 'Locked')
    return [`The boundary is locked. Open it first: holdfast unlock --data ${data}`, EXIT_UNAVAILABLE]
  return [`The boundary refuses it: ${error.detail || error.code}.`, EXIT_REFUSED]
}

/** A file that the operator names; `-` is standard input. Throws AdminError. */
export function readInput(file: string): Buffer {
  try {
    return readFileSync(file === '-' ? 0 : file)
  } catch (error) {
    throw new AdminError(`${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown reason'}.`)
  }
}
