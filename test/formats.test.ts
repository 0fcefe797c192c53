/**
 * The formats of docs/formats: the code makes and reads the vectors, an independent script in another language makes them too, and the tables in the
 * documents are those of the code.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createPrivateKey, createSecretKey } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { BackupReader } from '../src/backup/format.ts'
import type { ExternalWrapAlgorithm } from '../src/boundary/algorithms.ts'
import { FormatError } from '../src/boundary/bytes.ts'
import { openBox } from '../src/boundary/crypto/box.ts'
import { encryptForRecipient } from '../src/boundary/crypto/cms.ts'
import { decodeContext, encodeContext } from '../src/boundary/crypto/context.ts'
import { parseEnvelope } from '../src/boundary/crypto/envelope.ts'
import { decryptExternal } from '../src/boundary/crypto/external.ts'
import { EXTERNAL_WRAPPINGS } from '../src/boundary/crypto/external-wrap.ts'
import { openImportToken } from '../src/boundary/crypto/import-token.ts'
import { decryptMessage, MessageKey } from '../src/boundary/crypto/message.ts'
import { HERE } from '../src/boundary/crypto/private-work.ts'
import { checkRowTag, decodeRow, decodeRows, encodeRow, openSecret } from '../src/boundary/crypto/rows.ts'
import { openKey, readKeyHeader } from '../src/boundary/crypto/sealed.ts'
import { openSessionToken } from '../src/boundary/crypto/session-token.ts'
import { openWriteSet, parseFrame, parseHeader } from '../src/boundary/journal/frame.ts'
import { decodeRecord } from '../src/boundary/record.ts'
import { BOUNDARY_OPERATIONS, OWN_FIELDS } from '../src/boundary/record-fields.ts'
import { openKeyFile } from '../src/boundary/root/keyfile.ts'
import { PURPOSES } from '../src/boundary/root/keyring.ts'
import { parseKit } from '../src/boundary/root/kit.ts'
import { openPassphraseRoot } from '../src/boundary/root/passphrase.ts'
import { openRoot, parseRootFile } from '../src/boundary/root/rootfile.ts'
import { readShare } from '../src/boundary/root/share-text.ts'
import { keyOf, readParameters, sharesRoot } from '../src/boundary/root/shares.ts'
import { RootError } from '../src/boundary/root/types.ts'
import {
  ASSERTED_FIELDS,
  BACKINGS,
  BoundaryError,
  EXPIRATION_MODELS,
  KEY_MANAGERS,
  KEY_ORIGINS,
  KEY_SPECS,
  KEY_STATES,
  KEY_USAGES,
  type KeySpec,
  MATERIAL_STATES,
  MULTI_REGION_TYPES,
  ROTATION_TYPES,
  ROW_KINDS,
  type RowKind,
} from '../src/boundary/words.ts'
import { readGrantToken } from '../src/kms/access/grant-tokens.ts'
import { readSessionBody, writeSessionBody } from '../src/kms/access/session-body.ts'
import { readIndex } from '../src/log/archive-index.ts'
import { NoteError } from '../src/log/note.ts'
import { makeVectors, vectorText } from './support/vectors/make.ts'
import { keyring, VECTOR_FOLDER } from './support/vectors/source.ts'

const root = join(import.meta.dirname, '..')
const script = join(root, 'scripts', 'check-vectors.py')
const bytes = (hex: unknown): Buffer => Buffer.from(String(hex), 'hex')
const hex = (value: Buffer): string => value.toString('hex')
const document = (name: string): string => readFileSync(join(root, 'docs', 'formats', name), 'utf8')
type Vector = Record<string, unknown>
const load = (name: string): Record<string, Vector[]> =>
  JSON.parse(readFileSync(join(VECTOR_FOLDER, `${name}.json`), 'utf8')) as Record<string, Vector[]>
const each = (name: string, section = 'vectors'): Vector[] => load(name)[section] ?? assert.fail(`no ${section}`)

function python(...folder: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr, error } = spawnSync('python3', [script, ...folder], { encoding: 'utf8' })
  if (error !== undefined) assert.fail(`python3 is needed to check the vectors independently: ${error.message}`)
  return { status, output: stdout + stderr }
}

test('the code makes exactly the vectors that are written down', async () => {
  for (const [name, file] of Object.entries(await makeVectors()))
    assert.equal(vectorText(file), readFileSync(join(VECTOR_FOLDER, `${name}.json`), 'utf8'), `${name}.json`)
})

test('an independent script, which knows the documents only, makes the same vectors', () => {
  const { status, output } = python()
  assert.equal(status, 0, output)
  assert.match(output, /^\d{3,} values of 17 files checked, 0 wrong/)
})

/** In each file, the name of a value that must come out of the others. */
const OUTPUTS: Readonly<Record<string, string>> = {
  context: 'encoded',
  derivation: 'output',
  message: 'message',
  envelope: 'envelope',
  'sealed-key': 'sealed',
  rows: 'digest',
  record: 'encoded',
  external: 'integrityValue',
  'import-token': 'token',
  grants: 'token',
  'session-token': 'token',
  recipient: 'message',
  root: 'file',
  shares: 'wrapped',
  journal: 'frame',
  archive: 'sha256',
  backup: 'stream',
}

