/** Vectors of what rests: sealed keys, rows, records. */
import { createSecretKey } from 'node:crypto'
import { encodeContext } from '../../../src/boundary/crypto/context.ts'
import { encodeRow, encodeRows, rowDigest, sealSecret, tagRow } from '../../../src/boundary/crypto/rows.ts'
import { materialId, sealKey } from '../../../src/boundary/crypto/sealed.ts'
import { encodeRecord } from '../../../src/boundary/record.ts'
import type { RecordFields } from '../../../src/boundary/record-fields.ts'
import type { KeyHeader, Row } from '../../../src/boundary/words.ts'
import {
  ACCOUNT,
  boundary,
  CONTEXTS,
  fixed,
  HEADER,
  hex,
  type Json,
  KEY_ID,
  keyring,
  MULTI_REGION,
  stream,
  utf8,
  type VectorFile,
} from './source.ts'

export function sealedKeys(): VectorFile {
  const secrets = [fixed('material a', 32), fixed('material b', 32), fixed('material c', 32)]
  const ids = secrets.map(secret => materialId(KEY_ID, createSecretKey(secret)))
  const material = {
    createdAt: 1_790_000_000_000,
    expirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
    validTo: 0,
    rotatedAt: 0,
  } as const
  const materials = ids.map((id, at) => ({
    ...material,
    id,
    state: at === 2 ? ('CURRENT' as const) : ('NON_CURRENT' as const),
    present: at !== 1,
    description: at === 0 ? 'aus dem Tresor, Fach 3 – größer' : '',
    rotationType: at === 2 ? ('ON_DEMAND' as const) : ('NONE' as const),
  }))
  const external = {
    ...material,
    id: '00000001',
    state: 'CURRENT',
    present: true,
    description: '',
    rotationType: 'NONE',
    expirationModel: 'NONE',
  } as const
  const token: KeyHeader = {
    ...HEADER,
    id: 'tenant/owners-key',
    spec: 'EXTERNAL_AES_256',
    origin: 'OWNER',
    state: 'Revoked',
    backing: 'TOKEN',
    tokenObject: 'label:payroll',
    mayDecrypt: false,
    materials: [external],
  }
  // Of an asymmetric key and of a set in several Regions the materials have lengths of their own.
  const replica: KeyHeader = {
    ...HEADER,
    id: `us-east-1/${MULTI_REGION}`,
    spec: 'ECC_NIST_P256',
    usage: 'SIGN_VERIFY',
    state: 'Enabled',
    origin: 'AWS_KMS',
    publicKey: fixed('public key', 91),
    multiRegion: 'REPLICA',
    primaryRegion: 'eu-central-1',
    replicaRegions: ['eu-west-1', 'us-east-1'],
    materials: [
      {
        ...material,
        id: hex(fixed('id of a private key', 32)),
        state: 'CURRENT',
        present: true,
        description: '',
        rotationType: 'NONE',
      },
    ],
  }
  const privateKey = fixed('private key', 138)
  const byId = new Map(secrets.flatMap((secret, at) => (at === 1 ? [] : [[ids[at] ?? '', secret] as const])))
  const cases: [KeyHeader, Map<string, Buffer>][] = [
    [{ ...HEADER, materials }, byId],
    [token, new Map()],
    [replica, new Map([[replica.materials[0]?.id ?? '', privateKey]])],
  ]
  return {
    boundary,
    vectors: cases.map(([header, inside], at) => {
      const sealed = sealKey(keyring(), header, inside, stream(`sealed ${at}`))
      const box = 5 + sealed.readUInt32BE(1)
      return {
        header: {
          ...header,
          policyDigest: hex(header.policyDigest),
          publicKey: hex(header.publicKey),
          replicaRegions: [...header.replicaRegions],
          materials: header.materials.map(one => ({ ...one })),
        },
        materials: Object.fromEntries([...inside].map(([id, secret]) => [id, hex(secret)])),
        nonce: hex(sealed.subarray(box + 5, box + 21)),
        sealed: hex(sealed),
      }
    }),
    materialIds: secrets.map((secret, at) => ({ keyId: KEY_ID, material: hex(secret), id: ids[at] ?? '' })),
  }
}

