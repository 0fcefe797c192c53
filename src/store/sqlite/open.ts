/**
 * The embedded store: one SQLite file. Writes and checkpoints run in a worker thread, because a checkpoint stalls for milliseconds; point reads are
 * short enough for the calling thread.
 */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { Writer } from '../../boundary/bytes.ts'
import { entryFile } from '../../boundary/installed.ts'
import type { WriteSet } from '../../boundary/words.ts'
import { StoreError } from '../errors.ts'
import { checkNumber, writeSets } from '../rows.ts'
import type { Store } from '../types.ts'
import { SqliteReader } from './reader.ts'
import type { FromWorker, ToWorker } from './worker.ts'

export interface SqliteOptions {
  /** Made with mode 0600 if it does not exist. */
  readonly file: string
  /** Reads only, beside a service that may be writing. */
  readonly readOnly?: boolean
}

/** Rejects with StoreError `Locked` while another process writes this file, `NewerSchema` for a file of a later version, `NotAStore`, `NotFound`. */
export async function openSqliteStore({ file, readOnly = false }: SqliteOptions): Promise<Store> {
  if (readOnly && !existsSync(file)) throw new StoreError('NotFound', file)
  const writing = readOnly ? undefined : await WritingThread.start(file)
  let reader: SqliteReader
  try {
    reader = new SqliteReader(file)
  } catch (error) {
    await writing?.close()
    throw error
  }
  let closed = false
  const open = () => {
    if (closed) throw new StoreError('Closed')
    return reader
  }
  return {
    appliedUpTo: async () => open().appliedUpTo(),
    async apply(sets) {
      open()
      if (writing === undefined) throw new StoreError('ReadOnly')
      await writing.apply(sets)
    },
    async reset(to) {
      open()
      checkNumber(to)
      if (writing === undefined) throw new StoreError('ReadOnly')
      await writing.reset(to)
    },
    get: async (kind, id) => open().get(kind, id),
    list: async (kind, scope, page) => open().list(kind, scope, page),
    listLinked: async (kind, link, page) => open().listLinked(kind, link, page),
    listPrefixed: async (kind, prefix, page) => open().listPrefixed(kind, prefix, page),
    listAll: async (kind, page) => open().listAll(kind, page),
    async close() {
      if (closed) return
      closed = true
      await writing?.drain()
      reader.close()
      await writing?.close()
    },
  }
}

/** Without a bound V8 gives a thread room for garbage that it never needs. */
const RESOURCES = { maxYoungGenerationSizeMb: 4 }

interface Call {
  /** What to apply; or the number to which the store is reset. */
  readonly sets: readonly WriteSet[] | number
  readonly resolve: () => void
  readonly reject: (error: StoreError) => void
}

/** The worker thread seen from here. Calls that come while it commits go together in the next commit. */
class WritingThread {
  readonly #worker: Worker
  #waiting: Call[] = []
  #committing: Call[] = []
  #failed: StoreError | undefined
  readonly #idle: (() => void)[] = []
  readonly #exited: Promise<void>

  private constructor(worker: Worker) {
    this.#worker = worker
    worker.on('message', (message: FromWorker) => this.#receive(message))
    worker.on('error', error => this.#fail(new StoreError('Failed', error instanceof Error ? error.message : '')))
    this.#exited = new Promise(resolve => {
      worker.on('exit', () => {
        this.#fail(new StoreError('Closed'))
        resolve()
      })
    })
  }

  static async start(file: string): Promise<WritingThread> {
    const worker = new Worker(entryFile('store/sqlite/worker'), {
      workerData: file,
      name: 'holdfast-store',
      execArgv: [],
      resourceLimits: RESOURCES,
    })
    const [first] = (await once(worker, 'message').catch((error: Error) => {
      throw new StoreError('Failed', error.message)
    })) as [FromWorker]
    if (first.type === 'refused') throw new StoreError(first.error.code, first.error.detail)
    return new WritingThread(worker)
  }

  apply(sets: readonly WriteSet[]): Promise<void> {
    return this.#ask(sets)
  }

  reset(to: number): Promise<void> {
    return this.#ask(to)
  }

  #ask(sets: Call['sets']): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failed) reject(this.#failed)
      else {
        this.#waiting.push({ sets, resolve, reject })
        if (this.#committing.length === 0) this.#commit()
      }
    })
  }

  #commit(): void {
    const [first] = this.#waiting
    if (typeof first?.sets === 'number') {
      this.#committing.push(...this.#waiting.splice(0, 1))
      const message: ToWorker = { type: 'reset', to: first.sets }
      this.#worker.postMessage(message)
      return
    }
    const bytes = new Writer(4096)
    for (let call = this.#waiting[0]; call !== undefined && typeof call.sets !== 'number'; call = this.#waiting[0]) {
      this.#waiting.shift()
      try {
        bytes.raw(encode(call.sets))
        this.#committing.push(call)
      } catch (error) {
        call.reject(error instanceof StoreError ? error : new StoreError('Invalid'))
      }
    }
    if (this.#committing.length === 0) {
      if (this.#waiting.length > 0) this.#commit()
      else this.#settle()
      return
    }
    const copy = new Uint8Array(bytes.done())
    const message: ToWorker = { type: 'apply', calls: this.#committing.length, bytes: copy }
    this.#worker.postMessage(message, [copy.buffer])
  }

  #receive(message: FromWorker): void {
    if (message.type !== 'applied') return
    const done = this.#committing
    this.#committing = []
    if (this.#waiting.length > 0) this.#commit()
    done.forEach(({ resolve, reject }, i) => {
      const error = message.results[i]
      if (error === undefined) resolve()
      else reject(new StoreError(error.code, error.detail))
    })
    this.#settle()
  }

  #settle(): void {
    if (this.#committing.length === 0 && this.#waiting.length === 0)
      for (const resolve of this.#idle.splice(0)) resolve()
  }

  #fail(error: StoreError): void {
    this.#failed ??= error
    const calls = [...this.#committing, ...this.#waiting]
    this.#committing = []
    this.#waiting = []
    for (const { reject } of calls) reject(this.#failed)
    this.#settle()
  }

  /** Resolves when nothing waits or is being committed. */
  drain(): Promise<void> {
    if (this.#committing.length === 0 && this.#waiting.length === 0) return Promise.resolve()
    return new Promise(resolve => this.#idle.push(resolve))
  }

  async close(): Promise<void> {
    await this.drain()
    const message: ToWorker = { type: 'close' }
    this.#worker.postMessage(message)
    await this.#exited
  }
}

/** One call's bytes; a call that is malformed is refused before any of them are sent. */
function encode(sets: readonly WriteSet[]): Buffer {
  const bytes = new Writer(1024)
  writeSets(bytes, sets)
  return bytes.done()
}
