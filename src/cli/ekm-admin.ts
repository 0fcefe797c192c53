/**
 * `holdfast ekm tenant|key|credential|revoke|restore|wrap-for-import`: administration over the control socket of an owner's boundary, which
 * answers with the front end dead too. Parses and prints; what is done is in `src/ekm/admin`.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { RevokeTarget, WrappingAlgorithm } from '../boundary/client/api.ts'
import { type ControlConnection, connectControl } from '../boundary/client/control.ts'
import { BoundaryError } from '../boundary/words.ts'
import * as admin from '../ekm/admin/index.ts'
import { columns } from './table.ts'

export const DEFAULT_EKM_DATA = './holdfast-ekm'

/** What the commands need of the world; tests give their own. */
export interface EkmWorld {
  /** Connects to the boundary of a data folder. */
  connect(data: string): ControlConnection
  out(text: string): void
  err(text: string): void
}

const EXIT = { refused: 1, unavailable: 69 } as const
const EXIT_HELP =
  '\nExit codes: 0 done; 1 refused, with the reason; 69 no boundary is running on the folder, or it is locked.'

const world: EkmWorld = {
  connect: data => connectControl({ socket: join(data, 'boundary', 'control.sock') }),
  out: text => process.stdout.write(`${text}\n`),
  err: text => process.stderr.write(`${text}\n`),
}

interface Common {
  readonly data: string
  readonly json?: boolean
}

interface Tools {
  run(options: Common, what: (control: ControlConnection) => Promise<void>): Promise<void>
  common(parent: Command, name: string, description: string): Command
  print(options: Common, value: unknown, text: string): void
  note(text: string): void
}

/** Adds the commands to `holdfast ekm`. */
export function registerEkmAdmin(ekm: Command, use: EkmWorld = world): void {
  const tools: Tools = {
    run: async (options, what) => {
      const control = use.connect(options.data)
      try {
        await what(control)
      } catch (error) {
        const [text, code] = explain(error, options.data)
        use.err(text)
        process.exitCode = code
      } finally {
        control.close()
      }
    },
    common: (parent, name, description) =>
      parent
        .command(name)
        .description(description)
        .option('--data <dir>', 'data folder of the service', DEFAULT_EKM_DATA)
        .option('--json', 'print JSON'),
    print: (options, value, text) => use.out(options.json === true ? JSON.stringify(value) : text),
    note: text => use.err(text),
  }
  registerTenants(group(ekm, 'tenant', 'path prefixes, each with its own keys and credentials'), tools)
  registerKeys(group(ekm, 'key', 'the external keys'), tools)
  registerCredentials(group(ekm, 'credential', 'what providers sign their requests with'), tools)
  registerSwitches(ekm, tools)
  registerWrap(ekm, tools)
}

function group(ekm: Command, name: string, description: string): Command {
  return ekm.command(name).description(description).addHelpText('after', EXIT_HELP)
}

