/**
 * What a policy decides by: who asks, for what, with which key, and what is known and claimed of it. The same for a call that is being made and for
 * one that stands in the log, so that a policy can be tried on what has happened: claims are seen as the record has them, cut to its bounds.
 */
import { isIP } from 'node:net'
import type { AssertedField, KeyHeader } from '../../../boundary/words.ts'
import type { AuthenticatedCaller } from '../caller.ts'
import { type Claims, clip } from '../claims.ts'
import { REASONS, reasonCode } from '../reasons.ts'

/** A call, as far as policies are concerned. */
export interface Asked {
  readonly caller: Pick<
    AuthenticatedCaller,
    'protocol' | 'tenant' | 'principal' | 'credentialId' | 'region' | 'sourceIp' | 'peerName'
  >
  readonly claims: Claims
  readonly operation: string
}

export type KeyFacts = Pick<KeyHeader, 'id' | 'account' | 'spec' | 'backing' | 'mayEncrypt' | 'mayDecrypt'>

/** A value in the form that Cedar takes. */
export type CedarValue = string | number | { readonly __extn: { readonly fn: string; readonly arg: string } }

interface Field {
  readonly type: 'String' | 'Long' | 'datetime' | 'ipaddr'
  /** May be missing, so that a policy has to ask `context has …`. */
  readonly optional?: true
  readonly about: string
  /** The only values that it ever has; a policy that compares it with another is refused. */
  readonly values?: readonly string[]
  /** The record's field that holds it; none: the record's time. */
  readonly recorded?: AssertedField
  /** What distinguishes two calls: as it came, so that nothing is spent on it where the decision is known. */
  readonly raw: (asked: Asked, now: number) => string | number | undefined
  readonly value: (raw: string | number) => CedarValue | undefined
}

const SECOND = 1000
const DAY = 86_400_000
export const WEEKDAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'] as const
/** 1970-01-01 was a Thursday. */
const FIRST_WEEKDAY = 4

function text(recorded: AssertedField, about: string, raw: Field['raw']): Field {
  return { type: 'String', about, recorded, raw, value: given => clip(recorded, String(given).toWellFormed()) }
}

/** An address as Cedar reads it: without a zone, and IPv4 as such. Undefined where there is none, as on a Unix socket. */
function address(raw: string | number): CedarValue | undefined {
  const bare = String(raw)
    .replace(/%.*$/s, '')
    .replace(/^::ffff:(?=\d+\.)/i, '')
  return isIP(bare) === 0 ? undefined : { __extn: { fn: 'ip', arg: bare } }
}

