/**
 * `holdfast ekm tenant|key|credential`: administration over the control socket of an owner's boundary. Parses and prints; what is done is in
 * `src/ekm/admin`.
 */
import { type Command, InvalidArgumentError, Option } from 'commander'
import * as admin from '../ekm/admin/index.ts'
import { type Common, EXIT_HELP, readInput, world } from './admin-tools.ts'
import { registerDoctor } from './ekm-doctor.ts'
import { registerHolds } from './ekm-hold.ts'
import { registerEkmInit } from './ekm-init.ts'
import { registerPolicies } from './ekm-policy.ts'
import { registerSwitches } from './ekm-revoke.ts'
import { type EkmWorld, makeEkmTools, newFile, prefixOption, type Tools, tenantName, time } from './ekm-tools.ts'
import { registerWrap } from './ekm-wrap.ts'
import { columns } from './table.ts'

/** Adds the commands to `holdfast ekm`. */
export function registerEkmAdmin(ekm: Command, use: EkmWorld = world): void {
  const tools = makeEkmTools(use)
  registerTenants(group(ekm, 'tenant', 'path prefixes, each with its own keys and credentials'), tools)
  registerKeys(group(ekm, 'key', 'the external keys'), tools)
  registerCredentials(group(ekm, 'credential', 'what providers sign their requests with'), tools)
  registerPolicies(group(ekm, 'policy', 'who may do what with which key: policies in Cedar'), tools)
  registerSwitches(ekm, tools)
  registerHolds(ekm, tools)
  registerWrap(ekm, tools)
  registerDoctor(ekm, use)
  registerEkmInit(ekm, 'init', 'holdfast ekm init', use)
}

function group(ekm: Command, name: string, description: string): Command {
  return ekm.command(name).description(description).addHelpText('after', EXIT_HELP)
}

function registerTenants(tenant: Command, { run, common, print, note }: Tools): void {
  common(tenant, 'create', 'make a tenant')
    .argument('<prefix>', 'path prefix, for example customers/acme; / for none')
    .addOption(
      new Option('--client <name>', 'name in the client certificates that may speak for it; may be repeated')
        .argParser(collect)
        .default([], 'any that the service admits'),
    )
    .option('--policy <file>', 'its policy in Cedar, instead of one that lets its callers use its keys')
    .addHelpText(
      'after',
      '\nExample:\n  holdfast ekm tenant create customers/acme --client cks.kms.eu-central-1.amazonaws.com',
    )
    .action((prefix: string, options: Common & { client: string[]; policy?: string }) =>
      run(options, async control => {
        const { client, policy } = options
        const text = policy === undefined ? undefined : readInput(policy)
        if (policy !== undefined && text !== undefined)
          for (const warning of await admin.acceptedPolicy(policy, text, 'tenant'))
            note(admin.problemLine(policy, warning))
        const made = await admin.createTenant(control, tenantName(prefix), client, text)
        const where = `--tenant ${made.tenant} --data ${options.data}`
        const next = `Give it a key and a credential:\n  holdfast ekm key create NAME ${where}\n  holdfast ekm credential create --import-file xks-proxy.json ${where}`
        print(options, made, `Tenant ${made.tenant} is made; its XksProxyUriPath is ${made.uriPath}\n${next}`)
      }),
    )
  common(tenant, 'set-clients', 'change the names in the client certificates that may speak for a tenant')
    .argument('<prefix>', 'the tenant')
    .argument(
      '[names...]',
      'all of them, new ones and old ones; none: for XKS any certificate that the service admits, for Azure and Kubernetes nobody’s',
    )
    .addHelpText(
      'after',
      '\nIn force for every request that starts after it has answered.\n\nExample:\n  holdfast ekm tenant set-clients customers/acme cks.kms.eu-central-1.amazonaws.com cks.kms.eu-west-1.amazonaws.com',
    )
    .action((prefix: string, names: string[], options: Common) =>
      run(options, async control => {
        const set = await admin.setClients(control, tenantName(prefix), names)
        print(
          options,
          set,
          `Certificates that may speak for ${set.tenant}: ${set.clients.join(' ') || 'any for XKS, none for Azure and Kubernetes'}`,
        )
      }),
    )
  common(tenant, 'set-quota', 'change how much a tenant may ask')
    .argument('<prefix>', 'the tenant')
    .option('--per-second <n>', "requests a second; without it the service's load.perSecond", quotaOption)
    .option('--in-flight <n>', "requests under way at once; without it the service's load.inFlight", quotaOption)
    .addHelpText(
      'after',
      '\nIn force for every request that starts after it has answered.\n\nExample:\n  holdfast ekm tenant set-quota customers/acme --per-second 500',
    )
    .action((prefix: string, options: Common & admin.TenantQuota) =>
      run(options, async control => {
        const { perSecond, inFlight } = options
        const set = await admin.setQuota(control, tenantName(prefix), { perSecond, inFlight })
        const of = (given: number | null): string => (given === null ? 'as configured' : String(given))
        print(
          options,
          set,
          `Quota of ${set.tenant}: ${of(set.perSecond)} a second, ${of(set.inFlight)} under way at once`,
        )
      }),
    )
  common(tenant, 'list', 'list the tenants', 'holdfast ekm tenant list').action((options: Common) =>
    run(options, async control => {
      const tenants = await admin.listTenants(control)
      const rows = tenants.map(({ tenant: name, uriPath, created, clients, credentials, perSecond, inFlight }) => ({
        tenant: name,
        'uri path': uriPath,
        created: time(created),
        credentials: credentials.length,
        'a second': perSecond ?? '',
        'in flight': inFlight ?? '',
        clients: clients.join(' ') || 'any',
      }))
      print(
        options,
        tenants,
        rows.length === 0 ? 'There is no tenant yet. Make one: holdfast ekm tenant create PREFIX' : columns(rows),
      )
    }),
  )
}

