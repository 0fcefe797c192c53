/** The names of the protocols, as they stand in records, metrics, policies and kill switches. For ever. */
export const PROTOCOL_NAMES = ['xks', 'azure', 'google', 'kacls', 'dke', 'kubernetes'] as const
export type ProtocolName = (typeof PROTOCOL_NAMES)[number]

export function isProtocol(name: string): name is ProtocolName {
  return (PROTOCOL_NAMES as readonly string[]).includes(name)
}

/**
 * Milliseconds after which the caller is told that there is no answer. AWS and Azure give up after 250, connection and TLS included; Google publishes no
 * deadline and is treated as they are; an API server of Kubernetes waits 3 seconds, of which 2 may be a person's (`waitMs`). The others name none: a person waits.
 */
export const ANSWER_WITHIN_MS: Readonly<Record<ProtocolName, number>> = {
  xks: 200,
  azure: 200,
  google: 200,
  kubernetes: 900,
  kacls: 2000,
  dke: 5000,
}
