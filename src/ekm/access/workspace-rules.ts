/** What each method of Google Workspace client-side encryption asks of its caller, as data ("Authorization tokens", "Authentication tokens"). */

export const WORKSPACE_METHODS = {
  /** `users`: an authentication and an authorization token, of one person. `authorized`: an authorization token alone. `privileged`: an authentication token
   * of an administrator. `peers`: that, or a token of another key service. */
  wrap: { tokens: 'users', roles: ['writer', 'upgrader'] },
  unwrap: { tokens: 'users', roles: ['reader', 'writer'] },
  delegate: { tokens: 'users', roles: ['reader', 'writer'] },
  privatekeysign: { tokens: 'users', roles: ['signer'] },
  privatekeydecrypt: { tokens: 'users', roles: ['decrypter'] },
  digest: { tokens: 'authorized', roles: ['verifier'] },
  rewrap: { tokens: 'authorized', roles: ['migrator'] },
  privilegedwrap: { tokens: 'privileged', roles: [] },
  privilegedunwrap: { tokens: 'peers', roles: [] },
  wrapprivatekey: { tokens: 'privileged', roles: [] },
  privilegedprivatekeydecrypt: { tokens: 'privileged', roles: [] },
} as const satisfies Record<
  string,
  { tokens: 'users' | 'authorized' | 'privileged' | 'peers'; roles: readonly string[] }
>
export type WorkspaceMethod = keyof typeof WORKSPACE_METHODS

export interface PerimeterRule {
  readonly emails: ReadonlySet<string>
  readonly domains: ReadonlySet<string>
}

/** Whether a person may use keys of a perimeter. Without rules, or outside of all perimeters, everybody may. `email`: in lower case. */
export function isWithin(
  rules: ReadonlyMap<string, PerimeterRule> | undefined,
  perimeter: string,
  email: string,
): boolean {
  if (rules === undefined || perimeter === '') return true
  const rule = rules.get(perimeter)
  return rule !== undefined && (rule.emails.has(email) || rule.domains.has(email.slice(email.lastIndexOf('@') + 1)))
}
