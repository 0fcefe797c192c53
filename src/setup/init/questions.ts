/** What `holdfast init` asks, for both services: few questions, each with a default where there is a sound one, and each a flag as well. */
import { join } from 'node:path'
import { openRecipients } from '../../backup/age.ts'
import { BackupError } from '../../backup/errors.ts'

export type RootKind = 'keyfile' | 'passphrase' | 'pkcs11'

export const ROOT_KINDS: readonly RootKind[] = ['keyfile', 'passphrase', 'pkcs11']

/** Of every service. */
export interface CommonAnswers {
  /** Folder of configuration, certificates and data; made where it is missing. Absolute. */
  readonly folder: string
  /** The name by which others reach it. */
  readonly host: string
  readonly root: RootKind
  /** Of a token. */
  readonly module: string | undefined
  readonly tokenLabel: string | undefined
  readonly pinFile: string | undefined
  /** Users of front end and boundary; undefined: both run as whoever starts the service. */
  readonly users: { readonly frontEnd: string; readonly boundary: string } | undefined
  /** A certificate that is there already; undefined: a root of our own and a certificate under it are made. */
  readonly certificateFile: string | undefined
  readonly keyFile: string | undefined
  /** Who can open backups, an age recipient, and the folder that they go to; undefined: none is made. Absolute. */
  readonly recipient: string | undefined
  readonly backupDir: string | undefined
}

export interface Question<A> {
  readonly name: keyof A & string
  /** Its flag, where that is not its name with hyphens. */
  readonly flag?: string
  /** As it is asked. */
  readonly text: string
  /** Undefined: it must be answered. */
  readonly fallback: (given: Partial<A>) => string | undefined
  /** Whether it is asked at all. */
  readonly asked: (given: Partial<A>) => boolean
  /** What is wrong with an answer; empty where nothing is. */
  readonly wrong: (text: string) => string
}

export const flagOf = ({ name, flag }: { readonly name: string; readonly flag?: string }): string =>
  flag ?? `--${name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`

export const always = (): boolean => true
export const none = (): undefined => undefined
export const filled = (text: string): string => (text === '' ? 'it must not be empty' : '')

/** The answer that leaves something out. */
const NONE = 'none'
const USERS = /^[a-z_][a-z0-9_-]{0,31},[a-z_][a-z0-9_-]{0,31}$/

export function readUsers(text: string): CommonAnswers['users'] {
  const [frontEnd = '', boundary = ''] = text.split(',')
  return text === NONE ? undefined : { frontEnd, boundary }
}

function wrongUsers(text: string): string {
  if (text === NONE) return ''
  if (!USERS.test(text)) return 'two names with a comma, of front end and boundary: or none'
  const { frontEnd, boundary } = readUsers(text) ?? {}
  return frontEnd === boundary ? 'two different users' : ''
}

/** What opens the boundary, and as whom it runs. */
export const rootQuestions: readonly Question<CommonAnswers>[] = [
  {
    name: 'root',
    text: 'What opens the boundary: keyfile (a file beside the data), passphrase (asked at each start) or pkcs11 (an HSM)?',
    fallback: () => 'keyfile',
    asked: always,
    wrong: text => ((ROOT_KINDS as readonly string[]).includes(text) ? '' : `one of ${ROOT_KINDS.join(', ')}`),
  },
  ...(
    [
      ['module', 'Path of the PKCS#11 module?'],
      ['tokenLabel', 'Label of the token?'],
      ['pinFile', 'File with the user PIN (mode 0600)?'],
    ] as const
  ).map(([name, text]) => ({
    name,
    text,
    fallback: none,
    asked: ({ root }: Partial<CommonAnswers>) => root === 'pkcs11',
    wrong: filled,
  })),
]

/** Only root can start a service as two others. */
export const usersQuestion = (isRoot: boolean): Question<CommonAnswers> => ({
  name: 'users',
  text: 'As which two users do front end and boundary run (FRONT-END,BOUNDARY; none: as whoever starts it, and not isolated from each other)?',
  fallback: () => NONE,
  asked: () => isRoot,
  wrong: wrongUsers,
})

/** The first backup, and those that follow. */
export const backupQuestions: readonly Question<CommonAnswers>[] = [
  {
    name: 'recipient',
    text: 'Who is to open backups (an age recipient, age1…, whose identity is not on this machine; none: no backup is made)?',
    fallback: () => NONE,
    asked: always,
    wrong: text => (text === NONE ? '' : wrongRecipient(text)),
  },
  {
    name: 'backupDir',
    text: 'Into which folder do they go (best on another machine’s disk)?',
    fallback: ({ folder = '' }) => join(folder, 'backups'),
    asked: ({ recipient }) => recipient !== undefined,
    wrong: filled,
  },
]

export const readRecipient = (text: string): string | undefined => (text === NONE ? undefined : text)

function wrongRecipient(text: string): string {
  try {
    openRecipients([text], [])
    return ''
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    return error.message
  }
}

/** The boundary's section of a configuration. */
export function boundaryOf(answers: CommonAnswers, keyFile: string) {
  const { root, module = '', tokenLabel = '', pinFile = '', users } = answers
  const roots = {
    keyfile: { kind: 'keyfile', file: keyFile },
    passphrase: { kind: 'passphrase' },
    pkcs11: { kind: 'pkcs11', module, tokenLabel, pinFile },
  } as const
  return { root: roots[root], ...(users === undefined ? {} : { users }) }
}
