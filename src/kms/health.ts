/** Whether this front end answers requests, and what the boundary says of itself: for the operator's `/health/ready`. */
import type { BoundaryUse } from '../boundary/client/api.ts'
import type { Health } from '../http/metrics.ts'
import type { Replica } from '../store/replica.ts'

/** Never rejects. `dangers`: sentences of what the operator has asked for and nobody should. */
export async function healthOf(
  boundary: Pick<BoundaryUse, 'status'>,
  replica: Pick<Replica, 'ready' | 'failure'>,
  dangers: readonly string[] = [],
): Promise<Health> {
  try {
    const { locked, boundaryId, version, rootKind, warnings } = await boundary.status()
    const known = {
      boundary: { id: boundaryId, version, rootKind, warnings },
      ...(dangers.length === 0 ? {} : { dangers }),
    }
    if (locked) return { ready: false, detail: { reason: 'the boundary is locked: run holdfast unlock', ...known } }
    if (replica.failure !== '') return { ready: false, detail: { reason: replica.failure, ...known } }
    if (!replica.ready) return { ready: false, detail: { reason: 'catching up with the boundary', ...known } }
    return { ready: true, detail: known }
  } catch {
    // A connection on which the store cannot be brought up to date is given up, and tried again.
    return { ready: false, detail: { reason: replica.failure || 'the boundary does not answer' } }
  }
}
