/** `holdfast ekm hold`: keys whose every use waits for a named person, and the decisions about them. Parses and prints. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import * as admin from '../ekm/admin/index.ts'
import { type Common, EXIT_HELP } from './admin-tools.ts'
import { type Tools, time } from './ekm-tools.ts'

interface SetOptions extends Common {
  readonly mode: 'deny' | 'wait'
  readonly for: number
  readonly approver: string[]
  readonly note: string
}

interface DecideOptions extends Common {
  readonly as: string
  readonly for?: number
}

/** Adds the commands to `holdfast ekm`. */
export function registerHolds(ekm: Command, { run, common, print, table }: Tools): void {
  const hold = ekm
    .command('hold')
    .description('keys on hold: each use waits for a named person, or is denied until one has decided')
    .addHelpText('after', EXIT_HELP)
  common(hold, 'set', 'put a key on hold: in force for every use that starts after this has answered')
    .argument('<key>', 'TENANT/NAME, or NAME where one tenant only has it')
    .addOption(
      new Option(
        '--mode <mode>',
        'deny: refuse until somebody has decided; wait: as long as the protocol lets a request',
      )
        .choices(['deny', 'wait'])
        .default('deny'),
    )
    .option('--for <seconds>', 'how long a decision holds, where it does not say', seconds, 600)
    .option('--approver <name>', 'who may decide; may be repeated; none: anybody who reaches the boundary', collect, [])
    .option('--note <text>', 'why, for those who decide', '')
    .addHelpText(
      'after',
      '\nWhat was decided is forgotten when the boundary is started anew: uses are then asked about again.\n\nExample:\n  holdfast ekm hold set customers/acme/archive --approver ann --approver bob --for 3600 --note "yearly audit only"',
    )
    .action((key: string, options: SetOptions) =>
      run(options, async control => {
        const { mode, for: decisionSeconds, approver: approvers, note } = options
        const set = await admin.setHold(control, key, { mode, decisionSeconds, approvers, note })
        const next = 'Its uses stand under: holdfast ekm hold asks'
        print(options, set, `The key ${set.key} is on hold. ${next}`)
      }),
    )
  common(hold, 'remove', 'take a key off hold', 'holdfast ekm hold remove customers/acme/archive')
    .argument('<key>', 'TENANT/NAME, or NAME where one tenant only has it')
    .action((key: string, options: Common) =>
      run(options, async control => {
        const removed = await admin.removeHold(control, key)
        print(options, removed, `The key ${removed.key} is not on hold any more.`)
      }),
    )
  common(hold, 'list', 'list the keys on hold', 'holdfast ekm hold list').action((options: Common) =>
    run(options, async control => {
      const holds = await admin.listHolds(control)
      const rows = holds.map(each => ({ ...each, approvers: each.approvers.join(' ') || 'anybody' }))
      table(options, options.json === true ? holds : rows, 'No key is on hold.')
    }),
  )
  common(
    hold,
    'asks',
    'list who asks for the use of a key on hold, what they claim, and what was decided',
    'holdfast ekm hold asks --json',
  ).action((options: Common) =>
    run(options, async control => {
      const asks = await admin.listAsks(control)
      const rows = asks.map(({ firstAt: _, lastAt, until, ...each }) => ({
        ...each,
        last: time(lastAt),
        until: time(until),
      }))
      table(options, options.json === true ? asks : rows, 'Nobody has asked since the boundary was started.')
    }),
  )
  decision('approve', 'let what an ask asks pass, for a while')
  decision('deny', 'refuse what an ask asks, for a while, without asking again')

  function decision(name: 'approve' | 'deny', description: string): void {
    common(hold, name, description)
      .argument('<ask>', 'as holdfast ekm hold asks shows it')
      .requiredOption('--as <name>', 'who decides; it stands in the log')
      .option('--for <seconds>', 'how long it holds; default: what the hold says', seconds)
      .addHelpText('after', `\nExample:\n  holdfast ekm hold ${name} 5a1f0c9b27de --as ann --for 900`)
      .action((ask: string, options: DecideOptions) =>
        run(options, async control => {
          const { as: by, for: length = 0 } = options
          const done = await admin.decide(control, { ask, approve: name === 'approve', by, seconds: length })
          print(options, done, `${done.by} has ${done.decision} ${done.ask}.`)
        }),
      )
  }
}

function seconds(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('It must be a whole number of seconds.')
  return number
}

function collect(value: string, all: string[]): string[] {
  return [...all, value]
}
