/** The processes of a service as programs: what Node runs, with which flags, in which environment. Whoever starts them, they are the same. */
import type { BoundaryConfig } from '../config.ts'
import { entryFile } from '../installed.ts'
import { threadPoolSize } from '../pkcs11/types.ts'
import { SLOW_THREADS } from '../service/slow.ts'

export interface Program {
  readonly entry: string
  readonly nodeFlags: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

export interface FrontEndSpec {
  /** The front end's file, run by the same Node. It gets `config` as its first IPC message. */
  readonly entry: string
  /** Megabytes that its JavaScript objects may take; V8 collects the sooner the nearer they are. Node's own limit where it is left out. */
  readonly heapMegabytes?: number
  readonly config: object
  /** Folders that are the front end's alone; with two users they are made and given to its user. */
  readonly folders?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
}

/** A process that serves administrators from afar, beside the front end and without its rights. Its messages are a front end's. */
export interface AdminSpec {
  readonly entry: string
  readonly config: object
}

/**
 * Flags of the boundary's Node: no debugger by signal, no code from strings, and no collecting because nothing was asked for a while, which the next requests
 * would pay for.
 */
const BOUNDARY_FLAGS = ['--disable-sigusr1', '--disallow-code-generation-from-strings', '--no-memory-reducer'] as const
/** Of the front end's: megabytes for new objects. Requests live for a millisecond, and the default is made for programs with more memory. */
const FRONT_END_FLAGS = ['--max-semi-space-size=16'] as const
/** Sessions of a token where the configuration names no number (pkcs11/types.ts). */
const DEFAULT_SESSIONS = 8
/** The environment of the boundary: a token's vendor may need any of it; nothing in it may change what Node runs. */
function boundaryEnv(config: BoundaryConfig): NodeJS.ProcessEnv {
  const ofRoot = config.root.kind === 'pkcs11' ? [config.root] : []
  const tokens = [...ofRoot, ...(config.tokens ?? []), ...(config.clusters ?? [])]
  if (tokens.length > 0) {
    const {
      NODE_OPTIONS: _options,
      NODE_PATH: _path,
      NODE_COMPILE_CACHE: _compiled,
      LD_PRELOAD: _preload,
      ...rest
    } = process.env
    const threads = tokens.reduce(
      (sum, { sessions = DEFAULT_SESSIONS }) => sum + threadPoolSize(sessions),
      SLOW_THREADS,
    )
    return { ...rest, UV_THREADPOOL_SIZE: String(threads) }
  }
  const { PATH, LANG, TZ } = process.env
  return {
    // As for one session of a token: the root of trust can come into one while the process runs.
    UV_THREADPOOL_SIZE: String(threadPoolSize(1) + SLOW_THREADS),
    ...(PATH === undefined ? {} : { PATH }),
    ...(LANG === undefined ? {} : { LANG }),
    ...(TZ === undefined ? {} : { TZ }),
  }
}

export const boundaryProgram = (config: BoundaryConfig): Program => ({
  entry: entryFile('boundary/service/main'),
  nodeFlags: BOUNDARY_FLAGS,
  env: boundaryEnv(config),
})

export const frontEndProgram = ({ entry, heapMegabytes, env }: FrontEndSpec): Program => ({
  entry,
  nodeFlags: [...FRONT_END_FLAGS, ...(heapMegabytes === undefined ? [] : [`--max-old-space-size=${heapMegabytes}`])],
  env: env ?? process.env,
})

export const adminProgram = ({ entry }: AdminSpec): Program => ({ entry, nodeFlags: [], env: process.env })
