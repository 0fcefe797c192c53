/**
 * `holdfast kms account|principal|credential|policy`: administration over the control socket of a running service. Parses and prints; what is
 * done is in `src/kms/admin`.
 */
import type { Command } from 'commander'
import * as admin from '../kms/admin/index.ts'
import {
  type Tools as AdminTools,
  type Common,
  EXIT_HELP,
  makeTools,
  readInput,
  type World,
  world,
} from './admin-tools.ts'
import { arnOf, collect, collectTag, type PrincipalOptions, type Tags } from './kms-names.ts'
import { registerBoundaries, registerGroups, registerRoles } from './kms-roles.ts'

export const DEFAULT_KMS_DATA = './holdfast-kms'

export type KmsWorld = World<admin.AdminControl>
export type KmsTools = AdminTools<admin.AdminControl>
type Tools = KmsTools

/** Adds the commands to `holdfast kms`. */
export function registerKmsAdmin(kms: Command, use: KmsWorld = world): void {
  const tools: Tools = makeTools('kms', DEFAULT_KMS_DATA, use)
  registerAccounts(group(kms, 'account', 'the accounts of this service'), tools)
  registerPrincipals(group(kms, 'principal', 'who may call: users, roles, services'), tools)
  registerCredentials(group(kms, 'credential', 'access keys of principals'), tools)
  registerPolicies(group(kms, 'policy', 'identity policies of principals and groups'), tools)
  registerRoles(group(kms, 'role', 'roles that can be assumed'), tools)
  registerGroups(group(kms, 'group', 'groups of users, who have its policies'), tools)
}

function group(kms: Command, name: string, description: string): Command {
  return kms.command(name).description(`${description} (the service must be running)`).addHelpText('after', EXIT_HELP)
}

function registerAccounts(account: Command, { run, common, print, table }: Tools): void {
  common(account, 'create', 'make an account')
    .argument('[id]', '12 digits; made if left out')
    .option('--name <name>', 'a name for people', '')
    .addHelpText('after', '\nExample:\n  holdfast kms account create 111122223333 --name "Example Ltd"')
    .action((id: string | undefined, options: Common & { name: string }) =>
      run(options, async control => {
        const made = await admin.createAccount(control, { id, name: options.name })
        print(options, made, `Account ${made.id} is made.`)
      }),
    )
  common(account, 'list', 'list the accounts', 'holdfast kms account list --json').action((options: Common) =>
    run(options, async control => {
      const accounts = await admin.listAccounts(control)
      const rows = accounts.map(({ id, name, created }) => ({ id, name, created: time(created) }))
      table(options, rows, 'There is no account yet. Make one: holdfast kms account create')
    }),
  )
}

function registerPrincipals(principal: Command, tools: Tools): void {
  const { run, common, print, table } = tools
  common(principal, 'create', 'make a user, a role, or the role of a service')
    .argument('[principal]', 'an ARN, or a name: alice, user/alice, role/app')
    .option('--account <id>', 'for a name: its account (the only one, if there is one)')
    .option('--service <name>', 'instead of a name: the service of the provider that calls, for example objects')
    .option('--administrator', 'give it every right in KMS')
    .option('--tag <key=value>', 'a tag; may be repeated', collectTag, {})
    .addHelpText(
      'after',
      '\nExamples:\n  holdfast kms principal create alice --administrator\n  holdfast kms principal create arn:aws:iam::111122223333:role/app --tag team=payments',
    )
    .action((name: string | undefined, options: Common & PrincipalOptions & { administrator?: boolean; tag: Tags }) =>
      run(options, async control => {
        const arn = await arnOf(control, name, options)
        const made = await admin.createPrincipal(control, arn, options.tag)
        if (options.administrator === true) {
          await admin.putPolicy(control, arn, 'administrator', admin.ADMINISTRATOR_POLICY)
        }
        const next = `Give it an access key: holdfast kms credential create --principal ${arn} --data ${options.data}`
        print(options, made, `Principal ${arn} is made.\n${next}`)
      }),
    )
  common(principal, 'list', 'list the principals', 'holdfast kms principal list --account 111122223333')
    .option('--account <id>', 'only those of this account')
    .action((options: Common & { account?: string }) =>
      run(options, async control => {
        const principals = await admin.listPrincipals(control, options.account)
        const rows = principals.map(p => ({ ...p, created: time(p.created) }))
        const shown = rows.map(({ arn, created, policies, credentials }) => ({
          arn,
          created,
          policies: policies.join(' '),
          credentials: credentials.length,
        }))
        table(options, options.json === true ? rows : shown, 'There is no principal yet.')
      }),
    )
  common(principal, 'delete', 'delete a principal and all of its credentials', 'holdfast kms principal delete alice')
    .argument('<principal>', 'an ARN or a name')
    .option('--account <id>', 'for a name: its account')
    .action((name: string, options: Common & PrincipalOptions) =>
      run(options, async control => {
        const arn = await arnOf(control, name, options)
        await admin.deletePrincipal(control, arn)
        print(options, { deleted: arn }, `Principal ${arn} is deleted. Key policies that name it keep naming it.`)
      }),
    )
  registerBoundaries(principal, tools)
  common(principal, 'tag', 'set or remove tags of a principal')
    .argument('<principal>', 'an ARN or a name')
    .argument('[tags...]', 'key=value …')
    .option('--account <id>', 'for a name: its account')
    .option('--remove <key>', 'remove a tag; may be repeated', collect, [])
    .addHelpText('after', '\nExample:\n  holdfast kms principal tag alice team=payments --remove former-team')
    .action((name: string, tags: string[], options: Common & PrincipalOptions & { remove: string[] }) =>
      run(options, async control => {
        const arn = await arnOf(control, name, options)
        const set = tags.reduce<Tags>((all, tag) => collectTag(tag, all), {})
        const changed = await admin.tagPrincipal(control, arn, set, options.remove)
        const text = Object.entries(changed.tags).map(([key, value]) => `${key}=${value}`)
        print(options, changed, text.length === 0 ? `${arn} has no tags.` : text.join('\n'))
      }),
    )
}

