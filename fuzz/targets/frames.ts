/**
 * The boundary's socket: a front end's frames, cut anywhere, damaged, and with lengths that lie. What is read is written again: no two frames may be one
 * request.
 */
import { FormatError, Reader, Writer } from '../../src/boundary/bytes.ts'
import type { KeyRow } from '../../src/boundary/client/api.ts'
import { FrameSplitter, MAX_REQUEST } from '../../src/boundary/client/protocol/frames.ts'
import {
  clientHello,
  OPERATIONS,
  type Operation,
  type OperationName,
} from '../../src/boundary/client/protocol/operations.ts'
import { rowDigest } from '../../src/boundary/crypto/rows.ts'
import { decodeAsserted, encodeAsserted } from '../../src/boundary/record.ts'
import { BoundaryError } from '../../src/boundary/words.ts'
import { FakeOwner } from '../../src/ekm/testing.ts'
import { damagedBytes } from '../mutate.ts'
import { demand, type Target } from '../target.ts'

interface Input {
  readonly stream: Buffer
  /** Where it is cut. */
  readonly cuts: readonly number[]
}

const HELLO = 0
const BY_CODE = new Map<number, readonly [string, Operation<unknown, unknown>]>(
  Object.entries(OPERATIONS).map(([name, operation]) => [
    operation.code,
    [name, operation as unknown as Operation<unknown, unknown>],
  ]),
)

function frameOf(id: number, code: number, body: Buffer): Buffer {
  const writer = new Writer(body.length + 9)
  return Buffer.from(
    writer
      .u32(body.length + 5)
      .u32(id)
      .u8(code)
      .raw(body)
      .done(),
  )
}

const written = <T>(codec: { write(writer: Writer, value: T): void }, value: T): Buffer => {
  const writer = new Writer()
  codec.write(writer, value)
  return Buffer.from(writer.done())
}

/** Requests of a front end, as they are made. */
function requests(): { code: number; body: Buffer }[] {
  const owner = new FakeOwner()
  owner.key('acme', 'k')
  const row = owner.rows.get('key acme/k') as KeyRow
  const asserted = encodeAsserted({
    operation: 'xks:encrypt',
    requestId: 'r-1',
    account: 'acme',
    claimedPrincipal: 'Ünal',
  })
  const plaintext = Buffer.from('plaintext')
  const ciphertext = {
    iv: Buffer.alloc(12),
    ciphertext: plaintext,
    tag: Buffer.alloc(16),
    metadata: Buffer.alloc(5),
    integrityValue: undefined,
  }
  const aad = Buffer.from('aad')
  const of = (key: object): [OperationName, object][] => [
    ['externalEncrypt', { key, plaintext, aad, integrity: true, asserted }],
    ['externalDecrypt', { key, ciphertext, aad, asserted }],
    ['externalWrap', { key, algorithm: 'A256KWP', plaintext, asserted }],
    ['externalUnwrap', { key, algorithm: 'RSA-OAEP-256', wrapped: plaintext, version: 1, asserted }],
    [
      'externalDigest',
      { key, ciphertext: { ...ciphertext, integrityValue: Buffer.alloc(32) }, aad, message: plaintext, asserted },
    ],
    [
      'externalPrivateKey',
      {
        key,
        ciphertext,
        aad,
        spki: Buffer.alloc(32),
        algorithm: 'RSASSA_PSS_SHA_256',
        message: plaintext,
        label: aad,
        asserted,
      },
    ],
    ['sign', { key, algorithm: 'RSASSA_PKCS1_V1_5_SHA_256', messageType: 'RAW', message: plaintext, asserted }],
  ]
  const named = { id: row.id, revision: row.revision, digest: rowDigest(row), row: undefined }
  const all: [OperationName, object | undefined][] = [
    ...of(named),
    ...of({ ...named, row }),
    ['record', { outcome: 'denied', error: 'AccessDenied', keyId: row.id, asserted, count: 3 }],
    ['trip', { target: { principal: 'acme/ada' }, rule: 'rate', evidence: '100 unwraps', asserted }],
    ['awaitDecision', { ask: 'ab'.repeat(16), milliseconds: 1000 }],
    ['checkRows', [row]],
    ['writeSets', { after: 1, max: 10 }],
    ['openSecret', row],
    ['status', undefined],
    ['selfTest', undefined],
  ]
  return all.map(([name, input]) => {
    const operation = OPERATIONS[name] as unknown as Operation<unknown, unknown>
    return { code: operation.code, body: written(operation.request, input) }
  })
}

export const frames: Target<Input> = {
  name: 'frames',
  about: 'frames of the boundary’s socket for external operations',
  start: () => {
    const good = requests()
    const hello = frameOf(0, HELLO, written(clientHello, { magic: undefined, version: 3 }))
    return {
      make: random => {
        const parts = random.chance(0.3) ? [hello] : []
        for (let more = 1 + random.below(3); more > 0; more--) {
          const { code, body } = random.pick(good)
          const other = random.pick(good)
          const sent = random.chance(0.6) ? damagedBytes(random, body, other.body) : body
          parts.push(frameOf(random.word(), random.chance(0.97) ? code : random.below(256), sent))
        }
        let stream = Buffer.concat(parts)
        if (random.chance(0.15)) stream = damagedBytes(random, stream) as typeof stream
        if (stream.length >= 4 && random.chance(0.02))
          stream.writeUInt32BE(random.pick([0, 4, 5, MAX_REQUEST, MAX_REQUEST + 1, 0xffff_ffff]), 0)
        return {
          stream,
          cuts: Array.from({ length: random.below(4) }, () => random.below(stream.length + 1)).sort((a, b) => a - b),
        }
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
