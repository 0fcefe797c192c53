/**
 * For tests: a KMS in this process, over a real boundary and a replica of it, without listener and signatures: requests are handed to the runner as
 * those of a caller with given identity policies.
 */
import { randomUUID } from 'node:crypto'
import { connectUse } from '../boundary/client/use.ts'
import { inProcess } from '../boundary/service/testing/in-process.ts'
import { type Quotas, quotas } from '../config/quotas.ts'
import { openReplica } from '../store/replica.ts'
import { MemoryStore } from '../store/testing.ts'
import { compilePolicy } from './access/compile.ts'
import { Principals } from './access/principals.ts'
import { callerOf, policyBytes } from './access/testing.ts'
import type { Caller } from './access/types.ts'
import { MarkerKey } from './operations/markers.ts'
import { markingErrors } from './operations/recorded.ts'
import { Runner } from './operations/run.ts'
import { OPERATIONS } from './operations/table.ts'
import type { Services } from './operations/types.ts'
import type { KeyStores } from './stores/types.ts'
import type { RequestLimits } from './wire/request-quotas.ts'

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

const ADMINISTRATOR = user('administrator')

export interface TestOptions {
  /** Resource quotas other than the defaults. */
  readonly quotas?: Partial<Quotas>
  /** Request quotas; without it there are none. */
  readonly limits?: Pick<RequestLimits, 'take'>
}

/** `held`: whether keys stay Creating or Updating. */
export async function startTestKms(
  stores: Partial<KeyStores> = {},
  held: () => boolean = () => false,
  { quotas: over = {}, limits }: TestOptions = {},
): Promise<TestKms> {
  const { keys, onDemandRotations } = over
  const boundary = await inProcess({
    held,
    config: {
      limits: {
        ...(keys === undefined ? {} : { keys }),
        ...(onDemandRotations === undefined ? {} : { onDemandRotations }),
      },
    },
  })
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
    stores: { connected: id => connected.has(id), ...stores } as KeyStores,
    clocks: { lifecycle: () => Date.now() + offset, real: Date.now },
    settings: { partition: 'aws', regions: REGIONS, services: ['objects'], quotas: { ...quotas.parse({}), ...over } },
    markers,
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
  return {
    services,
    defects,
    connected,
    call,
    ok: async (operation, input, caller, region) => {
      const answer = await call(operation, input, caller, region)
      if (answer.status !== 200) throw new Error(`${operation}: ${JSON.stringify(answer.body)}`)
      return answer.body
    },
    records: async () => (await use.status()).logSize,
    advance: async milliseconds => {
      offset = (await boundary.control.advanceClock(milliseconds)).lifecycleNow - Date.now()
    },
    stop: async () => {
      use.close()
      await boundary.stop()
      boundary.remove()
    },
  }
}
