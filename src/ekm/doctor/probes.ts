/**
 * What is asked of each protocol: the one request that needs no customer's key (health, info, status, a public key), authenticated where there is something
 * to authenticate with.
 */
import { randomUUID } from 'node:crypto'
import { signRequest } from '../../http/sigv4-sign.ts'
import type { Secret } from '../../store/secret.ts'
import type { CloudName } from './clouds.ts'
import type { Caller, DoctorAnswer, DoctorRequest } from './http.ts'
import { type Finding, ok, problem, type Target, warning } from './types.ts'

export interface XksCredential {
  readonly accessKeyId: string
  readonly secret: Secret
  readonly region: string
}

export interface ProbeOptions {
  readonly credential: XksCredential | undefined
  /** Of a double key encryption key. */
  readonly key: string | undefined
}

export interface Probe {
  /** Undefined where there is nothing to ask with; `missing` says what. */
  readonly request: (target: Target, caller: Caller, options: ProbeOptions) => DoctorRequest | undefined
  readonly missing: string
  readonly judge: (answer: DoctorAnswer, options: ProbeOptions) => readonly Finding[]
}

const JSON_TYPE = { 'content-type': 'application/json' }

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** The start of an answer that was not expected, on one line. */
const excerpt = ({ status, text }: DoctorAnswer): string => `${status} ${text.replace(/\s+/g, ' ').slice(0, 200)}`

const xks: Probe = {
  missing:
    'Give the credential: --import-file xks-proxy.json, or HOLDFAST_DOCTOR_ACCESS_KEY_ID and HOLDFAST_DOCTOR_SECRET_ACCESS_KEY.',
  request: ({ prefix }, { host }, { credential }) => {
    if (credential === undefined) return undefined
    const path = `${prefix}/kms/xks/v1/health`
    const metadata = { kmsRequestId: randomUUID(), kmsOperation: 'KmsHealthCheck' }
    const body = JSON.stringify({ requestMetadata: metadata })
    const signed = signRequest(
      { method: 'POST', path, host, body: Buffer.from(body) },
      credential,
      'kms-xks-proxy',
      credential.region,
      Date.now(),
    )
    return { method: 'POST', path, headers: { ...JSON_TYPE, ...signed }, body }
  },
  judge: answer => {
    const body = parsed(answer.text)
    if (answer.status === 401)
      return [problem('credential', excerpt(answer), 'Check the credential, and that both clocks are right.')]
    if (answer.status === 404)
      return [
        problem('health', excerpt(answer), 'Check the path prefix: holdfast ekm tenant list shows XksProxyUriPath.'),
      ]
    const [fleet] = (body?.ekmFleetDetails ?? []) as { healthStatus?: string }[]
    if (answer.status !== 200 || fleet === undefined)
      return [problem('health', excerpt(answer), 'See the log of the service.')]
    const signed = ok('credential', 'the signature is accepted')
    return fleet.healthStatus === 'ACTIVE'
      ? [signed, ok('health', 'the key manager is ACTIVE')]
      : [signed, problem('health', `the key manager is ${fleet.healthStatus}`, 'See /health/ready of the service.')]
  },
}

const azure: Probe = {
  missing: '',
  request: ({ prefix }) => ({
    method: 'POST',
    path: `${prefix}/info?api-version=0.1-preview`,
    headers: JSON_TYPE,
    body: JSON.stringify({
      request_context: { request_id: randomUUID(), correlation_id: randomUUID(), pool_name: 'doctor' },
    }),
  }),
  judge: answer => {
    const version = parsed(answer.text)?.api_version
    if (answer.status === 200 && version === '0.1-preview')
      return [ok('health', 'info answers, api_version 0.1-preview')]
    if (answer.status === 401)
      return [
        problem(
          'credential',
          excerpt(answer),
          'Give the client certificate of the pool: --cert and --key-file; its name must be one of the tenant’s.',
        ),
      ]
    return [problem('health', excerpt(answer), 'Check the path prefix, and the log of the service.')]
  },
}

const kacls: Probe = {
  missing: '',
  request: ({ prefix }) => ({ method: 'GET', path: `${prefix}/status` }),
  judge: answer => {
    const body = parsed(answer.text)
    if (answer.status !== 200 || body?.server_type !== 'KACLS')
      return [problem('health', excerpt(answer), 'Check the path of the service URL, and the log of the service.')]
    const operations = Array.isArray(body.operations_supported) ? body.operations_supported.join(', ') : 'none'
    return [ok('health', `status answers; operations: ${operations}`)]
  },
}

const dke: Probe = {
  missing: 'Give the name of a key: --key NAME.',
  request: ({ prefix }, _caller, { key }) =>
    key === undefined ? undefined : { method: 'GET', path: `${prefix}/${key}` },
  judge: (answer, { key }) => {
    const found = parsed(answer.text)?.key as Record<string, unknown> | undefined
    if (answer.status !== 200 || found?.kty !== 'RSA')
      return [
        problem(
          'key',
          `${key}: ${excerpt(answer)}`,
          'Check the name of the key, and that it is an RSA key that may wrap.',
        ),
      ]
    return [ok('key', `${key}: an RSA public key, kid ${String(found.kid)}`)]
  },
}

const google: Probe = {
  missing: '',
  request: ({ prefix }) => ({ method: 'POST', path: `${prefix}/doctor:wrap`, headers: JSON_TYPE, body: '{}' }),
  judge: answer =>
    answer.status === 401
      ? [ok('credential', 'a request without a token is refused (401)')]
      : [warning('credential', excerpt(answer), 'A request without a token was expected to be refused with 401.')],
}

export const PROBES: Readonly<Record<CloudName, Probe>> = { xks, azure, google, kacls, dke }
