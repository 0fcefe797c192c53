/** The load process, from the side of whoever measures. */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import type { LoadJob, LoadResult } from './load.ts'

export class Loader {
  readonly #child: ChildProcess = fork(join(import.meta.dirname, 'load.ts'), [], { serialization: 'advanced' })

  run(job: LoadJob): Promise<LoadResult> {
    return new Promise((resolve, reject) => {
      this.#child.once('message', (answer: { result?: LoadResult; error?: string }) => {
        if (answer.result) resolve(answer.result)
        else reject(new Error(answer.error))
      })
      this.#child.send(job)
    })
  }

  stop(): void {
    this.#child.disconnect()
  }
}
