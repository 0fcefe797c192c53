/**
 * Callers who are known by their connection alone: whoever may open a Unix socket of this machine, and whoever has the key of a client certificate. Nothing
 * is signed request by request, and a provider's root has issued certificates to every other customer too, so a tenant must name its certificates:
 * unlike elsewhere, a list that is empty admits nobody.
 */
import type { Peer } from '../../http/types.ts'
import type { Tenant } from '../keys/tenants.ts'
import { type AuthenticatedCaller, verified } from './caller.ts'

/** `socket`: its URL. The permissions of the file are the authentication, and the configuration binds it to a tenant. */
export function socketCaller(protocol: string, tenant: string, socket: string, userAgent: string): AuthenticatedCaller {
  return verified({
    protocol,
    tenant,
    principal: socket,
    credentialId: socket,
    region: '',
    sourceIp: '',
    peerName: '',
    userAgent,
  })
}

/**
 * Undefined where none of the certificate's names is one of the tenant's. `peer` was verified by the listener. Not pinned to the certificate: it is renewed,
 * and its name and root stay.
 */
export function certificateCaller(
  protocol: string,
  tenant: Tenant,
  peer: Peer,
  sourceIp: string,
  userAgent: string,
): AuthenticatedCaller | undefined {
  const names = [peer.commonName, ...peer.dnsNames, ...peer.uris]
  const principal = names.find(name => name !== '' && tenant.clients.includes(name))
  if (principal === undefined) return undefined
  return verified({
    protocol,
    tenant: tenant.name,
    principal,
    credentialId: peer.fingerprint,
    region: '',
    sourceIp,
    peerName: principal,
    userAgent,
  })
}
