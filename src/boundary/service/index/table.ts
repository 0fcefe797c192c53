/** Places by hash, with open addressing and linear probing. The hashes themselves are kept by whoever keeps what is at the places. */
export class Table {
  #slots = new Uint32Array(1024)

  /** The place that is found `probe - hash` steps behind where one of this hash belongs; below 0 where nothing is, and nothing further on. */
  at(probe: number): number {
    return (this.#slots[probe & (this.#slots.length - 1)] ?? 0) - 1
  }

  add(place: number, hash: number): void {
    const mask = this.#slots.length - 1
    let probe = hash & mask
    while (this.#slots[probe] !== 0) probe = (probe + 1) & mask
    this.#slots[probe] = place + 1
  }

  /** Takes a place out; those behind it that were pushed aside move up (Knuth, TAOCP vol. 3, §6.4, algorithm R). `hashes`: by place. */
  remove(place: number, hashes: Uint32Array): void {
    const slots = this.#slots
    const mask = slots.length - 1
    let hole = (hashes[place] ?? 0) & mask
    while (slots[hole] !== place + 1) hole = (hole + 1) & mask
    for (let next = (hole + 1) & mask; slots[next] !== 0; next = (next + 1) & mask) {
      const other = (slots[next] ?? 0) - 1
      const home = (hashes[other] ?? 0) & mask
      if (((next - home) & mask) < ((next - hole) & mask)) continue
      slots[hole] = other + 1
      hole = next
    }
    slots[hole] = 0
  }

  /** Makes room for `count` places, of which those from 0 to before `placed` are there. */
  grow(count: number, hashes: Uint32Array, placed: number): void {
    let length = this.#slots.length
    while (length < count * 2) length *= 2
    if (length === this.#slots.length) return
    this.#slots = new Uint32Array(length)
    for (let place = 0; place < placed; place++) this.add(place, hashes[place] ?? 0)
  }
}
