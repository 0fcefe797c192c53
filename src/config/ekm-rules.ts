/** The owner's rules that revoke by themselves, as settings. */
import { z } from 'zod'

const SCOPES = ['key', 'principal', 'tenant'] as const

const name = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,48}$/, { error: 'must be 1 to 48 letters, digits, ".", "-" or "_"' })
  .describe('what it is called in the log')
const revoke = (by: (typeof SCOPES)[number]) =>
  z.enum(SCOPES).default(by).describe('what it revokes: the key, whoever authenticated, or the tenant')

const rate = z.strictObject({
  kind: z.literal('unwrap-rate').describe('what it looks at'),
  name,
  per: z.enum(SCOPES).default('key').describe('what it counts unwraps of'),
  windowSeconds: z.int().min(1).max(86_400).default(60).describe('length of a window'),
  atLeast: z.int().min(1).max(100_000_000).describe('unwraps in a window up to which it never trips'),
  factor: z.number().min(1).max(1_000_000).default(10).describe('how many times the usual of earlier windows trips it'),
  revoke: revoke('key'),
})

const account = z.strictObject({
  kind: z.literal('unknown-account').describe('what it looks at'),
  name,
  known: z
    .array(z.string().min(1).max(128))
    .min(1)
    .max(1000)
    .describe('accounts of the provider that may use the keys'),
  tenants: z.array(z.string().min(1).max(128)).max(1000).default([]).describe('tenants that it is for; empty: all'),
  revoke: revoke('principal'),
})

export const rules = z
  .array(z.discriminatedUnion('kind', [rate, account]).describe('unwrap-rate or unknown-account'))
  .max(100)
  .default([])
  .describe('rules that revoke by themselves; only the owner restores')
