/** Vectors of import tokens, answers for recipients, roots of trust and the journal. */
import {
  argon2Sync,
  createHash,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'
import { encryptForRecipient } from '../../../src/boundary/crypto/cms.ts'
import { sealImportToken, wrapForImport } from '../../../src/boundary/crypto/import-token.ts'
import { encodeRows, tagRow } from '../../../src/boundary/crypto/rows.ts'
import { encodeHeader, layFrame, leafOf, saltedOf, sealFrame } from '../../../src/boundary/journal/frame.ts'
import { encodeRecord } from '../../../src/boundary/record.ts'
import { encodeKit } from '../../../src/boundary/root/kit.ts'
import { newPassphraseRoot } from '../../../src/boundary/root/passphrase.ts'
import { makeRoot, prepareGeneration, withoutOldGenerations } from '../../../src/boundary/root/rootfile.ts'
import type { RootOfTrust } from '../../../src/boundary/root/types.ts'
import { unwrapWith, wrapWith } from '../../../src/boundary/root/wrap.ts'
import {
  BOUNDARY_ID,
  boundary,
  copied,
  fixed,
  HEADER,
  hex,
  type Json,
  kept,
  keyring,
  ROOTS,
  stream,
  type VectorFile,
} from './source.ts'

const WRAPPINGS = [
  'RSAES_OAEP_SHA_1',
  'RSAES_OAEP_SHA_256',
  'RSA_AES_KEY_WRAP_SHA_1',
  'RSA_AES_KEY_WRAP_SHA_256',
] as const
type Imported = { privateKey: string; wrapped: Partial<Record<(typeof WRAPPINGS)[number], string>> }

export function importTokens(): VectorFile {
  const material = fixed('imported', 32)
  const { privateKey, wrapped } = imported((kept('import-token')?.vectors as Imported[] | undefined)?.[0], material)
  const input = { keyId: HEADER.id, spec: 'SYMMETRIC_DEFAULT', modulusBits: 2048, validTo: 1_790_086_400_000 } as const
  const vectors = WRAPPINGS.map(algorithm => {
    const random = stream(algorithm === 'RSAES_OAEP_SHA_256' ? 'import' : `import ${algorithm}`)
    const token = sealImportToken(keyring(), { ...input, algorithm }, Buffer.from(privateKey, 'hex'), random)
    return {
      ...input,
      algorithm,
      privateKey,
      nonce: hex(token.subarray(66, 82)),
      token: hex(token),
      material: hex(material),
      wrapped,
    }
  })
  return { boundary, vectors }
}

/** What is random by nature, as it was kept, and made where it was not. */
function imported(
  made: Imported | undefined,
  material: Buffer,
): { privateKey: string; wrapped: Record<string, string> } {
  const der = { format: 'der', type: 'pkcs8' } as const
  const privateKey =
    made === undefined
      ? generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
      : createPrivateKey({ key: Buffer.from(made.privateKey, 'hex'), ...der })
  const publicKey = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  const wrapped = WRAPPINGS.map(algorithm => [
    algorithm,
    made?.wrapped[algorithm] ?? hex(wrapForImport(publicKey, algorithm, material)),
  ])
  return { privateKey: hex(privateKey.export(der)), wrapped: Object.fromEntries(wrapped) }
}

/** RSA-OAEP is never the same twice, so these are kept. */
export function recipients(): VectorFile {
  const before = kept('recipient')
  if (before !== undefined) return before
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  })
  const plaintexts = [
    Buffer.alloc(0),
    Buffer.from('sixteen bytes...'),
    fixed('data key', 32),
    fixed('private key', 300),
  ]
  return {
    privateKey: hex(privateKey),
    publicKey: hex(publicKey),
    vectors: plaintexts.map(plaintext => {
      const message = encryptForRecipient(publicKey, plaintext)
      const behind = (head: string): number => message.indexOf(Buffer.from(head, 'hex')) + head.length / 2
      const [key, iv] = [behind('04820100'), behind('60864801650304012a0410')]
      return {
        plaintext: hex(plaintext),
        encryptedKey: hex(message.subarray(key, key + 256)),
        iv: hex(message.subarray(iv, iv + 16)),
        message: hex(message),
      }
    }),
  }
}

/** Of a kit nobody opens it: any note will do. */
const CHECKPOINT = 'kms.example.com/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n'
export const PASSPHRASE = 'correct horse battery staple'

