/** The memory of a process, for tests that search it. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'

const PAGE = 4096
const EMPTY = Buffer.alloc(PAGE)
/** What is mapped in pieces of more than this was never written. */
const MOST = 1 << 30

/** Every part of a process' memory that it may write, one after the other, without the pages that hold nothing but zeros. */
export function* memoryOf(pid: number): Generator<Buffer> {
  const file = openSync(`/proc/${pid}/mem`, 'r')
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
      const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? []
      if (from === undefined || to === undefined) continue
      const start = BigInt(`0x${from}`)
      const length = Number(BigInt(`0x${to}`) - start)
      if (length > MOST) continue
      const part = Buffer.allocUnsafeSlow(length)
      let read: number
      try {
        read = readSync(file, part, 0, length, start)
      } catch {
        continue
      }
      yield written(part.subarray(0, read))
    }
  } finally {
    closeSync(file)
  }
}

/** The pages that are not empty, moved together in place. */
function written(part: Buffer): Buffer {
  let end = 0
  for (let at = 0; at < part.length; at += PAGE) {
    const next = Math.min(at + PAGE, part.length)
    if (part.compare(EMPTY, 0, next - at, at, next) === 0) continue
    part.copyWithin(end, at, next)
    end += next - at
  }
  return part.subarray(0, end)
}
