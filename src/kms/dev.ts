/**
 * `holdfast kms --dev`: a whole KMS for a laptop or a CI job, in a temporary folder unless given one, with one principal that has every right.
 * It is for development: the root of trust is a file beside the data, and lifecycle time can be moved.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectControl } from '../boundary/client/control.ts'
import { type Service, startService } from '../boundary/supervisor/supervisor.ts'
import { boundarySettings, serviceFolders } from '../config/boundary.ts'
import { type KmsConfig, kmsConfig } from '../config/kms.ts'
import { makeAdministrator } from './admin/index.ts'

export interface DevOptions {
  /** 0 takes a free port. */
  readonly port: number
  readonly account: string
  readonly regions: readonly string[]
  /** A temporary folder, removed at the end, unless given. */
  readonly data: string | undefined
  readonly credential: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined
}

/** What is printed when the service is ready: one line of JSON. */
export interface DevLine {
  readonly endpoint: string
  readonly accountId: string
  readonly regions: readonly string[]
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly pid: number
}

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
}): KmsConfig {
  return kmsConfig.schema.parse({
    data: input.data,
    listen: { host: '127.0.0.1', port: input.port },
    regions: [...input.regions],
    account: input.account,
    boundary: { root: { kind: 'keyfile', file: join(input.data, 'root.key') } },
    xks: { hosts: input.hosts ?? {} },
  })
}

/** Starts front end and boundary of a service. */
export function startKmsService(config: KmsConfig, dev: boolean): Service {
  const folders = serviceFolders(config.data)
  return startService({
    boundary: boundarySettings('kms', config, dev),
    frontEnd: { entry: join(import.meta.dirname, 'main.ts'), config, folders: [folders.frontEnd] },
  })
}

export async function startKmsDev(options: DevOptions): Promise<DevService> {
  const data = options.data ?? mkdtempSync(join(tmpdir(), 'holdfast-kms-'))
  const { port, account, regions } = options
  const service = startKmsService(defaultConfig({ data, port, account, regions }), true)
  const stop = async (): Promise<void> => {
    await service.stop()
    if (options.data === undefined) rmSync(data, { recursive: true, force: true })
  }
  try {
    const ready = await service.ready
    const control = connectControl({ socket: join(serviceFolders(data).boundary, 'control.sock') })
    const { credential } = options
    const given = credential && {
      accessKeyId: credential.accessKeyId,
      secretAccessKey: Buffer.from(credential.secretAccessKey),
    }
    const made = await makeAdministrator(control, { account, user: 'developer', given }).finally(() => control.close())
    const { accessKeyId } = made
    const secretAccessKey = made.secretAccessKey.reveal(bytes => bytes.toString('latin1'))
    const line = {
      endpoint: String(ready['endpoint']),
      accountId: account,
      regions,
      accessKeyId,
      secretAccessKey,
      pid: process.pid,
    }
    return { line, service, data, stop }
  } catch (error) {
    await stop()
    throw error
  }
}
