/** The names of the protocols, as they stand in records, metrics, policies and kill switches. For ever. */
export const PROTOCOL_NAMES = ['xks', 'azure', 'google', 'kacls', 'dke', 'kubernetes'] as const
export type ProtocolName = (typeof PROTOCOL_NAMES)[number]

export function isProtocol(name: string): name is ProtocolName {
  return (PROTOCOL_NAMES as readonly string[]).includes(name)
}
