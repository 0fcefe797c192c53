/** What is looked at: a data folder, its configuration where one is given, the service on it where one runs, and the machine. */
import { readFile, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { UnknownVersion } from '../../boundary/bytes.ts'
import { connectControl } from '../../boundary/client/control.ts'
import type { RootStatus } from '../../boundary/client/root.ts'
import type { BoundaryStatus } from '../../boundary/client/said.ts'
import * as libc from '../../boundary/pkcs11/libc.ts'
import { parseRootFile, type RootFile } from '../../boundary/root/rootfile.ts'
import { BoundaryError } from '../../boundary/words.ts'
import { type EkmConfig, ekmConfig } from '../../config/ekm.ts'
import { serviceFolders } from '../../config/folders.ts'
import { type KmsConfig, kmsConfig } from '../../config/kms.ts'
import { loadConfig } from '../../config/load.ts'
import { ConfigError } from '../../config/problems.ts'

export interface Subject {
  readonly data: string
  /** The boundary's own folder under it. */
  readonly boundary: string
  readonly service: 'kms' | 'ekm'
  readonly config: GivenConfig | undefined
  readonly root: RootFile | undefined
  /** Why it is not there; ENOENT where there is none. */
  readonly rootProblem: string
  /** It is there, and a newer version wrote it. */
  readonly rootNewer: boolean
  readonly running: Pick<BoundaryStatus, 'pid' | 'locked' | 'version' | 'warnings' | 'logSize' | 'dev'> | undefined
  /** How far a rotation of the root is, where a service runs and is unlocked. */
  readonly rotation: RootStatus | undefined
  /** Folder of backups. */
  readonly backup: string | undefined
  /** Verify the whole log. */
  readonly full: boolean
}

export interface GivenConfig {
  readonly file: string
  readonly settings: KmsConfig | EkmConfig
  readonly problems: readonly string[]
}

/** The machine; tests give parts of another. */
export interface Machine {
  readonly proc: string
  readonly now: () => number
  readonly node: string
  readonly platform: string
  /** Bytes and inodes free for this user, of `blocks` and `files`, and the magic number of the file system. */
  readonly statfs: typeof statfs
  readonly clock: typeof libc.clockState
  readonly euid: number
}

export const THIS_MACHINE: Machine = {
  proc: '/proc',
  now: Date.now,
  node: process.versions.node,
  platform: process.platform,
  statfs,
  clock: libc.clockState,
  euid: process.geteuid?.() ?? 0,
}

export interface Asked {
  readonly data?: string | undefined
  readonly config?: string | undefined
  readonly backup?: string | undefined
  readonly full: boolean
}

/** Reads what there is. Throws ConfigError where the configuration is of no service at all, and an Error where neither folder nor configuration is given. */
export async function subjectOf({ data: named, config: file, backup, full }: Asked): Promise<Subject> {
  const config = file === undefined ? undefined : readConfig(file)
  const data = named ?? config?.settings.data
  if (data === undefined) throw new Error('Say what to look at: --data DIR, --config FILE, or both.')
  const { boundary } = serviceFolders(data)
  const read = await readRoot(boundary)
  const { running, rotation } = await statusOf(boundary)
  const service = read.root?.service ?? (config !== undefined && 'regions' in config.settings ? 'kms' : 'ekm')
  return { data, boundary, service, config, ...read, running, rotation, backup, full }
}

/** As the service that it fits. Files that are not there are told as problems, and do not end the looking. */
function readConfig(file: string): GivenConfig {
  const errors: ConfigError[] = []
  for (const definition of [kmsConfig, ekmConfig] as const) {
    try {
      const settings =
        definition === kmsConfig
          ? loadConfig(file, kmsConfig, { files: false })
          : loadConfig(file, ekmConfig, { files: false })
      return { file, settings, problems: problemsWithFiles(file, definition === kmsConfig) }
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      errors.push(error)
    }
  }
  throw errors.toSorted((a, b) => a.problems.length - b.problems.length)[0] ?? new Error(file)
}

function problemsWithFiles(file: string, kms: boolean): string[] {
  try {
    if (kms) loadConfig(file, kmsConfig)
    else loadConfig(file, ekmConfig)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map(({ path, message }) => `${path}: ${message}`)
  }
}

async function readRoot(boundary: string): Promise<Pick<Subject, 'root' | 'rootProblem' | 'rootNewer'>> {
  try {
    return { root: parseRootFile(await readFile(join(boundary, 'root'))), rootProblem: '', rootNewer: false }
  } catch (error) {
    const rootProblem = (error as NodeJS.ErrnoException).code ?? (error as Error).message
    return { root: undefined, rootProblem, rootNewer: error instanceof UnknownVersion }
  }
}

async function statusOf(boundary: string): Promise<Pick<Subject, 'running' | 'rotation'>> {
  const control = connectControl({ socket: join(boundary, 'control.sock') })
  try {
    const running = await control.status()
    return { running, rotation: running.locked ? undefined : await control.rootStatus() }
  } catch (error) {
    if (error instanceof BoundaryError && error.code === 'Unavailable')
      return { running: undefined, rotation: undefined }
    throw error
  } finally {
    control.close()
  }
}
