/** Streams of backups in the clear: a full one with the first frame of the journal's vectors, and an increment with the second. */
import { createPrivateKey, createPublicKey } from 'node:crypto'
import {
  type BackupEnd,
  type BackupHeader,
  encodeEnd,
  encodePartHead,
  encodePieceHead,
  encodeStart,
  PART_END,
  type PartKind,
  type Place,
} from '../../../src/backup/format.ts'
import { encodeRows, tagRow } from '../../../src/boundary/crypto/rows.ts'
import { CheckpointSigner } from '../../../src/boundary/journal/checkpoint.ts'
import { EMPTY_ROOT, leafHash, nodeHash } from '../../../src/boundary/journal/merkle.ts'
import { BOUNDARY_ID, fixed, hex, type Json, keyring, type VectorFile } from './source.ts'

const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex')
const ORIGIN = 'kms.example.com/log'
const SEGMENT = '00000000000000000000.seg'

type Part = readonly [PartKind, string, readonly Buffer[]]

const placeJson = ({ root, ...place }: Place): Json => ({ ...place, root: hex(root) })

function vector(header: BackupHeader, parts: readonly Part[], end: BackupEnd): Json {
  const stream = [encodeStart(header)]
  for (const [kind, name, pieces] of parts) {
    stream.push(encodePartHead(kind, name))
    for (const piece of pieces) stream.push(encodePieceHead(piece.length), piece)
    stream.push(PART_END)
  }
  stream.push(encodeEnd(end))
  const { boundaryId, logPublicKey, previous, from, ...rest } = header
  return {
    header: {
      ...rest,
      boundaryId: hex(boundaryId),
      logPublicKey: hex(logPublicKey),
      previous: hex(previous),
      from: placeJson(from),
    },
    parts: parts.map(([kind, name, pieces]) => ({ kind, name, pieces: pieces.map(hex) })),
    end: { until: end.until, parts: end.parts, to: placeJson(end.to) },
    stream: hex(Buffer.concat(stream)),
  }
}

/** `journal`: that vector file. */
export function backups(journal: VectorFile): VectorFile {
  const { header: segmentHeader } = journal.segment as { header: string }
  const frames = journal.frames as readonly { time: number; frame: string; leaf: string }[]
  const bytes = frames.map(({ frame }) => Buffer.from(frame, 'hex'))
  const leaves = frames.map(({ leaf }) => leafHash(Buffer.from(leaf, 'hex')))
  const [first, second] = bytes as [Buffer, Buffer]
  const [left, right] = leaves as [Buffer, Buffer]
  const start = Buffer.from(segmentHeader, 'hex')
  const crcOf = (frame: Buffer): number => frame.readUInt32BE(frame.length - 4)
  const empty: Place = { size: 0, lastTime: 0, lastWriteSet: 0, segment: 0, offset: 0, crc: 0, root: EMPTY_ROOT }
  const one: Place = {
    size: 1,
    lastTime: frames[0]?.time ?? 0,
    lastWriteSet: 0,
    segment: 0,
    offset: start.length + first.length,
    crc: crcOf(first),
    root: left,
  }
  const two: Place = {
    size: 2,
    lastTime: frames[1]?.time ?? 0,
    lastWriteSet: 1,
    segment: 0,
    offset: one.offset + second.length,
    crc: crcOf(second),
    root: nodeHash(left, right),
  }
  const key = createPrivateKey({
    key: Buffer.concat([PKCS8_ED25519, fixed('log seed', 32)]),
    format: 'der',
    type: 'pkcs8',
  })
  const signer = new CheckpointSigner(ORIGIN, key)
  const common = {
    boundaryId: BOUNDARY_ID,
    service: 'kms',
    dev: false,
    origin: ORIGIN,
    logPublicKey: createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32),
  } as const
  const rows = encodeRows([
    tagRow(keyring(), {
      kind: 'alias',
      id: '111122223333/eu-central-1/alias/a',
      scope: '',
      link: '',
      revision: 1,
      body: null,
    }),
  ])
  const noted = (place: Place): Part => ['checkpoint', '', [Buffer.from(signer.sign(place))]]
  return {
    vectors: [
      vector(
        { ...common, kind: 'full', number: 1, createdAt: 1_790_000_001_000, previous: Buffer.alloc(32), from: empty },
        [
          ['configuration', 'kms.yaml', [Buffer.from('data: /var/lib/holdfast-kms\n')]],
          ['rows', '0', [rows]],
          ['journal', SEGMENT, [start, first]],
          noted(one),
        ],
        { until: 1_790_000_000_900, to: one, parts: 4 },
      ),
      vector(
        {
          ...common,
          kind: 'increment',
          number: 2,
          createdAt: 1_790_000_002_000,
          previous: fixed('file before', 32),
          from: one,
        },
        [['journal', SEGMENT, [second]], noted(two)],
        { until: 1_790_000_001_900, to: two, parts: 2 },
      ),
    ],
  }
}
