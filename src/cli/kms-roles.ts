/** `holdfast kms role|group` and the boundary of a principal: who may become whom, and what nobody exceeds. Parses and prints. */
import { type Command, InvalidArgumentError } from 'commander'
import * as admin from '../kms/admin/index.ts'
import { type Common, readInput } from './admin-tools.ts'
import type { KmsTools } from './kms-admin.ts'
import { arnOf, collectTag, type PrincipalOptions, type Tags } from './kms-names.ts'

type OfAccount = Common & PrincipalOptions
type WithFile = OfAccount & { file: string }

const ACCOUNT = ['--account <id>', 'for a name: its account (the only one, if there is one)'] as const
const FILE = ['--file <file>', 'the JSON document; - for standard input'] as const

export function registerRoles(role: Command, { run, common, print }: KmsTools): void {
  const nameOf = (name: string, options: OfAccount, control: admin.AdminControl) =>
    arnOf(control, named('role', name), options)
  common(role, 'create', 'make a role that those may assume whom its trust policy lets')
    .argument('<role>', 'an ARN or a name: app')
    .requiredOption('--trust-policy <file>', 'who may assume it: the JSON document; - for standard input')
    .option('--max-session-duration <seconds>', 'longest session, 3600 to 43200 (3600)', seconds)
    .option('--tag <key=value>', 'a tag; may be repeated', collectTag, {})
    .option(...ACCOUNT)
    .addHelpText(
      'after',
      '\nExample:\n  holdfast kms role create app --trust-policy trust.json\n\nIn trust.json, for example:\n  {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",\n   "Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"}}]}',
    )
    .action((name: string, options: OfAccount & { trustPolicy: string; maxSessionDuration?: number; tag: Tags }) =>
      run(options, async control => {
        const arn = await nameOf(name, options, control)
        const trust = readInput(options.trustPolicy).toString('utf8')
        const made = await admin.createRole(control, arn, trust, options.maxSessionDuration, options.tag)
        const next = `Say what it may do: holdfast kms policy put --principal ${arn} --name NAME --file FILE --data ${options.data}`
        print(options, made, `Role ${arn} is made.\n${next}`)
      }),
    )
  common(role, 'trust', 'print the trust policy of a role', 'holdfast kms role trust app')
    .argument('<role>', 'an ARN or a name')
    .option(...ACCOUNT)
    .action((name: string, options: OfAccount) =>
      run(options, async control => {
        const arn = await nameOf(name, options, control)
        const document = await admin.getTrustPolicy(control, arn)
        print(options, { role: arn, document }, document)
      }),
    )
  common(role, 'set-trust', 'replace the trust policy of a role', 'holdfast kms role set-trust app --file trust.json')
    .argument('<role>', 'an ARN or a name')
    .requiredOption(...FILE)
    .option(...ACCOUNT)
    .action((name: string, options: WithFile) =>
      run(options, async control => {
        const arn = await nameOf(name, options, control)
        await admin.setTrustPolicy(control, arn, readInput(options.file).toString('utf8'))
        print(options, { role: arn }, `The trust policy of ${arn} is in force. Sessions that were begun go on.`)
      }),
    )
  common(
    role,
    'max-session-duration',
    'set the longest session of a role',
    'holdfast kms role max-session-duration app 7200',
  )
    .argument('<role>', 'an ARN or a name')
    .argument('<seconds>', '3600 to 43200', seconds)
    .option(...ACCOUNT)
    .action((name: string, most: number, options: OfAccount) =>
      run(options, async control => {
        const arn = await nameOf(name, options, control)
        await admin.setMaxSession(control, arn, most)
        print(options, { role: arn, maxSessionDuration: most }, `Sessions of ${arn} last at most ${most} seconds.`)
      }),
    )
}

