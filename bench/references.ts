/** What the services are compared with, in the same run: nginx that answers 200 and does nothing else, and a bare node:http server that parses and echoes JSON. */
import { type ChildProcess, fork, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { childrenOf } from './cpu.ts'

export interface Reference {
  readonly port: number
  readonly pids: readonly number[]
  stop(): void
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** Debian's nginx-light, installed where it may be; throws a sentence that says what is missing where it may not. */
function nginxBinary(): string {
  const binary = '/usr/sbin/nginx'
  if (!existsSync(binary) && process.getuid?.() === 0) {
    spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'nginx-light'], { stdio: 'ignore' })
  }
  if (!existsSync(binary)) throw new Error('the unit of measurement is missing. As root: apt-get install nginx-light')
  return binary
}

/** `tls`: PEM files of its certificate; then it asks for one of the client, as an owner's key manager does. */
export async function startNginx(tls?: {
  readonly certificate: string
  readonly key: string
  readonly clients: string
}): Promise<Reference> {
  const binary = nginxBinary()
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-nginx-'))
  const port = await freePort()
  const secured =
    tls === undefined
      ? ''
      : `ssl_certificate ${tls.certificate}; ssl_certificate_key ${tls.key}; ssl_client_certificate ${tls.clients}; ssl_verify_client on; ssl_protocols TLSv1.2 TLSv1.3;`
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${folder}/${name};`)
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 100000000; ${paths.join(' ')}
server { listen 127.0.0.1:${port}${tls === undefined ? '' : ' ssl'}; ${secured} location / { default_type application/json; return 200 '{"ok":true}'; } } }`,
  )
  const master = spawn(binary, ['-c', join(folder, 'nginx.conf'), '-p', folder], { stdio: 'ignore' })
  for (let tries = 0; !existsSync(join(folder, 'pid')) || readFileSync(join(folder, 'pid'), 'utf8') === ''; tries++) {
    if (tries > 200) throw new Error('nginx did not start')
    await delay(20)
  }
  await delay(100)
  const pids = childrenOf(master.pid ?? 0, /nginx/)
  return {
    port,
    pids,
    stop: () => {
      master.kill('SIGTERM')
      master.once('exit', () => rmSync(folder, { recursive: true, force: true }))
    },
  }
}

/** `tls`: PEM files, as of nginx. */
export function startEcho(tls?: {
  readonly certificate: string
  readonly key: string
  readonly clients: string
}): Promise<Reference> {
  return startBare('echo.ts', tls === undefined ? [] : [tls.certificate, tls.key, tls.clients])
}

/** On a Unix socket; its port is 0. */
export const startGrpcEcho = (socket: string): Promise<Reference> => startBare('echo-grpc.ts', [socket])

/** A program that says its port when it is ready. */
async function startBare(program: string, args: readonly string[]): Promise<Reference> {
  const child: ChildProcess = fork(join(import.meta.dirname, program), args)
  const port = await new Promise<number>(resolve => child.once('message', (message: number) => resolve(message)))
  return { port, pids: [child.pid ?? 0], stop: () => child.kill('SIGTERM') }
}
