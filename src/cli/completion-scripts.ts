/** Completion for three shells, from the tree of commands: static text, so that completing starts no program. */
import type { Argument, Command, Option } from 'commander'
import { describeTree } from './help.ts'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

/** What may stand in the place of a value. */
type Value =
  | { readonly kind: 'file' | 'folder' | 'other' }
  | { readonly kind: 'choices'; readonly choices: readonly string[] }

interface Word {
  readonly word: string
  readonly meaning: string
}

interface Place {
  readonly path: string
  readonly commands: readonly Word[]
  readonly options: readonly (Word & { readonly value: Value | undefined })[]
  readonly argument: Value | undefined
}

export function completionScript(shell: Shell, program: Command): string {
  const places = describeTree(program).map(({ path, command }) => placeOf(path, command))
  return SCRIPTS[shell](places)
}

function placeOf(path: string, command: Command): Place {
  const help = command.createHelp()
  return {
    path,
    commands: command.commands.map(below => ({ word: below.name(), meaning: below.description() })),
    options: help
      .visibleOptions(command)
      .map(option => ({ word: option.long ?? '', meaning: option.description, value: optionValue(option) })),
    // Of several arguments the first decides: none here takes a file behind something else.
    argument: command.registeredArguments[0] === undefined ? undefined : argumentValue(command.registeredArguments[0]),
  }
}

function optionValue(option: Option): Value | undefined {
  if (!option.required && !option.optional) return undefined
  return valueNamed(option.flags.replace(/^.*?[<[]/, ''), option.argChoices)
}

const argumentValue = (argument: Argument): Value => valueNamed(argument.name(), argument.argChoices)

/** By the word in the angle brackets, which help shows. */
function valueNamed(name: string, choices: readonly string[] | undefined): Value {
  if (choices !== undefined) return { kind: 'choices', choices }
  if (/^(?:dir|folder)\b/.test(name)) return { kind: 'folder' }
  return { kind: /^(?:file|evidence|path)\b/.test(name) ? 'file' : 'other' }
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** Functions that bash and zsh understand: which words follow, and what an option takes. */
function tables(places: readonly Place[]): string {
  const followers = places.map(
    ({ path, commands, options }) =>
      `    ${quoted(path)}) echo ${quoted([...commands, ...options].map(({ word }) => word).join(' '))} ;;`,
  )
  const taken = places.flatMap(({ path, options, argument }) => [
    ...options.flatMap(({ word, value }) => (value === undefined ? [] : [takes(`${path} ${word}`, value)])),
    ...(argument === undefined ? [] : [takes(`${path} -`, argument)]),
  ])
  const known = places.map(({ path }) => `${quoted(path)}`).join('|')
  return `_holdfast_words() {
  case "$1" in
${followers.join('\n')}
  esac
}

# What an option of a command takes, or its argument (-).
_holdfast_takes() {
  case "$1" in
${taken.join('\n')}
  esac
}

_holdfast_known() {
  case "$1" in
    ${known}) return 0 ;;
  esac
  return 1
}`
}

const takes = (place: string, value: Value): string =>
  `    ${quoted(place)}) echo ${quoted(value.kind === 'choices' ? value.choices.join(' ') : `:${value.kind}`)} ;;`

/** Where on the line the command is, from the words before the one that is being completed. */
const walk = (last: string): string => `  local at=holdfast word skip='' value
  for word in "\${before[@]}"; do
    if [[ -n $skip ]]; then skip=''; continue; fi
    case "$word" in
      --*=*) ;;
      -*) [[ -n $(_holdfast_takes "$at $word") ]] && skip=1 ;;
      *) _holdfast_known "$at $word" && at="$at $word" ;;
    esac
  done
  if [[ -n $skip ]]; then value=$(_holdfast_takes "$at \${before[${last}]}")
  elif [[ $current != -* ]]; then value=$(_holdfast_takes "$at -"); fi`

const bash = (places: readonly Place[]): string => `# Completion of holdfast for bash, made by: holdfast completion bash
${tables(places)}

_holdfast() {
  local current=\${COMP_WORDS[COMP_CWORD]} IFS=$' \\t\\n'
  local -a before=("\${COMP_WORDS[@]:1:COMP_CWORD-1}")
${walk(`\${#before[@]}-1`)}
  COMPREPLY=()
  case "$value" in
    :file) compopt -o filenames 2>/dev/null; IFS=$'\\n'; COMPREPLY=($(compgen -f -- "$current")) ;;
    :folder) compopt -o filenames 2>/dev/null; IFS=$'\\n'; COMPREPLY=($(compgen -d -- "$current")) ;;
    :other) ;;
    *) COMPREPLY=($(compgen -W "$value" -- "$current")) ;;
  esac
  [[ -n $skip ]] || COMPREPLY+=($(compgen -W "$(_holdfast_words "$at")" -- "$current"))
}

