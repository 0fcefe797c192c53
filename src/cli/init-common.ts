/** What setting up either service has in common: flags, and what is printed. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { TRIAL_DAYS } from '../setup/init/certificates.ts'
import type { FirstBackup, FirstCredential } from '../setup/init/first.ts'
import type { CommonAnswers } from '../setup/init/questions.ts'
import { type RootKind, readRecipient, readUsers } from '../setup/init/questions.ts'
import { type Step, stepsText } from '../setup/init/steps.ts'
import { AdminError } from '../store/admin.ts'
import type { World } from './admin-tools.ts'
import type { InitOptions, Texts } from './ask.ts'
import { EXIT_REFUSED } from './exit-codes.ts'

/** The part of the help that both have. */
export const INIT_HELP = `
Asks for what no flag has given, where there is a terminal; with --yes it takes the defaults. Certificates that are not given are made under a root of
their own: right for a trial, and replaced later by renaming others over them. Nothing that is there is overwritten.

The service is then started for a moment, on loopback, to make what nobody can do without; where it cannot be (root: passphrase) or may not be (--no-start),
the same is printed as commands.`

export const INIT_EXITS = 'Exit codes: 0 written; 1 wrong use, an answer is missing, or something was there already.'

export function withRoot(command: Command): Command {
  return command
    .option('--root <kind>', 'what opens the boundary: keyfile, passphrase or pkcs11')
    .option('--module <file>', 'pkcs11: the module')
    .option('--token-label <text>', 'pkcs11: label of the token')
    .option('--pin-file <file>', 'pkcs11: file with the user PIN')
    .option('--users <names>', 'users of front end and boundary, with a comma; needs a start as root')
    .option('--recipient <age1…>', 'age recipient of backups: the first one is made, and the next ones are printed')
    .option('--backup-dir <dir>', 'the folder that backups go to')
    .option('--certificate <file>', 'PEM file of the server’s certificate and its intermediates')
    .option('--certificate-key <file>', 'PEM file of its private key, mode 0600')
}

export function withHow(command: Command): Command {
  return command
    .option('--no-start', 'do not start the service for a moment: print what is to be made as commands')
    .option('--yes', 'ask nothing: take the defaults')
    .option('--json', 'print JSON')
}

/** Throws AdminError. */
export function givenTexts(options: InitOptions): Texts<CommonAnswers> {
  if ((options.certificate === undefined) !== (options.certificateKey === undefined))
    throw new AdminError('Give --certificate and --certificate-key together.')
  const { host, root, module, tokenLabel, pinFile, users, recipient, backupDir } = options
  return {
    ...(host !== undefined && { host }),
    ...(root !== undefined && { root }),
    ...(module !== undefined && { module: resolve(module) }),
    ...(tokenLabel !== undefined && { tokenLabel }),
    ...(pinFile !== undefined && { pinFile: resolve(pinFile) }),
    ...(users !== undefined && { users }),
    ...(recipient !== undefined && { recipient }),
    ...(backupDir !== undefined && { backupDir: resolve(backupDir) }),
  }
}

const file = (path: string | undefined): string | undefined => (path === undefined ? undefined : resolve(path))

/** Of what is known so far. */
export function readCommon(folder: string, options: InitOptions, texts: Texts<CommonAnswers>): Partial<CommonAnswers> {
  const { host, root, module, tokenLabel, pinFile, users, recipient, backupDir } = texts
  return {
    folder,
    ...(host !== undefined && { host }),
    ...(root !== undefined && { root: root as RootKind }),
    module,
    tokenLabel,
    pinFile,
    users: users === undefined ? undefined : readUsers(users),
    recipient: recipient === undefined ? undefined : readRecipient(recipient),
    backupDir: backupDir === undefined ? undefined : resolve(backupDir),
    certificateFile: file(options.certificate),
    keyFile: file(options.certificateKey),
  }
}

/** What came of it; `--json` prints it as it is. */
export interface Made {
  readonly config: string
  readonly certificates: readonly string[]
  readonly steps: readonly Step[]
  /** Of a KMS that was started for a moment. */
  readonly credential?: FirstCredential
  /** Of a key manager that was. */
  readonly tenant?: string
  /** The first backup, where somebody can open it. */
  readonly backup?: FirstBackup
}

/** Runs, prints, and sets the exit code. */
export async function setUp(
  options: InitOptions,
  { out, err }: Pick<World<never>, 'out' | 'err'>,
  act: () => Promise<Made>,
): Promise<void> {
  try {
    const made = await act()
    out(options.json === true ? JSON.stringify(made) : text(made))
  } catch (error) {
    if (!(error instanceof Error)) throw error
    err(error.message)
    process.exitCode = EXIT_REFUSED
  }
}

const text = ({ config, certificates, steps, credential, tenant, backup }: Made): string =>
  [
    `The configuration is ${config}, and has been checked.`,
    ...(certificates.length === 0
      ? []
      : [`Made for a trial, for ${TRIAL_DAYS} days:\n${certificates.map(each => `  ${each}`).join('\n')}`]),
    ...(tenant === undefined ? [] : [`The first tenant is made: ${tenant}`]),
    ...(backup === undefined
      ? []
      : [
          backup.problem === undefined
            ? `The first backup is made: ${backup.file}`
            : `NO BACKUP WAS MADE: ${backup.problem}`,
        ]),
    ...(credential === undefined
      ? []
      : [
          `${credential.principal} has every right. Its access key, whose secret is not shown again:\n\n  export AWS_ACCESS_KEY_ID=${credential.accessKeyId}\n  export AWS_SECRET_ACCESS_KEY=${credential.secretAccessKey}`,
        ]),
    `Next:\n\n${stepsText(steps)}`,
  ].join('\n\n')
