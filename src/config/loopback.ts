/**
 * Which addresses are this machine's own. Plain HTTP is spoken on no other.
 */
import { BlockList, isIP, isIPv6 } from 'node:net'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** True for 127.0.0.0/8, ::1 (also IPv4-mapped) and `localhost`. Whoever listens must check the address that a name resolved to as well. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost') return true
  if (isIP(host) === 0) return false
  return loopback.check(host, isIPv6(host) ? 'ipv6' : 'ipv4')
}
