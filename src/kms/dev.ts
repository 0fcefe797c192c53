/**
 * `holdfast kms --dev`: a whole KMS for a laptop or a CI job, in a temporary folder unless given one, with one principal that has every right.
 * It is for development: the root of trust is a file beside the data unless a token is given, and lifecycle time can be moved.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { extname, join, resolve } from 'node:path'
import { connectControl } from '../boundary/client/control.ts'
import { type Service, startService } from '../boundary/supervisor/supervisor.ts'
import { boundarySettings, serviceFolders } from '../config/boundary.ts'
import { type KmsConfig, kmsConfig } from '../config/kms.ts'
import { heapMegabytes } from '../config/shared.ts'
import {
  deleteCredential,
  type GivenCredential,
  listCredentials,
  makeAdministrator,
  type NewCredential,
} from './admin/index.ts'

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
}

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

/** Starts front end and boundary of a service. */
export function startKmsService(config: KmsConfig, dev: boolean, stderr?: number, acceptClock?: number): Service {
  return startService({
    ...(stderr === undefined ? {} : { stderr }),
    boundary: { ...boundarySettings('kms', config, dev), ...(acceptClock === undefined ? {} : { acceptClock }) },
    frontEnd: {
      entry: join(import.meta.dirname, `main${extname(import.meta.filename)}`),
      heapMegabytes: heapMegabytes(config.cache),
      config,
      folders: [serviceFolders(config.data).frontEnd],
    },
  })
}

/** `onStart` gets the service before it is ready, so that a signal in between stops it. */
export async function startKmsDev(
  options: DevOptions,
  onStart: (service: Service) => void = () => {},
): Promise<DevService> {
  const { port, account, regions, credential, token, acceptClock } = options
  const data = options.data === undefined ? mkdtempSync(join(tmpdir(), 'holdfast-kms-')) : resolve(options.data)
  const remove = (): void => {
    if (options.data === undefined) rmSync(data, { recursive: true, force: true })
  }
  let service: Service
  try {
    service = startKmsService(defaultConfig({ data, port, account, regions, token }), true, undefined, acceptClock)
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
    const made = await administrator(data, account, credential)
    const line: DevLine = {
      endpoint: String(ready.endpoint),
      accountId: account,
      regions,
      accessKeyId: made.accessKeyId,
      secretAccessKey: made.secretAccessKey.reveal(bytes => bytes.toString('latin1')),
      operations: String(ready.operations),
      data,
      pid: process.pid,
    }
    return { line, service, data, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function administrator(
  data: string,
  account: string,
  given: GivenCredential | undefined,
): Promise<NewCredential> {
  const control = connectControl({ socket: join(serviceFolders(data).boundary, 'control.sock') })
  try {
    // Those of earlier runs cannot be shown again, and would add up to the limit.
    for (const { accessKeyId } of await listCredentials(control, `arn:aws:iam::${account}:user/${DEVELOPER}`))
      await deleteCredential(control, accessKeyId)
    return await makeAdministrator(control, { account, user: DEVELOPER, given })
  } finally {
    control.close()
  }
}
