/** Choices that a seed and a number repeat: every input has a beginning of its own, so that any one of millions can be made again without the others. */
export class Random {
  #a = 0
  #b = 0
  #c = 0
  #count = 0

  /** `seed`: of the run. `at`: number of the input. */
  begin(seed: number, at: number): this {
    this.#a = seed | 0
    this.#b = Math.floor(at / 0x1_0000_0000) ^ 0x9e3779b9
    this.#c = at | 0
    this.#count = 1
    // Neighbours differ in a bit or two; after these they have nothing in common.
    for (let i = 0; i < 12; i++) this.word()
    return this
  }

  /** 32 bits (sfc32). */
  word(): number {
    const sum = (this.#a + this.#b + this.#count++) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** A whole number from 0, `end` not included. */
  below(end: number): number {
    return Math.floor((this.word() / 0x1_0000_0000) * end)
  }

  /** `probability`: from 0 to 1. */
  chance(probability: number): boolean {
    return this.word() < probability * 0x1_0000_0000
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length)
    for (let at = 0; at < length; at++) bytes[at] = this.word()
    return bytes
  }
}
