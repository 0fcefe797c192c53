/** Work that is done between two batches, while what is appended meanwhile waits: one piece after the other. */

/** Called when the work's turn has come, synchronously: what is appended from then on stands behind it. Returns what is done once all before is durable. */
export type Begin<T> = () => () => Promise<T>

interface Asked {
  readonly begin: Begin<unknown>
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
}

export class Pauses {
  #asked: Asked[] = []
  #begun: { readonly asked: Asked; readonly work: () => Promise<unknown> } | undefined

  ask<T>(begin: Begin<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#asked.push({ begin, resolve, reject })
    })
  }

  /** Something was asked for and is not done. */
  get waiting(): boolean {
    return this.#begun !== undefined || this.#asked.length > 0
  }

  /** Something has begun: it is run when everything that was appended before is durable. */
  get begun(): boolean {
    return this.#begun !== undefined
  }

  /** Begins what was asked for first. */
  begin(): void {
    const asked = this.#asked.shift()
    if (asked !== undefined) this.#begun = { asked, work: asked.begin() }
  }

  /** Does what has begun. Rejects where it failed, besides telling who asked. */
  async run(): Promise<void> {
    const begun = this.#begun
    if (begun === undefined) return
    try {
      begun.asked.resolve((await begun.work()) as never)
    } catch (error) {
      begun.asked.reject(error as Error)
      throw error
    } finally {
      this.#begun = undefined
    }
  }

  /** Nothing of it will be done. */
  fail(error: Error): void {
    this.#begun?.asked.reject(error)
    for (const { reject } of this.#asked.splice(0)) reject(error)
  }
}
