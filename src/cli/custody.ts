/** `holdfast custody`: the instrument. drill: revoke, watch, restore. compel: act as a provider under compulsion. report: the table from the evidence. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { arch, availableParallelism, platform } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import pkg from '../../package.json' with { type: 'json' }
import { type ControlConnection, connectControl } from '../boundary/client/control.ts'
import { serviceFolders } from '../config/folders.ts'
import { compel } from '../custody/compel/compel.ts'
import { prepareCompel } from '../custody/compel/prepare.ts'
import { drillModel } from '../custody/drill/drill.ts'
import { readEvidence } from '../custody/evidence/read.ts'
import type { CompelEvidence, Evidence, ModelEvidence } from '../custody/evidence/types.ts'
import { type CustodyPlan, loadPlan, type ModelPlan } from '../custody/plan.ts'
import { answers, complete, notRestored, table } from '../custody/report/answers.ts'
import { renderHtml } from '../custody/report/html.ts'
import { renderTerminal } from '../custody/report/terminal.ts'

interface DrillOptions {
  readonly plan: string
  readonly model: readonly string[]
  readonly out: string
  readonly compel?: boolean
  readonly baseline: string
  readonly json?: boolean
}

export function registerCustody(program: Command): void {
  const custody = program
    .command('custody')
    .description('revoke and measure; act as a compelled provider; show the evidence')
  custody
    .command('drill')
    .description('revoke with each of the owner’s acts, watch until every cache is cold, restore whatever happens')
    .requiredOption('--plan <file>', 'what to work on: the demo writes one, holdfast-demo/plan.json')
    .option('--model <name>', 'only this model of the plan; may be repeated', collect, [])
    .option('--out <file>', 'where the evidence goes', 'evidence.json')
    .option('--baseline <ms>', 'undisturbed use before each act, in milliseconds', '1000')
    .option('--compel', 'let the compelled provider try while the act is in force')
    .option('--json', 'print answers and table as JSON')
    .addHelpText(
      'after',
      `
Examples (with \`holdfast demo\` running):
  holdfast custody drill --plan holdfast-demo/plan.json --model HYOK
  holdfast custody drill --plan holdfast-demo/plan.json --compel --out evidence.json

Exit codes: 0 done and restored; 1 it could not be carried out, or something could not be restored; 130 interrupted, and restored.`,
    )
    .action(async (options: DrillOptions) => {
      process.exitCode = await drill(options)
    })
  custody
    .command('compel')
    .description('act with all that the provider holds, now, and say for each file by which route it was opened')
    .requiredOption('--plan <file>', 'what the provider holds')
    .option('--model <name>', 'only this model of the plan; may be repeated', collect, [])
    .option('--prepare', 'before any revocation: take the backup, keep data keys, capture requests')
    .option('--keep-root', 'with --prepare: copy the root beside the backup too, which `holdfast backup` never does')
    .option('--into <file>', 'add what was observed to this evidence file, for the report')
    .option('--json', 'print the evidence')
    .addHelpText(
      'after',
      `
Examples: first \`--prepare\`, then let the owner revoke, then without it:
  holdfast custody compel --plan holdfast-demo/plan.json --prepare
  holdfast ekm revoke acme-hsm1/files --data holdfast-demo/owner
  holdfast custody compel --plan holdfast-demo/plan.json --model HYOK

What a deletion is worth against old copies, before and after \`holdfast root rotate\`:
  holdfast custody compel --plan plan.json --model CMK --into evidence.json
  holdfast root rotate --data /var/lib/holdfast-kms
  holdfast custody compel --plan plan.json --model CMK --into evidence.json
  holdfast custody report evidence.json

Exit codes: 0 every route was tried, however it ended; 1 it could not be carried out.`,
    )
    .action(
      async (options: {
        plan: string
        model: readonly string[]
        prepare?: boolean
        keepRoot?: boolean
        into?: string
        json?: boolean
      }) => {
        process.exitCode = await runCompel(options)
      },
    )
  custody
    .command('report')
    .description('the answers and the table, from the evidence alone')
    .argument('<evidence>', 'evidence.json of a drill or of the demo')
    .option('--html <file>', 'write the page, with a timeline for each act')
    .option('--json', 'print answers and table as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  holdfast custody report evidence.json --html report.html\n\nExit codes: 0 every cell was established; 1 some are unknown.',
    )
    .action((file: string, options: { html?: string; json?: boolean }) => {
      process.exitCode = report(file, options)
    })
}

const collect = (value: string, all: readonly string[]): string[] => [...all, value]

/** The plan with the chosen models only. */
function chosen(plan: CustodyPlan, names: readonly string[]): ModelPlan[] {
  const unknown = names.filter(name => !plan.models.some(model => model.name === name))
  if (unknown.length > 0) {
    throw new Error(
      `the plan has no model ${unknown.join(', ')}; it has ${plan.models.map(model => model.name).join(', ')}`,
    )
  }
  return plan.models.filter(model => names.length === 0 || names.includes(model.name))
}

