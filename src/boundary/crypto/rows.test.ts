import assert from 'node:assert/strict'
import { createSecretKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { FormatError } from '../bytes.ts'
import { Keyring } from '../root/keyring.ts'
import { Secret } from '../root/types.ts'
import { BoundaryError, type KeyHeader, type Row, type RowKind } from '../words.ts'
import { decryptExternal, encryptExternal, externalAadBytes, integrityValue, readExternalMetadata } from './external.ts'
import { makeImportToken, openImportToken, wrapForImport } from './import-token.ts'
import { HERE } from './private-work.ts'
import {
  checkRowTag,
  decodeRow,
  decodeRows,
  encodeRow,
  encodeRows,
  openSecret,
  rowDigest,
  sealSecret,
  tagRow,
} from './rows.ts'
import { materialId, openKey, readKeyHeader, sealKey } from './sealed.ts'

const keyring = (): Keyring => new Keyring(Buffer.alloc(16, 1), new Map([[1, new Secret(Buffer.alloc(32, 2))]]))
const ring = keyring()
const stranger = new Keyring(Buffer.alloc(16, 1), new Map([[1, new Secret(randomBytes(32))]]))

const rows = fc.record({
  kind: fc.constantFrom<RowKind>('alias', 'policy', 'principal'),
  id: fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme-ascii' }),
  scope: fc.string({ maxLength: 20, unit: 'grapheme' }),
  link: fc.string({ maxLength: 20, unit: 'grapheme' }),
  revision: fc.maxSafeNat(),
  body: fc.option(
    fc.uint8Array({ maxLength: 50 }).map(bytes => Buffer.from(bytes)),
    { nil: null },
  ),
})

test('promise 12: the database is not trusted — a row changed in any field, or of another boundary, fails its tag', () => {
  fc.assert(
    fc.property(rows, rows, (a, b) => {
      const row = tagRow(ring, a)
      assert.equal(checkRowTag(ring, row), true)
      assert.equal(checkRowTag(stranger, row), false)
      for (const field of Object.keys(a) as (keyof typeof a)[]) {
        const forged = { ...row, [field]: b[field] } as Row
        assert.equal(checkRowTag(ring, forged), encodeRow(forged).equals(encodeRow(row)))
      }
      assert.deepEqual(decodeRow(encodeRow(row)), row)
      assert.equal(rowDigest(row).length, 32)
    }),
    { numRuns: 60 },
  )
})

test('lists of rows come back as they were, and a count that cannot be true is refused', () => {
  fc.assert(
    fc.property(fc.array(rows, { maxLength: 5 }), list => {
      const tagged = list.map(row => tagRow(ring, row))
      assert.deepEqual(decodeRows(encodeRows(tagged)), tagged)
    }),
    { numRuns: 30 },
  )
  assert.throws(() => decodeRows(Buffer.from([1, 0xff, 0xff, 0xff, 0xff])), FormatError)
})

test('promise 12: a secret opens only as the same row at the same revision', () => {
  const body = sealSecret(ring, 'credential', 'AKIA', 3, Buffer.from('canary'))
  assert.equal(openSecret(ring, { kind: 'credential', id: 'AKIA', revision: 3, body }).toString(), 'canary')
  assert.equal(body.includes('canary'), false)
  for (const other of [{ id: 'AKIB' }, { revision: 2 }, { kind: 'keystore-credential' as const }]) {
    assert.throws(
      () => openSecret(ring, { kind: 'credential', id: 'AKIA', revision: 3, body, ...other }),
      BoundaryError,
    )
  }
  assert.throws(() => openSecret(stranger, { kind: 'credential', id: 'AKIA', revision: 3, body }), BoundaryError)
})

const material = Buffer.alloc(32, 9)
const id = materialId('1234abcd-12ab-34cd-56ef-1234567890ab', createSecretKey(material))
const header: KeyHeader = {
  id: 'us-east-1/1234abcd-12ab-34cd-56ef-1234567890ab',
  account: '111122223333',
  revision: 4,
  rootGeneration: 1,
  fence: 0,
  createdAt: 1_700_000_000_000,
  spec: 'SYMMETRIC_DEFAULT',
  usage: 'ENCRYPT_DECRYPT',
  origin: 'EXTERNAL',
  manager: 'CUSTOMER',
  managerService: '',
  state: 'Enabled',
  previousState: 'Disabled',
  deletionDate: 0,
  pendingWindowDays: 0,
  policyDigest: Buffer.alloc(32, 5),
  rotationEnabled: true,
  rotationPeriodDays: 365,
  nextRotationAt: 1_800_000_000_000,
  onDemandRotations: 2,
  keyStoreId: '',
  xksKeyId: '',
  backing: 'SEALED',
  tokenObject: '',
  mayEncrypt: true,
  mayDecrypt: true,
  publicKey: Buffer.alloc(0),
  multiRegion: 'NONE',
  primaryRegion: '',
  replicaRegions: [],
  materials: [
    {
      id,
      state: 'CURRENT',
      present: true,
      createdAt: 1_700_000_000_000,
      expirationModel: 'KEY_MATERIAL_EXPIRES',
      validTo: 1_750_000_000_000,
      description: 'owner’s',
      rotationType: 'NONE',
      rotatedAt: 0,
    },
  ],
}

test('a sealed key opens to its header and material, and its header can be read without a key', () => {
  const sealed = sealKey(ring, header, new Map([[id, material]]))
  assert.deepEqual(readKeyHeader(sealed), header)
  const opened = openKey(ring, sealed)
  assert.deepEqual(opened.header, header)
  assert.deepEqual(opened.materials.get(id)?.export(), material)
})

test('promise 1: key material never leaves the boundary in the clear — a sealed key holds none of it', () => {
  const sealed = sealKey(ring, header, new Map([[id, material]]))
  assert.equal(sealed.includes(material.subarray(0, 8)), false)
  assert.doesNotMatch(inspect(ring, { showHidden: true, depth: 9 }) + JSON.stringify(ring), /0202020202/)
  const secret = new Secret(Buffer.from('canary-secret'))
  assert.doesNotMatch(inspect(secret, { showHidden: true }) + JSON.stringify(secret) + String(secret), /canary/)
})

test('promise 12: no byte of a sealed key can be changed, and no other boundary can make one', () => {
  const sealed = sealKey(ring, header, new Map([[id, material]]))
  for (let at = 0; at < sealed.length; at++) {
    const changed = Buffer.from(sealed)
    changed[at] = (changed[at] ?? 0) ^ 1
    assert.throws(() => openKey(ring, changed), `byte ${at}`)
  }
  assert.throws(() => openKey(ring, sealKey(stranger, header, new Map([[id, material]]))), BoundaryError)
})

test('material and header must agree, and only the current generation seals', () => {
  assert.throws(() => sealKey(ring, header, new Map()), RangeError)
  assert.throws(() => sealKey(ring, { ...header, rootGeneration: 2 }, new Map([[id, material]])), RangeError)
  const gone = { ...header, materials: header.materials.map(one => ({ ...one, present: false })) }
  assert.equal(openKey(ring, sealKey(ring, gone, new Map())).materials.size, 0)
})

test('external keys: the integrity value of the specification’s example', () => {
  const b64 = (text: string): Buffer => Buffer.from(text, 'base64')
  const parts = {
    metadata: b64('a2V5X3ZlcnNpb249MQ=='),
    iv: b64('HMrlRw85cAJUd5Ax'),
    ciphertext: b64('ghxkK1txeDNn3q8Y'),
    tag: b64('vBxN2ncH1oEkR8WVXpmyYQ=='),
  }
  assert.equal(
    integrityValue(Buffer.from('project=nile,department=marketing'), parts).toString('base64'),
    'qHA/ImC9h5HsLRXqCyPmWgYx7tzyoTplzILbP0fPXsc=',
  )
})

test('external keys: additional data and metadata are bound, with lengths, and nothing else opens', () => {
  const key = createSecretKey(randomBytes(32))
  const sealed = encryptExternal(key, 7, Buffer.from('plain'), Buffer.from('aad'), true)
  assert.equal(readExternalMetadata(sealed.metadata), 7)
  assert.equal(decryptExternal(key, sealed, Buffer.from('aad')).toString(), 'plain')
  const refused = (error: unknown): boolean => error instanceof BoundaryError && error.code === 'InvalidCiphertext'
  assert.throws(() => decryptExternal(key, sealed, Buffer.from('aae')), refused)
  assert.throws(() => decryptExternal(key, { ...sealed, metadata: Buffer.alloc(0) }, Buffer.from('aad')), refused)
  assert.throws(() => decryptExternal(key, { ...sealed, tag: sealed.tag.subarray(0, 12) }, Buffer.from('aad')), refused)
  assert.throws(() => readExternalMetadata(Buffer.from([2, 0, 0, 0, 1])), refused)
  assert.notDeepEqual(
    externalAadBytes(Buffer.from('ab'), Buffer.from('c')),
    externalAadBytes(Buffer.from('a'), Buffer.from('bc')),
  )
})

test('imports: wrapped by the owner, opened by the token of this key and boundary only, until it expires', async () => {
  const input = {
    keyId: header.id,
    spec: 'SYMMETRIC_DEFAULT',
    algorithm: 'RSAES_OAEP_SHA_256',
    modulusBits: 2048,
    validTo: 1000,
  } as const
  const { token, publicKey } = await makeImportToken(ring, input)
  assert.ok(token.length <= 6144)
  const expected = { keyId: header.id, spec: 'SYMMETRIC_DEFAULT', now: 1000 } as const
  const wrapped = wrapForImport(publicKey, 'RSAES_OAEP_SHA_256', material)
  assert.deepEqual(await openImportToken(ring, token, expected).unwrap(wrapped, HERE), material)
  const code = (wanted: string) => (error: unknown) => error instanceof BoundaryError && error.code === wanted
  assert.throws(() => openImportToken(ring, token, { ...expected, now: 1001 }), code('ExpiredImportToken'))
  assert.throws(() => openImportToken(ring, token, { ...expected, keyId: 'other' }), code('InvalidImportToken'))
  assert.throws(() => openImportToken(stranger, token, expected), code('InvalidImportToken'))
  assert.throws(() => openImportToken(ring, token.subarray(0, 40), expected), code('InvalidImportToken'))
  const sha1 = wrapForImport(publicKey, 'RSAES_OAEP_SHA_1', material)
  await assert.rejects(openImportToken(ring, token, expected).unwrap(sha1, HERE), code('InvalidCiphertext'))
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'der', type: 'spki' })
  assert.throws(() => wrapForImport(ec, 'RSAES_OAEP_SHA_256', material), code('InvalidRequest'))
})
