/** A listener of a protocol that asks for no client certificates: browsers and office programs have none. */
import { z } from 'zod'
import * as shared from './shared.ts'

/** `port`: the one that is taken where none is set. */
export const listener = (port: number) => ({
  host: shared.host().default('127.0.0.1').describe('address to listen on'),
  port: shared.port().default(port).describe('port to listen on'),
  tls: z
    .strictObject({
      certificateFile: shared.file().describe('PEM file: certificate, then its intermediates'),
      keyFile: shared.secretFile().describe('PEM file of its private key, mode 0600'),
    })
    .optional()
    .describe('HTTPS; without it the service speaks plain HTTP, on loopback only'),
})

/** What callers know it by, which is not always what it hears: without a slash at its end. */
export const publicUrl = z
  .string()
  .max(512)
  .regex(/^https?:\/\/[^/?#\s]+(?:\/[A-Za-z0-9._~-]+)*$/, {
    error: 'must be like https://keys.example.com, without a slash at its end',
  })

const TENANT = /^(?:\/|[A-Za-z0-9_-]+(?:\/[A-Za-z0-9_-]+)*)$/

/** Problems of names that are none of a tenant. */
export function namesOfTenants(path: string, tenants: Readonly<Record<string, unknown>>) {
  return Object.keys(tenants)
    .filter(name => name.length > 116 || !TENANT.test(name))
    .map(name => ({ path: `${path}.${name}`, message: 'is no path prefix of a tenant: acme, customers/acme or /' }))
}
