/**
 * The one file that imports koffi: shared libraries opened, C functions and raw memory as typed values. `libc.ts`, `libcrypto.ts` and
 * `cryptoki.ts` stand on it, and nothing else does. Addresses are bigints; whoever passes one keeps the memory behind it referenced until the call has returned.
 */
import koffi from 'koffi'

/** Asynchronous calls run on a stack of koffi's; vendors' modules may want more than its default of 128 KiB. */
koffi.config({ async_stack_size: 1024 * 1024 })

/** What a C function takes here: integers, addresses (0n is NULL), and buffers, whose address koffi takes for the time of a synchronous call. */
export type Argument = number | bigint | Buffer | null

/** A C function that returns an integer, in both forms. The asynchronous one runs on a thread of libuv's pool (UV_THREADPOOL_SIZE). */
export interface Callable {
  (...args: Argument[]): number
  /** Calls `done` on the event loop with what the function returned. Addresses in `args` must stay valid until then. */
  async(...args: [...Argument[], done: (error: Error | null, result: number) => void]): void
}

/** A C function that returns an address: null where it returns NULL. */
export type PointerCallable = (...args: Argument[]) => bigint | null

export interface Library {
  /** A C prototype, for example `int flock(int fd, int operation)`. Throws when the library has no such symbol. */
  func(prototype: string): Callable
  /** The same, of a function that returns `void *`. */
  pointer(prototype: string): PointerCallable
}

/**
 * Libraries stay loaded for ever: koffi unloads one when its handle is collected, under the functions that were had by pointer (C_GetFunctionList).
 */
const loaded = new Map<string, ReturnType<typeof koffi.load>>()

/** Opens a shared library by path or by the loader's name. Throws with the loader's message. */
export function openLibrary(path: string): Library {
  const library = loaded.get(path) ?? koffi.load(path)
  loaded.set(path, library)
  return functionsOf(library)
}

/** What this very program and the libraries it was started with export: Node exports the OpenSSL that it contains. */
export function ownProgram(): Library {
  const library = loaded.get('') ?? koffi.load(null)
  loaded.set('', library)
  return functionsOf(library)
}

const functionsOf = (library: ReturnType<typeof koffi.load>): Library => ({
  func: prototype => library.func(prototype) as unknown as Callable,
  pointer: prototype => library.func(prototype) as unknown as PointerCallable,
})

/** The value of errno after the last synchronous call. */
export function lastErrno(): number {
  return koffi.errno()
}

/** The address of a buffer's first byte. It is the caller's duty to keep the buffer referenced for as long as C may use the address. */
export function addressOf(buffer: Buffer): bigint {
  return koffi.address(buffer)
}

/** A function behind a pointer that a library handed out, for example a member of CK_FUNCTION_LIST. */
export function functionAt(pointer: bigint, prototype: string): Callable {
  let type = prototypes.get(prototype)
  if (type === undefined) {
    type = koffi.proto(prototype)
    prototypes.set(prototype, type)
  }
  return koffi.decode(pointer, type) as Callable
}

/** koffi refuses to define a named prototype twice. */
const prototypes = new Map<string, ReturnType<typeof koffi.proto>>()

/** Pointers that stand in C memory at `address`, as bigints. */
export function pointersAt(address: bigint, count: number): readonly bigint[] {
  const view = new BigUint64Array(koffi.view(address, count * 8).slice(0))
  return Array.from(view)
}
