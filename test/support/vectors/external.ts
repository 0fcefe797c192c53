/** Vectors of an owner's external keys: ciphertexts, keys wrapped under them, and ciphertexts of another proxy. */
import { createCipheriv, createHash, createPrivateKey, createPublicKey, createSecretKey } from 'node:crypto'
import type { ExternalWrapAlgorithm } from '../../../src/boundary/algorithms.ts'
import { encryptExternal, integrityValue } from '../../../src/boundary/crypto/external.ts'
import { EXTERNAL_WRAPPINGS } from '../../../src/boundary/crypto/external-wrap.ts'
import { fixed, hex, type Json, kept, stream, type VectorFile } from './source.ts'

const KEY = fixed('external key', 32)
const b64 = (text: string): Buffer => Buffer.from(text, 'base64')

export function external(): VectorFile {
  const cases = [
    { aad: Buffer.alloc(0), plaintext: Buffer.alloc(0), version: 1 },
    { aad: Buffer.from('project=nile,department=marketing'), plaintext: fixed('external plaintext', 77), version: 258 },
  ]
  const example = {
    metadata: b64('a2V5X3ZlcnNpb249MQ=='),
    iv: b64('HMrlRw85cAJUd5Ax'),
    ciphertext: b64('ghxkK1txeDNn3q8Y'),
    tag: b64('vBxN2ncH1oEkR8WVXpmyYQ=='),
  }
  const exampleAad = Buffer.from('project=nile,department=marketing')
  return {
    vectors: cases.map(({ aad, plaintext, version }, at) => {
      const made = encryptExternal(createSecretKey(KEY), version, plaintext, aad, true, stream(`external ${at}`))
      const { iv, ciphertext, tag, metadata, integrityValue: value } = made
      return {
        key: hex(KEY),
        version,
        plaintext: hex(plaintext),
        aad: hex(aad),
        iv: hex(iv),
        metadata: hex(metadata),
        ciphertext: hex(ciphertext),
        tag: hex(tag),
        integrityValue: hex(value ?? Buffer.alloc(0)),
      }
    }),
    specification: {
      aad: hex(exampleAad),
      ...Object.fromEntries(Object.entries(example).map(([name, bytes]) => [name, hex(bytes)])),
      integrityValue: hex(integrityValue(exampleAad, example)),
    },
    wrapped: [...wrappedBySecret(), ...wrappedByPair()],
    xksProxy: ofXksProxy(),
  }
}

type Wrapped = { readonly [name in 'algorithm' | 'key' | 'plaintext' | 'wrapped']: string }

/** RFC 3394 §4.3, §4.5 and §4.6, whose key is that of each; then lengths that only the padded algorithm takes. */
function wrappedBySecret(): Wrapped[] {
  const key = Buffer.from(Array.from({ length: 32 }, (_, at) => at))
  const data = Buffer.from('00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f', 'hex')
  const cases: [ExternalWrapAlgorithm, Buffer][] = [
    ...[16, 24, 32].map((length): [ExternalWrapAlgorithm, Buffer] => ['A256KW', data.subarray(0, length)]),
    ...[1, 7, 8, 9, 20, 32, 33, 200].map((length): [ExternalWrapAlgorithm, Buffer] => [
      'A256KWP',
      fixed('wrapped', length),
    ]),
  ]
  return cases.map(([algorithm, plaintext]) => {
    const wrapped = EXTERNAL_WRAPPINGS[algorithm].wrap(createSecretKey(key), plaintext)
    return { algorithm, key: hex(key), plaintext: hex(plaintext), wrapped: hex(wrapped) }
  })
}

/** RSAES-OAEP is never the same twice, so these are kept; the key is that of the import tokens. */
function wrappedByPair(): Wrapped[] {
  const before = (kept('external')?.wrapped ?? []) as Wrapped[]
  const imports = kept('import-token')?.vectors as { privateKey: string }[]
  const key = imports[0]?.privateKey ?? ''
  const der = { format: 'der', type: 'pkcs8' } as const
  const publicKey = createPublicKey(createPrivateKey({ key: Buffer.from(key, 'hex'), ...der }))
  const cases: [ExternalWrapAlgorithm, number][] = [
    ['RSA-OAEP', 1],
    ['RSA-OAEP', 32],
    ['RSA-OAEP', 214],
    ['RSA-OAEP-256', 1],
    ['RSA-OAEP-256', 32],
    ['RSA-OAEP-256', 190],
  ]
  return cases.map(([algorithm, length]) => {
    const plaintext = fixed('wrapped', length)
    const made = before.find(each => each.algorithm === algorithm && each.plaintext === hex(plaintext))
    return (
      made ?? {
        algorithm,
        key,
        plaintext: hex(plaintext),
        wrapped: hex(EXTERNAL_WRAPPINGS[algorithm].wrap(publicKey, plaintext)),
      }
    )
  })
}

/** Made by hand, as that proxy makes them: without the field, with an empty one, and with data. */
function ofXksProxy(): Json[] {
  const cases: [aad: Buffer | undefined, metadata: Buffer][] = [
    [undefined, Buffer.alloc(0)],
    [Buffer.alloc(0), Buffer.alloc(0)],
    [Buffer.from('project=nile,department=marketing'), Buffer.alloc(0)],
    [Buffer.from('project=nile,department=marketing'), b64('a2V5X3ZlcnNpb249MQ==')],
    [fixed('long', 8192), fixed('metadata', 20)],
  ]
  return cases.map(([aad, metadata], at) => {
    const iv = fixed(`iv of a proxy ${at}`, 12)
    const plaintext = fixed('plaintext of a proxy', 40)
    const length = Buffer.alloc(2)
    length.writeUInt16BE(aad?.length ?? 0)
    const digest = aad === undefined ? Buffer.alloc(0) : createHash('sha256').update(aad).digest()
    const whole = Buffer.concat([length, digest, Buffer.from([metadata.length]), metadata])
    const cipher = createCipheriv('aes-256-gcm', KEY, iv).setAAD(whole)
    const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
    return {
      key: hex(KEY),
      plaintext: hex(plaintext),
      ...(aad === undefined ? {} : { aad: hex(aad) }),
      iv: hex(iv),
      metadata: hex(metadata),
      ciphertext: hex(ciphertext),
      tag: hex(cipher.getAuthTag()),
    }
  })
}
