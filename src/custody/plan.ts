/**
 * The plan: what a drill and a compelled provider work on. A JSON file of mode 0600 (it holds credentials); the demo writes one, and
 * `holdfast custody drill|compel --plan FILE` reads it. Against a real cloud, `provider` and `owner.ekm` are left out.
 */
import { readFileSync, statSync } from 'node:fs'
import { z } from 'zod'
import { OWNER_ACTS } from './evidence/types.ts'

const credential = z.strictObject({ accessKeyId: z.string(), secretAccessKey: z.string() })

const file = z.strictObject({
  /** Object path in the bucket. */
  name: z.string(),
  bytes: z.number().int().nonnegative(),
  /** Hex SHA-256 of the plaintext. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** False for the control group: never read before the revocation. */
  read: z.boolean(),
})

const model = z.strictObject({
  name: z.string(),
  bucket: z.string(),
  keyArn: z.string(),
  /** The owner's acts to measure, in this order. */
  acts: z.array(z.enum(OWNER_ACTS)).min(1),
  files: z.array(file).min(1),
  /** For `revoke-at-owner`: the external key at the owner's ekm, `<tenant>/<key>`. For BYOK: the owner's kept copy. */
  ownerKey: z.string().optional(),
})

export const planSchema = z.strictObject({
  kms: z.strictObject({ endpoint: z.string(), region: z.string() }),
  /** The customer's administrator. */
  owner: credential.extend({
    /** Data folder of the owner's `holdfast ekm`, for its control socket. */
    ekm: z.string().optional(),
  }),
  dataService: z.strictObject({
    endpoint: z.string(),
    token: z.string(),
    operatorToken: z.string(),
    folder: z.string(),
    cacheSeconds: z.number().int().positive(),
    credential,
  }),
  /** What the provider holds, as folders of its own machine. */
  provider: z
    .strictObject({
      /** Data folder of `holdfast kms`. */
      folder: z.string(),
      /** A copy of that folder from before the revocation. */
      backup: z.string(),
      /** Root key file of the provider's boundary. */
      rootFile: z.string(),
      /** How the provider's XKS client reaches the owner's proxy: the same files that `xks.hosts` names. */
      xks: z
        .strictObject({
          uri: z.string(),
          path: z.string(),
          key: z.string(),
          ca: z.string(),
          cert: z.string(),
          privateKey: z.string(),
          credential,
        })
        .optional(),
    })
    .optional(),
  models: z.array(model).min(1),
})

export type CustodyPlan = z.infer<typeof planSchema>
export type ModelPlan = CustodyPlan['models'][number]
export type FilePlan = ModelPlan['files'][number]

/** Reads and checks a plan. Refuses a file that others can read: it holds credentials. */
export function loadPlan(path: string): CustodyPlan {
  const mode = statSync(path).mode & 0o777
  if (mode & 0o077)
    throw new Error(
      `${path} holds credentials and others can read it (mode ${mode.toString(8)}). Run: chmod 600 ${path}`,
    )
  const result = planSchema.safeParse(JSON.parse(readFileSync(path, 'utf8')))
  if (!result.success) throw new Error(`${path}: ${z.prettifyError(result.error)}`)
  return result.data
}
