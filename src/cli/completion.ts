/** `holdfast completion`: a shell's completion, made of the tree of commands. Prints; what it prints is in `completion-scripts.ts`. */
import { Argument, type Command } from 'commander'
import { completionScript, SHELLS, type Shell } from './completion-scripts.ts'

const HELP = `
Examples:
  holdfast completion bash > /etc/bash_completion.d/holdfast
  holdfast completion zsh > "\${fpath[1]}/_holdfast"
  holdfast completion fish > ~/.config/fish/completions/holdfast.fish

For this shell only, in bash: source <(holdfast completion bash)

Exit codes: 0 printed; 1 wrong use.`

/** Adds the command. `whole`: the program with all of its commands. */
export function registerCompletion(program: Command, whole: () => Promise<Command>): void {
  program
    .command('completion')
    .description('print completion for a shell: commands, options, and names of files')
    .addArgument(new Argument('<shell>', 'whose syntax').choices(SHELLS))
    .addHelpText('after', HELP)
    .action(async (shell: Shell) => {
      process.stdout.write(completionScript(shell, await whole()))
    })
}
