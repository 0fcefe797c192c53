/** A request over HTTPS, as the bytes that are sent under load, and asked once for its answer. */
import https from 'node:https'
import type { LoadTls } from '../load.ts'

export interface Asked {
  readonly port: number
  readonly path: string
  /** Default: POST. */
  readonly method?: 'GET'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** Beside the length of the body. */
const headersOf = ({ port, headers = {} }: Asked): Readonly<Record<string, string>> => ({
  host: `127.0.0.1:${port}`,
  'content-type': 'application/json',
  ...headers,
})

export function bytesOf(asked: Asked): Buffer {
  const { path, method = 'POST', body = '' } = asked
  const lines = Object.entries(headersOf(asked)).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.from(
    `${method} ${path} HTTP/1.1\r\n${lines.join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

/** Members of an answer, which must be 200. */
export function ask(asked: Asked, tls: LoadTls): Promise<Record<string, unknown>> {
  const { port, path, method = 'POST', body = '' } = asked
  return new Promise((done, failed) => {
    const options = { host: '127.0.0.1', port, path, method, headers: headersOf(asked), agent: false, ...tls }
    const sent = https.request(options, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', part => {
        text += part
      })
      response.on('error', failed)
      response.on('end', () => {
        if (response.statusCode === 200) done(JSON.parse(text))
        else failed(new Error(`${path}: ${response.statusCode} ${text}`))
      })
    })
    sent.on('error', failed)
    sent.end(body)
  })
}
