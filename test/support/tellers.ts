/** Clients that a story can be told to: boto3 in a process of its own, the AWS CLI as a command for each call, the AWS SDK for JavaScript. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { OPERATION_INPUTS, type Shape, shapeOf } from '../../src/kms/wire/model/model.ts'
import { path, run } from './clients.ts'
import { type Credentials, REGION } from './kms.ts'
import { call, sdk } from './sdk.ts'
import type { Ask, Members } from './story.ts'

export interface Teller {
  readonly ask: Ask
  /** Operations that the newest version of the client in its registry does not have. */
  readonly lacks: ReadonlySet<string>
  close(): Promise<void>
}

/** The members of a structure with what `blob` makes of its blobs. */
function converted(shape: Shape, value: unknown, blob: (value: never) => unknown): unknown {
  if (value === undefined || value === null) return value
  if (shape.type === 'blob') return blob(value as never)
  if (shape.type === 'structure') {
    const members = Object.entries(value as Members).map(([name, inner]) => {
      const reference = shape.members?.[name]
      return [name, reference === undefined ? inner : converted(shapeOf(reference.shape), inner, blob)]
    })
    return Object.fromEntries(members)
  }
  return value
}

function inputShape(operation: string): Shape {
  const name = OPERATION_INPUTS.get(operation)
  if (name === undefined) throw new Error(`${operation} is no operation of the model`)
  return shapeOf(name)
}

const NOTHING: ReadonlySet<string> = new Set()

export function bySdk(endpoint: string, credentials: Credentials): Teller {
  const clients = new Map<string, ReturnType<typeof sdk>>()
  const of = (region: string) => {
    const client = clients.get(region) ?? sdk(endpoint, credentials, region)
    clients.set(region, client)
    return client
  }
  return {
    lacks: NOTHING,
    ask: async (operation, input, region = REGION) => {
      const given = converted(inputShape(operation), input, (text: string) => Buffer.from(text, 'base64')) as object
      try {
        const output = await call(of(region), operation, given)
        return JSON.parse(JSON.stringify(output, bytesAsText)) as Members
      } catch (error) {
        throw new Error(`${(error as Error).name}: ${(error as Error).message}`)
      }
    },
    close: async () => {
      for (const client of clients.values()) client.destroy()
    },
  }
}

/** For JSON.stringify: bytes as Base64. The SDK gives plain Uint8Arrays. */
const bytesAsText = (_: string, value: unknown): unknown =>
  value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value

export function byBoto3(env: NodeJS.ProcessEnv): Teller {
  const script = join(import.meta.dirname, '..', 'clients', 'python', 'bridge.py')
  const child: ChildProcess = spawn(path('python'), [script], { env, stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
  let turn: Promise<unknown> = Promise.resolve()
  const exchange = async (operation: string, input: Members, region: string): Promise<Members> => {
    child.stdin?.write(`${JSON.stringify({ operation, input, region })}\n`)
    const { value, done } = await lines.next()
    if (done === true) throw new Error('the process that runs boto3 has ended')
    const answer = JSON.parse(value as string) as { output?: Members; error?: string }
    if (answer.output === undefined) throw new Error(answer.error)
    return answer.output
  }
  return {
    lacks: NOTHING,
    ask: (operation, input, region = REGION) => {
      const next = turn.then(() => exchange(operation, input, region))
      turn = next.catch(() => {})
      return next
    },
    close: async () => {
      const ended = new Promise(done => child.once('exit', done))
      child.stdin?.end()
      await ended
    },
  }
}

const kebab = (name: string): string => name.replace(/([a-z0-9])([A-Z])/g, '$1-$2').toLowerCase()

/** `instead` is asked what the CLI cannot: the operations that it lacks. */
export function byCli(given: NodeJS.ProcessEnv, instead: Ask): Teller {
  const lacks = new Set(['Encapsulate', 'Decapsulate'])
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-cli-'))
  // The CLI's first version takes a URL given as a value for the place of the value.
  const AWS_CONFIG_FILE = join(folder, 'config')
  writeFileSync(AWS_CONFIG_FILE, '[default]\ncli_follow_urlparam = false\n')
  const env = { ...given, AWS_CONFIG_FILE }
  let files = 0
  /** One member as the CLI takes it: blobs from files, structures as JSON, booleans as flags. */
  const option = (shape: Shape, name: string, value: unknown): string[] => {
    const flag = `--${kebab(name)}`
    const inner = shapeOf(shape.members?.[name]?.shape ?? '')
    if (inner.type === 'boolean') return [value === true ? flag : flag.replace('--', '--no-')]
    if (inner.type === 'blob') {
      const file = join(folder, `blob-${files++}`)
      writeFileSync(file, Buffer.from(String(value), 'base64'))
      return [flag, `fileb://${file}`]
    }
    return [flag, typeof value === 'object' ? JSON.stringify(value) : String(value)]
  }
  return {
    lacks,
    ask: async (operation, input, region = REGION) => {
      if (lacks.has(operation)) return instead(operation, input, region)
      const shape = inputShape(operation)
      const options = Object.entries(input)
        .filter(([, value]) => value !== undefined)
        .flatMap(([name, value]) => option(shape, name, value))
      const { status, stdout, stderr } = await run(
        'aws',
        ['kms', kebab(operation), ...options, '--region', region, '--output', 'json', '--no-paginate'],
        env,
      )
      if (status !== 0) throw new Error(stderr.trim())
      return stdout.trim() === '' ? {} : (JSON.parse(stdout) as Members)
    },
    close: async () => rmSync(folder, { recursive: true, force: true }),
  }
}
