/** Reads evidence back from its file. It may come from another machine, so its shape is checked before anything is said of it. */
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { CUSTODY_MODELS, type Evidence, OWNER_ACTS } from './types.ts'

const attempt = z.object({ at: z.number(), took: z.number(), ok: z.boolean(), error: z.string(), message: z.string() })
const sample = z.object({ start: z.number(), end: z.number(), ok: z.boolean(), error: z.string() })

const compel = z.object({
  startedAt: z.number(),
  took: z.number(),
  root: z.object({ held: z.array(z.number()), destroyed: z.number(), destroyedAt: z.number() }).optional(),
  routes: z.array(z.object({ route: z.string(), title: z.string(), with: z.string(), prepared: attempt })),
  files: z.array(
    z.object({
      name: z.string(),
      bytes: z.number(),
      sha256: z.string(),
      readBefore: z.boolean(),
      openedBy: z.string().optional(),
      attempts: z.array(attempt.extend({ route: z.string() })),
    }),
  ),
})

const act = z.object({
  act: z.enum(OWNER_ACTS),
  call: z.string(),
  consent: z.enum(['nobody', 'the provider']),
  attempt,
  uses: z.array(sample),
  reads: z.array(sample),
  usesAfter: z.number(),
  lastUse: z.number().optional(),
  lastRead: z.number().optional(),
  firstFailedRead: z.number().optional(),
  watched: z.number(),
  compel: compel.optional(),
  restore: attempt.optional(),
})

const schema = z.object({
  holdfast: z.string(),
  format: z.literal(1, { error: 'evidence of another format: use the version of holdfast that wrote it' }),
  startedAt: z.number(),
  finishedAt: z.number().optional(),
  machine: z.object({ os: z.string(), arch: z.string(), node: z.string(), cpus: z.number() }),
  cacheSeconds: z.number(),
  checkpoints: z.object({ provider: z.string().optional(), owner: z.string().optional() }),
  models: z.array(
    z.object({
      model: z.enum(CUSTODY_MODELS),
      name: z.string(),
      keyArn: z.string(),
      manager: z.string(),
      origin: z.string(),
      acts: z.array(act),
    }),
  ),
  later: z.array(z.object({ model: z.string(), compel })).optional(),
})

/** Throws an Error that names the file and every problem in it. */
export function readEvidence(file: string): Evidence {
  const result = schema.safeParse(JSON.parse(readFileSync(file, 'utf8')))
  if (!result.success) throw new Error(`${file} is no evidence: ${z.prettifyError(result.error)}`)
  return result.data as Evidence
}
