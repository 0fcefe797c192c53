/**
 * What the evidence says, in words: the table's cells and the one-sentence answers. Pure functions of the evidence; what was not observed is "unknown".
 */
import type {
  ActEvidence,
  CompelEvidence,
  CustodyModel,
  Evidence,
  FileEvidence,
  ModelEvidence,
  RootEvidence,
} from '../evidence/types.ts'

export const UNKNOWN = 'unknown'

/** Where the key comes from and lives: derived from the model, which is derived from DescribeKey. */
const ORIGINS: Readonly<Record<CustodyModel, { generatedBy: string; livesIn: string }>> = {
  'provider-managed': { generatedBy: 'the provider', livesIn: 'the provider’s boundary' },
  'customer-managed': { generatedBy: 'the provider, at the owner’s request', livesIn: 'the provider’s boundary' },
  'bring-your-own-key': { generatedBy: 'the owner, then imported', livesIn: 'the provider’s boundary, after import' },
  'hold-your-own-key': { generatedBy: 'the owner', livesIn: 'the owner’s boundary, asked once per request' },
}

export const MODEL_NAMES: Readonly<Record<CustodyModel, string>> = {
  'provider-managed': 'Provider-managed',
  'customer-managed': 'Customer-managed (CMK)',
  'bring-your-own-key': 'Bring your own key (BYOK)',
  'hold-your-own-key': 'Hold your own key (HYOK)',
}

export interface TableRow {
  readonly model: string
  readonly act: string
  readonly generatedBy: string
  readonly livesIn: string
  readonly revoke: string
  readonly lastUse: string
  readonly cached: string
  readonly compelled: string
  readonly copies: string
}

/** The table: one row for each act that an owner has in each model. */
export function table(evidence: Evidence): TableRow[] {
  return evidence.models.flatMap(model =>
    model.acts.map(act => ({
      model: MODEL_NAMES[model.model],
      act: act.call,
      ...ORIGINS[model.model],
      revoke: revokeCell(act),
      lastUse: lastUseCell(act),
      cached: cachedCell(act),
      compelled: compelledCell(act.compel),
      copies: copiesCell(act.compel),
    })),
  )
}

function revokeCell(act: ActEvidence): string {
  if (!act.attempt.ok) return `refused by the provider: ${act.attempt.error}`
  const consent = act.consent === 'nobody' ? 'on nobody’s consent' : 'if the provider honours it'
  return `answered in ${duration(act.attempt.took)}; ${consent}`
}

function lastUseCell(act: ActEvidence): string {
  if (act.uses.length === 0) return UNKNOWN
  const after = act.uses.filter(use => use.start > 0)
  if (after.length === 0) return UNKNOWN
  if (act.usesAfter === 0) return `none of the ${after.length} uses started after it succeeded`
  if (act.usesAfter === after.length) return `all ${after.length} uses started after it succeeded`
  return `${act.usesAfter} of ${after.length} uses started after it succeeded, the last ${duration(act.lastUse ?? 0)} after`
}

function cachedCell(act: ActEvidence): string {
  if (act.reads.length === 0) return UNKNOWN
  if (!act.attempt.ok || act.firstFailedRead === undefined)
    return `read on throughout (watched ${duration(act.watched)})`
  if (act.lastRead === undefined || act.lastRead <= 0) return 'no read succeeded after it'
  return `readable for ${duration(act.lastRead)}`
}

function compelledCell(compel: CompelEvidence | undefined): string {
  if (!compel) return UNKNOWN
  const { opened, unread, kept } = tally(compel)
  if (opened.length === 0) return `0 of ${compel.files.length} files`
  const routes = [...new Set(opened.map(file => routeTitle(compel, file.openedBy)))].join('; ')
  const note = kept > 0 && opened.length === kept && unread > 0 ? ' (already read before)' : ''
  return `${opened.length} of ${compel.files.length} files, by ${routes}${note}`
}

/** Old copies of the store: what deletes a key deletes it from these only with the root generation that they are sealed under. */
export function copiesCell(compel: CompelEvidence | undefined): string {
  if (!compel) return UNKNOWN
  if (!compel.routes.some(({ route }) => route === 'root-backup')) return 'not tried: the plan names no backup'
  const total = compel.files.length
  const backup = outcome(compel, 'root-backup')
  const said = [
    backup.opened > 0
      ? `a backup of before opens ${backup.opened} of ${total} under the root of today`
      : `a backup of before opens nothing: ${backup.destroyed ? destroyedText(compel.root) : backup.error}`,
  ]
  if (compel.routes.some(({ route }) => route === 'root-kept'))
    said.push(`with the copy of the root that was kept beside it ${outcome(compel, 'root-kept').opened} of ${total}`)
  return said.join('; ')
}

