/** `holdfast ekm` as an owner runs it, for the bench: from a configuration, with a token of its own where SoftHSM2 is installed, and the CLI against it. */
import { type ChildProcess, execFile, execFileSync, fork, spawn } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import type { EkmConfigInput } from '../../src/config/ekm.ts'
import { makeAuthority } from '../../src/http/certificates.ts'
import { childrenOf } from '../cpu.ts'
import type { LoadTls } from '../load.ts'
import type { Target } from '../measure.ts'

const run = promisify(execFile)
const holdfast = join(resolve(import.meta.dirname, '..', '..'), 'bin/holdfast')
const MODULES = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so',
]
const PIN = '1234'
const PIN_VARIABLE = 'BENCH_PIN'
const LABEL = 'bench'
/** The one name that the client's certificate has. */
export const CLIENT = 'bench.client'

export interface Files {
  readonly certificate: string
  readonly key: string
  readonly clients: string
}

/** Certificates of a server, as files, and of its client. */
export async function certificates(folder: string): Promise<{ files: Files; tls: LoadTls }> {
  const authority = await makeAuthority('bench', 1)
  const server = await authority.issue({ commonName: 'ekm', ipAddresses: ['127.0.0.1'], use: 'server' })
  const client = await authority.issue({ commonName: CLIENT, use: 'client' })
  const files = {
    certificate: join(folder, 'server.pem'),
    key: join(folder, 'server.key'),
    clients: join(folder, 'ca.pem'),
  }
  writeFileSync(files.certificate, server.certificate)
  writeFileSync(files.key, server.key, { mode: 0o600 })
  writeFileSync(files.clients, authority.certificate)
  return { files, tls: { ca: authority.certificate, cert: client.certificate, key: client.key } }
}

export interface SoftToken {
  readonly module: string
  readonly tokens: NonNullable<EkmConfigInput['boundary']>['tokens']
  readonly env: Readonly<Record<string, string>>
}

/** A token of the bench's own; undefined where SoftHSM2 is not installed. */
export function softToken(folder: string): SoftToken | undefined {
  const module = MODULES.find(existsSync)
  if (module === undefined) return undefined
  const configuration = join(folder, 'softhsm2.conf')
  mkdirSync(join(folder, 'tokens'))
  writeFileSync(
    configuration,
    `directories.tokendir = ${join(folder, 'tokens')}\nobjectstore.backend = file\nlog.level = ERROR\n`,
  )
  const env = { SOFTHSM2_CONF: configuration, [PIN_VARIABLE]: PIN }
  const args = ['--init-token', '--free', '--label', LABEL, '--pin', PIN, '--so-pin', '87654321']
  execFileSync('softhsm2-util', args, { env: { ...process.env, ...env }, stdio: 'pipe' })
  return { module, tokens: { soft: { module, tokenLabel: LABEL, pinEnv: PIN_VARIABLE } }, env }
}

/** What the token takes by itself, in a process and with a token of its own. */
export class TokenLoop {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start(folder: string): Promise<TokenLoop | undefined> {
    const own = join(folder, 'loop')
    mkdirSync(own)
    const token = softToken(own)
    if (token === undefined) return undefined
    const args = [token.module, LABEL, PIN_VARIABLE]
    const child = fork(join(import.meta.dirname, 'token-loop.ts'), args, { env: { ...process.env, ...token.env } })
    await new Promise<void>((ready, failed) => {
      child.once('message', () => ready())
      child.once('exit', code => failed(new Error(`the loop of the token ended with ${code}`)))
    })
    return new TokenLoop(child)
  }

  target(count: number): Target {
    return {
      name: 'AES-GCM 32 B in SoftHSM2, bare loop',
      measure: async () => {
        const told = new Promise<number>(resolve => this.#child.once('message', resolve))
        this.#child.send(count)
        return { frontEnd: await told, boundary: 0, p50: undefined, p99: undefined }
      },
    }
  }

  stop(): void {
    this.#child.disconnect()
  }
}

export interface RunningEkm {
  /** Where each protocol is reached. */
  readonly line: Readonly<Record<string, string>>
  readonly frontEnd: number
  readonly boundary: number
  cli(...args: string[]): Promise<Record<string, string>>
  stop(): Promise<void>
}

/** `sections` of the configuration beside its folder and root. */
export async function startEkm(
  folder: string,
  sections: Omit<EkmConfigInput, 'data' | 'boundary'>,
  token?: SoftToken,
): Promise<RunningEkm> {
  const data = join(folder, 'data')
  const file = join(folder, 'ekm.json')
  const boundary = { root: { kind: 'keyfile', file: join(folder, 'root.key') }, ...(token && { tokens: token.tokens }) }
  writeFileSync(file, JSON.stringify({ data, boundary, ...sections }))
  const child = spawn(holdfast, ['ekm', '--config', file], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, ...token?.env },
  })
  const line = await new Promise<Record<string, string>>((ready, failed) => {
    createInterface({ input: child.stdout }).once('line', text => ready(JSON.parse(text)))
    child.once('exit', code => failed(new Error(`holdfast ekm ended with ${code}`)))
  })
  const [frontEnd = 0] = childrenOf(child.pid ?? 0, /src\/ekm\/main/)
  const [boundaryPid = 0] = childrenOf(child.pid ?? 0, /boundary\/service\/main/)
  return {
    line,
    frontEnd,
    boundary: boundaryPid,
    cli: async (...args) => JSON.parse((await run(holdfast, ['ekm', ...args, '--data', data, '--json'])).stdout),
    stop: async () => {
      const ended = new Promise(done => child.once('exit', done))
      child.kill('SIGTERM')
      await ended
    },
  }
}
