/**
 * Holds: keys whose every use waits for a named person. Set over the control socket; asks are listed and decided there or by the admin API.
 */
import type { Ask, BoundaryControl } from '../../boundary/client/api.ts'
import { decodeHold, encodeHold, type Hold, type HoldMode } from '../../boundary/service/keys/holds.ts'
import {
  type AdminControl,
  AdminError,
  allRows,
  change,
  currentRow,
  operator,
  type ReadControl,
} from '../../store/admin.ts'
import { splitKeyRowId } from '../keys/names.ts'
import { explained, resolveKey } from './keys.ts'
import type { By } from './switches.ts'

export type DecideControl = Pick<BoundaryControl, 'listAsks' | 'decideAsk'>

export interface HoldInfo extends Hold {
  readonly key: string
}

export interface NewHold {
  readonly mode: HoldMode
  /** How long a decision holds. */
  readonly decisionSeconds: number
  readonly approvers: readonly string[]
  readonly note: string
}

const MAX_APPROVERS = 32
const MAX_TEXT = 256
/** A day. */
const MAX_SECONDS = 86_400

/** In force for every use that starts after it has resolved; what was decided before is asked anew. Throws `AdminError`. */
export async function setHold(control: AdminControl, key: string, hold: NewHold): Promise<HoldInfo> {
  const { decisionSeconds, approvers, note } = hold
  if (approvers.length > MAX_APPROVERS || approvers.some(name => name === '' || name.length > MAX_TEXT))
    throw new AdminError(`Name at most ${MAX_APPROVERS} approvers, each with 1 to ${MAX_TEXT} characters.`)
  if (decisionSeconds < 1 || decisionSeconds > MAX_SECONDS)
    throw new AdminError(`A decision holds between 1 and ${MAX_SECONDS} seconds.`)
  if (note.length > MAX_TEXT) throw new AdminError(`A note has at most ${MAX_TEXT} characters.`)
  const id = await resolveKey(control, key)
  return put(control, 'SetHold', id, encodeHold(hold), { key: id, ...hold })
}

/** Uses are as before. Throws `AdminError` where the key is not on hold. */
export async function removeHold(control: AdminControl, key: string): Promise<{ readonly key: string }> {
  const id = await resolveKey(control, key)
  if ((await currentRow(control, 'hold', id)) === undefined) throw new AdminError(`The key ${id} is not on hold.`)
  return put(control, 'RemoveHold', id, null, { key: id })
}

function put<T>(control: AdminControl, operation: string, id: string, body: Buffer | null, result: T): Promise<T> {
  return change(control, operation, id, async () => {
    const expected = (await currentRow(control, 'hold', id))?.revision ?? 0
    const scope = splitKeyRowId(id)?.tenant ?? ''
    return { rows: [{ kind: 'hold', id, scope, link: '', expected, body }], result }
  })
}

export async function listHolds(control: ReadControl): Promise<HoldInfo[]> {
  const holds: HoldInfo[] = []
  for await (const { id, body } of allRows(control, 'hold'))
    if (body !== null) holds.push({ key: id, ...decodeHold(body) })
  return holds
}

export interface AskInfo {
  readonly ask: string
  readonly key: string
  /** The protocol's operation, and what is known and claimed of who asks. */
  readonly operation: string
  readonly peer: string
  readonly claimedPrincipal: string
  readonly claimedOperation: string
  readonly reason: string
  readonly sourceIp: string
  readonly count: number
  readonly waiting: number
  /** Milliseconds since 1970. */
  readonly firstAt: number
  readonly lastAt: number
  readonly decision: 'none' | 'approved' | 'denied'
  readonly by: string
  readonly until: number
}

export async function listAsks(control: DecideControl): Promise<AskInfo[]> {
  return (await control.listAsks()).map(infoOf)
}

function infoOf({ id, keyId, asserted, ...rest }: Ask): AskInfo {
  const { operation = '', principal, peer, accessKeyId = '', claimedPrincipal = '' } = asserted
  const { claimedOperation = '', reason = '', sourceIp = '' } = asserted
  return {
    ...{ ask: id, key: keyId, operation, peer: principal ?? peer ?? accessKeyId },
    ...{ claimedPrincipal, claimedOperation, reason, sourceIp },
    ...rest,
  }
}

export interface Decision {
  readonly ask: string
  readonly approve: boolean
  /** The named person. */
  readonly by: string
  /** How long it holds; 0: what the hold says. */
  readonly seconds: number
}

/** In force for every use that starts after it has resolved; requests that wait go on. Throws `AdminError`. */
export async function decide(control: DecideControl, { ask, approve, by, seconds }: Decision, who: By = operator) {
  if (by === '' || by.length > MAX_TEXT) throw new AdminError('Say who decides: a name of 1 to 256 characters.')
  if (seconds < 0 || seconds > MAX_SECONDS) throw new AdminError(`A decision holds at most ${MAX_SECONDS} seconds.`)
  try {
    await control.decideAsk(ask, approve, by, seconds, who(approve ? 'ApproveUse' : 'DenyUse', `ask ${ask}`))
  } catch (error) {
    throw explained(error, {
      KeyGone: `Nobody asks ${ask}. See: holdfast ekm hold asks`,
      InvalidState: 'The key is not on hold any more.',
      NotPermitted: `${by} is not one of those who may decide about this key. See: holdfast ekm hold list`,
    })
  }
  return { ask, decision: approve ? ('approved' as const) : ('denied' as const), by }
}
