/**
 * The supervisor: starts a service's processes, boundary, front end and an owner's admin API, starts each anew when it dies while the others go on,
 * and stops them in order. It has no listener and holds no secret.
 */
import path from 'node:path'
import { type BoundaryConfig, type BoundaryMessage, EXIT_CODES } from '../config.ts'
import { threadPoolSize } from '../pkcs11/types.ts'
import { type Log, stderrLog } from '../service/log.ts'
import { SLOW_THREADS, USUAL_THREADS } from '../service/slow.ts'
import { Child } from './children.ts'
import { giveFolders } from './users.ts'

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

/** What a front end sends over IPC. `line` is what the service prints when it is ready: one JSON object, without secrets that nobody is to see. */
export type FrontEndMessage =
  | { readonly type: 'ready'; readonly line: Readonly<Record<string, unknown>> }
  | { readonly type: 'failed'; readonly reason: string }

/** A process that serves administrators from afar, beside the front end and without its rights. Its messages are a front end's. */
export interface AdminSpec {
  readonly entry: string
  readonly config: object
}

export interface ServiceSpec {
  readonly boundary: BoundaryConfig
  readonly frontEnd: FrontEndSpec
  readonly admin?: AdminSpec
  readonly log?: Log
  /** File descriptor for the log lines of both processes and of the supervisor; 2 unless given. */
  readonly stderr?: number
  /** Milliseconds for the front end to finish what is in flight, and for the boundary after it. Default 15,000 each. */
  readonly stopDeadlineMs?: number
}

export interface Service {
  /** Resolves with the front end's line when both are ready; rejects with `ServiceFailed` where an operator must change something first. */
  readonly ready: Promise<Readonly<Record<string, unknown>>>
  /** Resolves with the exit code when the service has ended, however it did. */
  readonly ended: Promise<number>
  readonly pids: () => { readonly frontEnd: number | undefined; readonly boundary: number | undefined }
  /** Front end first, boundary after it. */
  stop(): Promise<void>
}

/** The service cannot run until someone changes something; the message says what. */
export class ServiceFailed extends Error {
  readonly exitCode: number
  constructor(exitCode: number, message: string) {
    super(message)
    this.name = 'ServiceFailed'
    this.exitCode = exitCode
  }
}

/**
 * Flags of the boundary's Node: no debugger by signal, no code from strings, and no collecting because nothing was asked for a while, which the next requests
 * would pay for.
 */
export const BOUNDARY_FLAGS = [
  '--disable-sigusr1',
  '--disallow-code-generation-from-strings',
  '--no-memory-reducer',
] as const
/** Of the front end's: megabytes for new objects. Requests live for a millisecond, and the default is made for programs with more memory. */
const FRONT_END_FLAGS = ['--max-semi-space-size=16'] as const
/** Sessions of a token where the configuration names no number (pkcs11/types.ts). */
const DEFAULT_SESSIONS = 8
const FINAL: ReadonlySet<number> = new Set([EXIT_CODES.refused, EXIT_CODES.damaged, EXIT_CODES.inUse])

/** The environment of the boundary: a token's vendor may need any of it; nothing in it may change what Node runs. */
export function boundaryEnv(config: BoundaryConfig): NodeJS.ProcessEnv {
  const ofRoot = config.root.kind === 'pkcs11' ? [config.root] : []
  const tokens = [...ofRoot, ...(config.tokens ?? []), ...(config.clusters ?? [])]
  if (tokens.length > 0) {
    const { NODE_OPTIONS: _options, NODE_PATH: _path, LD_PRELOAD: _preload, ...rest } = process.env
    const threads = tokens.reduce(
      (sum, { sessions = DEFAULT_SESSIONS }) => sum + threadPoolSize(sessions),
      SLOW_THREADS,
    )
    return { ...rest, UV_THREADPOOL_SIZE: String(threads) }
  }
  const { PATH, LANG, TZ } = process.env
  return {
    UV_THREADPOOL_SIZE: String(USUAL_THREADS + SLOW_THREADS),
    ...(PATH === undefined ? {} : { PATH }),
    ...(LANG === undefined ? {} : { LANG }),
    ...(TZ === undefined ? {} : { TZ }),
  }
}