/** A signal that stops the work: what was revoked is restored, and what was overridden is put back. */
function interruption(): AbortSignal {
  const controller = new AbortController()
  const stop = (): void => {
    process.stderr.write('\nholdfast: restoring, then stopping …\n')
    controller.abort(new Error('interrupted'))
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  return controller.signal
}

const say = (model: string, what: string): void => {
  process.stderr.write(`  ${model.padEnd(18)} ${what}\n`)
}

async function drill(options: DrillOptions): Promise<number> {
  const plan = loadPlan(options.plan)
  const signal = interruption()
  const startedAt = Date.now()
  const models = chosen(plan, options.model)
  let owner: ControlConnection | undefined
  const ownerBoundary = async (): Promise<ControlConnection> => {
    if (plan.owner.ekm === undefined)
      throw new Error('the plan names no owner.ekm, so nothing can be revoked at the owner')
    owner ??= connectControl({ socket: join(serviceFolders(plan.owner.ekm).boundary, 'control.sock') })
    return owner
  }
  try {
    if (options.compel === true) await prepareCompel(plan)
    const results = await Promise.allSettled(
      models.map(model =>
        drillModel(plan, model, {
          baseline: Number(options.baseline),
          signal,
          ownerBoundary,
          ...(options.compel === true
            ? {
                compel: (attacked: ModelPlan, _act: unknown, revokedAt: number) =>
                  compel(plan, attacked, { signal, revokedAt, progress: () => {} }),
              }
            : {}),
          progress: say,
        }),
      ),
    )
    const done: ModelEvidence[] = []
    for (const result of results) {
      if (result.status === 'fulfilled') done.push(result.value)
      else
        process.stderr.write(
          `holdfast custody drill: ${result.reason instanceof Error ? result.reason.message : result.reason}\n`,
        )
    }
    const evidence: Evidence = {
      holdfast: pkg.version,
      format: 1,
      startedAt,
      finishedAt: Date.now(),
      machine: { os: platform(), arch: arch(), node: process.version, cpus: availableParallelism() },
      cacheSeconds: plan.dataService.cacheSeconds,
      checkpoints: checkpoints(plan),
      models: done,
    }
    writeFileSync(options.out, `${JSON.stringify(evidence, null, 1)}\n`)
    process.stdout.write(
      options.json === true ? asJson(evidence) : `${renderTerminal(evidence, shape())}\n  evidence   ${options.out}\n`,
    )
    const left = notRestored(evidence)
    for (const line of left) process.stderr.write(`  NOT RESTORED   ${line}\n`)
    if (signal.aborted) return 130
    return done.length === models.length && left.length === 0 ? 0 : 1
  } finally {
    owner?.close()
  }
}

function checkpoints(plan: CustodyPlan): Evidence['checkpoints'] {
  const note = (data: string | undefined): string | undefined => {
    const file = data === undefined ? '' : join(serviceFolders(data).boundary, 'checkpoint')
    return existsSync(file) ? readFileSync(file, 'utf8') : undefined
  }
  const [provider, owner] = [note(plan.provider?.folder), note(plan.owner.ekm)]
  return { ...(provider === undefined ? {} : { provider }), ...(owner === undefined ? {} : { owner }) }
}

async function runCompel(options: {
  plan: string
  model: readonly string[]
  prepare?: boolean
  keepRoot?: boolean
  into?: string
  json?: boolean
}): Promise<number> {
  const plan = loadPlan(options.plan)
  if (options.prepare === true) {
    await prepareCompel(plan, { keepRoot: options.keepRoot === true })
    process.stderr.write('holdfast: backup taken, data keys are kept from now on, requests captured\n')
    return 0
  }
  const before = options.into === undefined ? undefined : readEvidence(options.into)
  const signal = interruption()
  const results: Record<string, CompelEvidence> = {}
  for (const model of chosen(plan, options.model)) {
    // Whatever was kept until now counts: who runs this says that the owner has revoked already.
    const evidence = await compel(plan, model, { signal, revokedAt: Date.now(), progress: say })
    results[model.name] = evidence
    if (options.json === true) continue
    process.stdout.write(`\n${model.name}\n`)
    for (const { route, title, prepared } of evidence.routes) {
      const tries = evidence.files.flatMap(file => file.attempts.filter(attempt => attempt.route === route))
      const failed = prepared.ok ? tries.find(attempt => !attempt.ok) : prepared
      const why = failed === undefined ? '' : `   ${failed.error}: ${failed.message}`
      process.stdout.write(
        `  ${`${tries.filter(attempt => attempt.ok).length} of ${evidence.files.length}`.padEnd(10)} ${title}${why}\n`,
      )
    }
  }
  if (options.json === true) process.stdout.write(`${JSON.stringify(results, null, 1)}\n`)
  if (before !== undefined && options.into !== undefined) {
    const later = Object.entries(results).map(([model, evidence]) => ({ model, compel: evidence }))
    const after: Evidence = { ...before, later: [...(before.later ?? []), ...later] }
    writeFileSync(options.into, `${JSON.stringify(after, null, 1)}\n`)
  }
  return 0
}

function report(file: string, { html, json }: { html?: string; json?: boolean }): number {
  const evidence = readEvidence(file)
  if (html !== undefined) writeFileSync(html, renderHtml(evidence))
  process.stdout.write(json === true ? asJson(evidence) : `${renderTerminal(evidence, shape())}\n`)
  return complete(evidence) ? 0 : 1
}

const asJson = (evidence: Evidence): string =>
  `${JSON.stringify({ answers: answers(evidence), table: table(evidence) }, null, 1)}\n`

function shape(): { width: number; colour: boolean } {
  const colour = process.stdout.isTTY === true && process.env.NO_COLOR === undefined
  return { width: Math.min(120, Math.max(72, process.stdout.columns ?? 100)), colour }
}
