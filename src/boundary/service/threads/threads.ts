/**
 * The threads of slow work seen from the boundary's own thread: as many as there are processors but one, which keeps a processor for everything else; each
 * is started when it is first needed. A private key is lent to a thread for one job, and stays referenced here until that is done.
 */
import type { KeyObject } from 'node:crypto'
import os from 'node:os'
import { Worker } from 'node:worker_threads'
import type { MessageType, SigningAlgorithm } from '../../algorithms.ts'
import type { Padding } from '../../crypto/oaep.ts'
import type { Pair, PublicHalf } from '../../crypto/pairs.ts'
import type { PrivateWork } from '../../crypto/private-work.ts'
import { entryFile } from '../../installed.ts'
import { BoundaryError } from '../../words.ts'
import type { Job, Result } from './jobs.ts'

/** What may wait for a thread. More is more than anybody waits for. */
const MAX_WAITING = 1024
/** Jobs that a thread has at once: enough that it never waits for the next, few enough that another thread takes the rest. */
const AT_ONCE = 32
/** Without a bound V8 gives a thread room for garbage that it never needs. */
const RESOURCES = { maxYoungGenerationSizeMb: 4 }

interface Asked {
  readonly job: Job
  /** Referenced until the job is done. */
  readonly lent: unknown
  readonly resolve: (result: Result) => void
}

class Thread {
  readonly #worker: Worker
  /** In the order in which results come. */
  readonly #under: Asked[] = []
  #outbox: Job[] = []

  constructor(whenFree: () => void) {
    this.#worker = new Worker(entryFile('boundary/service/threads/thread'), {
      name: 'holdfast-slow',
      execArgv: [],
      resourceLimits: RESOURCES,
    })
    this.#worker.unref()
    this.#worker.on('message', (results: readonly Result[]) => {
      for (const result of results) this.#under.shift()?.resolve(result)
      if (this.#under.length === 0) this.#worker.unref()
      whenFree()
    })
    // Jobs never throw, so this is a defect or no memory: the process ends and is started anew, as for anything else of the kind.
    this.#worker.on('error', error => {
      throw error
    })
  }

  get busyWith(): number {
    return this.#under.length
  }

  give(asked: Asked): void {
    if (this.#under.length === 0) this.#worker.ref()
    this.#under.push(asked)
    if (this.#outbox.push(asked.job) === 1) process.nextTick(() => this.#send())
  }

  /** What one turn brings goes as one message. */
  #send(): void {
    this.#worker.postMessage(this.#outbox)
    this.#outbox = []
  }
}

export class Threads implements PrivateWork {
  readonly width: number
  readonly #threads: Thread[] = []
  readonly #waiting: Asked[] = []

  constructor(width: number) {
    this.width = width
  }

  async sign(pair: Pair, algorithm: SigningAlgorithm, type: MessageType, message: Buffer): Promise<Buffer> {
    const native = type === 'RAW' ? undefined : pair.native().address
    const job = {
      ...({ kind: 'sign', key: pair.privateKey, native, algorithm, type } as const),
      message: copied(message),
    }
    return made(await this.#run(job, pair))
  }

  /** Whether the signature is valid. The message has been checked. */
  async verify(
    half: PublicHalf,
    algorithm: SigningAlgorithm,
    type: MessageType,
    message: Buffer,
    signature: Buffer,
  ): Promise<boolean> {
    const native = type === 'RAW' ? undefined : half.nativePublic().address
    const result = await this.#run(
      {
        ...({ kind: 'verify', key: half.publicKey, native, algorithm, type } as const),
        message: copied(message),
        signature: copied(signature),
      },
      half,
    )
    if ('valid' in result) return result.valid
    throw errorOf(result)
  }

  /** Throws InvalidPublicKey where the peer's key leads to no secret. */
  async agree(privateKey: KeyObject, peer: KeyObject): Promise<Buffer> {
    return made(await this.#run({ kind: 'agree', key: privateKey, peer }, privateKey))
  }

  async rsaDecrypt(privateKey: KeyObject, padding: Padding, ciphertext: Buffer): Promise<Buffer> {
    const own = padding.kind === 'oaep' && padding.label ? { ...padding, label: copied(padding.label) } : padding
    const job = { kind: 'rsaDecrypt', key: privateKey, padding: own, ciphertext: copied(ciphertext) } as const
    return made(await this.#run(job, privateKey))
  }

  #run(job: Job, lent: unknown): Promise<Result> {
    return new Promise((resolve, reject) => {
      const asked = { job, lent, resolve }
      const thread = this.#free()
      if (thread !== undefined) thread.give(asked)
      else if (this.#waiting.length >= MAX_WAITING) reject(new BoundaryError('Busy', 'too many slow operations wait'))
      else this.#waiting.push(asked)
    })
  }

  /** The thread with the least to do; a new one rather than one that is busy. */
  #free(): Thread | undefined {
    let least = this.#threads[0]
    for (const thread of this.#threads) if (thread.busyWith < (least?.busyWith ?? 0)) least = thread
    if (this.#threads.length < this.width && (least === undefined || least.busyWith > 0)) {
      const thread = new Thread(() => this.#refill(thread))
      this.#threads.push(thread)
      return thread
    }
    return least !== undefined && least.busyWith < AT_ONCE ? least : undefined
  }

  #refill(thread: Thread): void {
    while (thread.busyWith < AT_ONCE) {
      const next = this.#waiting.shift()
      if (next === undefined) return
      thread.give(next)
    }
  }
}

/** Bytes that stand alone: what a view is of would be handed over as a whole. */
const copied = (view: Uint8Array): Uint8Array => new Uint8Array(view)

function made(result: Result): Buffer {
  if ('made' in result) return Buffer.from(result.made.buffer, result.made.byteOffset, result.made.byteLength)
  throw errorOf(result)
}

function errorOf(result: Result): Error {
  if ('error' in result) return new BoundaryError(result.error, result.detail)
  return new Error('failed' in result ? result.failed : 'another result was expected')
}

/** Private operations of RSA and of the slower curves, ML-DSA: about a millisecond each. */
export const threads = new Threads(Math.max(1, Math.min(16, os.availableParallelism() - 1)))