export function startService(spec: ServiceSpec): Service {
  const stderr = spec.stderr ?? 2
  const log = spec.log ?? stderrLog('supervisor', stderr)
  const deadline = spec.stopDeadlineMs ?? 15_000
  const ready = Promise.withResolvers<Readonly<Record<string, unknown>>>()
  const ended = Promise.withResolvers<number>()
  ready.promise.catch(() => {})
  const { users } = spec.boundary
  if (users !== undefined) giveFolders(spec.boundary, spec.frontEnd.folders ?? [])
  let reason = ''
  let stopped: Promise<void> | undefined
  let everReady = false
  let boundaryReady = false
  let frontEndFailure: (() => void) | undefined
  let line: Readonly<Record<string, unknown>> | undefined
  /** What the admin API adds to the line; undefined while it is awaited. */
  let adminLine: Readonly<Record<string, unknown>> | undefined = spec.admin === undefined ? {} : undefined
  /** They start side by side, and either can be the later one. */
  const whenReady = (): void => {
    if (!boundaryReady || line === undefined || adminLine === undefined) return
    everReady = true
    ready.resolve({ ...line, ...adminLine })
  }
  /** What says at the very first start that it failed will say so again; later, a start may fail for a reason that passes. */
  const isFinal = (code: number): boolean => FINAL.has(code) || (!everReady && reason !== '')

  const fail = (code: number, why: string): void => {
    const message = reason === '' ? why : reason
    log('error', `the service stops: ${message}`)
    ready.reject(new ServiceFailed(code, message))
    void stop(code)
  }
  const boundary = new Child({
    name: 'boundary',
    entry: path.join(import.meta.dirname, '..', 'service', `main${path.extname(import.meta.filename)}`),
    nodeFlags: BOUNDARY_FLAGS,
    env: boundaryEnv(spec.boundary),
    user: users?.boundary,
    config: spec.boundary,
    // Stopped by the administrator over the control socket: the whole service ends.
    isFinal: code => code === EXIT_CODES.stopped || isFinal(code),
    onMessage: message => {
      const told = message as BoundaryMessage
      if (told.type === 'failed') reason = told.reason
      else if (told.type === 'ready') {
        boundary.wentWell()
        boundaryReady = true
        frontEndFailure?.()
        whenReady()
      }
    },
    onFinal: (code, why) => {
      if (code === EXIT_CODES.stopped) void stop(code)
      else fail(code, why)
    },
    log,
    stderr,
  })
  const frontEnd = new Child({
    name: 'front end',
    entry: spec.frontEnd.entry,
    nodeFlags: [
      ...FRONT_END_FLAGS,
      ...(spec.frontEnd.heapMegabytes === undefined ? [] : [`--max-old-space-size=${spec.frontEnd.heapMegabytes}`]),
    ],
    env: spec.frontEnd.env ?? process.env,
    user: users?.frontEnd,
    config: spec.frontEnd.config,
    isFinal,
    onMessage: message => {
      const told = message as FrontEndMessage
      if (told.type === 'failed') reason ||= told.reason
      else if (told.type === 'ready') {
        frontEnd.wentWell()
        line = told.line
        whenReady()
      }
    },
    onFinal: (code, why) => {
      // Where both fail for one cause (a folder that is in use), the boundary's word on it is the one that says what to do.
      if (boundaryReady) fail(code, why)
      else frontEndFailure = () => fail(code, why)
    },
    log,
    stderr,
  })

  const admin =
    spec.admin &&
    new Child({
      name: 'admin API',
      entry: spec.admin.entry,
      nodeFlags: [],
      env: process.env,
      user: users?.admin,
      config: spec.admin.config,
      isFinal,
      onMessage: message => {
        const told = message as FrontEndMessage
        if (told.type === 'failed') reason ||= told.reason
        else if (told.type === 'ready') {
          admin?.wentWell()
          adminLine = told.line
          whenReady()
        }
      },
      onFinal: fail,
      log,
      stderr,
    })

  const stop = (code: number): Promise<void> => {
    stopped ??= (async () => {
      await Promise.all([frontEnd.stop(deadline), admin?.stop(deadline)])
      await boundary.stop(deadline)
      ready.reject(new ServiceFailed(code, 'the service was stopped'))
      ended.resolve(code)
    })()
    return stopped
  }
  // Side by side: the front end waits for its connection, and a service is ready sooner.
  boundary.start()
  frontEnd.start()
  admin?.start()
  return {
    ready: ready.promise,
    ended: ended.promise,
    pids: () => ({ frontEnd: frontEnd.pid, boundary: boundary.pid }),
    stop: () => stop(0),
  }
}

/** Stops the service at SIGTERM and SIGINT, and ends this process with its exit code. */
export function untilSignalled(service: Service): Promise<number> {
  const onSignal = (): void => void service.stop()
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  return service.ended.finally(() => {
    process.off('SIGTERM', onSignal)
    process.off('SIGINT', onSignal)
  })
}
