/** What the administration commands of `holdfast ekm` share beside the tools of both services. */
import { rmSync, writeFileSync } from 'node:fs'
import type { ControlConnection } from '../boundary/client/control.ts'
import { AdminError } from '../ekm/admin/index.ts'
import { type Tools as AdminTools, makeTools, type World, world } from './admin-tools.ts'

export const DEFAULT_EKM_DATA = './holdfast-ekm'

export type EkmWorld = World<ControlConnection>
export type Tools = AdminTools<ControlConnection>

export const makeEkmTools = (use: EkmWorld = world): Tools => makeTools('ekm', DEFAULT_EKM_DATA, use)

export interface NewFile {
  write(content: string | Buffer): void
  /** Where nothing came of it. */
  remove(): void
}

/** Makes the file, closed to others, before what goes into it: it must not exist, so that nobody's open file gets a secret. */
export function newFile(file: string): NewFile {
  try {
    writeFileSync(file, '', { flag: 'wx', mode: 0o600 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why = code === 'EEXIST' ? 'exists already; name a new one' : `cannot be made: ${code ?? 'unknown reason'}`
    throw new AdminError(`${file} ${why}.`)
  }
  return {
    write: content => writeFileSync(file, content, { mode: 0o600 }),
    remove: () => rmSync(file, { force: true }),
  }
}

/** As it stands in a path, or as a name. */
export function tenantName(prefix: string): string {
  return prefix.replace(/^\/+|\/+$/g, '') || '/'
}

export function prefixOption(prefix: string | undefined): string | undefined {
  return prefix === undefined ? undefined : tenantName(prefix)
}

export function time(milliseconds: number): string {
  return milliseconds === 0 ? '' : new Date(milliseconds).toISOString()
}
