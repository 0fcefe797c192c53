/** Codecs of the ceremonies of shares: docs/shares.md. */
import type { CeremonyStatus } from '../said.ts'
import { bool, bytes, type Codec, oneOf, optional, struct, text, u8, u32 } from './codec.ts'

/** Code of a ceremony, and the line of a share. */
const [ceremony, share] = [text(32), bytes(512)]

export const inCeremony = struct({ ceremony })
export const givenShare = struct({ ceremony, share })
export const unlocking = struct({ ceremony, given: u8, needed: u8, done: bool })
export const splitting = struct({ threshold: u8, shares: u8 })
export const firstShare = struct({ ceremony, share, handedOut: u8, shares: u8 })
export const nextShare = struct({ share, handedOut: u8, shares: u8 })
export const trial = struct({ given: u8, needed: u8, done: bool })
export const ceremonyStatus: Codec<CeremonyStatus | undefined> = optional(
  struct<CeremonyStatus>({
    kind: oneOf('unlock', 'split'),
    handedOut: u8,
    given: u8,
    needed: u8,
    shares: u8,
    secondsLeft: u32,
  }),
)
