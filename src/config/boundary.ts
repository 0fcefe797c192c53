/**
 * From a service's settings to what its boundary's process is told at the start: folders under the data folder, the root of trust, users by number,
 * and the name of the log.
 */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { z } from 'zod'
import { serviceFolders } from './folders.ts'
import type { Quotas } from './quotas.ts'
import type * as shared from './shared.ts'
import { namedTokens, type RootConfig, rootConfig, tokenConfig } from './shared.ts'

/** What both services' settings have. */
export interface ServiceSettings {
  readonly data: string
  readonly boundary: z.output<typeof shared.boundary> & Partial<z.output<typeof shared.ownersBoundary>>
  readonly log: z.output<typeof shared.log>
  /** Of the ekm: that it has an admin API. */
  readonly admin?: object | undefined
  readonly cloudHsm?: { readonly clusters: Readonly<Record<string, Parameters<typeof tokenConfig>[0]>> }
  readonly quotas?: Pick<Quotas, 'keys' | 'onDemandRotations'>
}

interface User {
  readonly uid: number
  readonly gid: number
}

/** The shape that the boundary's supervisor takes. */
export interface BoundarySettings<Service extends 'kms' | 'ekm'> {
  readonly service: Service
  readonly folder: string
  readonly dev: boolean
  readonly root: RootConfig
  readonly logOrigin: string
  readonly retentionDays?: number
  readonly tokens: ReturnType<typeof namedTokens>
  readonly clusters: readonly ({ readonly id: string } & ReturnType<typeof tokenConfig>)[]
  readonly limits: {
    readonly openKeys?: number
    readonly floorBytes?: number
    readonly segmentBytes: number
    readonly keys?: number
    readonly onDemandRotations?: number
    readonly maxEncryptions?: number
    readonly renewAfter?: number
  }
  readonly admin?: { readonly folder: string }
  readonly users?: Users
}

export interface Users {
  readonly frontEnd: User
  readonly boundary: User
  readonly admin?: User
}

/** Makes the data folder where it is missing. Throws an Error that says what to change. */
export function boundarySettings<Service extends 'kms' | 'ekm'>(
  service: Service,
  settings: ServiceSettings,
  dev: boolean,
): BoundarySettings<Service> {
  const { data, boundary, log, cloudHsm, quotas } = settings
  const { root, users, openKeys, floorBytes, maxEncryptions, renewAfter } = boundary
  mkdirSync(data, { recursive: true, mode: users === undefined ? 0o700 : 0o711 })
  return {
    service,
    folder: serviceFolders(data).boundary,
    dev,
    root: rootConfig(root),
    tokens: namedTokens(boundary.tokens ?? {}),
    clusters: Object.entries(cloudHsm?.clusters ?? {}).map(([id, token]) => ({ id, ...tokenConfig(token) })),
    logOrigin: log.origin ?? keptOrigin(service, data),
    ...(log.retention === undefined ? {} : { retentionDays: log.retention.days }),
    limits: {
      segmentBytes: log.segmentBytes,
      ...(openKeys === undefined ? {} : { openKeys }),
      ...(floorBytes === undefined ? {} : { floorBytes }),
      ...(maxEncryptions === undefined ? {} : { maxEncryptions }),
      ...(renewAfter === undefined ? {} : { renewAfter }),
      ...(quotas === undefined ? {} : { keys: quotas.keys, onDemandRotations: quotas.onDemandRotations }),
    },
    ...(users === undefined ? {} : { users: usersOf(users) }),
    ...(settings.admin === undefined ? {} : { admin: { folder: serviceFolders(data).admin } }),
  }
}

/** The users that the configuration names, by number. Throws an Error that names one that this machine does not have. */
export function usersOf({ frontEnd, boundary, admin }: NonNullable<ServiceSettings['boundary']['users']>): Users {
  return {
    frontEnd: user('frontEnd', frontEnd),
    boundary: user('boundary', boundary),
    ...(admin === undefined ? {} : { admin: user('admin', admin) }),
  }
}

/**
 * A log must keep its name for ever, so one that was made up is kept beside it. Two starts at once take the same: the file gets its name when it is whole, and
 * whoever comes second reads it.
 */
function keptOrigin(service: string, data: string): string {
  const file = join(data, 'log-origin')
  const kept = readOrigin(file)
  if (kept !== undefined) return kept
  const origin = `holdfast-${service}-${randomBytes(8).toString('hex')}`
  const temporary = `${file}.${process.pid}.new`
  try {
    writeFileSync(temporary, `${origin}\n`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error
    throw new Error(`this user cannot keep a name for the log in ${data}: set log.origin in the configuration`)
  }
  try {
    linkSync(temporary, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(temporary)
  }
  return readOrigin(file) ?? origin
}

function readOrigin(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return undefined
  }
}

function user(setting: string, name: string): User {
  const [uid, gid] = ['-u', '-g'].map(flag => {
    const { status, stdout } = spawnSync('id', [flag, '--', name], { encoding: 'utf8' })
    return status === 0 ? Number(stdout.trim()) : Number.NaN
  })
  if (uid === undefined || gid === undefined || Number.isNaN(uid) || Number.isNaN(gid))
    throw new Error(`boundary.users.${setting}: there is no user ${name} on this machine`)
  return { uid, gid }
}