export async function roots(): Promise<VectorFile> {
  const wrapping = fixed('key file', 32)
  const key: KeyObject = createSecretKey(wrapping)
  const random = stream('root file')
  const trust: RootOfTrust = {
    kind: 'keyfile',
    parameters: Buffer.alloc(0),
    wrap: async secret => wrapWith(key, secret, random),
    unwrap: async wrapped => unwrapWith(key, wrapped, 'WrongRoot', 'another key'),
  }
  const first = await makeRoot(trust, { service: 'ekm', dev: true, now: 1_790_000_000_000 }, random)
  const prepared = await prepareGeneration(first.opened, trust, random)
  first.opened.keyring.add(prepared.generation, prepared.root)
  const second = prepared.finish({ createdAt: 1_790_000_000_001, firstRecord: 291, firstWriteSet: 17 })
  const third = withoutOldGenerations(second.opened, 1_790_000_000_002, 300)
  const passphrase = await newPassphraseRoot(Buffer.from(PASSPHRASE), stream('salt'))
  const wrapped = Object.values(second.opened.file.generations).map(one => one.wrapped)
  const sealingRoots = wrapped.map(bytes => unwrapWith(key, bytes, 'WrongRoot', '').use(secret => hex(secret)))
  const { parameters } = passphrase
  const nonce = parameters.subarray(12)
  const cost = { memory: 65_536, passes: 3, parallelism: 4 }
  const derived = argon2Sync('argon2id', { message: PASSPHRASE, nonce, tagLength: 32, ...cost })
  const byPassphrase = wrapWith(createSecretKey(derived), copied(ROOTS[0]), stream('passphrase'))
  const seed = second.opened.logKey.export({ format: 'jwk' }).d ?? ''
  return {
    keyFile: { line: `holdfast-root-1 ${wrapping.toString('base64url')}\n`, key: hex(wrapping) },
    vectors: [first, second, third].map(({ bytes, opened }) => ({
      service: 'ekm',
      dev: true,
      created: 1_790_000_000_000,
      kind: 'keyfile',
      boundaryId: hex(opened.file.boundaryId),
      generations: opened.file.generations.map(one => ({
        generation: one.generation,
        created: one.createdAt,
        firstRecord: one.firstRecord,
        firstWriteSet: one.firstWriteSet,
        root: sealingRoots[one.generation - 1] ?? '',
        iv: hex(one.wrapped.subarray(0, 12)),
      })),
      destroyed: opened.file.destroyed,
      destroyedAt: opened.file.destroyedAt,
      wholeAt: opened.file.wholeAt,
      base: { ...opened.file.base, root: hex(opened.file.base.root) },
      logPublicKey: hex(opened.file.logPublicKey),
      logSeed: Buffer.from(seed, 'base64url').toString('hex'),
      logNonce: hex(opened.file.sealedLogKey.subarray(5, 21)),
      file: hex(bytes),
    })),
    kit: {
      rootFile: hex(third.bytes),
      checkpoint: hex(Buffer.from(CHECKPOINT)),
      kit: hex(encodeKit({ rootFile: third.bytes, checkpoint: Buffer.from(CHECKPOINT) })),
    },
    passphrase: {
      passphrase: PASSPHRASE,
      ...cost,
      parameters: hex(parameters),
      salt: hex(nonce),
      argon2id: hex(derived),
      root: hex(ROOTS[0]),
      iv: hex(byPassphrase.subarray(0, 12)),
      wrapped: hex(byPassphrase),
    },
  }
}

export function journal(): VectorFile {
  const before = kept('journal')
  if (before !== undefined) return before
  const ring = keyring()
  const root = createHash('sha256').digest()
  const salt = fixed('segment salt', 16)
  const header = { boundaryId: BOUNDARY_ID, salt, firstSeq: 0, nextWriteSet: 1, lastTime: 0, lastCrc: 0, root }
  const { bytes, crc } = encodeHeader(header)
  const set = encodeRows([
    tagRow(ring, { kind: 'policy', id: HEADER.id, scope: '', link: '', revision: 1, body: Buffer.from('{}') }),
  ])
  const inputs = [
    {
      seq: 0,
      time: 1_790_000_000_000,
      record: encodeRecord({ boundaryOperation: 'start', outcome: 'allowed' }),
      writeSet: undefined,
    },
    {
      seq: 1,
      time: 1_790_000_000_005,
      record: encodeRecord({ boundaryOperation: 'putKeyPolicy', keyId: HEADER.id }),
      writeSet: { number: 1, rows: set },
    },
  ]
  const context = { boundaryId: BOUNDARY_ID, writeSetKey: ring.key('write-set'), seed: crc }
  const frames: Json[] = []
  let previous = crc
  for (const input of inputs) {
    const buffer = Buffer.alloc(4096)
    const frame = buffer.subarray(0, layFrame(buffer, 0, input, 0))
    previous = sealFrame(frame, 0, input.seq, previous, context)
    frames.push({
      seq: input.seq,
      time: input.time,
      batch: 0,
      record: hex(input.record),
      writeSet: input.writeSet === undefined ? null : { number: input.writeSet.number, rows: hex(input.writeSet.rows) },
      frame: hex(frame),
      leaf: hex(leafOf(input.seq, input.time, saltedOf(frame, 0))),
    })
  }
  return {
    boundary,
    segment: {
      salt: hex(salt),
      firstSeq: 0,
      nextWriteSet: 1,
      lastTime: 0,
      lastCrc: 0,
      root: hex(root),
      header: hex(bytes),
    },
    frames,
  }
}
