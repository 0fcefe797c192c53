/**
 * For tests: a boundary in this process, on real sockets in a folder of its own, with a front end's and an administrator's connection.
 */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { KeyRow } from '../../client/api.ts'
import { type ControlConnection, connectControl } from '../../client/control.ts'
import type { ServerHello } from '../../client/protocol/operations.ts'
import { connectUse, type UseConnection } from '../../client/use.ts'
import type { BoundaryConfig } from '../../config.ts'
import { readKeyHeader } from '../../crypto/sealed.ts'
import type { Disk } from '../../journal/disk.ts'
import { BoundaryError, type BoundaryErrorCode, type KeyHeader, type Row, type WriteSet } from '../../words.ts'
import type { Stopwatch } from '../ceremonies/ceremony.ts'
import { type RunningBoundary, startBoundary } from '../start.ts'

export interface InProcess {
  readonly running: RunningBoundary
  /** For another start on the same folder. */
  readonly folder: string
  readonly use: UseConnection
  readonly control: ControlConnection
  /** Every write set that the front end was given. */
  readonly sets: WriteSet[]
  /** Set by the journal when a write has failed. */
  fatal: Error | undefined
  /** The row of a key as the boundary has it. */
  key(id: string): Promise<KeyRow>
  /** Closes everything; the folder stays for another start. */
  stop(): Promise<void>
  remove(): void
}

export interface InProcessOptions {
  readonly config?: Partial<BoundaryConfig>
  /** A folder of an earlier start. */
  readonly folder?: string
  readonly now?: () => number
  readonly disk?: Disk
  readonly held?: () => boolean
  readonly watch?: Stopwatch
  readonly onConnected?: (hello: ServerHello) => void
}

export async function inProcess(options: InProcessOptions = {}): Promise<InProcess> {
  const folder = options.folder ?? fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-service-'))
  const sets: WriteSet[] = []
  const running = await startBoundary({
    config: {
      service: 'kms',
      folder: path.join(folder, 'b'),
      dev: true,
      root: { kind: 'keyfile', file: path.join(folder, 'root.key') },
      logOrigin: 'test.example/log',
      ...options.config,
    },
    warnings: [],
    log: () => {},
    onFatal: error => {
      made.fatal = error
    },
    onStop: () => {},
    ...(options.now === undefined ? {} : { now: options.now }),
    ...(options.disk === undefined ? {} : { disk: options.disk }),
    ...(options.held === undefined ? {} : { held: options.held }),
    ...(options.watch === undefined ? {} : { watch: options.watch }),
  })
  const connected = Promise.withResolvers<void>()
  const use = connectUse({
    socket: running.useSocket,
    onWriteSet: async set => {
      sets.push(set)
    },
    onState: state => {
      if (state.kind !== 'connected') return
      options.onConnected?.(state.hello)
      connected.resolve()
    },
  })
  await connected.promise
  const control = connectControl({ socket: running.controlSocket })
  const made: InProcess = {
    running,
    folder,
    use,
    control,
    sets,
    fatal: undefined,
    key: async id => (await control.getRow('key', id)) as KeyRow,
    stop: async () => {
      use.close()
      control.close()
      await running.stop()
    },
    remove: () => fs.rmSync(folder, { recursive: true, force: true }),
  }
  return made
}

export const headerOfRow = (row: Row): KeyHeader => readKeyHeader(row.body ?? Buffer.alloc(0))

/** For `assert.rejects`. */
export const fails =
  (...codes: BoundaryErrorCode[]) =>
  (error: unknown): true => {
    assert.ok(error instanceof BoundaryError, String(error))
    assert.ok(codes.includes(error.code), error.message)
    return true
  }

export const SCOPE = '111122223333/eu-north-1'
export const keyId = (n: number): string => `eu-north-1/00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`

let made = 0
/** A new key of the KMS under an id that this process has not used. */
export const newKey = (use: UseConnection, more: object = {}): Promise<KeyRow> =>
  use.createKey(
    {
      id: keyId(++made),
      scope: SCOPE,
      account: '111122223333',
      spec: 'SYMMETRIC_DEFAULT',
      usage: 'ENCRYPT_DECRYPT',
      origin: 'AWS_KMS',
      multiRegion: false,
      manager: 'CUSTOMER',
      managerService: '',
      policy: Buffer.from('{"Statement":[]}'),
      keyStoreId: '',
      xksKeyId: '',
      rows: [],
      ...more,
    },
    { operation: 'CreateKey' },
  )
