/** What is to be done after `holdfast init`, with the values of this service in it. */
import { join } from 'node:path'
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

/** Copies of what cannot be made again, and a look at all of it. */
export function keepSteps(
  { folder, root, recipient, backupDir }: CommonAnswers,
  config: string,
  data: string,
): readonly Step[] {
  const save: Step = {
    title:
      'Copy the root file, which backups leave out, and move the copy to where neither they nor what opens it are: without it a backup is of no use. Anew after each rotation (docs/root.md).',
    lines: [`holdfast root save ${join(folder, 'root.kit')} --data ${data}`],
  }
  const copied =
    root === 'keyfile'
      ? 'Keep a copy of the key file elsewhere too: whoever has it and the data has the keys, and without it nobody has.'
      : 'What opens the boundary is in no copy: without it nobody has the keys.'
  const none = recipient === undefined || backupDir === undefined
  const backUp: Step = none
    ? { title: `${copied} And back it up: holdfast backup DIR, for an age recipient.`, lines: [] }
    : {
        title: `${copied} Back it up each day; what is added to the folder is what was written since (docs/backup.md).`,
        lines: [`holdfast backup ${backupDir} --data ${data} --config ${config} --recipient ${recipient}`],
      }
  const look: Step = {
    title: 'Look at all of it, now and then again.',
    lines: [`holdfast doctor --config ${config}${none ? '' : ` --backup ${backupDir}`}`],
  }
  return [save, backUp, look]
}

export function stepsText(steps: readonly Step[]): string {
  return steps
    .map(({ title, lines }, at) => [`${at + 1}. ${title}`, ...lines.map(line => `   ${line}`)].join('\n'))
    .join('\n\n')
}
