/**
 * While a journal is replayed whose older write sets nobody can read any more: uses of keys whose rows come later, where a rotation of the root wrote them
 * again. Of each key the last record of each step, which is all that the last use is made of.
 */
import type { UseStep } from './recorded-use.ts'

export interface UseBefore {
  readonly step: UseStep
  /** A copy. */
  readonly record: Buffer
  readonly time: number
  readonly seq: number
}

const NONE: readonly UseBefore[] = []

export class UsesBefore {
  readonly #keys = new Map<string, UseBefore[]>()

  /** Copies the record. It is newer than all before. */
  take(id: string, step: UseStep, record: Buffer, time: number, seq: number): void {
    const others = (this.#keys.get(id) ?? NONE).filter(use => use.step !== step)
    this.#keys.set(id, [...others, { step, record: Buffer.from(record), time, seq }])
  }

  /** What was taken of a key, oldest first; it is forgotten. */
  give(id: string): readonly UseBefore[] {
    const uses = this.#keys.get(id) ?? NONE
    this.#keys.delete(id)
    return uses
  }
}