function registerCredentials(credential: Command, { run, common, print, table }: Tools): void {
  common(credential, 'create', 'make an access key; its secret is shown once, now')
    .requiredOption('--principal <principal>', 'an ARN or a name; root for the root of the account')
    .option('--account <id>', 'for a name: its account')
    .addHelpText('after', '\nExample:\n  holdfast kms credential create --principal alice')
    .action((options: Common & PrincipalOptions & { principal: string }) =>
      run(options, async control => {
        const arn = await arnOf(control, options.principal, options)
        const { accessKeyId, secretAccessKey } = await admin.createCredential(control, arn)
        secretAccessKey.reveal(bytes => {
          const secret = bytes.toString('latin1')
          const text = `export AWS_ACCESS_KEY_ID=${accessKeyId}\nexport AWS_SECRET_ACCESS_KEY=${secret}\n\nThe secret is not shown again.`
          print(options, { accessKeyId, secretAccessKey: secret, principal: arn }, text)
        })
      }),
    )
  common(
    credential,
    'list',
    'list access keys, without their secrets',
    'holdfast kms credential list --principal alice',
  )
    .option('--principal <principal>', 'only those of this principal')
    .option('--account <id>', 'for a name: its account')
    .action((options: Common & PrincipalOptions & { principal?: string }) =>
      run(options, async control => {
        const arn = options.principal === undefined ? undefined : await arnOf(control, options.principal, options)
        const rows = (await admin.listCredentials(control, arn)).map(c => ({ ...c, created: time(c.created) }))
        table(options, rows, 'There is no credential yet. Make one: holdfast kms credential create --principal NAME')
      }),
    )
  const acts = [
    ['disable', 'refuse an access key from now on', (c, id) => admin.setCredentialActive(c, id, false), 'disabled'],
    ['enable', 'accept a disabled access key again', (c, id) => admin.setCredentialActive(c, id, true), 'enabled'],
    ['delete', 'delete an access key for good', (c, id) => admin.deleteCredential(c, id), 'deleted'],
  ] as const satisfies ReadonlyArray<
    readonly [string, string, (control: admin.AdminControl, id: string) => Promise<void>, string]
  >
  for (const [name, description, act, done] of acts) {
    common(credential, name, description, `holdfast kms credential ${name} AKIAIOSFODNN7EXAMPLE`)
      .argument('<access-key-id>', 'as holdfast kms credential list shows it')
      .action((id: string, options: Common) =>
        run(options, async control => {
          await act(control, id)
          print(options, { [done]: id }, `Access key ${id} is ${done}.`)
        }),
      )
  }
}

function registerPolicies(policy: Command, { run, common, print, table }: Tools): void {
  const about = (name: string, description: string, example?: string) =>
    common(policy, name, description, example)
      .requiredOption('--principal <principal>', 'an ARN or a name; group/NAME for a group')
      .option('--account <id>', 'for a name: its account')
  type About = Common & PrincipalOptions & { principal: string }

  about('put', 'store an identity policy, or replace the one of that name')
    .requiredOption('--name <name>', 'name of the policy')
    .requiredOption('--file <file>', 'the JSON document; - for standard input')
    .addHelpText('after', '\nExample:\n  holdfast kms policy put --principal alice --name use-keys --file policy.json')
    .action((options: About & { name: string; file: string }) =>
      run(options, async control => {
        const arn = await arnOf(control, options.principal, options)
        await admin.putPolicy(control, arn, options.name, readInput(options.file).toString('utf8'))
        print(options, { principal: arn, name: options.name }, `Policy ${options.name} of ${arn} is in force.`)
      }),
    )
  about('get', 'print an identity policy', 'holdfast kms policy get --principal alice --name use-keys')
    .requiredOption('--name <name>', 'name of the policy')
    .action((options: About & { name: string }) =>
      run(options, async control => {
        const arn = await arnOf(control, options.principal, options)
        const document = await admin.getPolicy(control, arn, options.name)
        print(options, { principal: arn, name: options.name, document }, document)
      }),
    )
  about(
    'list',
    'list the identity policies of a principal',
    'holdfast kms policy list --principal group/admins',
  ).action((options: About) =>
    run(options, async control => {
      const arn = await arnOf(control, options.principal, options)
      const rows = (await admin.listPolicies(control, arn)).map(name => ({ name }))
      table(options, rows, `${arn} has no policies, so it may do what key policies allow it by name, and nothing else.`)
    }),
  )
  about('delete', 'delete an identity policy', 'holdfast kms policy delete --principal alice --name use-keys')
    .requiredOption('--name <name>', 'name of the policy')
    .action((options: About & { name: string }) =>
      run(options, async control => {
        const arn = await arnOf(control, options.principal, options)
        await admin.deletePolicy(control, arn, options.name)
        print(options, { principal: arn, deleted: options.name }, `Policy ${options.name} of ${arn} is deleted.`)
      }),
    )
}

function time(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}
