/**
 * An owner in memory, behind the very frames in which the boundary is asked: what its reader would not take ends a connection that all callers share, so here
 * it is a finding.
 */
import { Reader, Writer } from '../src/boundary/bytes.ts'
import { moreUses } from '../src/boundary/client/more-uses.ts'
import {
  type InputOf,
  OPERATIONS,
  type Operation,
  type OperationName,
} from '../src/boundary/client/protocol/operations.ts'
import { asAsserted, refTo } from '../src/boundary/client/references.ts'
import { EXTERNAL_WRAPPINGS } from '../src/boundary/crypto/external-wrap.ts'
import { BoundaryError } from '../src/boundary/words.ts'
import { FakeOwner } from '../src/ekm/testing.ts'
import { Finding } from './target.ts'

type Boundary = FakeOwner['boundary']

/** A private key takes a millisecond for one use. What those of this owner open is known beforehand; they refuse everything else at once. */
export type Known = Map<string, Buffer>

export class FramedOwner extends FakeOwner {
  readonly known: Known = new Map()

  constructor() {
    super()
    const own = { ...this.boundary }
    Object.assign(this.boundary, framed(own), this.#pairs(own))
  }

  /** Uses of pairs, once they have been read from their frames. */
  #pairs(own: Boundary): Partial<Boundary> {
    const { sign, externalPrivateKey, externalUnwrap } = frames(own)
    const opened = (sent: Buffer): Buffer => {
      const plaintext = this.known.get(sent.toString('latin1'))
      this.records.push({ outcome: 'allowed', error: '', keyId: '', asserted: {}, count: 0, use: true })
      if (plaintext === undefined) throw new BoundaryError('InvalidCiphertext')
      return Buffer.from(plaintext)
    }
    return {
      externalUnwrap: async (key, algorithm, wrapped, version, asserted) => {
        const seen = await externalUnwrap(key, algorithm, wrapped, version, asserted)
        if (!EXTERNAL_WRAPPINGS[algorithm].rsa) return own.externalUnwrap(key, algorithm, seen, version, asserted)
        return opened(seen)
      },
      externalPrivateKey: async (key, ciphertext, aad, work, asserted) => {
        await externalPrivateKey(key, ciphertext, aad, work, asserted)
        return opened(work.message)
      },
      sign: async (key, input, asserted) => {
        await sign(key, input, asserted)
        this.records.push({ outcome: 'allowed', error: '', keyId: key.id, asserted, count: 0, use: true })
        return { signature: SIGNATURE }
      },
    }
  }
}

const SIGNATURE = Buffer.alloc(256, 7)

/** Writes a request as the front end does and reads it as the boundary does. */
export function throughFrame<N extends OperationName>(name: N, input: InputOf<N>): InputOf<N> {
  const { request } = OPERATIONS[name] as unknown as Operation<InputOf<N>, unknown>
  const writer = new Writer()
  request.write(writer, input)
  try {
    const reader = new Reader(writer.done())
    const read = request.read(reader)
    reader.end()
    return read
  } catch (error) {
    throw new Finding(`the boundary does not take a request for ${name}: ${error}`)
  }
}

/** Those of several forms, whose bytes come out as the boundary would get them. */
function frames(own: Boundary) {
  const uses = moreUses((async (name: OperationName, input: (whole: boolean) => never) => {
    const read = throughFrame(name, input(false)) as { wrapped?: Buffer; message?: Buffer }
    return read.wrapped ?? read.message
  }) as unknown as Parameters<typeof moreUses>[0])
  return { ...own, ...uses }
}

function framed(own: Boundary): Partial<Boundary> {
  const { externalWrap, externalDigest } = frames(own)
  return {
    externalEncrypt: async (key, plaintext, aad, integrity, asserted) => {
      const sent = { key: refTo(key, false), plaintext, aad, integrity, asserted: asAsserted(asserted) }
      const read = throughFrame('externalEncrypt', sent)
      return own.externalEncrypt(key, read.plaintext, read.aad, read.integrity, asserted)
    },
    externalDecrypt: async (key, ciphertext, aad, asserted) => {
      const sent = { key: refTo(key, false), ciphertext, aad, asserted: asAsserted(asserted) }
      const read = throughFrame('externalDecrypt', sent)
      return own.externalDecrypt(key, read.ciphertext, read.aad, asserted)
    },
    externalWrap: async (key, algorithm, plaintext, asserted) => {
      await externalWrap(key, algorithm, plaintext, asserted)
      return own.externalWrap(key, algorithm, plaintext, asserted)
    },
    externalDigest: async (key, ciphertext, aad, message, asserted) => {
      await externalDigest(key, ciphertext, aad, message, asserted)
      return own.externalDigest(key, ciphertext, aad, message, asserted)
    },
    record: async entry => {
      throughFrame('record', { ...entry, asserted: asAsserted(entry.asserted) })
      return own.record(entry)
    },
    trip: async (target, rule, evidence, asserted) => {
      throughFrame('trip', { target, rule, evidence, asserted: asAsserted(asserted) })
      return own.trip(target, rule, evidence, asserted)
    },
  }
}