/** The context of a request. Claims are named as claims. */
const FIELDS = {
  time: {
    type: 'datetime',
    about: 'now, in whole seconds of UTC',
    raw: (_, now) => Math.floor(now / SECOND),
    value: raw => ({ __extn: { fn: 'datetime', arg: new Date(Number(raw) * SECOND).toISOString() } }),
  },
  hour: {
    type: 'Long',
    about: 'of now, UTC: 0 to 23',
    raw: (_, now) => new Date(now).getUTCHours(),
    value: raw => raw,
  },
  weekday: {
    type: 'String',
    about: 'of now, UTC',
    values: WEEKDAYS,
    raw: (_, now) => WEEKDAYS[(Math.floor(now / DAY) + FIRST_WEEKDAY) % 7],
    value: raw => raw,
  },
  sourceIp: {
    type: 'ipaddr',
    optional: true,
    about: 'where the connection comes from; missing on a Unix socket',
    recorded: 'sourceIp',
    raw: ({ caller }) => caller.sourceIp,
    value: address,
  },
  region: text(
    'region',
    'where the provider calls from, where that is authenticated (xks)',
    ({ caller }) => caller.region,
  ),
  reason: {
    type: 'String',
    about: 'why the provider says that it needs the key',
    recorded: 'reason',
    values: Object.keys(REASONS),
    raw: ({ claims }) => claims.reason,
    value: raw => reasonCode(String(raw)),
  },
  claimedPrincipal: text(
    'claimedPrincipal',
    'who the provider says is asking: an ARN, an e-mail address, the name of a pool',
    ({ claims }) => claims.principal || claims.email || claims.pool,
  ),
  claimedAccount: text('claimedAccount', 'account, project or tenant at the provider', ({ claims }) => claims.account),
  claimedRegion: text('claimedRegion', 'Region that the provider names', ({ claims }) => claims.region),
  claimedOperation: text(
    'claimedOperation',
    'the provider’s own operation: GenerateDataKey',
    ({ claims }) => claims.operation,
  ),
  claimedKeyArn: text('claimedKeyArn', 'the provider’s name of its key', ({ claims }) => claims.keyArn),
  claimedViaService: text('viaService', 'the provider’s service that it is for', ({ claims }) => claims.viaService),
  claimedSourceVpc: text(
    'claimedSourceVpc',
    'private network of the provider’s caller',
    ({ claims }) => claims.sourceVpc,
  ),
  claimedSourceVpce: text('claimedSourceVpce', 'its endpoint', ({ claims }) => claims.sourceVpce),
  claimedPool: text('claimedPool', 'name of the managed HSM pool (azure)', ({ claims }) => claims.pool),
  claimedEmail: text('claimedEmail', 'e-mail address of the person for whom it is', ({ claims }) => claims.email),
  claimedResource: text('subject', 'what it is for: a document, a resource name', ({ claims }) => claims.resource),
  claimedPerimeter: text('claimedPerimeter', 'perimeter of that resource (kacls)', ({ claims }) => claims.perimeter),
} as const satisfies Record<string, Field>
export type ContextField = keyof typeof FIELDS
export const CONTEXT: Readonly<Record<ContextField, Field>> = FIELDS
export const CONTEXT_FIELDS = Object.keys(FIELDS) as readonly ContextField[]

/** Attributes of an authenticated peer. */
export const PEER = {
  name: {
    about: 'access key id (xks), name in the certificate (azure, kubernetes), e-mail address (dke, kacls, google)',
  },
  credential: { about: 'which credential it was: access key id, fingerprint of the certificate, issuer and subject' },
  certificate: { about: 'name in the client’s certificate; empty where there was none' },
} as const

const SPECS = ['AES_256', 'RSA_2048', 'RSA_3072', 'RSA_4096'] as const
/** Attributes of a key, in the words of `holdfast ekm key list`. */
export const KEY = {
  name: { about: 'its id within the tenant', values: undefined },
  spec: { about: 'what it is', values: SPECS },
  backing: { about: 'where its material is', values: ['software', 'token'] },
  usage: { about: 'what it may do', values: ['both', 'encrypt', 'decrypt', 'none'] },
} as const

export function peerAttributes({
  principal,
  credentialId,
  peerName,
}: Asked['caller']): Record<keyof typeof PEER, string> {
  return {
    name: clip('principal', principal.toWellFormed()),
    credential: clip('accessKeyId', credentialId.toWellFormed()),
    certificate: clip('peer', peerName.toWellFormed()),
  }
}

export function keyAttributes({
  id,
  spec,
  backing,
  mayEncrypt,
  mayDecrypt,
}: KeyFacts): Record<keyof typeof KEY, string> {
  const one = mayEncrypt ? 'encrypt' : mayDecrypt ? 'decrypt' : 'none'
  return {
    name: id.slice(id.lastIndexOf('/') + 1),
    spec: spec === 'EXTERNAL_AES_256' ? 'AES_256' : spec,
    backing: backing === 'TOKEN' ? 'token' : 'software',
    usage: mayEncrypt && mayDecrypt ? 'both' : one,
  }
}

/** Those fields of a call's context that are asked for, as Cedar takes them; what has no value is left out. */
export function contextOf(asked: Asked, now: number, fields: readonly ContextField[]): Record<string, CedarValue> {
  const context: Record<string, CedarValue> = {}
  for (const name of fields) {
    const { raw, value: toCedar } = CONTEXT[name]
    const value = toCedar(raw(asked, now) ?? '')
    if (value !== undefined) context[name] = value
  }
  return context
}
