/**
 * The supervisor: starts a service's processes, boundary, front end and an owner's admin API, starts each anew when it dies while the others go on,
 * and stops them in order. It has no listener and holds no secret.
 */
import { type BoundaryConfig, type BoundaryMessage, EXIT_CODES } from '../config.ts'
import { type Log, stderrLog } from '../service/log.ts'
import { Child } from './children.ts'
import { type AdminSpec, adminProgram, boundaryProgram, type FrontEndSpec, frontEndProgram } from './programs.ts'
import { giveFolders } from './users.ts'

/** What a front end sends over IPC. `line` is what the service prints when it is ready: one JSON object, without secrets that nobody is to see. */
export type FrontEndMessage =
  | { readonly type: 'ready'; readonly line: Readonly<Record<string, unknown>> }
  | { readonly type: 'failed'; readonly reason: string }

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

/** Starting anew is of no use after these. */
export const FINAL: ReadonlySet<number> = new Set([EXIT_CODES.refused, EXIT_CODES.damaged, EXIT_CODES.inUse])

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
    ...boundaryProgram(spec.boundary),
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
    ...frontEndProgram(spec.frontEnd),
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
      ...adminProgram(spec.admin),
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
