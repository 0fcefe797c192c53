/** All checks of one cloud, in the order in which their findings help: name, TLS, certificate, client certificate, protocol, clock, latency. */
import { CLOUDS, type Cloud, type CloudName } from './clouds.ts'
import { Caller, type DoctorAnswer, type DoctorRequest } from './http.ts'
import { checkCertificate, checkName, checkTls } from './network.ts'
import { PROBES, type ProbeOptions } from './probes.ts'
import { type Finding, ok, problem, type Target, warning } from './types.ts'

/** Requests whose latency is looked at, on one connection. */
const SAMPLES = 40
/** Seconds by which the clocks may differ: signatures are refused beyond 300. */
const CLOCK_WARN_S = 30
const CLOCK_FAIL_S = 240

export async function examine(name: CloudName, target: Target, options: ProbeOptions): Promise<Finding[]> {
  const cloud = CLOUDS[name]
  const findings = [...(await checkName(target, cloud)), ...(await checkTls(target, cloud))]
  if (findings.some(({ check, verdict }) => check === 'tls' && verdict === 'problem')) return findings
  findings.push(...(await checkCertificate(target, cloud)))
  // Nothing is sent to whoever has not shown to be the one that was asked for.
  if (findings.some(({ check, verdict }) => check === 'certificate' && verdict === 'problem')) return findings
  findings.push(...(await checkClient(name, cloud, target, options)))
  const caller = new Caller(target)
  try {
    findings.push(...(await checkProtocol(name, cloud, target, caller, options)))
  } finally {
    caller.close()
  }
  return findings
}

const ask = (name: CloudName, target: Target, caller: Caller, options: ProbeOptions): DoctorRequest | undefined =>
  PROBES[name].request(target, caller, options)

/** Whether somebody without a client certificate is served. */
async function checkClient(name: CloudName, cloud: Cloud, target: Target, options: ProbeOptions): Promise<Finding[]> {
  if (cloud.clientCertificate === 'none') return []
  const bare = new Caller(target, false)
  const request = ask(name, target, bare, options)
  let served = false
  try {
    served = request !== undefined && (await bare.send(request)).status === 200
  } catch {
    // Cut off, as it should be.
  } finally {
    bare.close()
  }
  if (!served) return [ok('client-certificate', 'nobody without a client certificate is served')]
  return cloud.clientCertificate === 'required'
    ? [
        problem(
          'client-certificate',
          'a request without a client certificate is served',
          'Set the listener’s tls.clients.',
        ),
      ]
    : [
        warning(
          'client-certificate',
          'a request without a client certificate is served',
          'AWS shows one: set listen.tls.clients, so that a stolen credential alone is of no use.',
        ),
      ]
}

async function checkProtocol(
  name: CloudName,
  cloud: Cloud,
  target: Target,
  caller: Caller,
  options: ProbeOptions,
): Promise<Finding[]> {
  const probe = PROBES[name]
  const first = ask(name, target, caller, options)
  if (first === undefined) return [warning('credential', 'the protocol was not tried', probe.missing)]
  let answer: DoctorAnswer
  try {
    answer = await caller.send(first)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const advice =
      target.client === undefined
        ? 'Where client certificates are asked for, give one: --cert and --key-file.'
        : 'See the log of the service.'
    return [problem('health', `no answer (${code ?? message})`, advice)]
  }
  const findings = [...probe.judge(answer, options), ...checkClock(answer)]
  if (findings.some(({ verdict }) => verdict === 'problem')) return findings
  return [...findings, await checkLatency(cloud, answer.milliseconds, () => ask(name, target, caller, options), caller)]
}

function checkClock({ headers }: DoctorAnswer): Finding[] {
  const theirs = Date.parse(String(headers.date ?? ''))
  if (Number.isNaN(theirs)) return []
  const off = Math.abs(Date.now() - theirs) / 1000
  const seen = `its clock and this one differ by ${off.toFixed(0)} s`
  if (off > CLOCK_FAIL_S) return [problem('clock', seen, 'Synchronize both; signatures are refused beyond 300 s.')]
  if (off > CLOCK_WARN_S) return [warning('clock', seen, 'Synchronize both; signatures are refused beyond 300 s.')]
  return [ok('clock', seen)]
}

async function checkLatency(
  { deadlineMs, deadlineWithConnection }: Cloud,
  cold: number,
  next: () => DoctorRequest | undefined,
  caller: Caller,
): Promise<Finding> {
  const times: number[] = []
  for (let i = 0; i < SAMPLES; i++) {
    const request = next()
    if (request !== undefined) times.push((await caller.send(request)).milliseconds)
  }
  times.sort((a, b) => a - b)
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0
  const slowest = deadlineWithConnection ? Math.max(cold, at(0.99)) : at(0.99)
  const seen = `${times.length} requests from here: p50 ${at(0.5).toFixed(1)} ms, p99 ${at(0.99).toFixed(1)} ms; with connecting ${cold.toFixed(0)} ms`
  if (deadlineMs === 0) return ok('latency', `${seen}; the cloud publishes no deadline`)
  if (slowest > deadlineMs)
    return problem(
      'latency',
      seen,
      `The cloud waits ${deadlineMs} ms: bring the key manager nearer, or make it faster.`,
    )
  if (slowest > deadlineMs / 2)
    return warning('latency', seen, `More than half of the ${deadlineMs} ms that the cloud waits.`)
  return ok('latency', `${seen}; the cloud waits ${deadlineMs} ms`)
}
