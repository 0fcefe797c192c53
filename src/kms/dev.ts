/**
 * `holdfast kms --dev`: a whole KMS for a laptop or a CI job, in a temporary folder unless given one, with one principal that has every right.
 * It is for development: the root of trust is a file beside the data unless a token is given, and lifecycle time can be moved.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { connectControl } from '../boundary/client/control.ts'
import { entryFile } from '../boundary/installed.ts'
import type { FrontEndSpec } from '../boundary/supervisor/programs.ts'
import { type Service, startService } from '../boundary/supervisor/supervisor.ts'
import { BoundaryError } from '../boundary/words.ts'
import { boundarySettings } from '../config/boundary.ts'
import { serviceFolders } from '../config/folders.ts'
import { type KmsConfig, kmsConfig } from '../config/kms.ts'
import { heapMegabytes } from '../config/shared.ts'
import {
  deleteCredential,
  type GivenCredential,
  listCredentials,
  makeAdministrator,
  type NewCredential,
} from './admin/index.ts'
import type { Seed } from './seed/read.ts'
import type { DANGEROUSLY_ACCEPT_ANY_CREDENTIALS } from './wire/any-credentials.ts'

export interface DevOptions {
  /** 0 takes a free port. */
  readonly port: number
  readonly account: string
  readonly regions: readonly string[]
  /** Kept after the end; undefined: a temporary folder, which is removed. */
  readonly data: string | undefined
  readonly credential: GivenCredential | undefined
  /** Where the root of trust is a key in a PKCS#11 token; else it is a file beside the data. */
  readonly token?: DevToken | undefined
  /** Keys to make where they are not there. */
  readonly seed?: Seed | undefined
  /** Callers need no credential. */
  readonly danger?: typeof DANGEROUSLY_ACCEPT_ANY_CREDENTIALS | undefined
  /** See the boundary's configuration. */
  readonly acceptClock?: number | undefined
}

export interface DevToken {
  /** Path of the vendor's module. */
  readonly module: string
  readonly label: string
  readonly pinFile: string
}

/** What is printed when the service is ready: one line of JSON. */
export interface DevLine {
  readonly endpoint: string
  readonly accountId: string
  readonly regions: readonly string[]
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** URL of the operator's listener. */
  readonly operations: string
  readonly data: string
  readonly pid: number
  /** Of a seed: how many keys were made now; the others were there. */
  readonly seeded?: number
  /** Callers need no credential. */
  readonly anyCredentials?: true
}

const RETRY_MS = 50

/** The principal with every right. */
const DEVELOPER = 'developer'

export interface DevService {
  readonly line: DevLine
  readonly service: Service
  readonly data: string
  /** Stops both processes, and removes a temporary folder. */
  stop(): Promise<void>
}

/** The settings of a service that is started without a file. */
export function defaultConfig(input: {
  data: string
  port: number
  regions: readonly string[]
  account: string
  hosts?: object
  token?: DevToken | undefined
}): KmsConfig {
  const { token } = input
  const root =
    token === undefined
      ? { kind: 'keyfile', file: join(input.data, 'root.key') }
      : { kind: 'pkcs11', module: token.module, tokenLabel: token.label, pinFile: token.pinFile }
  return kmsConfig.schema.parse({
    data: input.data,
    listen: { host: '127.0.0.1', port: input.port },
    regions: [...input.regions],
    account: input.account,
    boundary: { root },
    xks: { hosts: input.hosts ?? {} },
    quotas: { requests: { enforced: false } },
  })
}

/** Starts front end and boundary of a service. With `danger`, which is for `dev` alone, the front end is one whose callers need no credential. */
export function startKmsService(
  config: KmsConfig,
  dev: boolean,
  stderr?: number,
  { danger, acceptClock }: Pick<DevOptions, 'danger' | 'acceptClock'> = {},
): Service {
  if (danger !== undefined && !dev) throw new Error(`${danger.description} goes with --dev only`)
  return startService({
    ...(stderr === undefined ? {} : { stderr }),
    boundary: { ...boundarySettings('kms', config, dev), ...(acceptClock === undefined ? {} : { acceptClock }) },
    frontEnd: kmsFrontEnd(config, danger),
  })
}

export function kmsFrontEnd(config: KmsConfig, danger?: typeof DANGEROUSLY_ACCEPT_ANY_CREDENTIALS): FrontEndSpec {
  return {
    entry: entryFile(danger === undefined ? 'kms/main' : 'kms/main-any-credentials'),
    heapMegabytes: heapMegabytes(config.cache),
    config,
    folders: [serviceFolders(config.data).frontEnd],
  }
}

/** `onStart` gets the service before it is ready, so that a signal in between stops it. */
export async function startKmsDev(
  options: DevOptions,
  onStart: (service: Service) => void = () => {},
): Promise<DevService> {
  const { port, account, regions, credential, token, seed, danger, acceptClock } = options
  const data = options.data === undefined ? mkdtempSync(join(tmpdir(), 'holdfast-kms-')) : resolve(options.data)
  const remove = (): void => {
    if (options.data === undefined) rmSync(data, { recursive: true, force: true })
  }
  let service: Service
  try {
    service = startKmsService(defaultConfig({ data, port, account, regions, token }), true, undefined, {
      danger,
      acceptClock,
    })
  } catch (error) {
    remove()
    throw error
  }
  onStart(service)
  const stop = async (): Promise<void> => {
    await service.stop()
    remove()
  }
  try {
    const ready = await service.ready
    const { made, seeded } = await again(service, () => firstRows(data, account, credential, seed))
    const line: DevLine = {
      endpoint: String(ready.endpoint),
      accountId: account,
      regions,
      accessKeyId: made.accessKeyId,
      secretAccessKey: made.secretAccessKey.reveal(bytes => bytes.toString('latin1')),
      operations: String(ready.operations),
      data,
      pid: process.pid,
      ...(seeded === undefined ? {} : { seeded }),
      ...(danger === undefined ? {} : { anyCredentials: true }),
    }
    return { line, service, data, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Until the boundary answers: where it ended meanwhile it is started anew, and what was half done is done again. */
async function again<T>(service: Service, work: () => Promise<T>): Promise<T> {
  const ended = service.ended.then(() => true)
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof BoundaryError) || error.code !== 'Unavailable') throw error
      if ((await Promise.race([ended, delay(RETRY_MS)])) === true) throw error
    }
  }
}

/** The developer, and the keys of the seed. All of it can be done again. */
async function firstRows(
  data: string,
  account: string,
  given: GivenCredential | undefined,
  seed: Seed | undefined,
): Promise<{ readonly made: NewCredential; readonly seeded: number | undefined }> {
  const control = connectControl({ socket: join(serviceFolders(data).boundary, 'control.sock') })
  try {
    // Those of earlier runs cannot be shown again, and would add up to the limit.
    for (const { accessKeyId } of await listCredentials(control, `arn:aws:iam::${account}:user/${DEVELOPER}`))
      await deleteCredential(control, accessKeyId)
    const made = await makeAdministrator(control, { account, user: DEVELOPER, given })
    // Loaded where there is one: a start without is to be ready at once.
    return { made, seeded: seed && (await (await import('./seed/apply.ts')).applySeed(control, seed)) }
  } finally {
    control.close()
  }
}
