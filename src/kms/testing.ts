/**
 * For tests: a KMS in this process, over a real boundary and a replica of it, without listener and signatures: requests are handed to the runner as
 * those of a caller with given identity policies.
 */
import { randomUUID } from 'node:crypto'
import type { ControlConnection } from '../boundary/client/control.ts'
import { connectUse } from '../boundary/client/use.ts'
import { inProcess } from '../boundary/service/testing/in-process.ts'
import { type Quotas, quotas } from '../config/quotas.ts'
import { openReplica } from '../store/replica.ts'
import { MemoryStore } from '../store/testing.ts'
import { compilePolicy } from './access/compile.ts'
import { Principals } from './access/principals.ts'
import { Sessions } from './access/sessions.ts'
import { callerOf, policyBytes } from './access/testing.ts'
import type { Caller } from './access/types.ts'
import { createAccount, createPrincipal } from './admin/index.ts'
import { Attestations } from './attestation/verify.ts'
import { Grants } from './keys/grants.ts'
import { MarkerKey } from './operations/markers.ts'
import { markingErrors } from './operations/recorded.ts'
import { Runner } from './operations/run.ts'
import { OPERATIONS } from './operations/table.ts'
import type { Services } from './operations/types.ts'
import { readKeyStore } from './stores/rows.ts'
import type { KeyStores } from './stores/types.ts'
import { answerSts } from './sts/answer.ts'
import type { StsReply } from './sts/errors.ts'
import { KmsError } from './wire/errors.ts'
import type { Limits } from './wire/request-quotas.ts'

export const ACCOUNT = '111122223333'
export const OTHER = '444455556666'
export const REGION = 'eu-north-1'
export const REGIONS = [REGION, 'us-west-2', 'ap-south-1'] as const

export interface Answer {
  readonly status: number
  /** The body, parsed; `{}` for an empty one. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers as clients do
  readonly body: any
}

export interface TestKms {
  readonly services: Services
  /** What failed for a reason that no caller can cause. */
  readonly defects: unknown[]
  /** Custom key stores that are connected, by row id. */
  readonly connected: Set<string>
  call(operation: string, input?: object, caller?: Caller, region?: string): Promise<Answer>
  /** The answer of a call that must succeed. */
  ok(operation: string, input?: object, caller?: Caller, region?: string): Promise<Answer['body']>
  /** An answer of STS to a form. */
  sts(form: string | Readonly<Record<string, string>>, caller?: Caller, accessKeyId?: string): Promise<StsReply>
  /** The administrator's connection. */
  readonly control: ControlConnection
  /** Who calls with a session token. */
  readonly sessions: Sessions
  /** Makes a principal's row, and that of its account, so that grants and policies can name it. */
  principal(arn: string): Promise<void>
  /** Records of the log so far. */
  records(): Promise<number>
  /** Moves lifecycle time; what falls due is done. */
  advance(milliseconds: number): Promise<void>
  stop(): Promise<void>
}

/** A user of the account with these statements as its identity policy; without any, every right. */
export function user(name: string, statements: readonly object[] | undefined = undefined, account = ACCOUNT): Caller {
  const Statement = statements ?? [{ Effect: 'Allow', Action: 'kms:*', Resource: '*' }]
  const policies =
    Statement.length === 0 ? [] : [compilePolicy('identity', policyBytes({ Version: '2012-10-17', Statement }))]
  return callerOf(`arn:aws:iam::${account}:user/${name}`, policies)
}

export const ADMINISTRATOR = user('administrator')

export interface TestOptions {
  readonly attestationRoots?: readonly Buffer[]
  /** Whether keys stay Creating or Updating. */
  readonly held?: () => boolean
  /** Real time. */
  readonly now?: () => number
  /** Resource quotas other than the defaults. */
  readonly quotas?: Partial<Quotas>
  /** Request quotas; without it there are none. */
  readonly limits?: Limits
}

