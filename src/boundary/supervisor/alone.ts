/**
 * A process of a service without a supervisor: a service manager starts each by itself, and starts it anew. Its configuration, which is no secret, comes in
 * the environment instead of over a channel; it comes of `become`, never from outside.
 */
import type { Program } from './programs.ts'

const CONFIG = 'HOLDFAST_PROCESS_CONFIG'
const JITLESS = '--jitless'

/** Turns this process into that program, under the same process id: the one that the service manager watches. Returns only by throwing. */
export function become({ entry, nodeFlags, env }: Program, config: object): never {
  const { NOTIFY_SOCKET } = process.env
  if (process.execve === undefined)
    throw new Error('this Node cannot run another program in its place: use Node 24 or newer')
  return process.execve(process.execPath, [process.execPath, ...withoutCompiler(), ...nodeFlags, entry], {
    ...defined(env),
    ...(NOTIFY_SOCKET === undefined ? {} : { NOTIFY_SOCKET }),
    [CONFIG]: JSON.stringify(config),
  })
}

/** Where this process makes no machine code, because nothing here may (MemoryDenyWriteExecute= in the unit), neither does the one that it turns into. */
const withoutCompiler = (): readonly string[] =>
  (process.env.NODE_OPTIONS ?? '').split(/\s+/).includes(JITLESS) ? [JITLESS] : []

const defined = (env: NodeJS.ProcessEnv): Record<string, string> =>
  Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined))

/** What `become` gave this process, once; undefined for one that a supervisor started. */
export function takeConfig<Config>(): Config | undefined {
  if (process.send !== undefined) return undefined
  const text = process.env[CONFIG]
  delete process.env[CONFIG]
  return text === undefined ? undefined : (JSON.parse(text) as Config)
}
