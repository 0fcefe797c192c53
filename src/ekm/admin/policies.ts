/**
 * The owner's policies: checked before they are written, so that a bad one is refused with its places and the one before stays in force. Each change is a
 * transition in the log, with the digest of the text.
 */
import { createHash } from 'node:crypto'
import type { Row } from '../../boundary/words.ts'
import { type AdminControl, AdminError, change, currentRow, type ReadControl } from '../../store/admin.ts'
import type { Problem } from '../access/cedar/check.ts'
import { type PolicyOwner, SERVICE_POLICY } from '../access/cedar/names.ts'
import { findTenant, policyRow } from './tenants.ts'

export interface PolicyInfo {
  /** The tenant, or `*` for the whole service. */
  readonly policy: string
  /** Counts its changes; 0 where there is none. */
  readonly revision: number
  /** SHA-256 of its text in hex, as records have it; empty where there is none. */
  readonly digest: string
  readonly text: string
}

/** A text that may not become a policy. The message names every place. */
export class PolicyRefused extends AdminError {
  readonly problems: readonly Problem[]
  constructor(name: string, problems: readonly Problem[]) {
    super(problems.map(problem => problemLine(name, problem)).join('\n'))
    this.problems = problems
  }
}

/** `file:line:column: message`, as compilers say it. */
export function problemLine(name: string, { line, column, severity, message, help }: Problem): string {
  const what = severity === 'warning' ? `warning: ${message}` : message
  return `${name}:${line}:${column}: ${what}${help === undefined ? '' : ` (${help})`}`
}

/** What there is to say of a policy file, in the order of its places. Loads Cedar, which takes a moment. */
export async function policyProblems(text: Buffer, owner: PolicyOwner): Promise<readonly Problem[]> {
  const { checkPolicy } = await import('../access/cedar/check.ts')
  return checkPolicy(text, owner)
}

/** The warnings. Throws PolicyRefused where there is an error. `name`: of the file, for its places. */
export async function acceptedPolicy(name: string, text: Buffer, owner: PolicyOwner): Promise<readonly Problem[]> {
  const problems = await policyProblems(text, owner)
  if (problems.some(({ severity }) => severity === 'error')) throw new PolicyRefused(name, problems)
  return problems
}

/** Of a tenant, or of the whole service (`*`). The text must have been accepted. Throws `AdminError` where there is no such tenant. */
export function setPolicy(control: AdminControl, policy: string, text: Buffer): Promise<PolicyInfo> {
  return change(control, 'SetPolicy', policy, async () => {
    if (policy !== SERVICE_POLICY) await findTenant(control, policy)
    const row = await currentRow(control, 'owner-policy', policy)
    const revision = row?.revision ?? 0
    if (row?.body?.equals(text)) return { rows: [], result: infoOf(policy, row) }
    return { rows: [policyRow(policy, revision, text)], result: infoOf(policy, { revision: revision + 1, body: text }) }
  })
}

/** Throws `AdminError` where there is no such tenant. A policy that is not there has revision 0: a tenant without one can do nothing. */
export async function showPolicy(control: ReadControl, policy: string): Promise<PolicyInfo> {
  if (policy !== SERVICE_POLICY) await findTenant(control, policy)
  return infoOf(policy, await currentRow(control, 'owner-policy', policy))
}

function infoOf(policy: string, row: Pick<Row, 'revision' | 'body'> | undefined): PolicyInfo {
  const body = row?.body ?? undefined
  if (row === undefined || body === undefined) return { policy, revision: 0, digest: '', text: '' }
  const digest = createHash('sha256').update(body).digest('hex')
  return { policy, revision: row.revision, digest, text: body.toString('utf8') }
}
