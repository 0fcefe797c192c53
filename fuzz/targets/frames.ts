/**
 * The boundary's socket: a front end's frames, cut anywhere, damaged, and with lengths that lie. What is read is written again: no two frames may be one
 * request.
 */
import { FormatError, Reader } from '../../src/boundary/bytes.ts'
import { FrameSplitter, MAX_REQUEST } from '../../src/boundary/client/protocol/frames.ts'
import { clientHello, OPERATIONS, type Operation } from '../../src/boundary/client/protocol/operations.ts'
import { decodeAsserted, encodeAsserted } from '../../src/boundary/record.ts'
import { BoundaryError } from '../../src/boundary/words.ts'
import { frameStream, HELLO, hello, requests, written } from '../frames.ts'
import { demand, type Target } from '../target.ts'

interface Input {
  readonly stream: Buffer
  /** Where it is cut. */
  readonly cuts: readonly number[]
}

const BY_CODE = new Map<number, readonly [string, Operation<unknown, unknown>]>(
  Object.entries(OPERATIONS).map(([name, operation]) => [
    operation.code,
    [name, operation as unknown as Operation<unknown, unknown>],
  ]),
)

export const frames: Target<Input> = {
  name: 'frames',
  about: 'frames of the boundary’s socket for external operations',
  start: () => {
    const good = requests()
    const greeting = hello()
    return {
      make: random => {
        const stream = frameStream(random, good, random.chance(0.3) ? greeting : undefined)
        const cuts = Array.from({ length: random.below(4) }, () => random.below(stream.length + 1))
        return { stream, cuts: cuts.sort((one, other) => one - other) }
      },
      run: ({ stream, cuts }) => {
        let outcome = 'nothing whole'
        const splitter = new FrameSplitter(MAX_REQUEST, (_id, code, frame, bodyAt) => {
          outcome = read(code, frame, bodyAt)
        })
        try {
          let from = 0
          for (const to of [...cuts, stream.length]) {
            splitter.push(stream.subarray(from, to))
            from = to
          }
        } catch (error) {
          demand(error instanceof FormatError || error instanceof BoundaryError, () => String(error))
          return 'refused'
        }
        return outcome
      },
    }
  },
}

function read(code: number, frame: Buffer, bodyAt: number): string {
  const [name, codec] = code === HELLO ? (['hello', clientHello] as const) : (requestOf(code) ?? [])
  if (name === undefined || codec === undefined) return 'no such operation'
  const reader = new Reader(frame, bodyAt)
  const input = codec.read(reader) as { asserted?: Buffer }
  reader.end()
  demand(
    written(codec as never, input as never).equals(frame.subarray(bodyAt)),
    () => `two frames are one request for ${name}`,
  )
  if (input?.asserted !== undefined) {
    const facts = decodeAsserted(input.asserted)
    demand(encodeAsserted(facts).equals(input.asserted), () => 'two texts are one assertion')
  }
  return `read ${name}`
}

function requestOf(code: number): readonly [string, Operation<unknown, unknown>['request']] | undefined {
  const known = BY_CODE.get(code)
  return known && [known[0], known[1].request]
}
