/** Managed HSM as a client of the EKM proxy API: one certificate, kept-alive connections. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import https from 'node:https'
import { AZURE_ERRORS, type AzureErrorCode } from '../../src/ekm/protocols/azure/errors.ts'
import type { CertificateFiles } from './certificates.ts'

export interface AzureAnswer {
  readonly status: number
  readonly text: string
  readonly json: Readonly<Record<string, string>>
}

export class AzureClient {
  readonly #url: string
  readonly #agent: https.Agent

  /** Without `client` it shows no certificate. */
  constructor(url: string, caFile: string, client: CertificateFiles | undefined) {
    this.#url = url
    const identity = client && { cert: readFileSync(client.certificateFile), key: readFileSync(client.keyFile) }
    this.#agent = new https.Agent({ keepAlive: true, ca: readFileSync(caFile), ...identity, minVersion: 'TLSv1.3' })
  }

  post(path: string, members: object = {}, pool = 'contoso'): Promise<AzureAnswer> {
    const context = { request_id: 'request', correlation_id: 'correlation', pool_name: pool }
    const body = JSON.stringify({ request_context: context, ...members })
    return new Promise((done, failed) => {
      const options = { method: 'POST', agent: this.#agent, headers: { 'Content-Type': 'application/json' } }
      const sent = https.request(`${this.#url}${path}?api-version=0.1-preview`, options, response => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', chunk => {
          text += chunk
        })
        response.on('end', () => done({ status: response.statusCode ?? 0, text, json: JSON.parse(text) }))
        response.on('error', failed)
      })
      sent.on('error', failed)
      sent.end(body)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

export function answeredByAzure(answer: AzureAnswer): AzureAnswer {
  assert.equal(answer.status, 200, answer.text)
  return answer
}

export function refusedByAzure(answer: AzureAnswer, code: AzureErrorCode): void {
  assert.equal(answer.json.code, code, answer.text)
  assert.equal(answer.status, AZURE_ERRORS[code])
}
