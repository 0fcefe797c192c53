/** What an owner's tokens can do, and which protocols that is enough for. */
import { existsSync } from 'node:fs'
import { EXIT_CODES } from '../../boundary/config.ts'
import { harden } from '../../boundary/harden.ts'
import { readPin } from '../../boundary/pkcs11/pin.ts'
import { probeToken, type TokenReport, type TrialName } from '../../boundary/pkcs11/probe.ts'
import { TokenError } from '../../boundary/pkcs11/types.ts'
import { lockFolder, StartRefused } from '../../boundary/service/lock.ts'
import type { EkmConfig } from '../../config/ekm.ts'
import { serviceFolders } from '../../config/folders.ts'
import { namedTokens, rootConfig } from '../../config/shared.ts'
import { AdminError } from '../../store/admin.ts'

/** By protocol, what it asks keys for, each with what the token must do for it. */
const NEEDS = {
  xks: { AES_GCM: ['aes-key', 'aes-gcm'] },
  azure: {
    A256KW: ['aes-key', 'aes-kw'],
    A256KWP: ['aes-key', 'aes-kwp'],
    'RSA-OAEP': ['rsa-2048', 'rsa-oaep-sha1'],
    'RSA-OAEP-256': ['rsa-2048', 'rsa-oaep-sha256'],
  },
  kubernetes: { AES_GCM: ['aes-key', 'aes-gcm'] },
  dke: { 'RSA-OAEP-256': ['rsa-2048', 'rsa-oaep-sha256'] },
  kacls: { AES_GCM: ['aes-key', 'aes-gcm'] },
  google: { AES_GCM: ['aes-key', 'aes-gcm'] },
} as const satisfies Record<string, Readonly<Record<string, readonly TrialName[]>>>
export type ServedProtocol = keyof typeof NEEDS
export const SERVED_PROTOCOLS = Object.keys(NEEDS) as readonly ServedProtocol[]

export interface Served {
  readonly protocol: ServedProtocol
  /** Algorithms that the token is enough for, and those that it is not enough for. It serves the protocol where there is one of the first. */
  readonly algorithms: readonly string[]
  readonly missing: readonly string[]
}

export interface ProbedToken extends TokenReport {
  /** As the configuration names it; empty for the token of the root of trust. */
  readonly name: string
  readonly serves: readonly Served[]
}

export function servedBy({ trials }: Pick<TokenReport, 'trials'>): readonly Served[] {
  const done = new Set(trials.filter(({ ok }) => ok).map(({ name }) => name))
  return SERVED_PROTOCOLS.map(protocol => {
    const needs = Object.entries<readonly TrialName[]>(NEEDS[protocol])
    const enough = (needed: readonly TrialName[]) => needed.every(name => done.has(name))
    return {
      protocol,
      algorithms: needs.filter(([, needed]) => enough(needed)).map(([algorithm]) => algorithm),
      missing: needs.filter(([, needed]) => !enough(needed)).map(([algorithm]) => algorithm),
    }
  })
}

/**
 * Logs in to each token of a configuration once, or to the one of this name, and tries what it can do. The service must not run: two processes would have the
 * token at once. Throws `StartRefused` where it does or where a token does not open, `AdminError` where there is none to look at.
 */
export async function probeTokens(config: EkmConfig, only: string | undefined): Promise<readonly ProbedToken[]> {
  const root = rootConfig(config.boundary.root)
  const all = [...(root.kind === 'pkcs11' ? [{ name: '', ...root }] : []), ...namedTokens(config.boundary.tokens)]
  const chosen = all.filter(({ name }) => only === undefined || name === only)
  if (chosen.length === 0) {
    const why = only === undefined ? 'its root is of another kind than pkcs11' : `none of its tokens is called ${only}`
    throw new AdminError(`The configuration names no token to look at: ${why}, and boundary.tokens has no other.`)
  }
  const unlock = whileStopped(serviceFolders(config.data).boundary)
  try {
    harden()
    const probed: ProbedToken[] = []
    for (const { name, module, token, pin, capabilities = {} } of chosen) {
      const report = await probeToken({ module, token, pin: readPin(pin), capabilities })
      probed.push({ name, ...report, serves: servedBy(report) })
    }
    return probed
  } catch (error) {
    if (error instanceof TokenError) throw new StartRefused(EXIT_CODES.refused, error.message)
    throw error
  } finally {
    unlock()
  }
}

/** Holds the boundary's folder, so that no service starts meanwhile. */
function whileStopped(folder: string): () => void {
  if (!existsSync(folder)) return () => {}
  try {
    return lockFolder(folder, EXIT_CODES)
  } catch (error) {
    if (!(error instanceof StartRefused) || error.exitCode !== EXIT_CODES.inUse) throw error
    throw new StartRefused(
      EXIT_CODES.inUse,
      `a service is running on ${folder}: stop it and ask again. While it runs, its health answer and /health/ready say whether its tokens work, and its log says why not`,
    )
  }
}
