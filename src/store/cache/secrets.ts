/**
 * Opened secrets in memory, until their row changes or too many others have come. They are wiped by nobody while someone may still use one; they go
 * with the last reference.
 */
import type { RowKind } from '../../boundary/words.ts'
import type { Secret } from '../secret.ts'

export class SecretCache {
  readonly #max: number
  readonly #secrets = new Map<RowKind, Map<string, Secret>>()

  constructor(max: number) {
    this.#max = max
  }

  get(kind: RowKind, id: string): Secret | undefined {
    return this.#secrets.get(kind)?.get(id)
  }

  set(kind: RowKind, id: string, secret: Secret): void {
    let secrets = this.#secrets.get(kind)
    if (secrets === undefined) {
      secrets = new Map()
      this.#secrets.set(kind, secrets)
    }
    const first = secrets.size >= this.#max ? secrets.keys().next().value : undefined
    if (first !== undefined) secrets.delete(first)
    secrets.set(id, secret)
  }

  drop(kind: RowKind, id: string): void {
    this.#secrets.get(kind)?.delete(id)
  }
}
