/**
 * An owner's key manager under measurement, by protocol: from a configuration with mutual TLS, as an owner runs it, with keys in the boundary and in SoftHSM2,
 * and a policy in force. Beside it nginx and a bare node:https server that ask for the same certificates.
 */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { makeAuthority } from '../src/http/certificates.ts'
import { signHeaders } from '../src/http/sigv4-sign.ts'
import { Secret } from '../src/store/secret.ts'
import { childrenOf } from './cpu.ts'
import type { LoadTls } from './load.ts'
import { type Reference, startEcho, startNginx } from './references.ts'
import { xksBody } from './services.ts'

const run = promisify(execFile)
const holdfast = join(resolve(import.meta.dirname, '..'), 'bin/holdfast')
const MODULES = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so',
]
const TENANT = 'bench'
const CLIENT = 'bench.client'
const PIN = '1234'

export interface EkmTarget {
  readonly name: string
  readonly port: number
  readonly frontEnd: readonly number[]
  readonly boundary: readonly number[]
  readonly tls: LoadTls
  requests(count: number): Buffer[]
}

export interface MeasuredEkm {
  readonly targets: readonly EkmTarget[]
  readonly frontEnd: number
  stop(): Promise<void>
}

interface Files {
  readonly certificate: string
  readonly key: string
  readonly clients: string
}

/** A token of the bench's own; undefined where SoftHSM2 is not installed. */
function softToken(folder: string): { module: string; configuration: string } | undefined {
  const module = MODULES.find(existsSync)
  if (module === undefined) return undefined
  const configuration = join(folder, 'softhsm2.conf')
  mkdirSync(join(folder, 'tokens'))
  writeFileSync(
    configuration,
    `directories.tokendir = ${join(folder, 'tokens')}\nobjectstore.backend = file\nlog.level = ERROR\n`,
  )
  const args = ['--init-token', '--free', '--label', 'bench', '--pin', PIN, '--so-pin', '87654321']
  execFileSync('softhsm2-util', args, { env: { ...process.env, SOFTHSM2_CONF: configuration }, stdio: 'pipe' })
  return { module, configuration }
}

async function certificates(folder: string): Promise<{ files: Files; tls: LoadTls }> {
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

function post(path: string, headers: Readonly<Record<string, string>>, body: string): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\n${lines.join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

async function contents(cli: (...args: string[]) => Promise<Record<string, string>>, token: boolean) {
  await cli('tenant', 'create', TENANT, '--client', CLIENT)
  await cli('key', 'create', 'aes')
  await cli('key', 'create', 'rsa', '--spec', 'RSA_2048')
  if (token) await cli('key', 'create', 'soft', '--token', 'soft')
  return cli('credential', 'create')
}

export async function startMeasuredEkm(): Promise<MeasuredEkm> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
  const data = join(folder, 'data')
  const { files, tls } = await certificates(folder)
  const token = softToken(folder)
  const served = { certificateFile: files.certificate, keyFile: files.key, clients: { caFile: files.clients } }
  const config = {
    data,
    listen: { port: 0, tls: served },
    azure: { port: 0, tls: served },
    boundary: {
      root: { kind: 'keyfile', file: join(folder, 'root.key') },
      ...(token && { tokens: { soft: { module: token.module, tokenLabel: 'bench', pinEnv: 'BENCH_PIN' } } }),
    },
    load: { perSecond: 1_000_000, inFlight: 1024, withinMs: 5000 },
  }
  writeFileSync(join(folder, 'ekm.json'), JSON.stringify(config))
  const env = { ...process.env, BENCH_PIN: PIN, ...(token && { SOFTHSM2_CONF: token.configuration }) }
  const child = spawn(holdfast, ['ekm', '--config', join(folder, 'ekm.json')], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env,
  })
  const line = await new Promise<Record<string, string>>((ready, failed) => {
    createInterface({ input: child.stdout }).once('line', text => ready(JSON.parse(text)))
    child.once('exit', code => failed(new Error(`holdfast ekm ended with ${code}`)))
  })
  const cli = async (...args: string[]): Promise<Record<string, string>> =>
    JSON.parse((await run(holdfast, ['ekm', ...args, '--data', data, '--json'])).stdout)
  const { accessKeyId = '', secretAccessKey = '' } = await contents(cli, token !== undefined).catch(error => {
    child.kill('SIGTERM')
    throw error
  })
  const by = { accessKeyId, secret: new Secret(Buffer.from(secretAccessKey)) }
  const [frontEnd = 0] = childrenOf(child.pid ?? 0, /src\/ekm\/main/)
  const [boundary = 0] = childrenOf(child.pid ?? 0, /boundary\/service\/main/)
  const pids = { frontEnd: [frontEnd], boundary: [boundary], tls }
  const portOf = (url = ''): number => Number(new URL(url).port)
  const times = (count: number, one: () => Buffer): Buffer[] => Array.from({ length: count }, one)

  const xks = (name: string, key: string): EkmTarget => {
    const port = portOf(line.endpoint)
    const rawPath = `/${TENANT}/kms/xks/v1/keys/${key}/encrypt`
    const one = (): Buffer => {
      const body = xksBody()
      const headers = { host: `127.0.0.1:${port}`, 'content-type': 'application/json' }
      const options = { service: 'kms-xks-proxy', region: 'us-east-1', now: Date.now() }
      return post(
        rawPath,
        signHeaders({ method: 'POST', rawPath, headers, body: Buffer.from(body) }, by, options),
        body,
      )
    }
    return { ...pids, name, port, requests: count => times(count, one) }
  }
  const azurePort = portOf(line.azure)
  const azurePost = (key: string, operation: string, members: object): Buffer =>
    post(
      `/${TENANT}/${key}/${operation}?api-version=0.1-preview`,
      { host: `127.0.0.1:${azurePort}`, 'content-type': 'application/json' },
      JSON.stringify({ request_context: { request_id: 'r', correlation_id: 'c', pool_name: 'bench' }, ...members }),
    )
  const azure = (name: string, request: Buffer): EkmTarget => ({
    ...pids,
    name,
    port: azurePort,
    requests: () => [request],
  })
  const value = Buffer.alloc(32, 7).toString('base64url')
  const nginx = await startNginx(files)
  const echo = await startEcho(files)
  const reference = (name: string, { port, pids: frontEnds }: Reference): EkmTarget => ({
    ...{ name, port, frontEnd: frontEnds, boundary: [], tls },
    requests: () => [post('/', { host: 'x', 'content-type': 'application/json' }, '{"hello":"you"}')],
  })
  return {
    frontEnd,
    targets: [
      reference('nginx, return 200, mutual TLS', nginx),
      reference('node:https, JSON echo, mutual TLS', echo),
      xks('XKS encrypt 32 B, mutual TLS', 'aes'),
      ...(token === undefined ? [] : [xks('XKS encrypt 32 B, mutual TLS, SoftHSM2', 'soft')]),
      azure('Azure wrapkey A256KW, mutual TLS', azurePost('aes', 'wrapkey', { alg: 'A256KW', value })),
      azure('Azure wrapkey RSA-OAEP-256, mutual TLS', azurePost('rsa', 'wrapkey', { alg: 'RSA-OAEP-256', value })),
    ],
    stop: async () => {
      nginx.stop()
      echo.stop()
      const ended = new Promise(done => child.once('exit', done))
      child.kill('SIGTERM')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
