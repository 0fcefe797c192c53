/**
 * The last route: data keys that the provider kept when it was given them before the revocation. No custody model takes back what was given, so it is
 * shown apart, and files that were never read are its control group.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { z } from 'zod'
import type { CustodyPlan } from '../../plan.ts'
import { KEPT } from '../../report/answers.ts'
import { type KeyRoute, RouteFailure } from '../route.ts'

const line = z.object({ at: z.number(), edk: z.string().regex(/^[0-9a-f]{64}$/), dataKey: z.base64() })

/** `revokedAt`: only what was kept before that instant counts (milliseconds since 1970); later ones were given by attempts like this one. */
export function keptDataKeys(service: Pick<CustodyPlan['dataService'], 'folder'>, revokedAt: number): KeyRoute {
  const keys = new Map<string, Buffer>()
  return {
    route: KEPT,
    title: 'data keys kept from before the revocation',
    with: 'what the data service kept of the data keys that the KMS opened for it',
    async prepare() {
      const input = createReadStream(join(service.folder, 'kept-data-keys.jsonl'))
      const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })
      for await (const text of lines) {
        const kept = read(text)
        if (kept && kept.at < revokedAt) keys.set(kept.edk, Buffer.from(kept.dataKey, 'base64'))
      }
    },
    async unwrap(encryptedDataKey) {
      const kept = keys.get(createHash('sha256').update(encryptedDataKey).digest('hex'))
      if (kept === undefined) throw new RouteFailure('NotKept', 'No data key of this file was kept: it was not read.')
      return Buffer.from(kept)
    },
    async finish() {
      for (const key of keys.values()) key.fill(0)
      keys.clear()
    },
  }
}

/** A line that was cut while it was written is passed over. A parser's error would quote it, and it holds a key. */
function read(text: string): z.infer<typeof line> | undefined {
  try {
    return line.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}
