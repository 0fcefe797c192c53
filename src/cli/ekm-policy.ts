/** `holdfast ekm policy`: the owner's policies in Cedar. Parses and prints; what is done is in `src/ekm/admin`, and loaded by the commands that need Cedar. */
import { join } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { decodeRecord } from '../boundary/record.ts'
import { SERVICE_POLICY, starterPolicy } from '../ekm/access/cedar/names.ts'
import type { PastCall } from '../ekm/access/cedar/record.ts'
import * as admin from '../ekm/admin/index.ts'
import type { DescribedCall } from '../ekm/admin/policy-explain.ts'
import { erasedText } from '../log/erased.ts'
import { openFolder } from '../log/folder.ts'
import { readLog } from '../log/read.ts'
import { type Common, readInput } from './admin-tools.ts'
import { explanationText, simulationText } from './ekm-policy-text.ts'
import { prefixOption, type Tools, tenantName } from './ekm-tools.ts'
import { readSince } from './log-entry.ts'

interface OwnerOptions {
  readonly tenant?: string
  readonly service?: true
}

const PROGRESS_EVERY_MS = 200

const HELP = `
A tenant begins with a policy that lets its callers use its keys; without one nothing is allowed. What the policy of the whole service forbids is
forbidden to all tenants.

Examples:
  holdfast ekm policy show --tenant customers/acme > acme.cedar
  holdfast ekm policy check acme.cedar
  holdfast ekm policy simulate acme.cedar --tenant customers/acme --since 30d
  holdfast ekm policy set acme.cedar --tenant customers/acme

Words, examples and guarantees: docs/policy.md`

/** Adds the commands. */
export function registerPolicies(policy: Command, tools: Tools): void {
  policy.addHelpText('after', HELP)
  registerTexts(policy, tools)
  registerQuestions(policy, tools)
}

function owned(command: Command): Command {
  return command
    .option('--tenant <prefix>', 'the tenant (the only one, if there is one)')
    .option('--service', 'the policy of the whole service, which only forbids, and for all tenants')
}

function registerTexts(policy: Command, { run, common, print, note }: Tools): void {
  owned(common(policy, 'show', 'print a policy as it was set'))
    .addHelpText('after', '\nExample:\n  holdfast ekm policy show --tenant customers/acme > acme.cedar')
    .action((options: Common & OwnerOptions) =>
      run(options, async control => {
        const found = await admin.showPolicy(control, await policyOf(control, options))
        if (found.revision === 0) note(noPolicy(found.policy))
        if (found.revision > 0 || options.json === true) print(options, found, found.text.replace(/\n$/, ''))
      }),
    )
  owned(common(policy, 'set', 'check a policy, and put it in force'))
    .argument('[file]', 'the policy in Cedar; - for standard input')
    .option('--starter', 'the policy that a tenant begins with, instead of a file')
    .addHelpText(
      'after',
      '\nIn force for every request that starts after it has answered. A policy with an error is refused, and the one before stays in force.\n\nExample:\n  holdfast ekm policy set acme.cedar --tenant customers/acme',
    )
    .action((file: string | undefined, options: Common & OwnerOptions & { starter?: true }) =>
      run(options, async control => {
        const owner = await policyOf(control, options)
        const text = textOf(file, options.starter, owner)
        const kind = owner === SERVICE_POLICY ? 'service' : 'tenant'
        for (const warning of await admin.acceptedPolicy(file ?? 'starter', text, kind))
          note(admin.problemLine(file ?? 'starter', warning))
        const set = await admin.setPolicy(control, owner, text)
        const { text: _, ...shown } = set
        print(
          options,
          shown,
          `The policy of ${nameOf(owner)} is in force: revision ${set.revision}, SHA-256 ${set.digest}`,
        )
      }),
    )
  policy
    .command('check')
    .description('check a policy file; needs no service')
    .argument('<file>', 'the policy in Cedar; - for standard input')
    .option('--service', 'as the policy of the whole service, which only forbids')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExit codes: 0 it may be set, with or without warnings; 1 it has an error.')
    .action(async (file: string, options: { service?: true; json?: true }) => {
      const problems = await admin.policyProblems(readInput(file), options.service === true ? 'service' : 'tenant')
      const refused = problems.some(({ severity }) => severity === 'error')
      const lines = problems.map(problem => admin.problemLine(file, problem))
      const text = [...lines, ...(refused ? [] : [`${file}: good`])].join('\n')
      print({ data: '', json: options.json === true }, { file, good: !refused, problems }, text)
      if (refused) process.exitCode = 1
    })
  policy
    .command('schema')
    .description('print what policies can name and ask, in the syntax of Cedar’s schemas')
    .action(async () => {
      const { schemaText } = await import('../ekm/access/cedar/schema.ts')
      process.stdout.write(schemaText())
    })
}

