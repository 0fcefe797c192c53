/** The tree of commands read as data: what completion, docs/cli.md and the tests walk. */
import type { Command } from 'commander'

export interface DescribedCommand {
  /** `holdfast kms account list`. */
  readonly path: string
  readonly command: Command
  /** Whether it does something by itself, beside having commands below it. */
  readonly acts: boolean
  /** What its help says after arguments and options. */
  readonly notes: string
  /** As the notes give them; empty where they give none. */
  readonly exits: readonly { readonly code: number; readonly meaning: string }[]
}

/** In the order of help, each command before those below it. `help` commands are left out. */
export function describeTree(program: Command): DescribedCommand[] {
  const found: DescribedCommand[] = []
  const walk = (command: Command, above: string): void => {
    const path = `${above}${command.name()}`
    const notes = notesOf(command)
    // What only holds others has nothing that an option could say.
    const acts = command.commands.length === 0 || (above !== '' && command.options.length > 0)
    found.push({ path, command, acts, notes, exits: exitsOf(notes) })
    for (const below of command.commands) walk(below, `${path} `)
  }
  walk(program, '')
  return found
}

function notesOf(command: Command): string {
  let text = ''
  const usual = command.configureOutput()
  command.configureOutput({ ...usual, writeOut: part => (text += part) })
  command.outputHelp()
  command.configureOutput(usual)
  return text.slice(command.helpInformation().length).trim()
}

/** Of `Exit codes: 0 done; 1 refused, with the reason.`, which ends its paragraph. */
function exitsOf(notes: string): DescribedCommand['exits'] {
  const [, sentence = ''] = /(?:^|\n)Exit codes: ([\s\S]*?)(?:\n\n|$)/.exec(notes) ?? []
  const parts = sentence
    .replaceAll('\n', ' ')
    .replace(/\.$/, '')
    .split(/; (?=\d)/)
  return parts.flatMap(part => {
    const [, code, meaning] = /^(\d+) (.+)$/.exec(part) ?? []
    return code === undefined || meaning === undefined ? [] : [{ code: Number(code), meaning }]
  })
}
