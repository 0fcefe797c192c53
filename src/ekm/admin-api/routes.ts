/**
 * The admin API: taking keys away and giving them back, and deciding about holds, from afar. Whoever comes has shown a client certificate that the
 * listener admits; its name is the named person of every decision and stands in every record. See docs/owner.md.
 */
import { z } from 'zod'
import type { RevokeTarget } from '../../boundary/client/api.ts'
import type { AdminConnection } from '../../boundary/client/control.ts'
import { BoundaryError } from '../../boundary/words.ts'
import { ERROR_STATUS } from '../../http/metrics.ts'
import type { Handler, HttpErrorKind, HttpRequest, Peer, Reply } from '../../http/types.ts'
import * as admin from '../admin/index.ts'

export interface AdminApiOptions {
  readonly control: AdminConnection
  /** Names that may also restore. */
  readonly restore: readonly string[]
  readonly onDefect: (error: unknown) => void
}

/** Bytes of the largest body. */
export const MAX_ADMIN_BODY = 8192

const name = z.string().min(1).max(512)
const TARGET = z.union([
  z.strictObject({ key: name }),
  z.strictObject({ tenant: name }),
  z.strictObject({ protocol: name }),
  z.strictObject({ principal: name }),
  z.strictObject({ all: z.literal(true) }),
])
const DECISION = z.strictObject({
  decision: z.enum(['approve', 'deny']),
  seconds: z.int().min(0).max(86_400).default(0),
})

/** Refused, in this API's form. */
class Refusal extends Error {
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

interface Asked {
  readonly request: HttpRequest
  /** Name in the certificate: who decides. */
  readonly by: string
  /** Last segment of a path that names something. */
  readonly id: string
}

type Route = (options: AdminApiOptions, asked: Asked) => Promise<object>

const ROUTES: Readonly<Record<string, Route>> = {
  'POST /v1/revoke': (options, asked) => turn('revoke', options, asked),
  'POST /v1/restore': (options, asked) => {
    if (!options.restore.includes(asked.by))
      throw new Refusal(403, 'Forbidden', `${asked.by} may revoke and decide, and not restore.`)
    return turn('restore', options, asked)
  },
  'GET /v1/switches': async ({ control }) => ({ switches: await admin.listSwitches(control) }),
  'GET /v1/holds': async ({ control }) => ({ holds: await admin.listHolds(control) }),
  'GET /v1/asks': async ({ control }) => ({ asks: await admin.listAsks(control) }),
  'POST /v1/asks/': async ({ control }, asked) => {
    const { decision, seconds } = body(asked.request, DECISION)
    const made = { ask: asked.id, approve: decision === 'approve', by: asked.by, seconds }
    return admin.decide(control, made, as(asked))
  },
}
const PATHS = new Map<string, string[]>()
for (const route of Object.keys(ROUTES)) {
  const [method = '', path = ''] = route.split(' ')
  PATHS.set(path, [...(PATHS.get(path) ?? []), method])
}

const TURNS = { revoke: admin.revoke, restore: admin.restore } as const

async function turn(act: keyof typeof TURNS, { control }: AdminApiOptions, asked: Asked): Promise<object> {
  const { target, answeredAt, took } = await TURNS[act](control, body(asked.request, TARGET) as RevokeTarget, as(asked))
  return { [act === 'revoke' ? 'revoked' : 'restored']: target, answeredAt, tookMs: Math.round(took * 1000) / 1000 }
}

/** What stands in the record of an act. */
const as =
  ({ by, request }: Asked): admin.By =>
  (operation, subject) => ({
    operation: `admin:${operation}`,
    subject: subject.slice(0, 512),
    principal: `admin:${by}`.slice(0, 256),
    peer: by.slice(0, 256),
    sourceIp: request.remoteAddress.slice(0, 64),
    ...(request.peer === undefined ? {} : { accessKeyId: request.peer.fingerprint }),
  })

function body<T>({ headers, body: bytes }: HttpRequest, schema: z.ZodType<T>): T {
  if (!/^application\/json(?:;|$)/i.test(headers['content-type'] ?? ''))
    throw new Refusal(415, 'UnsupportedMediaType', 'Send the body as application/json.')
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    throw new Refusal(400, 'InvalidRequest', 'The body is not JSON.')
  }
  const read = schema.safeParse(value)
  if (read.success) return read.data
  throw new Refusal(400, 'InvalidRequest', 'The body has not the form that docs/owner.md shows.')
}

const NAMED = /^(\/v1\/asks\/)([0-9a-f]{1,64})$/

export function adminApi(options: AdminApiOptions): Handler {
  return async request => {
    try {
      const named = NAMED.exec(request.rawPath)
      const path = named?.[1] ?? request.rawPath
      const methods = PATHS.get(path)
      if (methods === undefined || request.query !== '') throw new Refusal(404, 'NotFound', 'There is no such path.')
      const route = ROUTES[`${request.method} ${path}`]
      if (route === undefined) {
        const refused = refusal(405, 'MethodNotAllowed', `Only ${methods.join(', ')}.`)
        return { ...refused, headers: { ...refused.headers, Allow: methods.join(', ') } }
      }
      const by = nameOf(request.peer)
      if (by === '') throw new Refusal(403, 'Forbidden', 'The client certificate names nobody.')
      return json(200, await route(options, { request, by, id: named?.[2] ?? '' }))
    } catch (error) {
      return refusalOf(options, error)
    }
  }
}

const nameOf = (peer: Peer | undefined): string => peer?.commonName || peer?.dnsNames[0] || peer?.uris[0] || ''

function refusalOf({ onDefect }: AdminApiOptions, error: unknown): Reply {
  if (error instanceof Refusal) return refusal(error.status, error.code, error.message)
  if (error instanceof admin.AdminError) return refusal(400, 'Refused', error.message)
  if (error instanceof BoundaryError && (error.code === 'Unavailable' || error.code === 'Locked'))
    return refusal(
      503,
      'Unavailable',
      'The boundary does not answer, or is locked. While it does not run, no key can be used.',
    )
  onDefect(error)
  return refusal(500, 'Internal', 'The admin API failed; its operator finds the cause in its log.')
}

const json = (status: number, value: object): Reply => ({
  status,
  headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
  body: JSON.stringify(value),
})

const refusal = (status: number, code: string, message: string): Reply => json(status, { error: code, message })

/** What the listener refuses by itself, in this API's form. */
export const adminListenerError = (kind: HttpErrorKind): Reply =>
  refusal(ERROR_STATUS[kind], kind, 'The request could not be taken; see docs/owner.md.')
