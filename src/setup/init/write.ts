/** What `holdfast init` writes beside certificates: the configuration, read back as the service will, and the root's key file. Nothing is overwritten. */
import { chownSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { z } from 'zod'
import { createKeyFile } from '../../boundary/root/keyfile.ts'
import { boundarySettings, type ServiceSettings } from '../../config/boundary.ts'
import { type ConfigDefinition, loadConfig } from '../../config/load.ts'
import { AdminError } from '../../store/admin.ts'
import type { Certificates } from './certificates.ts'
import type { CommonAnswers } from './questions.ts'

/** Before anything is asked. Throws AdminError where the configuration is there already. */
export function unused(config: string): void {
  if (existsSync(config)) throw new AdminError(`${config} is there already: name another folder, or change that file.`)
}

interface Written<S extends z.ZodType> {
  readonly service: 'kms' | 'ekm'
  readonly answers: CommonAnswers
  /** Path of the configuration. */
  readonly file: string
  readonly definition: ConfigDefinition<S>
  certificates(): Promise<Certificates>
  configuration(certificates: Certificates): z.input<S>
}

/** Throws AdminError where something is there already, or a user is not there; ConfigError where what was written is not right. */
export async function writeAll<S extends z.ZodType<ServiceSettings>>(written: Written<S>): Promise<Certificates> {
  const { service, answers, file, definition } = written
  const { folder, users, root } = answers
  // The front end's user passes through it to the key of its certificate.
  mkdirSync(folder, { recursive: true, mode: users === undefined ? 0o700 : 0o711 })
  const certificates = await written.certificates().catch(error => {
    if (error?.code === 'EEXIST')
      throw new AdminError(`${error.path} is there already: move it away, or name it with --certificate.`)
    throw error
  })
  if (root === 'keyfile') await createKeyFile(join(folder, 'root.key'))
  writeFileSync(file, textOf(service, written.configuration(certificates)), { flag: 'wx', mode: 0o600 })
  const settings = loadConfig(file, definition)
  if (users !== undefined) giveKeys(certificates, boundarySettings(service, settings, false).users?.frontEnd)
  return certificates
}

/** The front end reads the key of its certificate itself. One that was given stays its owner's. */
function giveKeys(
  { made, keyFile }: Certificates,
  user: { readonly uid: number; readonly gid: number } | undefined,
): void {
  if (user !== undefined && made.includes(keyFile)) chownSync(keyFile, user.uid, user.gid)
}

function textOf(service: 'kms' | 'ekm', config: unknown): string {
  const settings = service === 'ekm' ? 'docs/ekm-settings.md, or\n# ' : ''
  const head = [
    `# Written by holdfast init ${service}. Every setting: ${settings}holdfast check-config --service ${service} --settings.`,
    `# After a change: holdfast check-config --service ${service} ${service}.yaml`,
  ]
  return `${head.join('\n')}\n${stringify(config, { lineWidth: 120, aliasDuplicateObjects: false })}`
}
