/** Vectors of what is derived, and of what callers hold: contexts, boxes, messages, envelopes, external ciphertexts. */
import { createSecretKey } from 'node:crypto'
import { openBox, sealBox } from '../../../src/boundary/crypto/box.ts'
import { encodeContext } from '../../../src/boundary/crypto/context.ts'
import { encodeEnvelope, externalAad } from '../../../src/boundary/crypto/envelope.ts'
import { encryptExternal } from '../../../src/boundary/crypto/external.ts'
import { Derivation } from '../../../src/boundary/crypto/kdf.ts'
import { encryptMessage, MessageKey } from '../../../src/boundary/crypto/message.ts'
import { PURPOSES } from '../../../src/boundary/root/keyring.ts'
import {
  ACCOUNT,
  boundary,
  CONTEXTS,
  fixed,
  hex,
  KEY_ID,
  keyring,
  MATERIAL,
  MULTI_REGION,
  stream,
  utf8,
  type VectorFile,
} from './source.ts'

export function contexts(): VectorFile {
  const tooLong = Buffer.alloc(2 + 2 + 1 + 2 + 8192, 0x61)
  tooLong.writeUInt16BE(1)
  tooLong.writeUInt16BE(1, 2)
  tooLong.writeUInt16BE(8192, 5)
  return {
    vectors: CONTEXTS.map(pairs => ({ pairs, encoded: hex(encodeContext(pairs)) })),
    refused: [
      { why: 'out of order', encoded: '0002000162000132000161000131' },
      { why: 'a name twice', encoded: '0002000161000131000161000132' },
      { why: 'cut short', encoded: '000100016100' },
      { why: 'bytes behind the end', encoded: '000000' },
      { why: 'not UTF-8', encoded: '00010001ff000131' },
      { why: 'more than 8192 bytes', encoded: hex(tooLong) },
    ],
  }
}

export function derivations(): VectorFile {
  const one = (bits: 256 | 512) => {
    const context = fixed(`context ${bits}`, 48)
    const derivation = new Derivation('holdfast example 1', context.length, bits === 256 ? 1 : 2)
    derivation.context.set(context)
    const key = createSecretKey(MATERIAL)
    const blocks = bits === 256 ? [derivation.block(key, 1)] : [derivation.block(key, 1), derivation.block(key, 2)]
    return {
      key: hex(MATERIAL),
      label: 'holdfast example 1',
      context: hex(context),
      bits,
      output: hex(Buffer.concat(blocks)),
    }
  }
  const ring = keyring()
  return {
    vectors: [one(256), one(512)],
    boundary,
    purposes: ring.generations.flatMap(generation =>
      PURPOSES.map(purpose => ({ generation, purpose, key: hex(ring.key(purpose, generation).export()) })),
    ),
    boxes: [Buffer.alloc(0), Buffer.from('clear bytes of a box, more than one block of them')].map((clear, at) => {
      const aad = fixed(`box aad ${at}`, at * 40)
      const box = sealBox(ring, 'test', aad, clear, stream(`box ${at}`))
      return {
        purpose: 'test',
        aad: hex(aad),
        clear: hex(openBox(ring, 'test', aad, box)),
        nonce: hex(box.subarray(5, 21)),
        box: hex(box),
      }
    }),
  }
}

export function messages(): VectorFile {
  const cases = [
    { keyId: KEY_ID, pairs: CONTEXTS[0] ?? [], plaintext: Buffer.from('x') },
    { keyId: KEY_ID, pairs: CONTEXTS[1] ?? [], plaintext: fixed('data key', 32) },
    { keyId: MULTI_REGION, pairs: CONTEXTS[4] ?? [], plaintext: fixed('plaintext', 1001) },
  ]
  const id = fixed('material id', 32)
  const vectors = cases.map(({ keyId, pairs, plaintext }, at) => {
    const key = new MessageKey({ account: ACCOUNT, keyId, materialId: hex(id), material: createSecretKey(MATERIAL) })
    const context = encodeContext(pairs)
    const message = encryptMessage(key, plaintext, context, stream(`message ${at}`))
    const [nonce, iv] = [hex(message.subarray(50, 66)), hex(message.subarray(66, 78))]
    const inputs = {
      account: ACCOUNT,
      keyId,
      materialId: hex(id),
      material: hex(MATERIAL),
      pairs,
      plaintext: hex(plaintext),
      nonce,
      iv,
    }
    return { ...inputs, digest: hex(key.digest(context)), message: hex(message) }
  })
  const good = Buffer.from(vectors[1]?.message ?? '', 'hex')
  const changed = (at: number): string => {
    const bytes = Buffer.from(good)
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
    return hex(bytes)
  }
  return {
    vectors,
    /** Each is the second vector with one change. */
    refused: [0, 1, 2, 17, 18, 49, 50, 65, 66, 77, 78, 109, 110, good.length - 17, good.length - 16, good.length - 1]
      .map(at => ({ why: `byte ${at} changed`, message: changed(at) }))
      .concat(
        { why: 'cut short', message: hex(good.subarray(0, 126)) },
        { why: 'a byte more', message: `${hex(good)}00` },
      ),
  }
}

export function envelopes(): VectorFile {
  const owner = fixed('owner', 32)
  const pairs = CONTEXTS[1] ?? []
  const context = encodeContext(pairs)
  const id = fixed('material id', 32)
  const of = { account: ACCOUNT, keyId: KEY_ID, materialId: hex(id), context }
  const inner = encryptMessage(
    new MessageKey({ ...of, material: createSecretKey(MATERIAL) }),
    Buffer.from('file key'),
    context,
    stream('inner'),
  )
  const aad = externalAad(of)
  const { iv, tag, metadata, ciphertext } = encryptExternal(
    createSecretKey(owner),
    3,
    inner,
    aad,
    false,
    stream('outer'),
  )
  const parts = { iv: hex(iv), tag: hex(tag), metadata: hex(metadata), ciphertext: hex(ciphertext) }
  const envelope = encodeEnvelope({ keyId: KEY_ID, materialId: hex(id), iv, tag, metadata, ciphertext })
  return {
    vectors: [
      {
        account: ACCOUNT,
        keyId: KEY_ID,
        materialId: hex(id),
        material: hex(MATERIAL),
        ownerKey: hex(owner),
        pairs,
        plaintext: utf8('file key'),
        inner: hex(inner),
        aad: hex(aad),
        ...parts,
        envelope: hex(envelope),
      },
    ],
  }
}
