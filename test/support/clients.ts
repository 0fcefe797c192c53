/** Programs of others that speak to AWS KMS: where they are (bin/clients.mjs has installed them), and what tells them where this KMS is. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { clients } from '../../bin/clients.mjs'
import { type Kms, REGION } from './kms.ts'

const execute = promisify(execFile)

const paths = {
  aws: join(clients.python.folder, 'bin', 'aws'),
  python: join(clients.python.folder, 'bin', 'python'),
  'ansible-playbook': join(clients.python.folder, 'bin', 'ansible-playbook'),
  go: join(clients.go.folder, 'clients'),
  sops: join(clients.go.folder, 'sops'),
  apiserver: join(clients.kubernetes.folder, 'apiserver'),
  tofu: join(clients.tofu.folder, 'tofu'),
} as const
export type Client = keyof typeof paths

/** What every AWS client reads: nothing of this machine's own configuration, and the endpoint by AWS's own variable. */
export function environmentOf({ line }: Pick<Kms, 'line'>, region = REGION): NodeJS.ProcessEnv {
  return {
    PATH: process.env.PATH,
    HOME: line.data,
    LANG: 'C.UTF-8',
    AWS_ACCESS_KEY_ID: line.accessKeyId,
    AWS_SECRET_ACCESS_KEY: line.secretAccessKey,
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
    AWS_ENDPOINT_URL_KMS: line.endpoint,
    AWS_ENDPOINT_URL_STS: line.endpoint,
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_MAX_ATTEMPTS: '1',
    AWS_PAGER: '',
  }
}

export interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Where a client is. Throws where it is not. */
export function path(client: Client): string {
  const found = paths[client]
  if (!existsSync(found)) throw new Error(`${client} is not installed: npm test installs it`)
  return found
}

/** Runs a client to its end, whatever that is. */
export async function run(
  client: Client,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  cwd = env.HOME,
): Promise<Ran> {
  try {
    const { stdout, stderr } = await execute(path(client), args, { env, cwd, maxBuffer: 1 << 24 })
    return { status: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: number; stdout?: string; stderr?: string }
    if (typeof code !== 'number') throw error
    return { status: code, stdout, stderr }
  }
}

/** The same for a run that must succeed: its standard output. */
export async function succeed(
  client: Client,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  cwd?: string,
): Promise<string> {
  const { status, stdout, stderr } = await run(client, args, env, cwd)
  if (status !== 0) throw new Error(`${client} ${args.join(' ')} ended with ${status}:\n${stdout}\n${stderr}`)
  return stdout
}
