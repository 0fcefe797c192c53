/** A `holdfast ekm` with a configuration of its own and a certificate for its listeners, and what its log says. */
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { EkmConfigInput } from '../../src/config/ekm.ts'
import { TestAuthority } from './certificates.ts'
import { type Ekm, holdfast, PATIENT, ROOT, startEkm } from './ekm.ts'

/** What it prints when it is ready: its folder, and where each protocol is reached. */
export interface ServiceLine {
  readonly data: string
  readonly [protocol: string]: string
}

export interface Listening {
  readonly tls: { readonly certificateFile: string; readonly keyFile: string }
  readonly caFile: string
}

/** One certificate for `127.0.0.1` and `localhost`. */
export async function certificateFor(folder: string, name: string): Promise<Listening> {
  const authority = await TestAuthority.make(folder, `${name}-ca`)
  const request = { commonName: name, dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'], use: 'server' } as const
  return { tls: await authority.issue(name, request), caFile: authority.caFile }
}

export function startService(
  folder: string,
  name: string,
  sections: Partial<EkmConfigInput>,
): Promise<Ekm<ServiceLine>> {
  const file = join(folder, `${name}.yaml`)
  const config: EkmConfigInput = {
    data: join(folder, name),
    listen: { port: 0 },
    load: PATIENT,
    boundary: { root: { kind: 'keyfile', file: join(folder, `${name}.key`) } },
    ...sections,
  }
  writeFileSync(file, JSON.stringify(config))
  return startEkm<ServiceLine>(['--config', file])
}

export interface Answered {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  readonly json: Readonly<Record<string, unknown>>
}

export interface Request {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** An object is sent as JSON. */
  readonly body?: object | string
}

/** Over a connection of its own. */
export function ask(url: string, caFile: string, request: Request): Promise<Answered> {
  return askWith(new https.Agent({ ca: readFileSync(caFile) }), url, request)
}

export async function askWith(
  agent: https.Agent,
  url: string,
  { method = 'POST', headers = {}, body }: Request,
): Promise<Answered> {
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  return new Promise((done, failed) => {
    const sent = https.request(url, { method, headers, agent }, response => {
      const parts: Buffer[] = []
      response.on('data', part => parts.push(part))
      response.on('error', failed)
      response.on('end', () => {
        const received = Buffer.concat(parts).toString('utf8')
        const json = received === '' ? {} : JSON.parse(received)
        done({ status: response.statusCode ?? 0, headers: response.headers, text: received, json })
      })
    })
    sent.on('error', failed)
    sent.end(text)
  })
}

export interface Entry {
  readonly outcome: string
  readonly error?: string
  readonly keyId?: string
  readonly boundaryOperation: string
  readonly count?: number
  readonly asserted: Readonly<Record<string, string>>
}

/** Every record, as `holdfast log show` has it. */
export async function records(data: string): Promise<readonly Entry[]> {
  const { code, stdout, stderr } = await holdfast(['log', 'show', data, '--json'])
  if (code !== 0) throw new Error(stderr)
  return stdout
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Entry)
}

const execute = promisify(execFile)

/**
 * Runs a client of test/clients/python that knows a protocol from its specification alone, with what it is given as JSON on its standard input. It prints a
 * line `ok NAME` for each thing that it has checked, and ends with an error at the first that is wrong.
 */
export async function pythonClient(script: string, given: object): Promise<readonly string[]> {
  const file = join(ROOT, 'test', 'clients', 'python', script)
  const running = execute('python3', [file])
  running.child.stdin?.end(JSON.stringify(given))
  const { stdout } = await running
  return stdout
    .split('\n')
    .filter(line => line.startsWith('ok '))
    .map(line => line.slice(3))
}
