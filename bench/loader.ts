/** The load process, from the side of whoever measures. */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import type { LoadJob, LoadResult } from './load.ts'

export class Loader {
  readonly #child: ChildProcess = fork(join(import.meta.dirname, 'load.ts'), [], { serialization: 'advanced' })

  /** `begins`: when all connections are open, and before the first request. */
  run(job: LoadJob, begins: () => void = () => {}): Promise<LoadResult> {
    return new Promise((resolve, reject) => {
      const told = (answer: { ready?: true; result?: LoadResult; error?: string }): void => {
        if (answer.ready) {
          begins()
          this.#child.send('go')
          return
        }
        this.#child.off('message', told)
        if (answer.result) resolve(answer.result)
        else reject(new Error(answer.error))
      }
      this.#child.on('message', told)
      this.#child.send(job)
    })
  }

  stop(): void {
    this.#child.disconnect()
  }
}
