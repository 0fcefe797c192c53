/**
 * The load that AWS may send one external key store: so many requests a second whatever the answers do, at an owner's key manager as it is without settings of
 * its own for load. What it answered, when, and what of the machine that took.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { load, quantile, startLoad } from '../../test/support/xks-load.ts'
import { cpuOf } from '../cpu.ts'
import { CLIENT, certificates, startEkm } from './service.ts'

export const XKS_LOAD = 'xks-load'
/** The most that AWS sends a store, and how long it waits for an answer. */
export const OFFERED = 1800
export const DEADLINE_MS = 250
const TENANT = 'store'
/** More than are under way at 1,800 a second when each takes the deadline. */
const CONNECTIONS = 500

export interface Offered {
  readonly name: string
  readonly seconds: number
  readonly sent: number
  readonly answered: number
  /** 429 and 503. */
  readonly turnedAway: number
  /** Any other answer, or none. */
  readonly failed: number
  /** Milliseconds from sending. */
  readonly p50: number
  readonly p99: number
  readonly worst: number
  readonly overDeadline: number
  /** Of the sender: milliseconds that a request went out after it was due, 99 % of them less. */
  readonly sentLate: number
  /** µs of CPU a request. */
  readonly frontEnd: number
  readonly boundary: number
  readonly sender: number
}

/** Over plain HTTP and over mutual TLS. */
export async function offerLoad(seconds: number, say: (text: string) => void): Promise<Offered[]> {
  const results: Offered[] = []
  for (const mutual of [false, true]) {
    const name = `XKS encrypt, ${OFFERED} a second${mutual ? ', mutual TLS' : ''}`
    say(`${name}: ${seconds} s …`)
    results.push(await offer(name, seconds, mutual))
  }
  return results
}

async function offer(name: string, seconds: number, mutual: boolean): Promise<Offered> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
  const { files, tls } = await certificates(folder)
  const served = { certificateFile: files.certificate, keyFile: files.key, clients: { caFile: files.clients } }
  const ekm = await startEkm(folder, { listen: { port: 0, ...(mutual && { tls: served }) } })
  try {
    await ekm.cli('tenant', 'create', TENANT, ...(mutual ? ['--client', CLIENT] : []))
    await ekm.cli('key', 'create', 'k')
    const { accessKeyId = '', secretAccessKey = '' } = await ekm.cli('credential', 'create')
    const job = {
      ...{ endpoint: ekm.line.endpoint ?? '', pathPrefix: TENANT, accessKeyId, secretAccessKey, key: 'k' },
      ...{ rate: OFFERED, connections: CONNECTIONS, ...(mutual && { tls }) },
    }
    // Until V8 has compiled what a request runs through.
    await load({ ...job, rate: 0, connections: 16, seconds: 3 })
    const running = startLoad({ ...job, seconds })
    await running.begun
    const cpu = (): readonly [number, number] => [cpuOf(ekm.frontEnd), cpuOf(ekm.boundary)]
    const [frontEnd, boundary] = cpu()
    const sent = await running.sent
    const [frontEndAfter, boundaryAfter] = cpu()
    const each = (nanoseconds: number): number => nanoseconds / 1000 / sent.length
    const count = (...statuses: number[]): number => sent.filter(({ status }) => statuses.includes(status)).length
    const [answered, turnedAway] = [count(200), count(429, 503)]
    return {
      ...{ name, seconds, sent: sent.length, answered, turnedAway, failed: sent.length - answered - turnedAway },
      p50: quantile(sent, 0.5),
      p99: quantile(sent, 0.99),
      worst: quantile(sent, 1),
      overDeadline: sent.filter(({ took }) => took > DEADLINE_MS).length,
      sentLate: quantile(
        sent.map(({ late }) => ({ took: late })),
        0.99,
      ),
      frontEnd: each(frontEndAfter - frontEnd),
      boundary: each(boundaryAfter - boundary),
      sender: (await running.cpu) / sent.length,
    }
  } finally {
    await ekm.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