export function rows(): VectorFile {
  const ring = keyring()
  const plain: Omit<Row, 'tag'>[] = [
    {
      kind: 'alias',
      id: `${ACCOUNT}/eu-central-1/alias/été`,
      scope: `${ACCOUNT}/eu-central-1`,
      link: HEADER.id,
      revision: 3,
      body: Buffer.from('{}'),
    },
    {
      kind: 'principal',
      id: 'arn:aws:iam::111122223333:user/a',
      scope: ACCOUNT,
      link: '',
      revision: 2 ** 40 + 5,
      body: null,
    },
    { kind: 'policy', id: HEADER.id, scope: '', link: '', revision: 1, body: Buffer.alloc(0) },
  ]
  const tagged = plain.map(row => tagRow(ring, row))
  const secret = sealSecret(ring, 'credential', 'AKIAEXAMPLE', 9, Buffer.from('a secret access key'), stream('secret'))
  const encoded = tagged.map(encodeRow)
  return {
    boundary,
    vectors: tagged.map((row, at) => ({
      row: { ...row, body: row.body && hex(row.body), tag: hex(row.tag) },
      encoded: hex(encoded[at] ?? Buffer.alloc(0)),
      digest: hex(rowDigest(row)),
    })),
    list: hex(encodeRows(tagged)),
    secrets: [
      {
        kind: 'credential',
        id: 'AKIAEXAMPLE',
        revision: 9,
        clear: utf8('a secret access key'),
        nonce: hex(secret.subarray(5, 21)),
        body: hex(secret),
      },
    ],
    refused: [
      { why: 'an unknown kind', encoded: hex(replaced(encoded[2], 1, 99)) },
      { why: 'an unknown version', encoded: hex(replaced(encoded[2], 0, 2)) },
      { why: 'an id that is not UTF-8', encoded: hex(replaced(encoded[2], 4, 0xff)) },
      { why: 'bytes behind the end', encoded: `${hex(encoded[2] ?? Buffer.alloc(0))}00` },
    ],
  }
}

function replaced(bytes: Buffer | undefined, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes ?? Buffer.alloc(0))
  copy[at] = value
  return copy
}

export function records(): VectorFile {
  const cases: RecordFields[] = [
    {
      outcome: 'denied',
      error: 'AccessDeniedException',
      asserted: { operation: 'Decrypt', account: ACCOUNT, sourceIp: '127.0.0.1' },
    },
    {
      asserted: {
        operation: 'ReEncrypt',
        requestId: 'r-1',
        account: ACCOUNT,
        principal: 'arn:aws:iam::111122223333:user/été',
        subject: 's',
      },
      boundaryOperation: 'reEncrypt',
      source: 'use',
      outcome: 'allowed',
      keyId: HEADER.id,
      keyRevision: 7,
      materialId: hex(fixed('material id', 32)),
      destinationKeyId: `eu-central-1/${MULTI_REGION}`,
      destinationKeyRevision: 2 ** 33,
      destinationMaterialId: hex(fixed('material id 2', 32)),
      context: encodeContext(CONTEXTS[1] ?? []),
      destinationContext: encodeContext([]),
      size: 32,
    },
    {
      asserted: {},
      boundaryOperation: 'deleteKey',
      source: 'boundary',
      outcome: 'allowed',
      keyId: HEADER.id,
      transition: 'PendingDeletion>deleted',
      policyDigest: fixed('policy digest', 32),
      lifecycleTime: 1_792_592_000_000,
      changes: [
        { kind: 'key', id: HEADER.id, revision: 8 },
        { kind: 'alias', id: `${ACCOUNT}/eu-central-1/alias/été`, revision: 4 },
      ],
    },
    {
      asserted: {
        operation: 'Decrypt',
        account: ACCOUNT,
        grantId: 'g-1',
        attestedModule: 'i-0123456789abcdef0-enc0123456789abcdef',
        attestedRegisters: `PCR0=${hex(fixed('register 0', 48))},PCR1=0,PCR8=${hex(fixed('register 8', 48))}`,
      },
      boundaryOperation: 'decrypt',
      source: 'use',
      outcome: 'allowed',
      keyId: HEADER.id,
      size: 32,
      recipientDigest: fixed('recipient', 32),
    },
  ]
  const json = (value: unknown): Json =>
    Buffer.isBuffer(value)
      ? hex(value)
      : Array.isArray(value)
        ? value.map(json)
        : typeof value === 'object' && value !== null
          ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, json(inner)]))
          : (value as Json)
  return {
    vectors: cases.map(fields => ({ fields: json(fields), encoded: hex(encodeRecord(fields)) })),
    refused: [
      { why: 'fields out of order', encoded: '204d0008000000000000002042000101' },
      { why: 'a field twice', encoded: '204200010142000101' },
      { why: 'an unknown field', encoded: '20c8000101' },
      { why: 'an empty string', encoded: '20430000' },
      { why: 'an unknown code', encoded: '2042000109' },
      { why: 'not UTF-8', encoded: '20010002c328' },
      { why: 'a grant id of 65 bytes', encoded: `20130041${'67'.repeat(65)}` },
      { why: 'another version', encoded: '2142000101' },
    ],
  }
}
