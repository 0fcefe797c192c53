/** What a journal goes on with once it is open. */
import type { CheckpointSigner } from './checkpoint.ts'
import type { JournalKeys } from './keys.ts'
import type { WriteSetPlaces } from './places.ts'
import type { Chain } from './scan.ts'
import type { SegmentReaders } from './segments.ts'
import type { TileWriter } from './tiles.ts'
import type { JournalOptions, OpenReport } from './types.ts'

export interface AppenderParts {
  readonly options: JournalOptions
  readonly keys: JournalKeys
  readonly chain: Chain
  readonly readers: SegmentReaders
  readonly places: WriteSetPlaces
  readonly tiles: TileWriter
  readonly signer: CheckpointSigner
  /** Size of the newest usable snapshot, 0 for none. */
  readonly snapshotSize: number
  readonly opened: OpenReport
}
