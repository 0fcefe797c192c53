/**
 * Where an endpoint's name leads: to what the configuration says, or to public addresses on port 443. Names are resolved here and the connection goes to
 * the very address that was checked, so that a second answer of the DNS cannot lead it into the provider's own network.
 */
import { Resolver } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { XksFailure } from './failures.ts'

/** Special-purpose ranges (IANA registries, RFC 6890 and its successors): nothing there is an owner's public proxy. Cloud metadata lies in 169.254/16. */
const SPECIAL: ReadonlyArray<readonly [network: string, prefix: number]> = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.31.196.0', 24],
  ['192.52.193.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['192.175.48.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
]

/** Of IPv6 only global unicast (2000::/3) is public, and of that not these. */
const SPECIAL_6: ReadonlyArray<readonly [network: string, prefix: number]> = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['2620:4f:8000::', 48],
  ['3fff::', 20],
]

const special = new BlockList()
for (const [network, prefix] of SPECIAL) special.addSubnet(network, prefix, 'ipv4')
const special6 = new BlockList()
for (const [network, prefix] of SPECIAL_6) special6.addSubnet(network, prefix, 'ipv6')
const unicast6 = new BlockList()
unicast6.addSubnet('2000::', 3, 'ipv6')

/** True for an address to which a name from a stranger may lead. Anything that is not an address is not. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address)
  if (family === 4) return !special.check(address, 'ipv4')
  return family === 6 && unicast6.check(address, 'ipv6') && !special6.check(address, 'ipv6')
}

/** A name with at least two labels of which the last is not a number: never an address in any of its spellings. */
export function isHostName(name: string): boolean {
  const labels = name.split('.')
  const last = labels.at(-1) ?? ''
  return (
    name.length <= 253 &&
    labels.length >= 2 &&
    labels.every(label => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i.test(label)) &&
    !/^(?:\d+|0x[0-9a-f]*)$/i.test(last)
  )
}

/** Asks for a name's IPv4 addresses (the protocol knows only those) and how many seconds they may be kept. */
export type Resolve = (name: string) => Promise<ReadonlyArray<{ readonly address: string; readonly ttl: number }>>

/** Over the network's resolvers, not over the C library, whose look-ups would hold threads of the pool. */
export function systemResolve(timeoutMs: number): Resolve {
  const resolver = new Resolver({ timeout: timeoutMs, tries: 1 })
  return name => resolver.resolve4(name, { ttl: true })
}

const MIN_TTL_MS = 1000
const MAX_TTL_MS = 60_000

/** Addresses of unmapped names, checked, and kept for as long as the DNS says (1 to 60 seconds). */
export class PublicAddresses {
  readonly #resolve: Resolve
  readonly #known = new Map<string, { readonly address: string; readonly until: number }>()
  readonly #asking = new Map<string, Promise<string>>()

  constructor(resolve: Resolve) {
    this.#resolve = resolve
  }

  /** An address of the name. Rejects with `XksFailure` tcp where there is none, or where any of them is not public. */
  address(name: string): string | Promise<string> {
    const known = this.#known.get(name)
    if (known !== undefined && known.until > performance.now()) return known.address
    let asking = this.#asking.get(name)
    if (asking === undefined) {
      asking = this.#ask(name).finally(() => this.#asking.delete(name))
      this.#asking.set(name, asking)
    }
    return asking
  }

  async #ask(name: string): Promise<string> {
    this.#known.delete(name)
    if (!isHostName(name)) throw new XksFailure('tcp', `${name} is no fully qualified host name`)
    const found = await this.#resolve(name).catch(error => {
      throw new XksFailure(
        'tcp',
        `${name} does not resolve: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`,
      )
    })
    const [first] = found
    if (first === undefined) throw new XksFailure('tcp', `${name} has no IPv4 address`)
    const refused = found.find(({ address }) => !isPublicAddress(address))
    if (refused !== undefined)
      throw new XksFailure('tcp', `${name} leads to ${refused.address}, which is not a public address`)
    const keep = Math.min(Math.max(first.ttl * 1000, MIN_TTL_MS), MAX_TTL_MS)
    this.#known.set(name, { address: first.address, until: performance.now() + keep })
    return first.address
  }
}
