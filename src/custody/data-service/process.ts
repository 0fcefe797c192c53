/** Starts the data service as a process of its own. It gets its configuration, which holds a credential, over the message channel. */
import { type ChildProcess, fork } from 'node:child_process'
import { extname, join } from 'node:path'
import type { DataServiceConfig } from './config.ts'

export interface DataServiceProcess {
  readonly endpoint: string
  stop(): Promise<void>
}

export async function startDataServiceProcess(config: DataServiceConfig): Promise<DataServiceProcess> {
  const child: ChildProcess = fork(join(import.meta.dirname, `main${extname(import.meta.filename)}`), [], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  child.send(config)
  const endpoint = await new Promise<string>((resolve, reject) => {
    child.once('message', (message: { ready?: string; failed?: string }) => {
      if (message.ready !== undefined) resolve(message.ready)
      else reject(new Error(`the data service did not start: ${message.failed}`))
    })
    child.once('exit', code => reject(new Error(`the data service ended with ${code}`)))
  })
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise(resolve => child.once('exit', resolve))
    child.kill('SIGTERM')
    await ended
  }
  return { endpoint, stop }
}