function quotaOption(text: string): number {
  const number = Number(text)
  if (text.trim() === '' || !Number.isFinite(number) || number <= 0)
    throw new InvalidArgumentError('Give a number above 0.')
  return number
}

interface NewKeyOptions {
  readonly tenant?: string
  readonly spec: admin.ExternalKeySpec
  readonly usage: admin.KeyUse
  readonly token?: string | true
  readonly opens?: admin.ForeignScheme
}

function registerKeys(key: Command, { run, common, print }: Tools): void {
  common(key, 'create', 'make a key')
    .argument('<name>', "the external key's id, which the provider is to be told (XksKeyId)")
    .option('--tenant <prefix>', 'its tenant (the only one, if there is one)')
    .addOption(
      new Option('--spec <spec>', 'AES_256 for AES-GCM and AES key wrap, RSA for RSAES-OAEP')
        .choices(admin.KEY_SPEC_NAMES)
        .default('AES_256'),
    )
    .addOption(
      new Option('--usage <usage>', 'what it may do')
        .choices(['both', 'encrypt', 'decrypt', 'sign', 'none'])
        .default('both'),
    )
    .option(
      '--token [[name:]object]',
      'keep it in the PKCS#11 token of the root, or in the one of this name: a new object, or an existing one as id:HEX or label:TEXT',
    )
    .addOption(
      new Option(
        '--opens <scheme>',
        'decrypt also what this other key manager has encrypted under the object that --token names',
      ).choices(admin.FOREIGN_SCHEMES),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  holdfast ekm key create payments\n  holdfast ekm key create payments --tenant customers/acme --token label:payments-2026\n  holdfast ekm key create payments --token backup\n  holdfast ekm key create payments --token backup:id:0a1b --opens aws-xks-proxy',
    )
    .action((keyId: string, options: Common & NewKeyOptions) =>
      run(options, async control => {
        const tenant = await admin.tenantOrOnly(control, prefixOption(options.tenant))
        const { spec, usage, token, opens } = options
        const backing = token === undefined ? 'software' : 'token'
        const place = typeof token === 'string' ? admin.tokenAndObject(token) : {}
        const made = await admin.createKey(control, { tenant, keyId, spec, usage, backing, opens, ...place })
        print(options, made, `Key ${made.key} is made.`)
      }),
    )
  common(key, 'list', 'list the keys', 'holdfast ekm key list --tenant customers/acme --json')
    .option('--tenant <prefix>', 'only those of this tenant')
    .action((options: Common & { tenant?: string }) =>
      run(options, async control => {
        const keys: admin.CountedKey[] = []
        const count = await admin.counting(control)
        for await (const each of admin.listKeys(control, prefixOption(options.tenant))) keys.push(await count(each))
        const rows = keys.map(({ key: id, spec, state, revokedBy, usage, version, encryptions, backing, rotated }) => ({
          key: id,
          spec,
          state: revokedBy.length === 0 ? state : `${state} (${revokedBy.join(', ')})`,
          usage,
          version,
          encryptions: encryptions === null ? '' : shownCount(encryptions),
          backing,
          since: time(rotated),
        }))
        print(
          options,
          keys,
          rows.length === 0 ? 'There is no key yet. Make one: holdfast ekm key create NAME' : columns(rows),
        )
      }),
    )
  common(key, 'describe', 'show one key', 'holdfast ekm key describe customers/acme/payments')
    .argument('<key>', 'TENANT/NAME, or NAME where one tenant only has it')
    .action((id: string, options: Common) =>
      run(options, async control => {
        const count = await admin.counting(control)
        const found = await count(await admin.describeKey(control, id))
        const {
          key: shownAs,
          spec,
          state,
          revokedBy,
          usage,
          backing,
          tokenObject,
          version,
          versions,
          created,
          rotated,
          encryptions,
        } = found
        const shown = {
          key: shownAs,
          spec,
          state: revokedBy.length === 0 ? state : `${state} (${revokedBy.join(', ')})`,
          usage,
          backing: tokenObject === '' ? backing : `${backing} (${tokenObject})`,
          version: `${version}, of ${versions}`,
          ...(encryptions === null ? {} : { encryptions: described(encryptions) }),
          created: time(created),
          rotated: time(rotated),
        }
        const lines = Object.entries(shown).map(([name, value]) => `${name.padEnd(13)}${value}`)
        print(options, found, lines.join('\n'))
      }),
    )
  common(key, 'rotate', 'give a key new material under the same id; what older versions encrypted still decrypts')
    .argument('<key>', 'TENANT/NAME, or NAME where one tenant only has it')
    .addHelpText('after', '\nExample:\n  holdfast ekm key rotate customers/acme/payments')
    .action((id: string, options: Common) =>
      run(options, async control => {
        const rotated = await admin.rotateKey(control, id)
        print(options, rotated, `Key ${rotated.key} encrypts with version ${rotated.version} now.`)
      }),
    )
}

