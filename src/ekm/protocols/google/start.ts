/** Google Cloud EKM as the service starts it: its listener, and for each tenant the issuers and service accounts that may ask. */
import type { EkmConfig } from '../../../config/ekm.ts'
import { tokenVerifier } from '../../access/issuers.ts'
import type { Protocol, ProtocolContext } from '../types.ts'
import { googleListenerError } from './errors.ts'
import { GOOGLE_PROTOCOL, type GoogleTenant, googleHandler, OPERATIONS } from './handler.ts'
import { MAX_BODY } from './request.ts'

type Settings = NonNullable<EkmConfig['googleExperimental']>

export const google: Protocol = {
  name: GOOGLE_PROTOCOL,
  routes: Object.keys(OPERATIONS),
  start: async context => {
    const { googleExperimental: settings, limits } = context.config
    if (settings === undefined) return undefined
    const { host, port, tls } = settings
    const tenants = new Map(
      Object.entries(settings.tenants).map(([name, each]) => [name, tenantOf(name, each, context)]),
    )
    return context.listen({
      name: GOOGLE_PROTOCOL,
      host,
      port,
      ...(tls === undefined ? {} : { tls: { profile: 'aws-api', ...tls } }),
      limits: { ...limits, bodyBytes: Math.min(limits.bodyBytes, MAX_BODY) },
      handler: googleHandler({ ...context, tenants }),
      errors: googleListenerError,
    })
  },
}

function tenantOf(
  name: string,
  { issuers, serviceAccounts, denials }: Settings['tenants'][string],
  { log }: ProtocolContext,
): GoogleTenant {
  const accounts = new Set(serviceAccounts.map(each => each.toLowerCase()))
  return { name, denials, serviceAccounts: accounts, verifier: tokenVerifier(issuers, log) }
}
