/** How much a tenant may ask, how long an answer may take, and how much of it is told apart in the metrics, as settings. */
import { z } from 'zod'

export const load = z
  .strictObject({
    perSecond: z
      .number()
      .min(0.01)
      .max(1_000_000)
      .default(2500)
      .describe('requests a second of one tenant; what a second brings may come at once'),
    inFlight: z
      .int()
      .min(1)
      .max(100_000)
      .default(256)
      .describe('requests of one tenant that the boundary may have to answer at once'),
    withinMs: z
      .int()
      .min(20)
      .max(60_000)
      .optional()
      .describe(
        'after how long a caller is told that there is no answer; default: by protocol, for xks, azure and google 200',
      ),
  })
  .prefault({})
  .describe('how much one tenant may ask; a quota of its own (holdfast ekm tenant set-quota) goes before it')

export const metrics = z
  .strictObject({
    tenants: z
      .int()
      .min(0)
      .max(10_000)
      .default(200)
      .describe('tenants with lines of their own; the others share theirs'),
    keys: z
      .int()
      .min(0)
      .max(100_000)
      .default(2000)
      .describe('keys with lines of their own; the others of a tenant share theirs'),
  })
  .prefault({})
  .describe('what /metrics tells apart')
