/**
 * The first start, for a moment: it makes the boundary, and what nobody can do without. On loopback and free ports only, so that it meets nobody, and on the
 * folder that the service will have.
 */
import { openSync } from 'node:fs'
import { join } from 'node:path'
import { openRecipients } from '../../backup/age.ts'
import { backUpTo } from '../../backup/backup.ts'
import { type ControlConnection, connectControl } from '../../boundary/client/control.ts'
import type { Service } from '../../boundary/supervisor/supervisor.ts'
import { type EkmConfig, ekmConfig } from '../../config/ekm.ts'
import { serviceFolders } from '../../config/folders.ts'
import { type KmsConfig, kmsConfig } from '../../config/kms.ts'
import { loadConfig } from '../../config/load.ts'
import { createTenant } from '../../ekm/admin/index.ts'
import { startEkmService } from '../../ekm/dev.ts'
import { makeAdministrator } from '../../kms/admin/index.ts'
import { startKmsService } from '../../kms/dev.ts'
import type { CommonAnswers } from './questions.ts'

export interface FirstCredential {
  readonly principal: string
  readonly accessKeyId: string
  /** Shown once. */
  readonly secretAccessKey: string
}

export interface FirstBackup {
  /** The file that was made; undefined with a problem. */
  readonly file: string | undefined
  /** Why none was made. It is no reason to lose what was made before it. */
  readonly problem: string | undefined
}

export interface First<T> {
  readonly made: T
  readonly backup: FirstBackup | undefined
}

type WithBackup = Pick<CommonAnswers, 'recipient' | 'backupDir'>

/** A user with every right, and its access key; then a backup. Throws an Error that says what to change where the service does not start. */
export function firstPrincipal(
  config: string,
  account: string,
  user: string,
  backup: WithBackup,
): Promise<First<FirstCredential>> {
  const settings = quiet(loadConfig(config, kmsConfig)) as KmsConfig
  return running(startKmsService(settings, false, discarded()), settings.data, async control => {
    const { accessKeyId, secretAccessKey } = await makeAdministrator(control, { account, user })
    const made = {
      principal: `arn:aws:iam::${account}:user/${user}`,
      accessKeyId,
      secretAccessKey: secretAccessKey.reveal(bytes => bytes.toString('latin1')),
    }
    return { made, backup: await backUp(config, settings.data, backup) }
  })
}

/** The same for a key manager. */
export function firstTenant(config: string, tenant: string, backup: WithBackup): Promise<First<string>> {
  const settings = quiet(loadConfig(config, ekmConfig)) as EkmConfig
  return running(startEkmService(settings, false, discarded()), settings.data, async control => {
    const made = (await createTenant(control, tenant, [])).tenant
    return { made, backup: await backUp(config, settings.data, backup) }
  })
}

async function backUp(
  config: string,
  data: string,
  { recipient, backupDir }: WithBackup,
): Promise<FirstBackup | undefined> {
  if (recipient === undefined || backupDir === undefined) return undefined
  try {
    const encrypter = openRecipients([recipient], [])
    const { file } = await backUpTo(backupDir, { data, encrypter, full: false, config, onProgress: () => {} })
    return { file, problem: undefined }
  } catch (error) {
    return { file: undefined, problem: (error as Error).message }
  }
}

async function running<T>(service: Service, data: string, act: (control: ControlConnection) => Promise<T>): Promise<T> {
  const control = connectControl({ socket: join(serviceFolders(data).boundary, 'control.sock') })
  try {
    await service.ready
    return await act(control)
  } finally {
    control.close()
    await service.stop()
  }
}

/** What the processes write: why one does not start is in the error. */
const discarded = (): number => openSync('/dev/null', 'a')

/** Every listener on loopback, at a port that is free. */
function quiet(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(quiet)
  if (typeof value !== 'object' || value === null) return value
  const section = Object.fromEntries(Object.entries(value).map(([name, below]) => [name, quiet(below)]))
  return {
    ...section,
    ...(typeof section.port === 'number' ? { port: 0 } : {}),
    ...(typeof section.port === 'number' && typeof section.host === 'string' ? { host: '127.0.0.1' } : {}),
  }
}