complete -F _holdfast holdfast
`

const zsh = (places: readonly Place[]): string => `#compdef holdfast
# Completion of holdfast for zsh, made by: holdfast completion zsh
${tables(places)}

_holdfast() {
  local current=\${words[CURRENT]}
  local -a before=("\${(@)words[2,CURRENT-1]}")
${walk('-1')}
  case "$value" in
    :file) _files ;;
    :folder) _files -/ ;;
    :other|'') ;;
    *) compadd -- \${=value} ;;
  esac
  [[ -n $skip ]] || compadd -- \${=$(_holdfast_words "$at")}
}

if [[ \${zsh_eval_context[-1]} == loadautofunc ]]; then _holdfast "$@"; else compdef _holdfast holdfast; fi
`

/** Fish has descriptions beside its words, and asks for a condition with each. */
function fish(places: readonly Place[]): string {
  const lines = places.flatMap(({ path, commands, options, argument }) => {
    const here = `complete -c holdfast -n "__holdfast_at ${inFish(path)}"`
    return [
      ...commands.map(({ word, meaning }) => `${here} -f -a ${quoted(word)} -d ${fished(meaning)}`),
      ...(argument === undefined ? [`${here} -f`] : [`${here} ${fishValue(argument)}`]),
      ...options.map(
        ({ word, meaning, value }) =>
          `${here} -l ${word.slice(2)} -d ${fished(meaning)}${value === undefined ? '' : ` -r ${fishValue(value)}`}`,
      ),
    ]
  })
  const taking = places.flatMap(({ path, options }) =>
    options.flatMap(({ word, value }) => (value === undefined ? [] : [quoted(`${inFish(path)} ${word}`.trim())])),
  )
  return `# Completion of holdfast for fish, made by: holdfast completion fish
set -g __holdfast_paths ${places.map(({ path }) => quoted(inFish(path))).join(' ')}
set -g __holdfast_taking ${taking.join(' ')}

# Whether the line so far names this command, and no other below it.
function __holdfast_at
  set -l at ''
  set -l skip 0
  for word in (commandline -opc)[2..-1]
    if test $skip = 1
      set skip 0
    else if contains -- (string trim "$at $word") $__holdfast_taking
      set skip 1
    else if contains -- (string trim "$at $word") $__holdfast_paths
      set at (string trim "$at $word")
    end
  end
  test "$at" = "$argv"
end

${lines.join('\n')}
`
}

const fishValue = (value: Value): string => {
  if (value.kind === 'choices') return `-f -a ${quoted(value.choices.join(' '))}`
  return value.kind === 'file' ? '-F' : value.kind === 'folder' ? `-f -a '(__fish_complete_directories)'` : '-f'
}

/** The command as its conditions name it. */
const inFish = (path: string): string => path.replace(/^holdfast ?/, '')

/** In fish's single quotes only the quote and the backslash are special. */
const fished = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

const SCRIPTS: Readonly<Record<Shell, (places: readonly Place[]) => string>> = { bash, zsh, fish }
