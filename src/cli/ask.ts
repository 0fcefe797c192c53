/** Answers to the questions of `holdfast init`: from flags, from the terminal, from defaults. */
import { createInterface, type Interface } from 'node:readline'
import { type CommonAnswers, flagOf, type Question } from '../setup/init/questions.ts'
import { AdminError } from '../store/admin.ts'

/** Answers as text, by the names of their questions. */
export type Texts<A> = { [Name in keyof A & string]?: string }

/** Flags that both services' `init` has. */
export interface InitOptions {
  readonly host?: string
  readonly root?: string
  readonly module?: string
  readonly tokenLabel?: string
  readonly pinFile?: string
  readonly users?: string
  readonly recipient?: string
  readonly backupDir?: string
  readonly certificate?: string
  readonly certificateKey?: string
  readonly start: boolean
  readonly yes?: boolean
  readonly json?: boolean
}

/** As whom this process runs. */
export const isRoot = (): boolean => process.geteuid?.() === 0

/**
 * Asks for what no flag has given, where `terminal` says that there is somebody; else takes the default. `read` makes answers of texts, for questions that
 * depend on others. Throws AdminError that names the flag of what is missing or wrong.
 */
export async function ask<A extends CommonAnswers>(
  questions: readonly Question<A>[],
  given: Texts<A>,
  read: (texts: Texts<A>) => Partial<A>,
  options: Pick<InitOptions, 'yes'>,
): Promise<Texts<A>> {
  const texts: Texts<A> = { ...given }
  const terminal = options.yes !== true && process.stdin.isTTY === true
  const lines = terminal ? createInterface({ input: process.stdin, output: process.stderr }) : undefined
  try {
    const said = lines === undefined ? undefined : asker(lines)
    for (const question of questions) {
      const known = read(texts)
      const text = texts[question.name] ?? (question.asked(known) ? await answered(question, known, said) : undefined)
      if (text === undefined) continue
      const wrong = question.wrong(text)
      if (wrong !== '') throw new AdminError(`${flagOf(question)}: ${wrong}.`)
      texts[question.name] = text
    }
  } finally {
    lines?.close()
  }
  return texts
}

/** Shows a text, and resolves with the line that follows: lines that come sooner, as when many are pasted, wait for their questions. */
function asker(lines: Interface): (text: string) => Promise<string> {
  const iterator = lines[Symbol.asyncIterator]()
  return async text => {
    lines.setPrompt(text)
    lines.prompt()
    const { done, value } = await iterator.next()
    // Whoever ends the input has answered nothing more.
    if (done === true) throw new AdminError('Nothing was set up.')
    return value
  }
}

async function answered<A>(
  question: Question<A>,
  known: Partial<A>,
  say: ((text: string) => Promise<string>) | undefined,
): Promise<string> {
  const { text, fallback, wrong } = question
  const usual = fallback(known)
  if (say === undefined) {
    if (usual === undefined) throw new AdminError(`${text} Give it: ${flagOf(question)}.`)
    return usual
  }
  for (;;) {
    const said = (await say(`${text}${usual === undefined ? '' : ` [${usual}]`} `)).trim() || (usual ?? '')
    const why = said === '' ? 'it must be answered' : wrong(said)
    if (why === '') return said
    process.stderr.write(`  ${why}\n`)
  }
}