interface ExplainOptions extends Common {
  readonly record?: number
  readonly principal?: string
  readonly action?: string
  readonly key?: string
  readonly tenant?: string
  readonly credential?: string
  readonly certificate?: string
  readonly context: Readonly<Record<string, string>>
  readonly time?: number
}

function registerQuestions(policy: Command, { run, common, print, note }: Tools): void {
  common(policy, 'explain', 'say which policies decide a call, and why')
    .option('--record <n>', 'the call of this entry of the log', entryNumber)
    .option('--action <operation>', 'or a call that is described: xks:decrypt')
    .option('--key <key>', 'TENANT/NAME')
    .option('--principal <name>', 'who is authenticated: xks:ACCESSKEYID')
    .option('--context <name=value>', 'what is known and claimed of it; may be repeated', contextOption, {})
    .option('--tenant <prefix>', 'tenant of the caller, where it is not that of the key')
    .option('--credential <id>', 'its credential, where that is not the principal')
    .option('--certificate <name>', 'name in its certificate')
    .option('--time <time>', 'when: 2026-01-31T12:00Z; default now', timeOption)
    .addHelpText(
      'after',
      '\nBy the policies that are in force now.\n\nExamples:\n  holdfast ekm policy explain --record 4711\n  holdfast ekm policy explain --action xks:decrypt --key customers/acme/payments --principal xks:CUQ7D3KZT2XNR4WEB5MHYAJ6LP \\\n    --context claimedPrincipal=arn:aws:iam::111122223333:role/backup',
    )
    .action((options: ExplainOptions) =>
      run(options, async control => {
        const { describedCall, explainCall } = await import('../ekm/admin/policy-explain.ts')
        const { record } = options
        const found = record === undefined ? undefined : await recordedCall(options.data, record)
        const past = found?.past ?? describedCall(described(options))
        const explained = await explainCall(
          control,
          past,
          found?.time ?? options.time ?? Date.now(),
          found !== undefined,
        )
        print(options, explained, explanationText(explained))
      }),
    )
  owned(common(policy, 'simulate', 'try a policy on the log: which uses of the past it would have denied or allowed'))
    .argument('<file>', 'the policy in Cedar; - for standard input')
    .option('--since <time>', 'only what was used from this time on: 2026-01-31T12:00Z, or 12h, 30d ago', since)
    .addHelpText(
      'after',
      '\nNothing is changed. Reads the log in the folder, and asks the running service for its keys and its other policy.\n\nExample:\n  holdfast ekm policy simulate acme.cedar --tenant customers/acme --since 30d',
    )
    .action((file: string, options: Common & OwnerOptions & { since?: number }) =>
      run(options, async control => {
        const owner = await policyOf(control, options)
        const text = readInput(file)
        await admin.acceptedPolicy(file, text, owner === SERVICE_POLICY ? 'service' : 'tenant')
        const { logSize } = await control.status()
        const { simulate } = await import('../ekm/admin/policy-simulate.ts')
        const progress = progressOf(logSize)
        const outcome = await simulate(control, {
          policy: owner,
          text: text.toString('utf8'),
          entries: readLog(join(options.data, 'boundary'), {
            onErased: (from, to) => note(`Entries ${from} to ${to - 1} were erased: what they were of is not tried.`),
          }),
          since: options.since ?? 0,
          onProgress: progress.show,
        }).finally(progress.end)
        print(options, outcome, simulationText(outcome))
      }),
    )
}

