/**
 * Real boundary processes for tests: started by the supervisor in a folder of their own, with a front end's connection held by the test.
 */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { TestContext } from 'node:test'
import type { KeyRow } from '../../src/boundary/client/api.ts'
import { type ControlConnection, connectControl } from '../../src/boundary/client/control.ts'
import { connectUse, type UseConnection } from '../../src/boundary/client/use.ts'
import type { BoundaryConfig } from '../../src/boundary/config.ts'
import { type Service, startService } from '../../src/boundary/supervisor/supervisor.ts'
import { BoundaryError, type BoundaryErrorCode, type Row, type WriteSet } from '../../src/boundary/words.ts'

export const temporaryFolder = (): string => fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-boundary-'))

export interface Running {
  readonly folder: string
  readonly service: Service
  readonly use: UseConnection
  readonly control: ControlConnection
  /** Rows as a store would hold them, from write sets alone. */
  readonly rows: Map<string, Row>
  /** Number of the last write set applied. */
  applied: number
  /** Resolves at the next connection, or at once where there is one and nothing is missing. */
  connected(): Promise<void>
  stop(): Promise<void>
}

export interface RunOptions {
  readonly config?: Partial<BoundaryConfig>
  readonly onWriteSet?: (set: WriteSet) => Promise<void>
}

export const configOf = (folder: string, more: Partial<BoundaryConfig> = {}): BoundaryConfig => ({
  service: 'kms',
  folder: path.join(folder, 'boundary'),
  dev: true,
  root: { kind: 'keyfile', file: path.join(folder, 'root.key') },
  logOrigin: 'test.example/log',
  ...more,
})

/** Stopped after the test, if the test did not. */
export async function run(t: TestContext, folder: string, options: RunOptions = {}): Promise<Running> {
  const boundary = configOf(folder, options.config)
  const socket = path.join(boundary.folder, 'use.sock')
  const service = startService({
    boundary,
    frontEnd: { entry: path.join(import.meta.dirname, 'front-end.ts'), config: { socket } },
    log: () => {},
  })
  await service.ready
  const rows = new Map<string, Row>()
  const waiting: (() => void)[] = []
  const take = (set: WriteSet): void => {
    if (set.number <= running.applied) return
    assert.equal(set.number, running.applied + 1, 'write sets come without gaps')
    for (const row of set.rows) rows.set(`${row.kind} ${row.id}`, row)
    running.applied = set.number
  }
  let up = false
  const use = connectUse({
    socket,
    onWriteSet: async set => {
      take(set)
      await options.onWriteSet?.(set)
    },
    onState: async state => {
      up = false
      if (state.kind === 'disconnected') return
      for (;;) {
        const { sets } = await use.writeSets(running.applied, 1000)
        for (const set of sets) take(set)
        if (sets.length === 0) break
      }
      up = true
      for (const wake of waiting.splice(0)) wake()
    },
  })
  const running: Running = {
    folder,
    service,
    use,
    control: connectControl({ socket: path.join(boundary.folder, 'control.sock') }),
    rows,
    applied: 0,
    connected: () => (up ? Promise.resolve() : new Promise(resolve => waiting.push(resolve))),
    stop: async () => {
      use.close()
      running.control.close()
      await service.stop()
    },
  }
  t.after(() => running.stop())
  await running.connected()
  return running
}

export const fails =
  (...codes: BoundaryErrorCode[]) =>
  (error: unknown): true => {
    assert.ok(error instanceof BoundaryError, String(error))
    assert.ok(codes.includes(error.code), error.message)
    return true
  }

export const keyId = (n: number): string => `eu-north-1/00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`

export const newKey = (use: UseConnection, n: number, policy = '{"Statement":[]}'): Promise<KeyRow> =>
  use.createKey(
    {
      id: keyId(n),
      scope: '111122223333/eu-north-1',
      account: '111122223333',
      spec: 'SYMMETRIC_DEFAULT',
      usage: 'ENCRYPT_DECRYPT',
      origin: 'AWS_KMS',
      multiRegion: false,
      manager: 'CUSTOMER',
      managerService: '',
      policy: Buffer.from(policy),
      keyStoreId: '',
      xksKeyId: '',
      rows: [],
    },
    { operation: 'CreateKey' },
  )
