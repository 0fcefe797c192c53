/** The service as a process: whether it runs, as which users, how far it is closed, and how many files it may open. */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ROTATION_RESTS } from '../../boundary/service/rotation/rotation.ts'
import { ONE_USER } from '../../boundary/service/start.ts'
import { type Finding, finding } from './findings.ts'
import type { Machine, Subject } from './subject.ts'

/** Beside connections: journal, store, certificates, sockets. */
const OTHER_FILES = 512
const DEFAULT_CONNECTIONS = 4096

export function checkService({ running, root, data, config, service, rootProblem }: Subject): Finding[] {
  const values = { service, data, config: config?.file ?? 'FILE' }
  const dev = root?.dev === true ? [finding('service-dev', 'the folder was made with --dev', values)] : []
  if (running === undefined)
    return [
      ...dev,
      finding(
        'service-stopped',
        `no service answers on ${data}${rootProblem === 'ENOENT' ? ', and none has been started on it' : ''}`,
        values,
      ),
    ]
  const { pid, version, locked, logSize } = running
  return [
    ...dev,
    locked
      ? finding('service-locked', `it runs (boundary ${pid}), and is locked`, values)
      : finding('service-running', `holdfast ${service} ${version} runs (boundary ${pid}); records: ${logSize}`),
  ]
}

export function checkConfig({ config }: Subject): Finding[] {
  if (config === undefined) return [finding('config-none', 'no configuration was given')]
  const { file, problems } = config
  if (problems.length === 0) return [finding('config-good', `${file} is right`)]
  return problems.map(seen => finding('config-wrong', seen, { config: file }))
}

export async function checkIsolation(subject: Subject, machine: Machine): Promise<Finding[]> {
  const { running, config } = subject
  const users =
    running === undefined ? config?.settings.boundary.users !== undefined : !running.warnings.includes(ONE_USER)
  const known = running !== undefined || config !== undefined
  return [
    ...(known
      ? [users ? finding('users-two', 'front end and boundary run as two users') : finding('users-one', ONE_USER)]
      : []),
    ...(running === undefined ? [] : await closed(running.pid, running.warnings, subject, machine)),
  ]
}

async function closed(
  pid: number,
  warnings: readonly string[],
  { service }: Subject,
  { proc }: Machine,
): Promise<Finding[]> {
  const folder = join(proc, String(pid))
  // Of these there are findings of their own.
  const others = warnings.filter(each => each !== ONE_USER && !each.startsWith(ROTATION_RESTS))
  const findings = others.map(each => finding('process-warning', each))
  // What the kernel shows of a process belongs to its user where others of that user may look into it, and else to root: of root's own it shows nothing.
  const [shown, user] = await Promise.all([ownerOf(join(folder, 'mem')), userOf(folder)])
  const traceable = shown !== undefined && user !== undefined && user !== 0 && shown === user
  if (traceable)
    findings.push(
      finding('process-traceable', `the boundary (process ${pid}) can be looked into by others of its user`, {
        service,
      }),
    )
  const core = /^Max core file size +(\S+)/m.exec(await text(join(folder, 'limits')))?.[1] ?? '0'
  if (core !== '0')
    findings.push(
      finding('process-core', `the boundary (process ${pid}) may leave its memory in a core file when it crashes`),
    )
  if (findings.length > 0) return findings
  return [finding('process-closed', 'the boundary is closed to debuggers and leaves no core file')]
}

/** Of the running boundary, or of what would be started from here. */
export async function checkLimits({ running, config }: Subject, { proc }: Machine): Promise<Finding[]> {
  const limits = await text(join(proc, running === undefined ? 'self' : String(running.pid), 'limits'))
  const [, soft = 'unlimited'] = /^Max open files +(\S+)/m.exec(limits) ?? []
  const connections = config?.settings.limits.connections ?? DEFAULT_CONNECTIONS
  const least = connections + OTHER_FILES
  const seen = `${soft} open files, for ${connections} connections`
  return soft === 'unlimited' || Number(soft) >= least
    ? [finding('files-enough', seen)]
    : [finding('files-few', seen, { least: String(least) })]
}

const text = (file: string): Promise<string> => readFile(file, 'utf8').catch(() => '')

const ownerOf = (file: string): Promise<number | undefined> =>
  stat(file).then(
    ({ uid }) => uid,
    () => undefined,
  )

async function userOf(folder: string): Promise<number | undefined> {
  const uid = /^Uid:\s+(\d+)/m.exec(await text(join(folder, 'status')))?.[1]
  return uid === undefined ? undefined : Number(uid)
}
