/**
 * Two independent clients of an XKS proxy: curl, which signs content-type;host;x-amz-date, and the signer of AWS's own SDK with node:https, which
 * signs host;x-amz-date, as AWS KMS does.
 */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { Sha256 } from '@aws-crypto/sha256-js'
import { SignatureV4 } from '@smithy/signature-v4'

export interface XksTarget {
  /** `https://127.0.0.1:1234` */
  readonly endpoint: string
  /** Without slashes at its ends. */
  readonly pathPrefix: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly caFile: string | null
  /** PEM files of a client certificate. */
  readonly client?: { readonly certificateFile: string; readonly keyFile: string }
}

export interface XksRequest {
  /** Below `/kms/xks/v1/`, for example `keys/foo/encrypt`. */
  readonly path: string
  /** An object is sent as JSON. */
  readonly body?: object | string
  readonly method?: string
  readonly query?: string
  /** Instead of the target's. */
  readonly pathPrefix?: string
  readonly accessKeyId?: string
  readonly secretAccessKey?: string
  readonly region?: string
  readonly service?: string
  /** Instead of now; only of the signer. */
  readonly signingDate?: Date
}

export interface XksAnswer {
  readonly status: number
  readonly text: string
  readonly json: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

export interface XksClient {
  readonly name: string
  send(request: XksRequest): Promise<XksAnswer>
  close(): void
}

const pathOf = (target: XksTarget, request: XksRequest): string => {
  const prefix = request.pathPrefix ?? target.pathPrefix
  return `${prefix === '' ? '' : `/${prefix}`}/kms/xks/v1/${request.path}`
}
const bodyOf = ({ body = '' }: XksRequest): string => (typeof body === 'string' ? body : JSON.stringify(body))
const answer = (status: number, text: string, headers: XksAnswer['headers'] = {}): XksAnswer => ({
  status,
  text,
  headers,
  json: text.startsWith('{') ? JSON.parse(text) : {},
})

export interface Prepared {
  readonly options: http.RequestOptions
  readonly body: string
}

export class SignerClient implements XksClient {
  readonly name = '@smithy/signature-v4'
  readonly target: XksTarget
  readonly #agent: http.Agent

  constructor(target: XksTarget, agentOptions: https.AgentOptions = {}) {
    this.target = target
    const { caFile, client } = target
    this.#agent = target.endpoint.startsWith('https:')
      ? new https.Agent({
          keepAlive: true,
          ...(caFile === null ? {} : { ca: readFileSync(caFile) }),
          ...(client === undefined
            ? {}
            : { cert: readFileSync(client.certificateFile), key: readFileSync(client.keyFile) }),
          ...agentOptions,
        })
      : new http.Agent({ keepAlive: true })
  }

  async send(request: XksRequest): Promise<XksAnswer> {
    return this.sendPrepared(await this.prepare(request))
  }

  /** Signs, so that the very same bytes can be sent several times. */
  async prepare(request: XksRequest): Promise<Prepared> {
    const { target } = this
    const body = bodyOf(request)
    const { hostname, port, protocol, host } = new URL(target.endpoint)
    const signer = new SignatureV4({
      service: request.service ?? 'kms-xks-proxy',
      region: request.region ?? 'us-east-1',
      credentials: {
        accessKeyId: request.accessKeyId ?? target.accessKeyId,
        secretAccessKey: request.secretAccessKey ?? target.secretAccessKey,
      },
      sha256: Sha256,
      applyChecksum: false,
      uriEscapePath: false,
    })
    const path = pathOf(target, request)
    const method = request.method ?? 'POST'
    const headers = { host, 'content-type': 'application/json' }
    const signed = await signer.sign(
      { method, protocol, hostname, port: Number(port), path, query: {}, headers, body },
      {
        unsignableHeaders: new Set(['content-type']),
        ...(request.signingDate === undefined ? {} : { signingDate: request.signingDate }),
      },
    )
    const query = request.query === undefined ? '' : `?${request.query}`
    return {
      options: { hostname, port, method, path: path + query, headers: signed.headers, agent: this.#agent },
      body,
    }
  }

  sendPrepared({ options, body }: Prepared): Promise<XksAnswer> {
    const { request } = this.target.endpoint.startsWith('https:') ? https : http
    return new Promise((done, failed) => {
      const sent = request(options, response => {
        const chunks: Buffer[] = []
        response.on('data', chunk => chunks.push(chunk))
        response.on('error', failed)
        response.on('end', () =>
          done(answer(response.statusCode ?? 0, Buffer.concat(chunks).toString('utf8'), response.headers)),
        )
      })
      sent.on('error', failed)
      sent.end(body)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

export class CurlClient implements XksClient {
  readonly name = 'curl --aws-sigv4'
  readonly target: XksTarget

  constructor(target: XksTarget) {
    this.target = target
  }

  send(request: XksRequest): Promise<XksAnswer> {
    const { target } = this
    const id = request.accessKeyId ?? target.accessKeyId
    const secret = request.secretAccessKey ?? target.secretAccessKey
    const args = ['--silent', '--show-error', '--request', request.method ?? 'POST', '--data-binary', '@-']
    args.push('--aws-sigv4', `aws:amz:${request.region ?? 'us-east-1'}:${request.service ?? 'kms-xks-proxy'}`)
    args.push('--user', `${id}:${secret}`, '--header', 'content-type: application/json')
    if (target.caFile !== null) args.push('--cacert', target.caFile)
    if (target.client) args.push('--cert', target.client.certificateFile, '--key', target.client.keyFile)
    const query = request.query === undefined ? '' : `?${request.query}`
    args.push('--write-out', '\n%{http_code}', `${target.endpoint}${pathOf(target, request)}${query}`)
    return new Promise((done, failed) => {
      const curl = execFile('curl', args, (error, stdout, stderr) => {
        if (error !== null) return failed(new Error(`curl: ${stderr.trim()}`))
        const end = stdout.lastIndexOf('\n')
        done(answer(Number(stdout.slice(end + 1)), stdout.slice(0, end)))
      })
      curl.stdin?.end(bodyOf(request))
    })
  }

  close(): void {}
}

/** What a KMS says of its request; the ARN is malformed as in the public client's fixtures, which must not matter. */
export const metadata = (kmsOperation: string) => ({
  awsPrincipalArn: 'arn:aws:iam::123456789012:user/Alice',
  kmsKeyArn: 'arn:aws:kms:us-east-2:123456789012:/key/1234abcd-12ab-34cd-56ef-1234567890ab',
  kmsOperation,
  kmsRequestId: randomUUID(),
  kmsViaService: 'ebs',
})

export const encryptBody = (plaintext: Buffer, more: object = {}) => ({
  requestMetadata: metadata('Encrypt'),
  plaintext: plaintext.toString('base64'),
  encryptionAlgorithm: 'AES_GCM',
  ...more,
})

export const decryptBody = (encrypted: XksAnswer, more: object = {}) => {
  const { ciphertext, initializationVector, authenticationTag, ciphertextMetadata } = encrypted.json
  return {
    requestMetadata: metadata('Decrypt'),
    encryptionAlgorithm: 'AES_GCM',
    ciphertext,
    initializationVector,
    authenticationTag,
    ciphertextMetadata,
    ...more,
  }
}
