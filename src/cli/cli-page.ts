/** docs/cli.md, from the tree of commands: synopsis, arguments, options, examples, exit codes. */
import type { Command } from 'commander'
import { ALL_EXIT_CODES } from './exit-codes.ts'
import { type DescribedCommand, describeTree } from './help.ts'

export function cliPage(program: Command): string {
  const [top, ...below] = describeTree(program)
  const groups = Map.groupBy(program.commands, command => command.helpGroup())
  const contents = [...groups].flatMap(([heading, commands]) => [
    `**${heading.replace(/:$/, '')}**`,
    commands
      .map(command => `- [\`holdfast ${command.name()}\`](#holdfast-${command.name()}) — ${command.description()}`)
      .join('\n'),
  ])
  const codes = ALL_EXIT_CODES.map(({ code, meaning, again }) => `| ${code} | ${cell(meaning)} | ${again} |`)
  return `${[
    '# The command line',
    `${top?.command.description() ?? ''} This page is what \`holdfast COMMAND --help\` says, of all commands (\`node scripts/print-cli.ts\` writes it).`,
    'Commands with `--json` print one JSON value, and nothing else, on standard output; commands that go on print one value a line. Progress and errors go to standard error. Secrets are shown once, where they are made, and are never taken from the command line.',
    '`holdfast completion bash|zsh|fish` prints completion for a shell.',
    ...contents,
    '## Exit codes',
    'The same number means the same after every command. Each command says which of them it ends with. The last column: whether the same command, with nothing changed, can succeed later.',
    `| code | meaning | again |\n| --- | --- | --- |\n${codes.join('\n')}`,
    ...below.flatMap(section),
  ].join('\n\n')}\n`
}

function section({ path, command, acts, notes, exits }: DescribedCommand): string[] {
  const help = command.createHelp()
  const level = '#'.repeat(Math.min(path.split(' ').length, 4))
  const args = help
    .visibleArguments(command)
    .map(argument => row(help.argumentTerm(argument), help.argumentDescription(argument)))
  const options = help
    .visibleOptions(command)
    .filter(({ long }) => long !== '--help')
    .map(option => row(help.optionTerm(option), help.optionDescription(option)))
  const commands = command.commands.map(below => row(`${path} ${below.name()}`, below.description()))
  const said = notes.replace(/(?:^|\n)Exit codes: [\s\S]*?(?:\n\n|$)/, '\n').trim()
  return [
    `${level} \`${path}\``,
    sentence(command.description()),
    `\`\`\`\nholdfast ${command.name() === path ? '' : path.replace(/^holdfast /, '')} ${command.usage()}\n\`\`\``.replace(
      / +/g,
      ' ',
    ),
    ...table('argument', args),
    ...table('option', options),
    ...table('command', commands),
    ...(said === '' ? [] : [`\`\`\`text\n${said}\n\`\`\``]),
    ...(exits.length === 0 || !acts
      ? []
      : [`Exit codes: ${exits.map(({ code, meaning }) => `\`${code}\` ${meaning}`).join('; ')}.`]),
  ]
}

const row = (term: string, meaning: string): string => `| \`${cell(term)}\` | ${cell(meaning)} |`

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

const table = (of: string, rows: readonly string[]): string[] =>
  rows.length === 0 ? [] : [`| ${of} | |\n| --- | --- |\n${rows.join('\n')}`]

const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.?]$/.test(text) ? '' : '.'}`
