/** A front end's frames for the boundary's socket: as they are made, damaged, cut, and with lengths that lie. */
import { Writer } from '../src/boundary/bytes.ts'
import type { KeyRow } from '../src/boundary/client/api.ts'
import { MAX_REQUEST, PROTOCOL_VERSION } from '../src/boundary/client/protocol/frames.ts'
import {
  clientHello,
  OPERATIONS,
  type Operation,
  type OperationName,
} from '../src/boundary/client/protocol/operations.ts'
import { rowDigest } from '../src/boundary/crypto/rows.ts'
import { encodeAsserted } from '../src/boundary/record.ts'
import { FakeOwner } from '../src/ekm/testing.ts'
import { damagedBytes } from './mutate.ts'
import type { Random } from './random.ts'

export interface Frame {
  readonly name: OperationName
  readonly code: number
  readonly body: Buffer
}

export const HELLO = 0

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

export const written = <T>(codec: { write(writer: Writer, value: T): void }, value: T): Buffer => {
  const writer = new Writer()
  codec.write(writer, value)
  return Buffer.from(writer.done())
}

/** Requests of a front end, as they are made. */
export function requests(): Frame[] {
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
    return { name, code: operation.code, body: written(operation.request, input) }
  })
}

export const hello = (): Buffer =>
  frameOf(0, HELLO, written(clientHello, { magic: undefined, version: PROTOCOL_VERSION }))

/** One to three of these, most of them damaged; with a `greeting` before them. */
export function frameStream(random: Random, good: readonly Frame[], greeting: Buffer | undefined): Buffer {
  const parts = greeting === undefined ? [] : [greeting]
  for (let more = 1 + random.below(3); more > 0; more--) {
    const { code, body } = random.pick(good)
    const sent = random.chance(0.6) ? damagedBytes(random, body, random.pick(good).body) : body
    parts.push(frameOf(random.word(), random.chance(0.97) ? code : random.below(256), sent))
  }
  let stream: Buffer = Buffer.concat(parts)
  if (random.chance(0.15)) stream = damagedBytes(random, stream)
  if (stream.length >= 4 && random.chance(0.02))
    stream.writeUInt32BE(random.pick([0, 4, 5, MAX_REQUEST, MAX_REQUEST + 1, 0xffff_ffff]), 0)
  return stream
}
