/** The file of `--seed`: its form, which docs/seed.schema.json is printed from. Members have the names that AWS's API has for them. */
import { z } from 'zod'
import { KEY_SPECS, KEY_USAGES, type KeySpec, type KeyUsage } from '../../boundary/words.ts'

const KEY_ID = /^(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$/
const REGION = /^[a-z]{2}(?:-[a-z]+)+-\d{1,2}$/
const ALIAS = /^alias\/(?!aws\/)[a-zA-Z0-9/_-]{1,250}$/

const specs = Object.keys(KEY_SPECS).filter(spec => spec !== 'EXTERNAL_AES_256') as [KeySpec, ...KeySpec[]]
const usages = Object.keys(KEY_USAGES) as [KeyUsage, ...KeyUsage[]]
const region = () => z.string().regex(REGION, { error: 'must be a Region, such as us-east-1' })
const instant = () =>
  z.iso.datetime({ offset: true, error: 'must be a time with its zone, such as 2030-01-31T12:00:00Z' })

/** As many as a key may have after its on-demand rotations. */
const MAX_MATERIALS = 26
const MAX_KEYS = 10_000

const tag = z.strictObject({
  TagKey: z
    .string()
    .min(1)
    .max(128)
    .regex(/^(?!aws:)/i, { error: 'must not begin with aws:' })
    .describe('name of the tag'),
  TagValue: z.string().max(256).describe('value of the tag'),
})

const key = z
  .strictObject({
    KeyId: z
      .string()
      .regex(KEY_ID, { error: 'must be a UUID in lower case, or mrk- and 32 hexadecimal digits' })
      .describe('id of the key; one that begins with mrk- is a multi-Region primary'),
    Region: region().optional().describe('default: the first of --regions'),
    AWSAccountId: z
      .string()
      .regex(/^\d{12}$/, { error: 'must have 12 digits' })
      .optional()
      .describe('owner of the key; default: --account'),
    KeySpec: z.enum(specs).default('SYMMETRIC_DEFAULT').describe('what kind of key it is'),
    KeyUsage: z.enum(usages).optional().describe('what it is for; default: the first that the KeySpec can have'),
    Origin: z
      .enum(['AWS_KMS', 'EXTERNAL'])
      .default('AWS_KMS')
      .describe('EXTERNAL: the material counts as imported; without KeyMaterial the key waits for its import'),
    KeyMaterial: z
      .array(z.string().min(1).max(512))
      .min(1)
      .max(MAX_MATERIALS)
      .optional()
      .describe(
        'secret bytes of symmetric and HMAC keys, each in hexadecimal or base64, oldest first; the last is the current one. Default: derived from KeyId and KeySpec',
      ),
    PrivateKeyPem: z
      .string()
      .max(16_384)
      .optional()
      .describe('private key of asymmetric keys, in PEM, not encrypted: PKCS #8, SEC 1 or PKCS #1'),
    ReplicaRegions: z
      .array(region())
      .min(1)
      .max(16)
      .optional()
      .describe('of a multi-Region primary: Regions that have a replica of it'),
    Description: z.string().max(8192).default('').describe('description of the key'),
    Tags: z.array(tag).max(50).default([]).describe('tags of the key and its replicas'),
    Policy: z
      .union([z.string().min(1), z.record(z.string(), z.unknown())])
      .optional()
      .describe('key policy, as a map or as text of JSON; default: the account decides by its identity policies'),
    Aliases: z
      .array(z.string().regex(ALIAS, { error: 'must be alias/ and letters, digits, /, _ or -, and not alias/aws/' }))
      .max(50)
      .default([])
      .describe('names of the key in its own Region: alias/…'),
    KeyState: z
      .enum(['Enabled', 'Disabled', 'PendingImport', 'PendingDeletion'])
      .optional()
      .describe('default: Enabled, and PendingImport without material'),
    PendingWindowInDays: z
      .int()
      .min(7)
      .max(30)
      .optional()
      .describe('with PendingDeletion: days from the first start on; default 30'),
    CreationDate: instant().optional().describe('default: the first start'),
    RotationPeriodInDays: z
      .int()
      .min(90)
      .max(2560)
      .optional()
      .describe('turns rotation on; with NextRotationDate alone 365'),
    NextRotationDate: instant()
      .optional()
      .describe('turns rotation on; one that is past is due at once. Default: a period from the first start'),
  })
  .describe('a key')

export const seedSchema = z.strictObject({
  $schema: z.string().optional().describe('for editors; not read'),
  Version: z.literal(1).describe('of this form: 1'),
  Keys: z.array(key).min(1).max(MAX_KEYS).describe('the keys'),
})

export type SeedFile = z.output<typeof seedSchema>
export type SeedFileKey = SeedFile['Keys'][number]

/** The JSON Schema of the file, as docs/seed.schema.json has it. */
export function seedJsonSchema(): string {
  const schema = z.toJSONSchema(seedSchema, { io: 'input' })
  return `${JSON.stringify({ title: 'Keys for holdfast kms --dev --seed FILE', ...schema }, null, 2)}\n`
}