const MANY = new Intl.NumberFormat('en-US')

const shownCount = ({ counted, renewAfter }: admin.Encryptions): string =>
  counted < renewAfter ? MANY.format(counted) : `${MANY.format(counted)} (needs a new version)`

const described = ({ counted, most, renewAfter }: admin.Encryptions): string =>
  `at most ${MANY.format(counted)} with this version, which may do ${MANY.format(most)}; the next version comes after ${MANY.format(renewAfter)}`

function registerCredentials(credential: Command, { run, common, print, note }: Tools): void {
  common(credential, 'create', 'make a credential; its secret is shown once, now')
    .option('--tenant <prefix>', 'its tenant (the only one, if there is one)')
    .option('--import-file <file>', 'write the file that the console of AWS KMS imports instead of showing the secret')
    .addHelpText(
      'after',
      '\nExample:\n  holdfast ekm credential create --tenant customers/acme --import-file xks-proxy.json\n\nThe provider can use it as soon as this has answered; a tenant may have 16 at once. The file holds XksProxyUriPath and\nXksProxyAuthenticationCredential, for the console, or for the command line:\n  aws kms create-custom-key-store --cli-input-json file://xks-proxy.json …\n\nTo change credentials without a pause: create another, tell the provider, then delete the old one.',
    )
    .action((options: Common & { tenant?: string; importFile?: string }) =>
      run(options, async control => {
        const tenant = await admin.tenantOrOnly(control, prefixOption(options.tenant))
        // Opened before the credential is made: a secret that cannot be written would be lost.
        const file = options.importFile === undefined ? undefined : newFile(options.importFile)
        let made: admin.NewCredential
        try {
          made = await admin.createCredential(control, tenant)
        } catch (error) {
          file?.remove()
          throw error
        }
        if (file !== undefined) {
          file.write(`${admin.importFile(made)}\n`)
          const { accessKeyId } = made
          const text = `Credential ${accessKeyId} is made; it stands in ${options.importFile} (mode 0600), and its secret nowhere else.`
          print(options, { tenant, accessKeyId, importFile: options.importFile }, text)
          return
        }
        const { accessKeyId } = made
        made.secretAccessKey.reveal(bytes => {
          const secretAccessKey = bytes.toString('latin1')
          const text = `access key id      ${accessKeyId}\nsecret access key  ${secretAccessKey}`
          print(options, { tenant, accessKeyId, secretAccessKey }, text)
        })
        note('The secret is not shown again.')
      }),
    )
  common(
    credential,
    'list',
    'list credentials, without their secrets',
    'holdfast ekm credential list --tenant customers/acme',
  )
    .option('--tenant <prefix>', 'only those of this tenant')
    .action((options: Common & { tenant?: string }) =>
      run(options, async control => {
        const found = await admin.listCredentials(control, prefixOption(options.tenant))
        const rows = found.map(({ accessKeyId, tenant, created }) => ({
          'access key id': accessKeyId,
          tenant,
          created: time(created),
        }))
        const none = 'There is no credential yet. Make one: holdfast ekm credential create'
        print(options, found, rows.length === 0 ? none : columns(rows))
      }),
    )
  common(credential, 'delete', 'refuse a credential from now on, for good')
    .argument('<access-key-id>', 'as holdfast ekm credential list shows it')
    .addHelpText(
      'after',
      '\nIn force for every request that starts after it has answered.\n\nExample:\n  holdfast ekm credential delete CUQ7D3KZT2XNR4WEB5MHYAJ6LP',
    )
    .action((id: string, options: Common) =>
      run(options, async control => {
        const gone = await admin.deleteCredential(control, id)
        print(options, { deleted: gone.accessKeyId, tenant: gone.tenant }, `Credential ${gone.accessKeyId} is deleted.`)
      }),
    )
}

function collect(value: string, all: readonly string[]): string[] {
  if (value === '') throw new InvalidArgumentError('It must not be empty.')
  return [...all, value]
}
