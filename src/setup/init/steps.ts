/** What is to be done after `holdfast init`, with the values of this service in it. */
import type { CommonAnswers } from './questions.ts'

export interface Step {
  /** For whom and what for; a sentence. */
  readonly title: string
  /** Commands as they are typed, or values as they are entered. */
  readonly lines: readonly string[]
}

export const startStep = (service: 'kms' | 'ekm', { root }: CommonAnswers, config: string, data: string): Step => ({
  title: 'Start it; everything else is typed in another terminal while it runs.',
  lines: [
    `holdfast ${service} --config ${config}`,
    ...(root === 'passphrase' ? [`holdfast unlock --data ${data}`] : []),
  ],
})

export const keepStep = ({ root }: CommonAnswers, config: string): Step => ({
  title:
    root === 'keyfile'
      ? 'Keep a copy of the root elsewhere: whoever has it and the data has the keys, and without it nobody has. Then look at all of it, now and then again.'
      : 'Keep a copy of the data folder elsewhere. Then look at all of it, now and then again.',
  lines: [`holdfast doctor --config ${config}`],
})

export function stepsText(steps: readonly Step[]): string {
  return steps
    .map(({ title, lines }, at) => [`${at + 1}. ${title}`, ...lines.map(line => `   ${line}`)].join('\n'))
    .join('\n\n')
}