test('the script notices one wrong digit in any file, and a file that is missing', async () => {
  const vectors = Object.entries(await makeVectors())
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-vectors-'))
  try {
    for (const [name, file] of vectors) {
      const output = new RegExp(`("${OUTPUTS[name]}": "[0-9a-f]*)([0-9a-f])"`)
      const wrong = (_: string, before: string, last: string): string => `${before}${last === '0' ? '1' : '0'}"`
      writeFileSync(join(folder, `${name}.json`), vectorText(file).replace(output, wrong))
    }
    const all = python(folder)
    assert.equal(all.status, 1)
    for (const [name] of vectors) assert.match(all.output, new RegExp(`wrong: ${name} `))
    rmSync(join(folder, 'rows.json'))
    assert.match(python(folder).output, /wrong: rows\.json: is missing/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('the code reads contexts, messages and envelopes back, and refuses what the vectors say', () => {
  for (const { encoded, pairs } of each('context')) {
    assert.deepEqual(new Map(decodeContext(bytes(encoded))), new Map(pairs as [string, string][]))
  }
  for (const { encoded, why } of each('context', 'refused'))
    assert.throws(() => decodeContext(bytes(encoded)), FormatError, String(why))

  const keyOf = (vector: Vector): MessageKey =>
    new MessageKey({
      account: String(vector.account),
      keyId: String(vector.keyId),
      materialId: String(vector.materialId),
      material: createSecretKey(bytes(vector.material)),
    })
  const open = (vector: Vector, message: unknown): Buffer =>
    decryptMessage(keyOf(vector), bytes(message), encodeContext(vector.pairs as [string, string][]))
  const messages = each('message')
  for (const vector of messages) assert.deepEqual(open(vector, vector.message), bytes(vector.plaintext))
  for (const { message, why } of each('message', 'refused')) {
    const refused = (error: unknown) => error instanceof BoundaryError && error.code === 'InvalidCiphertext'
    assert.throws(() => open(messages[1] ?? {}, message), refused, String(why))
  }
  for (const vector of each('envelope')) {
    const { keyId, materialId, ...parts } = parseEnvelope(bytes(vector.envelope))
    assert.deepEqual([keyId, materialId], [vector.keyId, vector.materialId])
    const ownerKey = createSecretKey(bytes(vector.ownerKey))
    const inner = decryptExternal(ownerKey, { ...parts, integrityValue: undefined }, bytes(vector.aad))
    assert.deepEqual(open(vector, inner.toString('hex')), bytes(vector.plaintext))
  }
})

test('the code reads boxes, sealed keys, rows, records, external ciphertexts and wrapped keys back', async () => {
  const ring = keyring()
  for (const { aad, clear, box } of each('derivation', 'boxes'))
    assert.deepEqual(openBox(ring, 'test', bytes(aad), bytes(box)), bytes(clear))
  for (const { header, materials, sealed } of each('sealed-key')) {
    const { policyDigest, publicKey, ...rest } = readKeyHeader(bytes(sealed))
    assert.deepEqual({ ...rest, policyDigest: hex(policyDigest), publicKey: hex(publicKey) }, header)
    // What stands for a private key in the vectors is none.
    if (publicKey.length > 0) continue
    const opened = openKey(ring, bytes(sealed))
    const inside = [...opened.materials].map(([id, key]) => [id, key.export().toString('hex')])
    assert.deepEqual(Object.fromEntries(inside), materials)
  }
  for (const { encoded } of each('rows')) {
    assert.equal(checkRowTag(ring, decodeRow(bytes(encoded))), true)
    assert.deepEqual(encodeRow(decodeRow(bytes(encoded))), bytes(encoded))
  }
  assert.equal(decodeRows(bytes(load('rows').list)).length, each('rows').length)
  for (const { kind, id, revision, body, clear } of each('rows', 'secrets')) {
    const row = { kind: kind as RowKind, id: String(id), revision: Number(revision), body: bytes(body) }
    assert.deepEqual(openSecret(ring, row), bytes(clear))
  }
  for (const { encoded, why } of each('rows', 'refused'))
    assert.throws(() => decodeRow(bytes(encoded)), FormatError, String(why))
  const shown = (value: unknown): unknown =>
    JSON.parse(JSON.stringify(value, (_, inner: unknown) => (isBytes(inner) ? bytesOf(inner) : inner)))
  for (const { encoded, fields } of each('record')) assert.deepEqual(shown(decodeRecord(bytes(encoded))), fields)
  for (const { encoded, why } of each('record', 'refused'))
    assert.throws(() => decodeRecord(bytes(encoded)), FormatError, String(why))
  for (const vector of each('external')) {
    const part = (name: string): Buffer => bytes(vector[name])
    const parts = { iv: part('iv'), ciphertext: part('ciphertext'), tag: part('tag'), metadata: part('metadata') }
    const key = createSecretKey(part('key'))
    assert.deepEqual(decryptExternal(key, { ...parts, integrityValue: undefined }, part('aad')), part('plaintext'))
  }
  for (const { algorithm, key, plaintext, wrapped } of each('external', 'wrapped')) {
    const wrapping = EXTERNAL_WRAPPINGS[algorithm as ExternalWrapAlgorithm]
    const opened = wrapping.rsa
      ? createPrivateKey({ key: bytes(key), format: 'der', type: 'pkcs8' })
      : createSecretKey(bytes(key))
    assert.deepEqual(await wrapping.unwrap(opened, bytes(wrapped)), bytes(plaintext))
  }
})

/** What JSON makes of a Buffer. */
const isBytes = (value: unknown): value is { data: number[] } =>
  typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer'
const bytesOf = ({ data }: { data: number[] }): string => Buffer.from(data).toString('hex')

test('the code reads backups back, whatever pieces they come in, and refuses what is cut short, longer or of another version', async () => {
  for (const { header, parts, end, stream } of each('backup')) {
    const whole = bytes(stream)
    const read = async (clear: Buffer, by: number) => {
      const source = (async function* () {
        for (let at = 0; at < clear.length; at += by) yield clear.subarray(at, at + by)
      })()
      const reader = new BackupReader(source)
      const begin = await reader.header()
      const found: object[] = []
      for (let part = await reader.part(); part !== undefined; part = await reader.part()) {
        const pieces: string[] = []
        for await (const piece of reader.pieces()) pieces.push(hex(piece))
        found.push({ ...part, pieces })
      }
      return { header: begin, parts: found, end: await reader.end() }
    }
    for (const by of [1, 7, 1000]) {
      const json = JSON.parse(JSON.stringify(await read(whole, by), (_, value) => value?.type === 'Buffer' ? hex(Buffer.from(value.data)) : value)) // biome-ignore format: one line says it
      assert.deepEqual(json, { header, parts, end })
    }
    await assert.rejects(read(whole.subarray(0, -1), 100), FormatError)
    await assert.rejects(read(Buffer.concat([whole, Buffer.alloc(1)]), 100), FormatError)
    const newer = Buffer.from(whole)
    newer.writeUInt16BE(2, 8)
    await assert.rejects(read(newer, 100), /version 2, and this program knows version 1/)
  }
})

test('the code reads the index of an archive back, and refuses what the vectors say', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-index-'))
  const read = (text: unknown) => {
    writeFileSync(join(folder, 'index'), String(text))
    return readIndex(folder)
  }
  try {
    for (const { boundaryId, vkey, begins, segments, index } of each('archive')) {
      const found = await read(index)
      const withHex = <T extends { readonly root: Buffer }>(one: T) => ({ ...one, root: hex(one.root) })
      assert.deepEqual([hex(found.boundaryId), found.vkey], [boundaryId, vkey])
      assert.deepEqual([withHex(found.base), found.segments.map(withHex)], [begins, segments])
    }
    for (const { why, index } of each('archive', 'refused')) await assert.rejects(read(index), NoteError, String(why))
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('the code opens import tokens, session tokens, root files and the journal of the vectors', async () => {
  const ring = keyring()
  for (const { token, rowId, secret } of each('grants')) {
    const read = readGrantToken(bytes(token).toString('base64'))
    assert.equal(read?.rowId, rowId)
    assert.equal(read?.fits(String(secret)), true)
  }
  for (const vector of each('import-token')) {
    const { token, keyId, spec, validTo, material, wrapped } = vector
    const expected = { keyId: String(keyId), spec: spec as KeySpec, now: Number(validTo) }
    const opened = openImportToken(ring, bytes(token), expected)
    const given = wrapped as Record<string, string>
    assert.deepEqual(await opened.unwrap(bytes(given[opened.algorithm]), HERE), bytes(material))
  }

  for (const { token, expiresAt, body } of each('session-token')) {
    const opened = openSessionToken(ring, bytes(token), Number(expiresAt) - 1)
    assert.deepEqual(opened, { body: bytes(body), expiresAt })
    assert.deepEqual(writeSessionBody(readSessionBody(opened.body)), bytes(body))
  }

  // All but what is random stands where it stands in the vectors.
  const { publicKey } = load('recipient') as unknown as { publicKey: string }
  for (const vector of each('recipient')) {
    const made = encryptForRecipient(bytes(publicKey), bytes(vector.plaintext))
    const message = bytes(vector.message)
    const [key, iv] = [message.indexOf(bytes(vector.encryptedKey)), message.indexOf(bytes(vector.iv))]
    const contentEnd = message.length - 8
    const contentBytes = bytes(vector.plaintext).length + 16 - (bytes(vector.plaintext).length % 16)
    for (const [from, to] of [
      [key, key + 256],
      [iv, iv + 16],
      [contentEnd - contentBytes, contentEnd],
    ] as const)
      message.copy(made, from, from, to)
    assert.deepEqual(made, message)
  }

  const folder = mkdtempSync(join(tmpdir(), 'holdfast-root-vectors-'))
  try {
    const file = load('root')
    const keyFile = join(folder, 'key')
    writeFileSync(keyFile, (file.keyFile as unknown as { line: string }).line, { mode: 0o600 })
    const trust = await openKeyFile(keyFile)
    for (const vector of each('root')) {
      const opened = await openRoot(trust, parseRootFile(bytes(vector.file)))
      const generations = vector.generations as { generation: number; firstRecord: number; firstWriteSet: number }[]
      const starts = opened.file.generations.map(one => [one.generation, one.firstRecord, one.firstWriteSet])
      assert.deepEqual(
        starts,
        generations.map(one => [one.generation, one.firstRecord, one.firstWriteSet]),
      )
      assert.equal(opened.keyring.current, generations.at(-1)?.generation)
      assert.deepEqual(
        [opened.file.destroyed, opened.file.destroyedAt, opened.file.wholeAt],
        [vector.destroyed, vector.destroyedAt, vector.wholeAt],
      )
      assert.equal(opened.file.logPublicKey.toString('hex'), vector.logPublicKey)
    }
    const kit = file.kit as unknown as Vector
    assert.deepEqual(parseKit(bytes(kit.kit)), { rootFile: bytes(kit.rootFile), checkpoint: bytes(kit.checkpoint) })
    const vector = file.passphrase as unknown as Vector
    const byPassphrase = await openPassphraseRoot(Buffer.from(String(vector.passphrase)), bytes(vector.parameters))
    const secret = await byPassphrase.unwrap(bytes(vector.wrapped))
    secret.use(clear => assert.deepEqual(clear, bytes(vector.root)))
  } finally {
    rmSync(folder, { recursive: true })
  }

  const segment = load('journal').segment as unknown as Vector
  const header = parseHeader(bytes(segment.header))
  const context = { boundaryId: header.boundaryId, writeSetKey: ring.key('write-set'), seed: header.crc }
  let previous = header.crc
  for (const vector of each('journal', 'frames')) {
    const frame = parseFrame(bytes(vector.frame), 0, header.crc)
    if (typeof frame === 'string') assert.fail(frame)
    assert.deepEqual([frame.previousCrc, frame.seq, frame.time], [previous, vector.seq, vector.time])
    const given = vector.writeSet as { number: number; rows: string } | null
    const expected = given === null ? undefined : { number: given.number, rows: bytes(given.rows) }
    assert.deepEqual(openWriteSet(frame, context), expected)
    previous = frame.crc
  }
})

test('the code reads the lines of shares, opens with any that are enough, and refuses what the vectors say', async () => {
  for (const vector of each('shares')) {
    const set = readParameters(bytes(vector.boundaryId), bytes(vector.parameters))
    const raws = (vector.shares as { raw: string; line: string }[]).map(({ raw, line }) => {
      const read = readShare(set, Buffer.from(line))
      assert.equal(hex(read), raw)
      return read
    })
    for (const some of [raws.slice(0, set.threshold), raws.slice(-set.threshold)]) {
      const secret = await sharesRoot(set, keyOf(some)).unwrap(bytes(vector.wrapped))
      secret.use(clear => assert.deepEqual(clear, bytes(vector.root)))
    }
  }
  const [first] = each('shares')
  const set = readParameters(bytes(first?.boundaryId), bytes(first?.parameters))
  for (const { line, why } of each('shares', 'refused'))
    assert.throws(() => readShare(set, Buffer.from(String(line))), RootError, String(why))
})

test('the tables of the documents are those of the code', () => {
  const record = document('record.md')
  for (const [name, { code, max }] of Object.entries(ASSERTED_FIELDS))
    assert.ok(record.includes(`| ${code} | ${name} | string, at most ${max} bytes |`), `record.md: ${name}`)
  for (const [name, field] of Object.entries(OWN_FIELDS)) {
    const line = record.split('\n').find(one => one.startsWith(`| ${field.code} | ${name} |`))
    assert.ok(line, `record.md: ${name}`)
    if (field.type === 'u64') assert.match(line, /\| u64 \|$/)
    if (field.type === 'string') assert.ok(line.endsWith(`| string, at most ${field.max} bytes |`), line)
    if (field.type === 'bytes') assert.ok(line.includes(String(field.max)), line)
  }
  for (const [name, code] of Object.entries(BOUNDARY_OPERATIONS))
    assert.ok(record.includes(` ${code} ${name}`), `record.md: ${name}`)
  const rows = document('rows.md')
  for (const [kind, { code, protection }] of Object.entries(ROW_KINDS))
    assert.ok(rows.includes(`| ${kind} | ${code} | ${protection}`), `rows.md: ${kind}`)
  const sealed = document('sealed-key.md')
  const tables = [
    KEY_SPECS,
    KEY_USAGES,
    KEY_ORIGINS,
    KEY_MANAGERS,
    KEY_STATES,
    MATERIAL_STATES,
    ROTATION_TYPES,
    MULTI_REGION_TYPES,
  ]
  for (const table of [...tables, EXPIRATION_MODELS, BACKINGS]) {
    const words = Object.entries(table).map(([name, code]) => `${code} ${name}`)
    assert.ok(sealed.includes(`code: ${words.join(', ')} |`), `sealed-key.md: ${words.join(', ')}`)
  }
  const roots = document('root.md')
  for (const purpose of PURPOSES) assert.ok(roots.includes(`| \`${purpose}\` |`), `root.md: ${purpose}`)
})