function outcome(compel: CompelEvidence, route: string): { opened: number; destroyed: boolean; error: string } {
  const tries = compel.files.flatMap(file => file.attempts.filter(attempt => attempt.route === route))
  const failure = tries.find(attempt => !attempt.ok)
  return {
    opened: tries.filter(attempt => attempt.ok).length,
    destroyed: failure?.error === 'RootDestroyed',
    error: failure?.error ?? UNKNOWN,
  }
}

function destroyedText(root: RootEvidence | undefined): string {
  if (root === undefined) return 'RootDestroyed'
  return `its root generation is destroyed (all up to ${root.destroyed}, by ${new Date(root.destroyedAt).toISOString()})`
}

export interface LaterRow {
  readonly at: string
  readonly model: string
  readonly root: string
  readonly compelled: string
  readonly copies: string
}

/** What a compelled provider could do later on, attempt by attempt. */
export function laterRows({ later = [] }: Evidence): LaterRow[] {
  return later.map(({ model, compel }) => ({
    at: new Date(compel.startedAt).toISOString(),
    model,
    root: compel.root === undefined ? UNKNOWN : `generation ${compel.root.held.join(' and ')}`,
    compelled: compelledCell(compel),
    copies: copiesCell(compel),
  }))
}

/** How many files were opened, and how many of them only because their data keys had been kept from before the revocation. */
export function tally(compel: CompelEvidence): {
  opened: FileEvidence[]
  unread: number
  kept: number
  fresh: FileEvidence[]
} {
  const opened = compel.files.filter(file => file.openedBy !== undefined)
  const fresh = opened.filter(file => file.attempts.some(attempt => attempt.ok && attempt.route !== KEPT))
  return {
    opened,
    fresh,
    unread: compel.files.filter(file => !file.readBefore).length,
    kept: opened.length - fresh.length,
  }
}

/** The route of data keys that a provider kept from before the revocation: shown apart, because no custody model can take back what was given. */
export const KEPT = 'kept-data-keys'

export function routeTitle(compel: CompelEvidence, route: string | undefined): string {
  return compel.routes.find(known => known.route === route)?.title ?? UNKNOWN
}

export const QUESTION = 'Can the provider produce plaintext without the owner’s cooperation?'

/** The answer to QUESTION for one model, from the strongest of its acts: the one after which the provider could open least. */
export function answer(model: ModelEvidence): { verdict: 'yes' | 'no' | 'unknown'; text: string } {
  const tried = model.acts.flatMap(act => (act.compel ? [{ act, compel: act.compel }] : []))
  const best = tried.sort((a, b) => tally(a.compel).fresh.length - tally(b.compel).fresh.length)[0]
  if (!best) return { verdict: 'unknown', text: 'Unknown: no attempt was made.' }
  const { fresh, kept } = tally(best.compel)
  const total = best.compel.files.length
  if (fresh.length > 0) {
    const routes = new Map<string, number>()
    for (const file of fresh) {
      const first = file.attempts.find(attempt => attempt.ok && attempt.route !== KEPT)
      if (first) routes.set(first.route, Math.max(routes.get(first.route) ?? 0, first.took))
    }
    const how = [...routes].map(
      ([route, took]) => `${routeTitle(best.compel, route)} (${duration(took + prepared(best.compel, route))})`,
    )
    return { verdict: 'yes', text: `Yes: ${fresh.length} of ${total} files, by ${how.join(' and ')}.` }
  }
  const had = kept > 0 ? `; ${kept} of ${total} had been read before and their data keys kept` : ''
  return { verdict: 'no', text: `No: every route failed${had}.` }
}

function prepared(compel: CompelEvidence, route: string): number {
  return compel.routes.find(known => known.route === route)?.prepared.took ?? 0
}

/** 0.4 ms, 12 ms, 5.2 s */
export function duration(milliseconds: number): string {
  if (Math.abs(milliseconds) >= 1000) return `${(milliseconds / 1000).toFixed(1)} s`
  return `${milliseconds.toFixed(Math.abs(milliseconds) < 10 ? 1 : 0)} ms`
}

/** The answers of all models, for machines. */
export function answers(
  evidence: Evidence,
): { model: CustodyModel; verdict: 'yes' | 'no' | 'unknown'; text: string }[] {
  return evidence.models.map(model => ({ model: model.model, ...answer(model) }))
}

/** What an owner did and could not undo: to be told, loudly. */
export function notRestored(evidence: Evidence): string[] {
  return evidence.models.flatMap(model =>
    model.acts.flatMap(({ call, restore }) =>
      restore?.ok === false
        ? [`${MODEL_NAMES[model.model]}: ${call} could not be undone: ${restore.error}: ${restore.message}`]
        : [],
    ),
  )
}

/** True where every cell of the table was established: the demo's exit code with `--once`. */
export function complete(evidence: Evidence): boolean {
  return evidence.models.length > 0 && table(evidence).every(row => Object.values(row).every(cell => cell !== UNKNOWN))
}
