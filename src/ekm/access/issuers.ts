/** From the issuers and hosts of a configuration to those that tokens are verified by and requests are sent to. */
import { readFileSync } from 'node:fs'
import { BlockList } from 'node:net'
import { type IssuersConfig, readRange } from '../../config/ekm-tokens.ts'
import type { Log } from '../../http/logging.ts'
import { KeySet } from './jwks.ts'
import type { Destination } from './outbound.ts'
import { TokenVerifier, type TrustedIssuer } from './token.ts'

interface Reach {
  readonly caFile?: string | undefined
  readonly addresses?: readonly string[] | undefined
}

/** Reads the file of its roots. Throws where that cannot be read. */
export function destinationOf(url: string, { caFile, addresses }: Reach): Destination {
  return {
    url,
    ...(caFile === undefined ? {} : { ca: readFileSync(caFile, 'utf8') }),
    ...(addresses === undefined ? {} : { addresses: rangesOf(addresses) }),
  }
}

function rangesOf(texts: readonly string[]): BlockList {
  const list = new BlockList()
  for (const text of texts) {
    const range = readRange(text)
    if (range === undefined) throw new Error(`${text} is no range of addresses`)
    list.addSubnet(range.address, range.prefix, range.family)
  }
  return list
}

/** Each issuer with keys of its own. That its host is away is told to the operator. */
export function trustedIssuers(issuers: IssuersConfig, log: Log): TrustedIssuer[] {
  return Object.entries(issuers).map(([issuer, { audiences, keys, ...reach }]): TrustedIssuer => {
    const onProblem = (url: string, reason: string): void =>
      log('warn', 'the keys of an issuer of tokens could not be fetched', { host: url, detail: issuer, reason })
    const wiring = { monotonic: () => performance.now(), onProblem }
    return { issuer, audiences, keys: new KeySet(destinationOf(keys, reach), wiring) }
  })
}

export function tokenVerifier(issuers: IssuersConfig, log: Log): TokenVerifier {
  return new TokenVerifier({ issuers: trustedIssuers(issuers, log), now: Date.now })
}
