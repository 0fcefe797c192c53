/** The EKM proxy API of Azure Managed HSM as the service starts it: its own listener, TLS 1.3 with client certificates only. */
import type { Protocol } from '../types.ts'
import { AZURE_PROTOCOL, azureHandler, azureListenerError } from './handler.ts'
import { OPERATIONS } from './operations.ts'
import { MAX_BODY } from './request.ts'

export const azure: Protocol = {
  name: AZURE_PROTOCOL,
  routes: Object.keys(OPERATIONS),
  start: async context => {
    const { azure: settings, limits } = context.config
    if (settings === undefined) return undefined
    const { host, port, tls } = settings
    return context.listen({
      name: AZURE_PROTOCOL,
      host,
      port,
      tls: { profile: 'azure', ...tls },
      limits: { ...limits, bodyBytes: Math.min(limits.bodyBytes, MAX_BODY) },
      handler: azureHandler(context),
      errors: azureListenerError,
    })
  },
}
