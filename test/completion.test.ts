/** Completion in the shells themselves: what each offers after a line that somebody has begun. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { holdfast } from './support/ekm.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-completion-'))
after(() => rmSync(folder, { recursive: true, force: true }))

before(async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { code, stdout, stderr } = await holdfast(['completion', shell])
    assert.equal(code, 0, stderr)
    writeFileSync(join(folder, `holdfast.${shell}`), stdout)
  }
  mkdirSync(join(folder, 'here', 'data dir'), { recursive: true })
  writeFileSync(join(folder, 'here', 'kms.yaml'), '')
})

const lines = (text: string): string[] => text.split('\n').filter(line => line !== '')
const inFolder = { cwd: join(folder, 'here'), encoding: 'utf8' } as const

/** Each answers with the words that it offers in the place of the last. */
const SHELLS: Readonly<Record<string, (words: readonly string[]) => string[]>> = {
  bash: words => {
    const script = `source ../holdfast.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _holdfast; printf '%s\\n' "\${COMPREPLY[@]}"`
    return lines(execFileSync('bash', ['--norc', '-c', script, 'bash', 'holdfast', ...words], inFolder))
  },
  // Outside of its line editor zsh has no compadd: these are the two that are called, printing what they are given.
  zsh: words => {
    const script = `
      compdef() { }
      compadd() { shift; local each; for each in "$@"; do [[ $each == "$typed"* ]] && print -r -- "$each"; done; true }
      _files() { if [[ $1 == -/ ]]; then print -rl -- *(N/); else print -rl -- *(N); fi }
      source ../holdfast.zsh; words=("$@"); CURRENT=$#; typed=\${words[-1]}; _holdfast`
    return lines(execFileSync('zsh', ['-f', '-c', script, 'zsh', 'holdfast', ...words], inFolder))
  },
  fish: words => {
    const line = ['holdfast', ...words].join(' ')
    const script = 'source ../holdfast.fish; complete -C "$argv"'
    const text = execFileSync('fish', ['--no-config', '-c', script, line], inFolder)
    return lines(text).map(each => (each.split('\t')[0] ?? '').replace(/\/$/, ''))
  },
}

const CASES: readonly {
  readonly typed: readonly string[]
  /** All that is offered, but for options where nothing of them was typed. */
  readonly offers: readonly string[]
}[] = [
  { typed: ['che'], offers: ['check-config'] },
  { typed: ['kms', 'cr'], offers: ['credential'] },
  { typed: ['kms', 'credential', ''], offers: ['create', 'list', 'disable', 'enable', 'delete'] },
  { typed: ['kms', 'credential', 'create', '--pri'], offers: ['--principal'] },
  // The value of an option is no command.
  { typed: ['ekm', '--data', 'log', 'ten'], offers: ['tenant'] },
  {
    typed: ['ekm', 'key', 'create', 'payments', '--usage', ''],
    offers: ['both', 'encrypt', 'decrypt', 'sign', 'none'],
  },
  { typed: ['completion', ''], offers: ['bash', 'zsh', 'fish'] },
  { typed: ['kms', '--config', ''], offers: ['data dir', 'kms.yaml'] },
  { typed: ['log', 'verify', ''], offers: ['data dir'] },
  { typed: ['kms', '--port', ''], offers: [] },
]

for (const [shell, complete] of Object.entries(SHELLS))
  for (const { typed, offers } of CASES)
    test(`${shell}: holdfast ${typed.join(' ')}`, () => {
      const words = complete(typed).filter(word => typed.at(-1)?.startsWith('--') || !word.startsWith('-'))
      // Commander has a command that explains the others.
      assert.deepEqual(words.filter(word => word !== 'help').sort(), [...offers].sort())
    })
