/**
 * A loaded PKCS#11 module: initialised once, called in one of two modes, and finalised only while no call is inside it.
 */
import { realpathSync } from 'node:fs'
import { CKR, ckrName } from './constants.ts'
import { type Cryptoki, type FunctionName, INFO_BYTES, initializeArguments, readInfo } from './cryptoki.ts'
import { type VendorProfile, vendorProfile } from './errors.ts'
import { type Argument, addressOf } from './koffi.ts'
import { TokenError } from './types.ts'

export type Maybe<T> = T | Promise<T>

/** Goes on with a value that may still be a promise, without leaving the tick where it is not. */
export function andThen<T, U>(value: Maybe<T>, next: (value: T) => Maybe<U>): Maybe<U> {
  return value instanceof Promise ? value.then(next) : next(value)
}

/** What a sequence of calls came to: CKR_OK, or the first other value and the call that returned it. */
export interface Ran {
  readonly rv: number
  readonly call: FunctionName
}

export type Step = readonly [name: FunctionName, ...args: Argument[]]

/** Modules in use in this process: closing a token closes all sessions of its slot, so a module has one user at a time. */
const inUse = new Set<string>()

export class Module {
  readonly path: string
  readonly #key: string
  readonly #functions: Cryptoki
  readonly manufacturer: string
  readonly library: string
  readonly vendor: VendorProfile
  /** Calls run on libuv's pool instead of on this thread. Set by the token before its first session. */
  asynchronous = true
  #inFlight = 0
  readonly #idle: (() => void)[] = []

  /** Initialises. Throws `TokenError` ModuleUnusable, or Misconfigured when another token of this process uses the module. */
  constructor(path: string, load: (path: string) => Cryptoki) {
    this.path = path
    this.#key = realPath(path)
    if (inUse.has(this.#key)) {
      throw new TokenError(
        'Misconfigured',
        `${path} is in use by another token of this process: one process, one token`,
      )
    }
    this.#functions = load(path)
    this.#initialize()
    const info = Buffer.alloc(INFO_BYTES)
    const rv = this.#functions.C_GetInfo(addressOf(info))
    if (rv !== CKR.OK) {
      this.#functions.C_Finalize(null)
      throw new TokenError('ModuleUnusable', `C_GetInfo of ${path} answered ${ckrName(rv)}`, rv)
    }
    const { manufacturer, library } = readInfo(info)
    this.manufacturer = manufacturer
    this.library = `${manufacturer}, ${library}`
    this.vendor = vendorProfile(manufacturer)
    inUse.add(this.#key)
  }

  #initialize(): void {
    const args = initializeArguments()
    const rv = this.#functions.C_Initialize(args)
    if (rv === CKR.OK || rv === CKR.CRYPTOKI_ALREADY_INITIALIZED) return
    throw new TokenError('ModuleUnusable', `C_Initialize of ${this.path} answered ${ckrName(rv)}`, rv)
  }

  /** Resolves when no call is inside the module. */
  idle(): Promise<void> {
    return this.#inFlight === 0 ? Promise.resolve() : new Promise(resolve => this.#idle.push(resolve))
  }

  /** One call. What its addresses point to must stay referenced until the promise has settled. */
  call(name: FunctionName, ...args: Argument[]): Maybe<number> {
    const callable = this.#functions[name]
    if (!this.asynchronous) return callable(...args)
    this.#inFlight += 1
    return new Promise((resolve, reject) => {
      callable.async(...args, (error: Error | null, rv: number) => {
        this.#inFlight -= 1
        if (this.#inFlight === 0) for (const idle of this.#idle.splice(0)) idle()
        if (error === null) resolve(rv)
        else reject(error)
      })
    })
  }

  /** Calls in turn until one does not return CKR_OK. */
  sequence(steps: readonly Step[], from = 0): Maybe<Ran> {
    for (let at = from; at < steps.length; at += 1) {
      const step = steps[at] as Step
      const rv = this.call(...step)
      if (rv instanceof Promise) {
        return rv.then(value =>
          value === CKR.OK && at + 1 < steps.length ? this.sequence(steps, at + 1) : { rv: value, call: step[0] },
        )
      }
      if (rv !== CKR.OK) return { rv, call: step[0] }
    }
    return { rv: CKR.OK, call: (steps[steps.length - 1] as Step)[0] }
  }

  /**
   * C_Finalize and C_Initialize: some modules see a token that has come back only then (SoftHSM is one). Not while a call is inside, which would be
   * undefined behaviour: false then.
   */
  reinitialize(): boolean {
    if (this.#inFlight > 0) return false
    this.#functions.C_Finalize(null)
    this.#initialize()
    return true
  }

  /** Lets go of the module. With a call inside it stays initialised: the process is about to end anyway. */
  close(): void {
    if (this.#inFlight === 0) this.#functions.C_Finalize(null)
    inUse.delete(this.#key)
  }
}

/** The loader also searches names without a slash, which are no paths. */
function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