export function registerBoundaries(principal: Command, { run, common, print }: KmsTools): void {
  common(
    principal,
    'set-boundary',
    'set the permissions boundary of a user or role, which none of its policies exceeds',
  )
    .argument('<principal>', 'an ARN or a name')
    .option(...FILE)
    .option('--remove', 'take it away')
    .option(...ACCOUNT)
    .addHelpText('after', '\nExample:\n  holdfast kms principal set-boundary alice --file boundary.json')
    .action((name: string, options: OfAccount & { file?: string; remove?: boolean }) =>
      run(options, async control => {
        if ((options.file === undefined) !== (options.remove === true))
          throw new admin.AdminError('Give --file FILE, or --remove.')
        const arn = await arnOf(control, name, options)
        const document = options.file === undefined ? undefined : readInput(options.file).toString('utf8')
        await admin.setBoundary(control, arn, document)
        const text = document === undefined ? `${arn} has no boundary any more.` : `The boundary of ${arn} is in force.`
        print(options, { principal: arn, boundary: document !== undefined }, text)
      }),
    )
  common(
    principal,
    'boundary',
    'print the permissions boundary of a user or role',
    'holdfast kms principal boundary alice',
  )
    .argument('<principal>', 'an ARN or a name')
    .option(...ACCOUNT)
    .action((name: string, options: OfAccount) =>
      run(options, async control => {
        const arn = await arnOf(control, name, options)
        const document = await admin.getBoundary(control, arn)
        print(options, { principal: arn, document: document ?? null }, document ?? `${arn} has no boundary.`)
      }),
    )
}

export function registerGroups(group: Command, { run, common, print, table }: KmsTools): void {
  const arnOfGroup = (control: admin.AdminControl, name: string, options: OfAccount) =>
    arnOf(control, named('group', name), options)
  common(group, 'create', 'make a group')
    .argument('<group>', 'an ARN or a name')
    .option(...ACCOUNT)
    .addHelpText(
      'after',
      '\nExample:\n  holdfast kms group create admins\n  holdfast kms policy put --principal group/admins --name use-keys --file policy.json\n  holdfast kms group add-user admins alice',
    )
    .action((name: string, options: OfAccount) =>
      run(options, async control => {
        const made = await admin.createGroup(control, await arnOfGroup(control, name, options))
        print(options, made, `Group ${made.arn} is made.`)
      }),
    )
  common(group, 'list', 'list the groups, with their members', 'holdfast kms group list')
    .option('--account <id>', 'only those of this account')
    .action((options: Common & { account?: string }) =>
      run(options, async control => {
        const groups = await admin.listGroups(control, options.account)
        const shown = groups.map(({ arn, policies, members }) => ({
          arn,
          policies: policies.join(' '),
          members: members.map(member => member.slice(member.lastIndexOf('/') + 1)).join(' '),
        }))
        table(
          options,
          options.json === true ? groups : shown,
          'There is no group. Make one: holdfast kms group create NAME',
        )
      }),
    )
  common(group, 'delete', 'delete a group without members', 'holdfast kms group delete admins')
    .argument('<group>', 'an ARN or a name')
    .option(...ACCOUNT)
    .action((name: string, options: OfAccount) =>
      run(options, async control => {
        const arn = await arnOfGroup(control, name, options)
        await admin.deleteGroup(control, arn)
        print(options, { deleted: arn }, `Group ${arn} is deleted.`)
      }),
    )
  const memberships = [
    ['add-user', 'put a user into a group', admin.addToGroup, 'is in'],
    ['remove-user', 'take a user out of a group', admin.removeFromGroup, 'is no more in'],
  ] as const
  for (const [name, description, act, done] of memberships) {
    common(group, name, description, `holdfast kms group ${name} admins alice`)
      .argument('<group>', 'an ARN or a name')
      .argument('<user>', 'an ARN or a name')
      .option(...ACCOUNT)
      .action((groupName: string, userName: string, options: OfAccount) =>
        run(options, async control => {
          const arn = await arnOfGroup(control, groupName, options)
          const user = await arnOf(control, userName, options)
          await act(control, arn, user)
          print(options, { group: arn, user }, `${user} ${done} ${arn}.`)
        }),
      )
  }
}

/** A name alone is one of the kind that the command is about. */
function named(kind: 'role' | 'group', name: string): string {
  return name.startsWith('arn:') || name.startsWith(`${kind}/`) ? name : `${kind}/${name}`
}

function seconds(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('Write a number of seconds.')
  return Number(text)
}