async function policyOf(control: Parameters<typeof admin.tenantOrOnly>[0], options: OwnerOptions): Promise<string> {
  if (options.service !== true) return admin.tenantOrOnly(control, prefixOption(options.tenant))
  if (options.tenant !== undefined) throw new admin.AdminError('Say one of --tenant PREFIX and --service.')
  return SERVICE_POLICY
}

const nameOf = (owner: string): string => (owner === SERVICE_POLICY ? 'the whole service' : owner)

const noPolicy = (owner: string): string =>
  owner === SERVICE_POLICY
    ? 'The whole service has no policy: it forbids nothing of its own.'
    : `${owner} has no policy: nothing is allowed to it. Set one: holdfast ekm policy set FILE --tenant ${owner}`

function textOf(file: string | undefined, starter: true | undefined, owner: string): Buffer {
  if ((file === undefined) === (starter === undefined)) throw new admin.AdminError('Say one of a FILE and --starter.')
  if (file !== undefined) return readInput(file)
  if (owner === SERVICE_POLICY)
    throw new admin.AdminError('The policy of the whole service has no starter: it begins empty.')
  return Buffer.from(starterPolicy(owner))
}

function described({
  action,
  key,
  principal,
  tenant,
  credential,
  certificate,
  context,
  time,
}: ExplainOptions): DescribedCall {
  if (action === undefined || key === undefined || principal === undefined)
    throw new admin.AdminError('Say --record N, or --action, --key and --principal.')
  const of = tenant === undefined ? undefined : tenantName(tenant)
  return { action, key, principal, tenant: of, credential, certificate, context, time: time ?? Date.now() }
}

/** The call that an entry of the log is of. Throws `AdminError` where policy had nothing to say. */
async function recordedCall(data: string, wanted: number): Promise<{ past: PastCall; time: number }> {
  const { pastCall } = await import('../ekm/access/cedar/record.ts')
  const boundary = join(data, 'boundary')
  if (wanted < (await openFolder(boundary)).base.seq) throw new admin.AdminError(await erasedText(boundary, wanted))
  for await (const { seq, time, record } of readLog(boundary)) {
    if (seq !== wanted) continue
    const past = pastCall(decodeRecord(record))
    if (past === undefined) throw new admin.AdminError(`Entry ${wanted} is of nothing that policy is asked about.`)
    return { past, time }
  }
  throw new admin.AdminError(`The log has no entry ${wanted} yet.`)
}

/** On a terminal: how far a long log has been read. */
function progressOf(total: number): { show(entries: number): void; end(): void } {
  const terminal = process.stderr.isTTY === true
  let drawn = 0
  return {
    show: entries => {
      const now = performance.now()
      if (!terminal || now - drawn < PROGRESS_EVERY_MS) return
      drawn = now
      const percent = Math.min(100, Math.floor((entries / Math.max(1, total)) * 100))
      process.stderr.write(`\r${String(percent).padStart(3)} %  ${entries.toLocaleString('en')} entries`)
    },
    end: () => {
      if (drawn > 0) process.stderr.write('\r\x1b[K')
    },
  }
}

function entryNumber(text: string): number {
  if (!/^(0|[1-9]\d{0,15})$/.test(text)) throw new InvalidArgumentError('Write the number of an entry, from 0.')
  return Number(text)
}

function contextOption(text: string, all: Readonly<Record<string, string>>): Record<string, string> {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('Write NAME=VALUE, with a name of holdfast ekm policy schema.')
  return { ...all, [text.slice(0, at)]: text.slice(at + 1) }
}

function since(text: string): number {
  const time = readSince(text, Date.now())
  if (time === undefined)
    throw new InvalidArgumentError('Write a time (2026-01-31T12:00Z) or how long ago (15m, 12h, 3d).')
  return time
}

const timeOption = since
