/** How what is asked of the journal itself stands in frames: places that are signed, older states, erasing. */
import type { Erasing } from '../api.ts'
import { type Codec, fixed, struct, text, u32, u64 } from './codec.ts'

export const treeHead = struct({ size: u64, root: fixed(32) })
export const signedPlace = struct({
  note: text(4096),
  size: u64,
  root: fixed(32),
  lastTime: u64,
  lastWriteSet: u64,
  segment: u64,
  offset: u64,
  crc: u32,
})
export const olderState = struct({
  seen: treeHead,
  held: struct({ size: u64, root: fixed(32), lastTime: u64 }),
  note: text(4096),
})

export const erasing: Codec<Erasing> = struct<Erasing>({
  days: u32,
  begins: u64,
  firstToKeep: u64,
  segments: u32,
  rows: u64,
})
