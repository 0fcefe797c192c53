/** Google Workspace client-side encryption as the service starts it: its listener, and for each tenant whose tokens it trusts for what. */
import type { EkmConfig } from '../../../config/ekm.ts'
import { kaclsUrl } from '../../../config/ekm-kacls.ts'
import { allowList } from '../../access/allow-list.ts'
import { destinationOf, trustedIssuers } from '../../access/issuers.ts'
import { TokenVerifier, type TrustedIssuer } from '../../access/token.ts'
import type { Protocol, ProtocolContext } from '../types.ts'
import { kaclsListenerError } from './errors.ts'
import { kaclsHandler, MAX_BODY } from './handler.ts'
import { KACLS_PROTOCOL, type KaclsTenant } from './protocol.ts'
import { METHODS } from './route.ts'
import { Signer } from './signer.ts'
import { MIGRATION_AUDIENCE } from './tokens.ts'

type Settings = NonNullable<EkmConfig['kacls']>

export const kacls: Protocol = {
  name: KACLS_PROTOCOL,
  routes: [...METHODS.values()],
  start: async context => {
    const { config } = context
    if (config.kacls === undefined) return undefined
    const { host, port, tls, tenants, publicUrl, name, origins, delegationMinutes } = config.kacls
    const served = Object.entries(tenants).map(
      ([path, each]) => [path, tenantOf(path, kaclsUrl(publicUrl, path), each, context)] as const,
    )
    return context.listen({
      name: KACLS_PROTOCOL,
      host,
      port,
      ...(tls === undefined ? {} : { tls: { profile: 'aws-api', ...tls } }),
      limits: { ...config.limits, bodyBytes: Math.min(config.limits.bodyBytes, MAX_BODY) },
      handler: kaclsHandler({
        ...context,
        tenants: new Map(served),
        name,
        origins: new Set(origins),
        delegationSeconds: delegationMinutes * 60,
        now: Date.now,
      }),
      errors: kaclsListenerError,
    })
  },
}

function tenantOf(
  name: string,
  url: string,
  settings: Settings['tenants'][string],
  { core, log }: ProtocolContext,
): KaclsTenant {
  const { key, signingKey, ownerDomain, guests, admins, perimeters, peers } = settings
  const signer = signingKey === undefined ? undefined : new Signer(core, name, signingKey)
  const provider = trustedIssuers(settings.authentication, log)
  const own: TrustedIssuer[] = signer === undefined ? [] : [{ issuer: url, audiences: [url], keys: signer }]
  const others = Object.fromEntries(
    Object.entries(peers).map(([peer, reach]) => [
      peer,
      { audiences: [MIGRATION_AUDIENCE], keys: `${peer}/certs`, ...reach },
    ]),
  )
  const verifier = (issuers: readonly TrustedIssuer[]) => new TokenVerifier({ issuers, now: Date.now })
  return {
    name,
    kaclsUrl: url,
    keyId: key,
    signer,
    users: verifier([...provider, ...own]),
    administrators: verifier(provider),
    peers: verifier([...provider, ...trustedIssuers(others, log)]),
    authorization: verifier(trustedIssuers(settings.authorization, log)),
    peerUrls: new Set(Object.keys(peers)),
    peerHosts: new Map(Object.entries(peers).map(([peer, reach]) => [peer, destinationOf(peer, reach)])),
    ownerDomain,
    guests: new Set(guests),
    admins: allowList(admins, []).emails,
    perimeters:
      perimeters &&
      new Map(
        Object.entries(perimeters).map(([id, { emails, domains }]) => [
          id,
          { emails: allowList(emails, []).emails, domains: allowList(domains, []).emails },
        ]),
      ),
  }
}
