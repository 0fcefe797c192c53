/** What is fuzzed: a parser, or a handler with all that it parses, in this process. */
import type { Random } from './random.ts'

export interface Target<Input = unknown> {
  readonly name: string
  /** For `--list`. */
  readonly about: string
  /** Bytes of heap that it may keep between inputs, in caches whose bounds are known; above it, growth is a failure. */
  readonly mayKeep?: number
  start(): Running<Input> | Promise<Running<Input>>
}

export interface Running<Input> {
  /** The same choices make the same input; only keys and signatures are of this process. */
  make(random: Random): Input
  /** What came of it, for the counts. Throws for anything that must not happen. */
  run(input: Input): string | Promise<string>
  /** Called now and then, between two inputs: lets go of what a real process would have let go of in the meantime. */
  rest?(): void
}

/** Something that no input may do. */
export class Finding extends Error {
  override readonly name = 'Finding'
}

export function demand(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new Finding(message())
}
