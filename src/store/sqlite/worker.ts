/**
 * The worker thread of the embedded store: takes batches of `apply` calls, answers each batch when it is durable, and checkpoints in between.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { Reader } from '../../boundary/bytes.ts'
import type { StoreErrorCode } from '../errors.ts'
import { readSets } from '../rows.ts'
import { translate } from './translate.ts'
import { SqliteWriter } from './writer.ts'

export interface Refusal {
  readonly code: StoreErrorCode
  readonly detail: string
}
/** `apply`: a count of calls, then each as `writeSets` encodes it. `reset` is answered as one call. */
export type ToWorker =
  | { readonly type: 'apply'; readonly calls: number; readonly bytes: Uint8Array }
  | { readonly type: 'reset'; readonly to: number }
  | { readonly type: 'close' }
export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'refused'; readonly error: Refusal }
  /** In the order of the calls; undefined where one was applied. */
  | { readonly type: 'applied'; readonly results: readonly (Refusal | undefined)[] }
  | { readonly type: 'closed' }

/** A checkpoint waits for this much silence, so that it falls between bursts of commits. */
const QUIET_MS = 20

function start(): void {
  const port = parentPort
  if (port === null) throw new Error('this file is the entry of a worker thread')
  const post = (message: FromWorker) => port.postMessage(message)
  let writer: SqliteWriter
  try {
    writer = new SqliteWriter(workerData as string)
  } catch (error) {
    post({ type: 'refused', error: refusal(error) })
    port.close()
    return
  }
  let timer: NodeJS.Timeout | undefined
  const checkpoint = () => {
    timer = undefined
    writer.checkpoint()
  }
  port.on('message', (message: ToWorker) => {
    clearTimeout(timer)
    if (message.type === 'close') {
      writer.close()
      post({ type: 'closed' })
      port.close()
      return
    }
    post({
      type: 'applied',
      results: message.type === 'reset' ? [reset(writer, message.to)] : applyBatch(writer, message),
    })
    if (writer.checkpointDue()) timer = setTimeout(checkpoint, QUIET_MS)
  })
  post({ type: 'ready' })
}

function applyBatch(writer: SqliteWriter, message: ToWorker & { type: 'apply' }): (Refusal | undefined)[] {
  try {
    const { buffer, byteOffset, byteLength } = message.bytes
    const input = new Reader(Buffer.from(buffer, byteOffset, byteLength))
    const calls = Array.from({ length: message.calls }, () => readSets(input))
    input.end()
    return writer.apply(calls).map(error => error && refusal(error))
  } catch (error) {
    return Array.from({ length: message.calls }, () => refusal(error))
  }
}

function reset(writer: SqliteWriter, to: number): Refusal | undefined {
  try {
    writer.reset(to)
    return undefined
  } catch (error) {
    return refusal(error)
  }
}

function refusal(error: unknown): Refusal {
  const { code, detail } = translate(error)
  return { code, detail }
}

start()
