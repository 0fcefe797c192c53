/**
 * Who a client is, from its verified certificate: chain, names, key usage and validity, all of them (external-key-protocols.md §12.8).
 */
import { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { Peer } from './types.ts'

/** id-kp-clientAuth; anyExtendedKeyUsage is not enough. */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

const known = new WeakMap<TLSSocket, Peer | null>()

/** The peer, or undefined where the certificate is not one of a client that is configured. Parsed once a connection; its validity is asked each time. */
export function peerOf(socket: TLSSocket, subjects: readonly string[]): Peer | undefined {
  let peer = known.get(socket)
  if (peer === undefined) {
    // `authorized`: the chain ends in one of the configured roots, and each of its certificates was valid at the handshake.
    const raw = socket.authorized ? socket.getPeerCertificate(false).raw : undefined
    peer = (raw && readPeer(new X509Certificate(raw), subjects)) ?? null
    known.set(socket, peer)
  }
  return peer !== null && peer.validTo >= Date.now() ? peer : undefined
}

/** The client that a certificate names; undefined where it is not made for clients, or none of its names is among `subjects` (empty: any name). */
export function readPeer(certificate: X509Certificate, subjects: readonly string[]): Peer | undefined {
  if (!(certificate.keyUsage ?? []).includes(CLIENT_AUTH)) return undefined
  const commonNames = certificate.subject?.split('\n').filter(line => line.startsWith('CN=')) ?? []
  // Of several common names none is the name.
  const commonName = commonNames.length === 1 ? (commonNames[0] ?? '').slice(3) : ''
  const names = alternativeNames(certificate.subjectAltName ?? '')
  if (names === undefined) return undefined
  const of = (type: string) => names.filter(name => name.type === type).map(name => name.value)
  const dnsNames = of('DNS')
  const uris = of('URI')
  const own = [commonName, ...dnsNames, ...uris].filter(name => name !== '')
  if (subjects.length > 0 && !own.some(name => subjects.includes(name))) return undefined
  return {
    commonName,
    dnsNames,
    uris,
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    validTo: certificate.validToDate.getTime(),
  }
}

/**
 * Node gives the alternative names as `TYPE:value, TYPE:value`, and quotes a value as JSON where it could be mistaken for more than one (CVE-2021-44532).
 * Undefined where the text is anything else.
 */
export function alternativeNames(text: string): { type: string; value: string }[] | undefined {
  const names: { type: string; value: string }[] = []
  const entry = /([A-Za-z ]+):(?:("(?:[^"\\]|\\.)*")|([^",]*))(?:, |$)/y
  while (entry.lastIndex < text.length) {
    const found = entry.exec(text)
    if (found === null) return undefined
    const [, type = '', quoted, plain = ''] = found
    try {
      names.push({ type, value: quoted === undefined ? plain : String(JSON.parse(quoted)) })
    } catch {
      return undefined
    }
  }
  return names
}
