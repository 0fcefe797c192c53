/** Double key encryption as the service starts it: its listener, and for each tenant the issuers of its directory and its lists. */
import type { EkmConfig } from '../../../config/ekm.ts'
import { allowList } from '../../access/allow-list.ts'
import { tokenVerifier } from '../../access/issuers.ts'
import type { Protocol, ProtocolContext } from '../types.ts'
import { dkeListenerError } from './errors.ts'
import { DKE_PROTOCOL, type DkeTenant, dkeHandler, MAX_BODY } from './handler.ts'
import { METHODS } from './route.ts'

type Settings = NonNullable<EkmConfig['dke']>

export const dke: Protocol = {
  name: DKE_PROTOCOL,
  routes: Object.keys(METHODS),
  start: async context => {
    const { config } = context
    if (config.dke === undefined) return undefined
    const { host, port, tls, tenants, publicUrl, signInUrl, cacheDays } = config.dke
    const served = new Map(Object.entries(tenants).map(([name, each]) => [name, tenantOf(name, each, context)]))
    return context.listen({
      name: DKE_PROTOCOL,
      host,
      port,
      ...(tls === undefined ? {} : { tls: { profile: 'aws-api', ...tls } }),
      limits: { ...config.limits, bodyBytes: Math.min(config.limits.bodyBytes, MAX_BODY) },
      handler: dkeHandler({ ...context, tenants: served, publicUrl, signInUrl, cacheDays, now: Date.now }),
      errors: dkeListenerError,
    })
  },
}

function tenantOf(name: string, settings: Settings['tenants'][string], { log }: ProtocolContext): DkeTenant {
  const { directory, issuers, audience, decidedBy, keys } = settings
  const lists = new Map(Object.entries(keys).map(([key, { emails, roles }]) => [key, allowList(emails, roles)]))
  return {
    name,
    directory,
    audience,
    verifier: tokenVerifier(issuers, log),
    lists: decidedBy === 'policy' ? undefined : lists,
  }
}
