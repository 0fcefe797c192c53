/** Who a client is, from its verified certificate: chain, names, key usage and validity, all of them. */
import { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { Peer } from './types.ts'

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

const known = new WeakMap<TLSSocket, Peer | null>()

/** The peer, or undefined where the certificate is not one of a client that is configured. Parsed once a connection; its validity is asked each time. */
export function peerOf(socket: TLSSocket, subjects: readonly string[]): Peer | undefined {
  let peer = known.get(socket)
  if (peer === undefined) {
    peer = read(socket, subjects) ?? null
    known.set(socket, peer)
  }
  return peer !== null && peer.validTo >= Date.now() ? peer : undefined
}

function read(socket: TLSSocket, subjects: readonly string[]): Peer | undefined {
  if (!socket.authorized) return undefined
  const raw = socket.getPeerCertificate(false).raw
  if (raw === undefined) return undefined
  const certificate = new X509Certificate(raw)
  if (!(certificate.keyUsage ?? []).includes(CLIENT_AUTH)) return undefined
  const commonName = /^CN=(.*)$/m.exec(certificate.subject)?.[1] ?? ''
  const alternatives = (certificate.subjectAltName ?? '').split(', ')
  const of = (kind: string): string[] =>
    alternatives.filter(name => name.startsWith(kind)).map(name => name.slice(kind.length))
  const dnsNames = of('DNS:')
  const uris = of('URI:')
  if (subjects.length > 0 && ![commonName, ...dnsNames, ...uris].some(name => subjects.includes(name))) return undefined
  return {
    commonName,
    dnsNames,
    uris,
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    validTo: certificate.validToDate.getTime(),
  }
}
