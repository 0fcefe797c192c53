/** Who may decrypt by the configuration, for owners who have no policy: people by address, or anyone with a role. Names are compared without regard to case. */

export interface AllowList {
  readonly emails: ReadonlySet<string>
  readonly roles: ReadonlySet<string>
}

export interface Identified {
  /** In lower case. */
  readonly email: string
  readonly roles: readonly string[]
}

export function allowList(emails: readonly string[], roles: readonly string[]): AllowList {
  const lower = (texts: readonly string[]) => new Set(texts.map(text => text.toLowerCase()))
  return { emails: lower(emails), roles: lower(roles) }
}

/** Nobody, where there is no list. */
export function isListed(list: AllowList | undefined, { email, roles }: Identified): boolean {
  if (list === undefined) return false
  return list.emails.has(email) || roles.some(role => list.roles.has(role.toLowerCase()))
}
