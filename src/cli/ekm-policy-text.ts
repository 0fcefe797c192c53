/** What `holdfast ekm policy explain` and `simulate` say to people. Much of it was chosen by strangers, and is shown without what a terminal would act on. */
import { SERVICE_POLICY } from '../ekm/access/cedar/names.ts'
import type { Explanation } from '../ekm/admin/policy-explain.ts'
import type { Changes, Outcome } from '../ekm/admin/policy-simulate.ts'
import { plain } from './log-entry.ts'
import { columns } from './table.ts'

/** Groups that are named one by one. */
const SHOWN = 20

export function explanationText({ allowed, why, recorded, policies, revoke, ...call }: Explanation): string {
  const facts: (readonly [string, string])[] = [
    ['principal', call.principal],
    ['action', call.action],
    ['key', call.key],
    ...Object.entries(call.context).map(([name, value]) => [name, valueText(value)] as const),
  ]
  const width = Math.max(...facts.map(([name]) => name.length)) + 2
  const lines = [`${allowed ? 'allowed' : 'denied'}: ${why}`]
  if (revoke !== undefined) lines.push(`${revoke.policy} orders to revoke the ${revoke.scope}`)
  if (recorded !== undefined) {
    const by = recorded.policy === '' ? '' : ` by ${recorded.policy}`
    lines.push(`then: ${recorded.allowed ? 'allowed' : 'denied'}${by}`)
  }
  lines.push('', ...facts.map(([name, value]) => plain(`${name.padEnd(width)}${value}`)))
  if (policies.length === 0) return lines.join('\n')
  const rows = policies.map(({ id, policy, line, effect, applies, decided }) => ({
    policy: id,
    of: policy === SERVICE_POLICY ? 'service' : policy,
    line,
    effect,
    applies: applies === undefined ? 'error' : applies ? 'yes' : 'no',
    decided: decided ? 'yes' : '',
  }))
  return [...lines, '', columns(rows)].join('\n')
}

function valueText(value: unknown): string {
  const extension = (value as { __extn?: { arg: string } }).__extn
  return extension === undefined ? String(value) : extension.arg
}

export function simulationText(outcome: Outcome): string {
  const { entries, uses, stillAllowed, stillDenied, wouldBeDenied, wouldBeAllowed, unknownKeys } = outcome
  const count = (number: number): string => number.toLocaleString('en')
  const lines = [
    `${count(uses)} uses that policy decided, in ${count(entries)} entries`,
    `${count(stillAllowed)} allowed then and now, ${count(stillDenied)} denied then and now`,
  ]
  if (unknownKeys > 0) lines.push(`${count(unknownKeys)} of keys that are not there any more: not tried`)
  lines.push(...changeLines('allowed then, would be denied', wouldBeDenied))
  lines.push(...changeLines('denied then, would be allowed', wouldBeAllowed))
  return lines.join('\n')
}

function changeLines(what: string, { count, groups, more }: Changes): string[] {
  const head = `${count.toLocaleString('en')} ${what}`
  if (count === 0) return [head]
  const rows = groups.slice(0, SHOWN).map(group => ({
    uses: group.count,
    action: group.action,
    key: group.key,
    principal: plain(group.principal),
    claims: plain([group.claimedPrincipal, group.reason].filter(text => text !== '').join(' ')),
    by: group.policies.join(', ') || 'no policy permits it',
    revokes: group.revoke?.scope ?? '',
    last: new Date(group.last).toISOString(),
    entry: group.entry,
  }))
  const hidden = groups.slice(SHOWN).reduce((sum, group) => sum + group.count, 0) + more
  return [head, columns(rows), ...(hidden === 0 ? [] : [`and ${hidden.toLocaleString('en')} more: --json`])]
}
