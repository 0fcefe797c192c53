import assert from 'node:assert/strict'
import fs from 'node:fs'
import type { Socket } from 'node:net'
import path from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { FormatError, Reader, Writer } from '../../bytes.ts'
import { encodeAsserted } from '../../record.ts'
import { BOUNDARY_ERRORS, BoundaryError, type BoundaryErrorCode } from '../../words.ts'
import { FrameBatch, FrameSplitter } from './frames.ts'
import { failure, OPERATIONS, type Operation, type OperationName } from './operations.ts'
import { context, recordEntry, revokeTarget } from './shapes.ts'

test('frames come out as they went in, however the stream is cut', () => {
  const frame = fc.record(
    {
      id: fc.nat(0xffff_ffff),
      code: fc.nat(255),
      body: fc.uint8Array({ maxLength: 300 }),
    },
    { noNullPrototype: true },
  )
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 20 }), fc.array(fc.integer({ min: 1, max: 400 })), (frames, cuts) => {
      const written: Buffer[] = []
      const socket = { writable: true, write: (bytes: Buffer) => written.push(Buffer.from(bytes)) } as unknown as Socket
      const batch = new FrameBatch(socket, 1000, () => {})
      for (const { id, code, body } of frames) batch.add(id, code, w => w.raw(body))
      batch.flush()
      const stream = Buffer.concat(written)
      const received: unknown[] = []
      const splitter = new FrameSplitter(1000, (id, code, bytes, at) =>
        received.push({ id, code, body: new Uint8Array(bytes.subarray(at)) }),
      )
      let from = 0
      for (const cut of [...cuts, stream.length]) {
        splitter.push(stream.subarray(from, from + cut))
        from = Math.min(stream.length, from + cut)
      }
      splitter.push(stream.subarray(from))
      assert.deepEqual(received, frames)
    }),
  )
})

test('a frame that cannot be encoded leaves the others as they were', () => {
  const written: Buffer[] = []
  const socket = { writable: true, write: (bytes: Buffer) => written.push(Buffer.from(bytes)) } as unknown as Socket
  const batch = new FrameBatch(socket, 20, () => {})
  batch.add(1, 2, w => w.u8(7))
  assert.throws(() => batch.add(2, 2, w => w.raw(Buffer.alloc(100))), RangeError)
  batch.add(3, 2, w => w.u8(9))
  batch.flush()
  assert.equal(Buffer.concat(written).toString('hex'), '0000000600000001020700000006000000030209')
})

test('codes are unique and stay below those of the protocol itself', () => {
  const codes = Object.values(OPERATIONS).map(operation => operation.code)
  assert.equal(new Set(codes).size, codes.length)
  for (const code of codes) assert.ok(code >= 1 && code <= 111)
})

test('promise 11: no bytes make a request reader do anything but refuse', () => {
  const names = Object.keys(OPERATIONS) as OperationName[]
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.uint8Array({ maxLength: 600 }), (name, bytes) => {
      const { request } = OPERATIONS[name] as unknown as Operation<unknown, unknown>
      const reader = new Reader(Buffer.from(bytes))
      try {
        request.read(reader)
        reader.end()
      } catch (error) {
        assert.ok(error instanceof FormatError || error instanceof BoundaryError, `${name}: ${error}`)
      }
    }),
    { numRuns: 3000 },
  )
})

test('contexts, records and failures are read as they were written', () => {
  const roundTrip = <T>(codec: { write(w: Writer, v: T): void; read(r: Reader): T }, value: T): T => {
    const writer = new Writer()
    codec.write(writer, value)
    const reader = new Reader(Buffer.from(writer.done()))
    const read = codec.read(reader)
    reader.end()
    return read
  }
  const text = fc.string({ unit: 'grapheme', maxLength: 40 })
  fc.assert(
    fc.property(fc.array(fc.tuple(text, text), { maxLength: 8 }), pairs => {
      assert.deepEqual(roundTrip(context, pairs), pairs)
    }),
  )
  const asserted = encodeAsserted({ operation: 'Encrypt', principal: 'arn:aws:iam::1:user/Ünal' })
  const entry = { outcome: 'denied', error: 'AccessDenied', keyId: 'r/k', asserted, count: 0 } as const
  assert.deepEqual(roundTrip(recordEntry, entry), entry)
  for (const code of Object.keys(BOUNDARY_ERRORS) as BoundaryErrorCode[]) {
    const read = roundTrip(failure, new BoundaryError(code, 'why'))
    assert.deepEqual([read.code, read.detail, read.row], [code, 'why', undefined])
  }
})

test('text that is not UTF-8 is refused', () => {
  const bytes = Buffer.from([0, 1, 0, 1, 0xff, 0, 0])
  assert.throws(() => context.read(new Reader(bytes)), FormatError)
})

test('a target that has a name is never read as everything', () => {
  const bytesOf = (kind: number, name: string) => Buffer.from(new Writer().u8(kind).string(name).done())
  assert.deepEqual(revokeTarget.read(new Reader(bytesOf(0, ''))), { all: true })
  assert.deepEqual(revokeTarget.read(new Reader(bytesOf(4, 'ada'))), { principal: 'ada' })
  assert.throws(() => revokeTarget.read(new Reader(bytesOf(0, 'ada'))), FormatError)
  assert.throws(() => revokeTarget.read(new Reader(bytesOf(5, 'ada'))), FormatError)
})

test('docs/formats/sockets.md lists every operation as it is', () => {
  const file = path.join(import.meta.dirname, '../../../../docs/formats/sockets.md')
  const document = fs.readFileSync(file, 'utf8')
  for (const [name, operation] of Object.entries(OPERATIONS)) {
    const { code, sockets, request, answer } = operation
    const line = `| ${code} | ${name} | ${sockets.join(', ')} | ${request.name} | ${answer.name} |`
    assert.ok(document.includes(line), `missing:\n${line}`)
  }
})
