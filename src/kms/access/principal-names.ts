/**
 * Names of principals: ARNs of accounts, users and roles, and the names of services. Parsed here and nowhere else; compared as whole strings
 * afterwards, so that no name can carry a wildcard or a path of its own (lessons: names that act as patterns).
 */

/** A name taken apart. `service`: a role in the account through which a service of the provider calls. */
export interface PrincipalName {
  readonly kind: 'root' | 'user' | 'role' | 'service'
  readonly arn: string
  readonly account: string
  /** Name without path; empty for root. */
  readonly name: string
  /** Short name of the service; empty but for kind `service`. */
  readonly service: string
}

const ARN = /^arn:(aws[a-z-]{0,20}):iam::(\d{12}):(root|(user|role)\/((?:[\x21-\x7e]{1,128}\/)*)([\w+=,.@-]{1,64}))$/
const SERVICE_PATH = /^aws-service-role\/([a-z0-9-]{1,32})\.amazonaws\.com\/$/
const PATH = /^(?:[\w+=,.@-]{1,128}\/)*$/
export const ACCOUNT_ID = /^\d{12}$/
/** `objects.amazonaws.com`, as a policy writes `{"Service": …}`. */
export const SERVICE_NAME = /^[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*\.amazonaws\.com$/

/** Reads a principal's ARN; undefined if it is none. At most 512 bytes, the bound of a row's id. */
export function readPrincipalArn(arn: string): PrincipalName | undefined {
  if (arn.length > 512) return undefined
  const found = ARN.exec(arn)
  if (found === null) return undefined
  const [, , account = '', , type, path = '', name = ''] = found
  if (type === undefined) return { kind: 'root', arn, account, name: '', service: '' }
  if (!PATH.test(path)) return undefined
  if (type === 'user') return { kind: 'user', arn, account, name, service: '' }
  const service = SERVICE_PATH.exec(path)?.[1]
  // The path of service roles is reserved: nothing but a service's own role may look like one.
  if (service === undefined && path.startsWith('aws-service-role/')) return undefined
  return { kind: service === undefined ? 'role' : 'service', arn, account, name, service: service ?? '' }
}

const SESSION_ARN = /^arn:(aws[a-z-]{0,20}):sts::(\d{12}):assumed-role\/([\w+=,.@-]{1,64})\/([\w+=,.@-]{2,64})$/

/** A role's session, as policies name it: by the role's name without its path, which is the account's only role of that name. */
export interface SessionName {
  readonly account: string
  readonly role: string
}

/** Reads the ARN of a role's session; undefined if it is none. */
export function readSessionArn(arn: string): SessionName | undefined {
  const found = arn.length > 512 ? null : SESSION_ARN.exec(arn)
  return found === null ? undefined : { account: found[2] ?? '', role: found[3] ?? '' }
}

/** `roleArn`: of a role, which has been read. */
export function sessionArn(roleArn: string, sessionName: string): string {
  const [, partition = '', , , account = ''] = roleArn.split(':')
  return `arn:${partition}:sts::${account}:assumed-role/${roleArn.slice(roleArn.lastIndexOf('/') + 1)}/${sessionName}`
}

const GROUP_ARN = /^arn:aws[a-z-]{0,20}:iam::(\d{12}):group\/([\w+=,.@-]{1,128})$/

/** Reads a group's ARN; groups are no principals, so nothing but administration reads them. Undefined if it is none. */
export function readGroupArn(arn: string): { readonly account: string; readonly name: string } | undefined {
  const found = GROUP_ARN.exec(arn)
  return found === null ? undefined : { account: found[1] ?? '', name: found[2] ?? '' }
}

/** ARN of the role through which a service (`objects`) calls in an account. */
export function serviceRoleArn(account: string, service: string, partition = 'aws'): string {
  const label = service.charAt(0).toUpperCase() + service.slice(1)
  return `arn:${partition}:iam::${account}:role/aws-service-role/${service}.amazonaws.com/AWSServiceRoleFor${label}`
}

export function rootArn(account: string, partition = 'aws'): string {
  return `arn:${partition}:iam::${account}:root`
}
