/** For unit tests of protocols: a core over an owner in memory, requests as the listener hands them on, and what was told to whom. */
import type { Handler, HttpRequest } from '../../http/types.ts'
import { ownTenantOnly, type Policy } from '../access/policy.ts'
import { Rules } from '../access/rules.ts'
import { Core } from '../core.ts'
import { HealthMonitor } from '../health.ts'
import { FakeOwner } from '../testing.ts'

export interface Sent {
  readonly method?: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** A Buffer as it is, everything else as JSON. */
  readonly body?: unknown
}

export interface Got {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  readonly json: Readonly<Record<string, unknown>>
}

export function protocolSetup(policy: Policy = ownTenantOnly, owner = new FakeOwner()) {
  const defects: unknown[] = []
  const strangers: string[] = []
  const answers: string[] = []
  const onDefect = (error: unknown): void => void defects.push(error)
  let count = 0
  const context = {
    core: new Core({ ...owner, policy, rules: new Rules([]), health: new HealthMonitor(owner.boundary), onDefect }),
    nextRequestId: () => `ours-${++count}`,
    onStranger: (reason: string): void => void strangers.push(reason),
    onAnswer: (operation: string, outcome: string): void => void answers.push(`${operation} ${outcome}`),
    onDefect,
  }
  return { owner, context, defects, strangers, answers }
}

export async function send(handler: Handler, { method = 'POST', path, headers = {}, body }: Sent): Promise<Got> {
  const [rawPath = '', query = ''] = path.split('?', 2)
  const request: HttpRequest = {
    method,
    rawPath,
    query,
    headers,
    rawHeaders: Object.entries(headers).flat(),
    body: Buffer.isBuffer(body) ? body : Buffer.from(body === undefined ? '' : JSON.stringify(body)),
    remoteAddress: '192.0.2.7',
    peer: undefined,
    receivedAt: 0,
  }
  const reply = await handler(request)
  const text = String(reply.body)
  return { status: reply.status, headers: reply.headers, text, json: text === '' ? {} : JSON.parse(text) }
}
