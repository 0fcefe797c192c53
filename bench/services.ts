/** The real services under measurement, as their users start them, and signed requests for them. */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { signHeaders } from '../src/http/sigv4-sign.ts'
import { Secret } from '../src/store/secret.ts'
import { childrenOf } from './cpu.ts'

const root = resolve(import.meta.dirname, '..')
const REGION = 'us-east-1'

export interface ToSign {
  readonly path: string
  readonly target?: string
  readonly body: string
  /** A form for STS, not JSON. */
  readonly sts?: boolean
}
export interface Signer {
  readonly accessKeyId: string
  readonly secret: Secret
  /** Of temporary credentials. */
  readonly token?: string
}

export interface Measured {
  readonly port: number
  readonly line: Readonly<Record<string, string>>
  readonly frontEnd: number
  readonly boundary: number
  /** Milliseconds from the command to the line of JSON. */
  readonly startedIn: number
  sign(request: ToSign, by?: Signer): Buffer
  /** The text of an answer, which must be 200. */
  post(request: ToSign): Promise<string>
  /** Empty for what has no answer. */
  call(target: string, input: object): Promise<Record<string, unknown>>
  stop(): Promise<void>
}

export async function startMeasured(service: 'kms' | 'ekm', args: readonly string[]): Promise<Measured> {
  const began = performance.now()
  const child = spawn(join(root, 'bin/holdfast'), [service, '--dev', ...args], { stdio: ['ignore', 'pipe', 'ignore'] })
  const line = await new Promise<Record<string, string>>((ready, failed) => {
    createInterface({ input: child.stdout }).once('line', text => ready(JSON.parse(text)))
    child.once('exit', code => failed(new Error(`holdfast ${service} --dev ended with ${code}`)))
  })
  const startedIn = performance.now() - began
  const port = Number(new URL(line.endpoint ?? '').port)
  const [frontEnd = 0] = childrenOf(child.pid ?? 0, new RegExp(`src/${service}/main`))
  const [boundary = 0] = childrenOf(child.pid ?? 0, /boundary\/service\/main/)
  const signer: Signer = {
    accessKeyId: line.accessKeyId ?? '',
    secret: new Secret(Buffer.from(line.secretAccessKey ?? '')),
  }
  const sign: Measured['sign'] = ({ path, target, body, sts = false }, by = signer) => {
    const json = service === 'kms' ? 'application/x-amz-json-1.1' : 'application/json'
    const headers = {
      host: `127.0.0.1:${port}`,
      'content-type': sts ? 'application/x-www-form-urlencoded' : json,
      ...(target === undefined ? {} : { 'x-amz-target': `TrentService.${target}` }),
      ...(by.token === undefined ? {} : { 'x-amz-security-token': by.token }),
    }
    const signed = signHeaders({ method: 'POST', rawPath: path, headers, body: Buffer.from(body) }, by, {
      service: service === 'ekm' ? 'kms-xks-proxy' : sts ? 'sts' : 'kms',
      region: REGION,
      now: Date.now(),
    })
    const lines = Object.entries(signed).map(([name, value]) => `${name}: ${value}\r\n`)
    return Buffer.from(
      `POST ${path} HTTP/1.1\r\n${lines.join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
  }
  const post: Measured['post'] = async request => {
    const text = sign(request).toString()
    const end = text.indexOf('\r\n\r\n')
    const headers = text
      .slice(0, end)
      .split('\r\n')
      .slice(1)
      .map(one => one.split(': ') as [string, string])
    const response = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers, body: text.slice(end + 4) })
    const answer = await response.text()
    if (!response.ok) throw new Error(`${request.target ?? 'STS'}: ${answer}`)
    return answer
  }
  return {
    port,
    line,
    frontEnd,
    boundary,
    startedIn,
    sign,
    post,
    call: async (target, input) => JSON.parse((await post({ path: '/', target, body: JSON.stringify(input) })) || '{}'),
    stop: () =>
      new Promise(done => {
        child.once('exit', () => done())
        child.kill('SIGTERM')
      }),
  }
}

/** The body of an XKS encrypt request; each is another, because the same one is answered no more than twice. */
export function xksBody(): string {
  return JSON.stringify({
    requestMetadata: {
      awsPrincipalArn: 'arn:aws:iam::111122223333:user/alice',
      kmsOperation: 'Encrypt',
      kmsRequestId: randomUUID(),
      kmsKeyArn: 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
    },
    plaintext: Buffer.alloc(32, 7).toString('base64'),
    encryptionAlgorithm: 'AES_GCM',
  })
}

export function xksEncrypt(ekm: Measured, key: string): Buffer {
  const body = xksBody()
  return ekm.sign({ path: `/${ekm.line.pathPrefix}/kms/xks/v1/keys/${key}/encrypt`, body })
}