export async function startTestKms(
  stores: Partial<KeyStores> = {},
  { attestationRoots = [], held = () => false, now = Date.now, quotas: over = {}, limits }: TestOptions = {},
): Promise<TestKms> {
  const { keys, onDemandRotations } = over
  const boundary = await inProcess({
    held,
    now,
    config: {
      limits: {
        ...(keys === undefined ? {} : { keys }),
        ...(onDemandRotations === undefined ? {} : { onDemandRotations }),
      },
    },
  })
  const findStore: KeyStores['find'] = async id => {
    const row = await replica.get('keystore', id)
    if (row === undefined)
      throw new KmsError('CustomKeyStoreNotFoundException', `Custom key store ${id} was not found.`)
    return readKeyStore(row)
  }
  const caughtUp = Promise.withResolvers<void>()
  const use = connectUse({
    socket: boundary.running.useSocket,
    onWriteSet: set => replica.onWriteSet(set),
    onState: async state => {
      if (state.kind !== 'connected') return
      await replica.catchUp()
      caughtUp.resolve()
    },
  })
  const replica = await openReplica({ store: new MemoryStore(), boundary: use })
  await caughtUp.promise
  const markers = new MarkerKey()
  markers.take(await use.markerKey())
  const connected = new Set<string>()
  const defects: unknown[] = []
  let offset = 0
  const services: Services = {
    boundary: markingErrors(use),
    replica,
    principals: new Principals(replica),
    grants: new Grants(replica),
    stores: { connected: id => connected.has(id), find: findStore, ...stores } as KeyStores,
    clocks: { lifecycle: () => now() + offset, real: now },
    settings: { partition: 'aws', regions: REGIONS, services: ['objects'], quotas: { ...quotas.parse({}), ...over } },
    markers,
    attestations: attestationRoots.length === 0 ? undefined : new Attestations(attestationRoots),
  }
  const runner = new Runner(services, OPERATIONS, {
    ...(limits === undefined ? {} : { limits }),
    onDefect: error => defects.push(error),
    onAnswer: () => {},
  })
  const call: TestKms['call'] = async (operation, input = {}, caller = ADMINISTRATOR, region = REGION) => {
    const { status, body } = await runner.answer({
      operation,
      requestId: randomUUID(),
      accessKeyId: 'AKIAEXAMPLE',
      body: Buffer.from(JSON.stringify(input)),
      facts: { caller, region, sourceIp: '192.0.2.1', secureTransport: true, userAgent: 'test', now: Date.now() },
    })
    const text = body.toString()
    return { status, body: text === '' ? {} : JSON.parse(text) }
  }
  const sts: TestKms['sts'] = (form, caller = ADMINISTRATOR, accessKeyId = 'AKIAEXAMPLE') => {
    const text = typeof form === 'string' ? form : String(new URLSearchParams({ Version: '2011-06-15', ...form }))
    const facts = {
      caller,
      region: REGION,
      sourceIp: '192.0.2.1',
      secureTransport: true,
      userAgent: 'test',
      now: now(),
    }
    const request = { requestId: randomUUID(), accessKeyId, body: Buffer.from(text), facts }
    return answerSts(runner, request, text, error => defects.push(error))
  }
  return {
    sts,
    control: boundary.control,
    sessions: new Sessions(services.principals, use, 3),
    services,
    defects,
    connected,
    call,
    ok: async (operation, input, caller, region) => {
      const answer = await call(operation, input, caller, region)
      if (answer.status !== 200) throw new Error(`${operation}: ${JSON.stringify(answer.body)}`)
      return answer.body
    },
    principal: async arn => {
      const account = arn.split(':')[4] ?? ''
      if ((await boundary.control.getRow('account', account)) === undefined)
        await createAccount(boundary.control, { id: account })
      if (!arn.endsWith(':root')) await createPrincipal(boundary.control, arn)
    },
    records: async () => (await use.status()).logSize,
    advance: async milliseconds => {
      offset = (await boundary.control.advanceClock(milliseconds)).lifecycleNow - now()
    },
    stop: async () => {
      use.close()
      await boundary.stop()
      boundary.remove()
    },
  }
}
