/** One request of a protocol over HTTP, as the listener hands it on, and what its answer must be whatever it was. */
import { validateHeaderName, validateHeaderValue } from 'node:http'
import { ownTenantOnly, type Policy } from '../src/ekm/access/policy.ts'
import { protocolSetup } from '../src/ekm/protocols/testing.ts'
import type { Handler, HttpRequest, Peer } from '../src/http/types.ts'
import { FramedOwner } from './owner.ts'
import { demand } from './target.ts'

export interface Asked {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly peer?: Peer | undefined
}

export interface Answered {
  readonly status: number
  readonly json: Readonly<Record<string, unknown>>
}

/** Real time of everything that is fuzzed: a run can be repeated on another day. */
export const NOW = Date.UTC(2026, 10, 24, 12)

/** Turns the kill switch for everybody whose name is not one of these, whatever that name is. */
export function revokingOthers(usual: readonly string[]): Policy {
  const revoke = { scope: 'principal', policy: 'others' } as const
  return {
    decide: (call, action, key) => {
      if (usual.includes(call.caller.principal)) return ownTenantOnly.decide(call, action, key)
      return { allowed: false, policies: ['others'], revoke }
    },
  }
}

export class World {
  readonly owner = new FramedOwner()
  readonly #made
  readonly context

  constructor(policy?: Policy) {
    this.#made = protocolSetup(policy, this.owner)
    this.context = this.#made.context
  }

  /** Throws where a request is a defect of the key manager's own, or goes uncounted or unrecorded. `records`: at most so many for one request. */
  async counted<T>(request: () => Promise<T>, records = 1): Promise<T> {
    const { owner, defects, strangers, answers } = this.#made
    owner.records.length = 0
    owner.trips.length = 0
    strangers.length = 0
    answers.length = 0
    const reply = await request()
    if (defects.length > 0) throw defects.splice(0)[0]
    demand(strangers.length + answers.length === 1, () => `counted as ${strangers} and ${answers}`)
    const recorded = owner.records.length
    const least = answers.length
    demand(recorded >= least && recorded <= least * records, () => `${recorded} records for ${answers}`)
    return reply
  }

  /** Throws where the answer is in no form of HTTP, too. */
  async answerOf(handler: Handler, asked: Asked, records = 1): Promise<Answered> {
    const reply = await this.counted(async () => handler(requestOf(asked)), records)
    const { status, headers, body } = reply
    for (const name in headers) {
      validateHeaderName(name)
      validateHeaderValue(name, headers[name] ?? '')
    }
    const text = String(body)
    const json = text === '' ? {} : (JSON.parse(text) as Answered['json'])
    demand(Number.isInteger(status) && status >= 200 && status < 600, () => `status ${status}`)
    return { status, json }
  }
}

function requestOf({ method, path, query, headers, body, peer }: Asked): HttpRequest {
  return {
    method,
    rawPath: path,
    query,
    headers: Object.assign(Object.create(null), headers),
    rawHeaders: [],
    body,
    remoteAddress: '192.0.2.7',
    peer,
    receivedAt: NOW,
  }
}

/** A refusal by one of the protocol's names, whose status is not a fault of the key manager's own, but for the names of `own`. */
export function demandRefusal(
  { status, json }: Answered,
  name: unknown,
  statuses: Readonly<Record<string, number>>,
  own: readonly string[],
): string {
  demand(typeof name === 'string' && statuses[name] === status, () => `${status} ${JSON.stringify(json)}`)
  demand(status < 500 || own.includes(name), () => `${status} ${name}`)
  return `${status} ${name}`
}
