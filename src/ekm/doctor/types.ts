/**
 * `holdfast ekm doctor`: a deployment looked at from outside, as the cloud will see it. Each check answers with findings; none changes anything at the key
 * manager, and none needs its machine.
 */

export type Verdict = 'ok' | 'warning' | 'problem'

export interface Finding {
  /** What was looked at: `name`, `tls`, `certificate`, `client-certificate`, `clock`, `credential`, `latency`, `key`, `health`, `encryptions`. */
  readonly check: string
  readonly verdict: Verdict
  /** What was seen, with units. */
  readonly seen: string
  /** What to do; empty where all is well. */
  readonly advice: string
}

export interface ClientFiles {
  readonly certificateFile: string
  readonly keyFile: string
}

export interface Target {
  /** `https://host[:port][/prefix]`, without a slash at its end. */
  readonly url: URL
  /** Path prefix of the tenant, with a leading slash; or empty. */
  readonly prefix: string
  /** PEM; undefined: the roots that this machine trusts, as the cloud does. */
  readonly ca: string | undefined
  readonly client: ClientFiles | undefined
}

export const ok = (check: string, seen: string): Finding => ({ check, verdict: 'ok', seen, advice: '' })
export const warning = (check: string, seen: string, advice: string): Finding => ({
  check,
  verdict: 'warning',
  seen,
  advice,
})
export const problem = (check: string, seen: string, advice: string): Finding => ({
  check,
  verdict: 'problem',
  seen,
  advice,
})