function registerTenants(tenant: Command, { run, common, print }: Tools): void {
  common(tenant, 'create', 'make a tenant')
    .argument('<prefix>', 'path prefix, for example customers/acme; / for none')
    .option('--client <name>', 'name in the client certificates that may speak for it; may be repeated', collect, [])
    .addHelpText(
      'after',
      '\nExample:\n  holdfast ekm tenant create customers/acme --client cks.kms.eu-central-1.amazonaws.com',
    )
    .action((prefix: string, options: Common & { client: string[] }) =>
      run(options, async control => {
        const made = await admin.createTenant(control, tenantName(prefix), options.client)
        const next = `Give it a key and a credential:\n  holdfast ekm key create NAME --tenant ${made.tenant}\n  holdfast ekm credential create --tenant ${made.tenant}`
        print(options, made, `Tenant ${made.tenant} is made; its XksProxyUriPath is ${made.uriPath}\n${next}`)
      }),
    )
  common(tenant, 'list', 'list the tenants').action((options: Common) =>
    run(options, async control => {
      const tenants = await admin.listTenants(control)
      const rows = tenants.map(({ tenant: name, uriPath, created, clients, credentials }) => ({
        tenant: name,
        'uri path': uriPath,
        created: time(created),
        credentials: credentials.length,
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

function registerKeys(key: Command, { run, common, print }: Tools): void {
  common(key, 'create', 'make a key of 256 bits for AES-GCM')
    .argument('<name>', "the external key's id, which the provider is to be told (XksKeyId)")
    .option('--tenant <prefix>', 'its tenant (the only one, if there is one)')
    .addOption(
      new Option('--usage <usage>', 'what it may do').choices(['both', 'encrypt', 'decrypt', 'none']).default('both'),
    )
    .option(
      '--token [object]',
      'keep it in the PKCS#11 token: a new object, or an existing one as id:HEX or label:TEXT',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  holdfast ekm key create payments\n  holdfast ekm key create payments --tenant customers/acme --token label:payments-2026',
    )
    .action((keyId: string, options: Common & { tenant?: string; usage: admin.KeyUse; token?: string | true }) =>
      run(options, async control => {
        const tenant = await admin.tenantOrOnly(control, prefixOption(options.tenant))
        const { usage, token } = options
        const backing = token === undefined ? 'software' : 'token'
        const tokenObject = token === true ? undefined : token
        const made = await admin.createKey(control, { tenant, keyId, usage, backing, tokenObject })
        print(options, made, `Key ${made.key} is made.`)
      }),
    )
  common(key, 'list', 'list the keys')
    .option('--tenant <prefix>', 'only those of this tenant')
    .action((options: Common & { tenant?: string }) =>
      run(options, async control => {
        const keys: admin.KeyInfo[] = []
        for await (const each of admin.listKeys(control, prefixOption(options.tenant))) keys.push(each)
        const rows = keys.map(({ key: id, state, revokedBy, usage, version, backing, rotated }) => ({
          key: id,
          state: revokedBy.length === 0 ? state : `${state} (${revokedBy.join(', ')})`,
          usage,
          version,
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
  common(key, 'describe', 'show one key')
    .argument('<key>', 'TENANT/NAME, or NAME where one tenant only has it')
    .action((id: string, options: Common) =>
      run(options, async control => {
        const found = await admin.describeKey(control, id)
        const shown = { ...found, created: time(found.created), rotated: time(found.rotated) }
        const lines = Object.entries(shown).map(([name, value]) => `${name.padEnd(12)}${String(value)}`.trimEnd())
        print(options, found, lines.join('\n'))
      }),
    )
  common(key, 'rotate', 'give a key new material under the same id; what older versions encrypted still decrypts')
    .argument('<key>', 'TENANT/NAME, or NAME where one tenant only has it')
    .action((id: string, options: Common) =>
      run(options, async control => {
        const rotated = await admin.rotateKey(control, id)
        print(options, rotated, `Key ${rotated.key} encrypts with version ${rotated.version} now.`)
      }),
    )
}

function registerCredentials(credential: Command, { run, common, print, note }: Tools): void {
  common(credential, 'create', 'make a credential; its secret is shown once, now')
    .option('--tenant <prefix>', 'its tenant (the only one, if there is one)')
    .option('--import-file <file>', 'write the file that the console of AWS KMS imports instead of showing the secret')
    .addHelpText(
      'after',
      '\nExample:\n  holdfast ekm credential create --tenant customers/acme --import-file xks-proxy.json\n\nTo change credentials without a pause: create another, tell the provider, then delete the old one.',
    )
    .action((options: Common & { tenant?: string; importFile?: string }) =>
      run(options, async control => {
        const tenant = await admin.tenantOrOnly(control, prefixOption(options.tenant))
        // Opened before the credential is made: a secret that cannot be written would be lost.
        const file = options.importFile === undefined ? undefined : newSecretFile(options.importFile)
        const made = await admin.createCredential(control, tenant)
        if (file !== undefined) {
          file(`${admin.importFile(made)}\n`)
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
  common(credential, 'list', 'list credentials, without their secrets')
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
    .argument('<access-key-id>')
    .action((id: string, options: Common) =>
      run(options, async control => {
        const gone = await admin.deleteCredential(control, id)
        print(options, { deleted: gone.accessKeyId, tenant: gone.tenant }, `Credential ${gone.accessKeyId} is deleted.`)
      }),
    )
}

interface TargetOptions extends Common {
  readonly tenant?: string
  readonly all?: boolean
}

function registerSwitches(ekm: Command, { run, common, print, note }: Tools): void {
  const about = (name: string, description: string, examples: string) =>
    common(ekm, name, description)
      .argument('[key]', 'one key: TENANT/NAME, or NAME where one tenant only has it')
      .option('--tenant <prefix>', 'every key of this tenant, those included that are made later')
      .option('--all', 'every key there is')
      .addHelpText('after', `\n${examples}${EXIT_HELP}`)
  about(
    'revoke',
    'stop every use, at once: in force for each request that starts after this command has ended',
    'The owner’s boundary itself decides it: the front end may be alive, dead or hostile.\n\nExamples:\n  holdfast ekm revoke customers/acme/payments\n  holdfast ekm revoke --tenant customers/acme\n  holdfast ekm revoke --all\n',
  ).action((key: string | undefined, options: TargetOptions) =>
    run(options, async control => {
      const done = await admin.revoke(control, targetOf(key, options))
      const seconds = (done.took / 1000).toFixed(3)
      print(
        options,
        { revoked: done.target, ...times(done) },
        `Revoked: ${done.target}. The boundary answered in ${seconds} s.`,
      )
    }),
  )
  about(
    'restore',
    'undo a revocation of the same kind: of a key, of a tenant, or of everything',
    'Examples:\n  holdfast ekm restore customers/acme/payments\n  holdfast ekm restore --all\n',
  ).action((key: string | undefined, options: TargetOptions) =>
    run(options, async control => {
      const done = await admin.restore(control, targetOf(key, options))
      print(options, { restored: done.target, ...times(done) }, `Restored: ${done.target}.`)
      note('One person did this alone. In a later version it will take M of N approvals.')
    }),
  )
}

const times = ({ answeredAt, took }: admin.SwitchResult) => ({ answeredAt, tookMs: Math.round(took * 1000) / 1000 })

function targetOf(key: string | undefined, { tenant, all }: TargetOptions): RevokeTarget {
  const given = [key, tenant, all].filter(each => each !== undefined)
  if (given.length !== 1) throw new admin.AdminError('Say what: one KEY, or --tenant PREFIX, or --all.')
  if (key !== undefined) return { key }
  return tenant === undefined ? { all: true } : { tenant: tenantName(tenant) }
}

const ALGORITHMS: Readonly<Record<string, WrappingAlgorithm>> = {
  RSAES_OAEP_SHA_256: 'RSAES_OAEP_SHA_256',
  RSAES_OAEP_SHA_1: 'RSAES_OAEP_SHA_1',
}

interface WrapOptions extends Common {
  readonly publicKey: string
  readonly algorithm: string
  readonly material?: string
  readonly keepAs?: string
  readonly from?: string
  readonly out: string
}

function registerWrap(ekm: Command, { run, common, print }: Tools): void {
  common(ekm, 'wrap-for-import', 'make or take key material and wrap it for the import parameters of a provider')
    .requiredOption('--public-key <file>', 'the wrapping key that GetParametersForImport answered (DER, PEM or Base64)')
    .addOption(
      new Option('--algorithm <name>', 'wrapping algorithm')
        .choices(Object.keys(ALGORITHMS))
        .default('RSAES_OAEP_SHA_256'),
    )
    .option('--material <file>', 'wrap these 32 bytes instead of new ones')
    .option('--keep-as <tenant/key>', 'also keep the material here, as an external key')
    .option('--from <key>', 'wrap the current material of a key that is kept here')
    .requiredOption('--out <file>', 'where to write the wrapped material, for ImportKeyMaterial')
    .addHelpText(
      'after',
      `\nExample:\n  aws kms get-parameters-for-import --key-id KEY --wrapping-algorithm RSAES_OAEP_SHA_256 \\\n    --wrapping-key-spec RSA_4096 --query PublicKey --output text > wrapping-key.b64\n  holdfast ekm wrap-for-import --public-key wrapping-key.b64 --keep-as customers/acme/backup --out wrapped.bin\n${EXIT_HELP}`,
    )
    .action((options: WrapOptions) =>
      run(options, async control => {
        const material = options.material === undefined ? undefined : readInput(options.material)
        try {
          const { wrapped, fingerprint } = await admin.wrapForImport(control, {
            publicKey: readInput(options.publicKey),
            algorithm: ALGORITHMS[options.algorithm] ?? 'RSAES_OAEP_SHA_256',
            material,
            keepAs: options.keepAs,
            from: options.from,
          })
          writeFileSync(options.out, wrapped)
          const shown = { out: options.out, bytes: wrapped.length, fingerprint: fingerprint.toString('hex') }
          const kept = options.keepAs === undefined ? '' : `\nThe same material is kept here as ${options.keepAs}.`
          print(
            options,
            { ...shown, keptAs: options.keepAs },
            `Wrapped into ${options.out}; fingerprint of the material ${shown.fingerprint}${kept}`,
          )
        } finally {
          material?.fill(0)
        }
      }),
    )
}

function explain(error: unknown, data: string): [text: string, code: number] {
  if (error instanceof admin.AdminError) return [error.message, EXIT.refused]
  if (!(error instanceof BoundaryError)) return [error instanceof Error ? error.message : String(error), EXIT.refused]
  if (error.code === 'Unavailable') {
    const text = `No boundary of an owner can be reached on ${data} (${error.detail || 'no answer'}).`
    return [`${text}\nStart it: holdfast ekm --config FILE, or name another folder with --data.`, EXIT.unavailable]
  }
  if (error.code === 'Locked') return ['The boundary is locked. Open it first: holdfast unlock', EXIT.unavailable]
  return [`The boundary refuses it: ${error.detail || error.code}.`, EXIT.refused]
}

function readInput(file: string): Buffer {
  try {
    return readFileSync(file === '-' ? 0 : file)
  } catch (error) {
    throw new admin.AdminError(`${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown reason'}.`)
  }
}

/** Makes the file, closed to others; it must not exist, so that nobody's open file gets a secret. Returns how to write it. */
function newSecretFile(file: string): (text: string) => void {
  try {
    writeFileSync(file, '', { flag: 'wx', mode: 0o600 })
  } catch (error) {
    throw new admin.AdminError(`${file} cannot be made: ${(error as NodeJS.ErrnoException).code ?? 'unknown reason'}.`)
  }
  return text => writeFileSync(file, text, { mode: 0o600 })
}

/** As it stands in a path, or as a name. */
export function tenantName(prefix: string): string {
  return prefix.replace(/^\/+|\/+$/g, '') || '/'
}

function prefixOption(prefix: string | undefined): string | undefined {
  return prefix === undefined ? undefined : tenantName(prefix)
}

function collect(value: string, all: readonly string[]): string[] {
  if (value === '') throw new InvalidArgumentError('It must not be empty.')
  return [...all, value]
}

function time(milliseconds: number): string {
  return milliseconds === 0 ? '' : new Date(milliseconds).toISOString()
}
