/** For unit tests: the handler over an owner in memory, and requests for it. */
import type { Peer } from '../../../http/types.ts'
import { ownTenantOnly, type Policy } from '../../access/policy.ts'
import { Rules } from '../../access/rules.ts'
import { Core } from '../../core.ts'
import { HealthMonitor } from '../../health.ts'
import { FakeOwner } from '../../testing.ts'
import { frame } from './grpc/frames.ts'
import type { UnaryReply } from './grpc/server.ts'
import { type ConnectionPeer, KEY_HEADER, kubernetesHandler, TENANT_HEADER } from './handler.ts'
import {
  DECRYPT_REQUEST,
  DECRYPT_RESPONSE,
  ENCRYPT_REQUEST,
  ENCRYPT_RESPONSE,
  type Method,
  pathOf,
  STATUS_RESPONSE,
} from './messages.ts'
import { decode, encode } from './protobuf.ts'

export const TENANT = 'clusters/prod'
export const SOCKET = { kind: 'socket', url: 'unix:///run/kms.sock', tenant: TENANT, key: 'etcd' } as const

export const peerNamed = (commonName: string): Peer => ({
  commonName,
  dnsNames: [],
  uris: [],
  fingerprint: 'ab'.repeat(32),
  validTo: Number.MAX_SAFE_INTEGER,
})

export interface Send {
  readonly method?: Method
  readonly message?: Buffer
  /** Instead of the message with its prefix. */
  readonly body?: Buffer
  readonly peer?: ConnectionPeer
  readonly headers?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
}

export function setup(policy: Policy = ownTenantOnly) {
  const owner = new FakeOwner()
  owner.tenant(TENANT, { clients: ['node.example'] })
  owner.tenant('other', { clients: ['other.example'] })
  owner.tenant('open')
  for (const tenant of [TENANT, 'other', 'open']) owner.key(tenant, 'etcd')
  const defects: unknown[] = []
  const strangers: string[] = []
  const answers: string[] = []
  const monotonic = { now: 0 }
  const health = new HealthMonitor(owner.boundary, () => monotonic.now)
  const onDefect = (error: unknown) => void defects.push(error)
  let count = 0
  const handle = kubernetesHandler({
    core: new Core({ ...owner, policy, rules: new Rules([]), health, onDefect }),
    replica: owner.replica,
    health: () => health.current(),
    nextRequestId: () => `ours-${++count}`,
    onStranger: reason => void strangers.push(reason),
    onAnswer: (operation, outcome) => void answers.push(`${operation} ${outcome}`),
    onDefect,
  })
  const send = ({ method = 'Status', message = Buffer.alloc(0), body, peer = SOCKET, headers = {}, timeoutMs }: Send) =>
    handle({ path: pathOf(method), headers, body: body ?? frame(message), timeoutMs, peer, address: '192.0.2.7' })
  const status = async (o: Send = {}) => decode(STATUS_RESPONSE, ok(await send({ method: 'Status', ...o })))
  const encrypt = async (plaintext: Buffer, uid = 'uid-1', o: Send = {}) =>
    decode(
      ENCRYPT_RESPONSE,
      ok(await send({ method: 'Encrypt', message: encode(ENCRYPT_REQUEST, { plaintext, uid }), ...o })),
    )
  const decryptRequest = (from: { ciphertext: Buffer; key_id: string }, uid = 'uid-2'): Send => ({
    method: 'Decrypt',
    message: encode(DECRYPT_REQUEST, { ...from, uid, annotations: new Map() }),
  })
  const decrypt = async (from: { ciphertext: Buffer; key_id: string }, o: Send = {}) =>
    decode(DECRYPT_RESPONSE, ok(await send({ ...decryptRequest(from), ...o }))).plaintext
  return { owner, send, status, encrypt, decrypt, decryptRequest, defects, strangers, answers, monotonic }
}

/** What a plugin on another machine sends from. */
export const plugin = (name: string, tenant: string, key = 'etcd'): Pick<Send, 'peer' | 'headers'> => ({
  peer: { kind: 'certificate', peer: peerNamed(name) },
  headers: { [TENANT_HEADER]: tenant, [KEY_HEADER]: key },
})

export function ok(reply: UnaryReply): Buffer {
  if (reply.status !== 'OK') throw new Error(`${reply.status}: ${reply.text}`)
  return reply.message
}
