/** How operators name principals and write tags on the command line. */
import { InvalidArgumentError } from 'commander'
import { rootArn, serviceRoleArn } from '../kms/access/principal-names.ts'
import * as admin from '../kms/admin/index.ts'

export type Tags = Readonly<Record<string, string>>

export interface PrincipalOptions {
  readonly account?: string
  readonly service?: string
}

/** An ARN as it is; a name in the account given, or in the only one. */
export async function arnOf(
  control: admin.AdminControl,
  name: string | undefined,
  options: PrincipalOptions,
): Promise<string> {
  if (name?.startsWith('arn:') === true) return name
  if ((name === undefined) === (options.service === undefined)) {
    throw new admin.AdminError('Say who: a name or an ARN, or --service NAME.')
  }
  const account = await admin.accountOrOnly(control, options.account)
  if (options.service !== undefined) return serviceRoleArn(account, options.service)
  if (name === undefined || name === 'root') return rootArn(account)
  return `arn:aws:iam::${account}:${/^(?:user|role|group)\//.test(name) ? name : `user/${name}`}`
}

export function collect(value: string, all: readonly string[]): string[] {
  return [...all, value]
}

export function collectTag(tag: string, all: Tags): Tags {
  const at = tag.indexOf('=')
  if (at < 1) throw new InvalidArgumentError(`Write tags as key=value, not ${tag}.`)
  return { ...all, [tag.slice(0, at)]: tag.slice(at + 1) }
}

export function accountOption(text: string): string {
  if (!/^\d{12}$/.test(text)) throw new InvalidArgumentError('An account id has 12 digits.')
  return text
}

export function regionsOption(text: string): string[] {
  const regions = text.split(',')
  if (!regions.every(region => /^[a-z]{2}(?:-[a-z]+)+-\d{1,2}$/.test(region)) || new Set(regions).size < regions.length)
    throw new InvalidArgumentError('Regions look like us-east-1,eu-central-1, each once.')
  return regions
}
