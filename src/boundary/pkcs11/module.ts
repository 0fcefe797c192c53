/**
 * A loaded PKCS#11 module: initialised once, called in one of two modes, and finalised only while no call is inside it. Its tokens share it, each in a slot of
 * its own.
 */
import { realpathSync } from 'node:fs'
import { CKR, ckrName } from './constants.ts'
import { type Cryptoki, type FunctionName, INFO_BYTES, initializeArguments, readInfo } from './cryptoki.ts'
import { type VendorProfile, vendorProfile } from './errors.ts'
import { type Argument, addressOf } from './koffi.ts'
import { Reinitialization, type SlotOwner } from './reinitialization.ts'
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

/** Modules in use in this process, by path: a module is initialised once for all. */
const inUse = new Map<string, Module>()

/** The module for one more token, which lets go of it with `close`. Throws `TokenError` ModuleUnusable. */
export function openModule(path: string, load: (path: string) => Cryptoki): Module {
  const module = inUse.get(realPath(path)) ?? new Module(path, load)
  module.join()
  return module
}

/** How the calls of one session are run. */
export interface Running {
  /** Whether the session's handle still names it. */
  readonly valid: () => boolean
  /** Off this thread, also where the module is called on it. */
  readonly aside: boolean
}

export class Module {
  readonly path: string
  readonly #key: string
  readonly #functions: Cryptoki
  readonly manufacturer: string
  readonly library: string
  readonly vendor: VendorProfile
  /** Calls run on libuv's pool instead of on this thread. Set by its first token before that has a session. */
  asynchronous = true
  /** Rises when the module is initialised anew: handles of before may name other sessions then. */
  epoch = 0
  #users = 0
  /** Slots whose token is open, each with the link that has it: closing a token closes all sessions of its slot. */
  readonly #slots = new Map<bigint, SlotOwner>()
  #connecting: Promise<unknown> = Promise.resolve()
  #inFlight = 0
  readonly #idle: (() => void)[] = []
  readonly #again: Reinitialization

  /** Initialises. Throws `TokenError` ModuleUnusable. */
  constructor(path: string, load: (path: string) => Cryptoki) {
    this.path = path
    this.#key = realPath(path)
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
    this.#again = new Reinitialization({
      owners: () => [...this.#slots.values()],
      calls: () => this.#inFlight,
      idle: () => this.idle(),
      mayDisturb: this.vendor.rereads,
      anew: () => {
        this.#functions.C_Finalize(null)
        this.epoch += 1
        this.#initialize()
      },
    })
    inUse.set(this.#key, this)
  }

  join(): void {
    this.#users += 1
  }

  /** Whether this is the only token of the module. */
  get alone(): boolean {
    return this.#users === 1
  }

  /** A slot is one link's until it lets go. Throws Misconfigured where another one has it. */
  claim(slot: bigint, link: SlotOwner): void {
    const owner = this.#slots.get(slot) ?? link
    if (owner !== link)
      throw new TokenError(
        'Misconfigured',
        `the token in slot ${slot} of ${this.path} is in use under another name here`,
      )
    this.#slots.set(slot, link)
  }

  release(slot: bigint, link: SlotOwner): void {
    if (this.#slots.get(slot) === link) this.#slots.delete(slot)
  }

  /** One connection is made after the other: none is half made while the module is initialised anew. */
  connecting<T>(connect: () => Promise<T>): Promise<T> {
    const made = this.#connecting.then(connect)
    this.#connecting = made.catch(() => undefined)
    return made
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
    return this.asynchronous ? this.callAside(name, ...args) : this.#functions[name](...args)
  }

  /** The same on libuv's pool, whichever way the module is called otherwise. */
  callAside(name: FunctionName, ...args: Argument[]): Promise<number> {
    const callable = this.#functions[name]
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

  /** Calls in turn until one does not return CKR_OK, or `valid` says that the session that they are for is no more. */
  sequence(steps: readonly Step[], { valid, aside }: Running, from = 0): Maybe<Ran> {
    for (let at = from; at < steps.length; at += 1) {
      const step = steps[at] as Step
      if (!valid()) return { rv: CKR.SESSION_HANDLE_INVALID, call: step[0] }
      const rv = aside ? this.callAside(...step) : this.call(...step)
      if (rv instanceof Promise) {
        return rv.then(value =>
          value === CKR.OK && at + 1 < steps.length
            ? this.sequence(steps, { valid, aside }, at + 1)
            : { rv: value, call: step[0] },
        )
      }
      if (rv !== CKR.OK) return { rv, call: step[0] }
    }
    return { rv: CKR.OK, call: (steps[steps.length - 1] as Step)[0] }
  }

  /**
   * C_Finalize and C_Initialize, for a token that is gone: reinitialization.ts. Inside `connecting`. Never while a call is inside, which would be undefined
   * behaviour. False where it was not done.
   */
  reinitialize(): Promise<boolean> {
    return this.#again.run()
  }

  /** A token that was gone has been found. */
  found(): void {
    this.#again.found()
  }

  /** One token less. The last one finalises; with a call inside it stays initialised: the process is about to end anyway. */
  close(): void {
    this.#users -= 1
    if (this.#users > 0) return
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
