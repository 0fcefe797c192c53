/** Issuers of signed tokens that a protocol trusts, and other services that the key manager itself asks, as settings. */
import { isIP } from 'node:net'
import { z } from 'zod'
import { isLoopback } from './loopback.ts'
import { file } from './shared.ts'

/** `https:`, or `http:` to this machine, without credentials, query and fragment. */
export function isServiceUrl(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname.replace(/^\[|\]$/g, '')))
}

function isKeysUrl(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && url.protocol === 'file:' ? url.host === '' && url.pathname !== '/' : isServiceUrl(text)
}

/** `10.0.0.0/8`, `2001:db8::1`. Undefined for anything else. */
export function readRange(text: string): { address: string; prefix: number; family: 'ipv4' | 'ipv6' } | undefined {
  const [address = '', length, ...rest] = text.split('/')
  const version = isIP(address)
  if (version === 0 || rest.length > 0) return undefined
  const bits = version === 6 ? 128 : 32
  if (length !== undefined && !/^(?:0|[1-9]\d{0,2})$/.test(length)) return undefined
  const prefix = length === undefined ? bits : Number(length)
  return prefix > bits ? undefined : { address, prefix, family: version === 6 ? 'ipv6' : 'ipv4' }
}

/** How a host is reached that the key manager asks by itself. */
export const reach = {
  caFile: file().optional().describe('PEM file of the only roots of its certificate; default: the public ones'),
  addresses: z
    .array(z.string().refine(text => readRange(text) !== undefined, { error: 'must be like 10.0.0.0/8 or 10.1.2.3' }))
    .min(1)
    .max(64)
    .optional()
    .describe('the only addresses that its name may resolve to; default: any'),
} as const

const issuer = z.strictObject({
  audiences: z
    .array(z.string().min(1).max(512))
    .min(1)
    .max(16)
    .describe('aud of its tokens is or holds one of these, exactly'),
  keys: z
    .string()
    .max(2048)
    .refine(isKeysUrl, { error: 'must be an https: or file: URL (http: on loopback only)' })
    .describe('where its public keys are (JWKS): https:, or file: where nothing can be fetched'),
  ...reach,
})

/** By iss, exactly. */
export const issuers = z.record(z.string().min(1).max(512), issuer)
export type IssuersConfig = z.output<typeof issuers>
