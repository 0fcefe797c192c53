/** Starts the data service as a process of its own. It gets its configuration, which holds a credential, over the message channel. */
import { type ChildProcess, fork } from 'node:child_process'
import { entryFile } from '../../boundary/installed.ts'
import type { DataServiceConfig } from './config.ts'

export interface DataServiceProcess {
  readonly endpoint: string
  stop(): Promise<void>
}

/** `stderr`: file descriptor for what it has to say. */
export async function startDataServiceProcess(config: DataServiceConfig, stderr = 2): Promise<DataServiceProcess> {
  const child: ChildProcess = fork(entryFile('custody/data-service/main'), [], {
    stdio: ['ignore', stderr, stderr, 'ipc'],
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
