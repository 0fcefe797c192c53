/** The index of an archive with one segment, that of the journal's vectors, and texts that are none. */
import { createHash, createPrivateKey } from 'node:crypto'
import { CheckpointSigner } from '../../../src/boundary/journal/checkpoint.ts'
import { EMPTY_ROOT, leafHash, nodeHash } from '../../../src/boundary/journal/merkle.ts'
import { type ArchivedSegment, encodeIndex } from '../../../src/log/archive-index.ts'
import { BOUNDARY_ID, fixed, hex, type VectorFile } from './source.ts'

const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex')

/** `journal`: that vector file. */
export function archives(journal: VectorFile): VectorFile {
  const { header } = journal.segment as { header: string }
  const frames = journal.frames as readonly { time: number; frame: string; leaf: string }[]
  const file = Buffer.from(header + frames.map(({ frame }) => frame).join(''), 'hex')
  const [left, right] = frames.map(({ leaf }) => leafHash(Buffer.from(leaf, 'hex'))) as [Buffer, Buffer]
  const der = Buffer.concat([PKCS8_ED25519, fixed('log seed', 32)])
  const { vkey } = new CheckpointSigner(
    'kms.example.com/log',
    createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }),
  )
  const segment: ArchivedSegment = {
    first: 0,
    entries: frames.length,
    bytes: file.length,
    lastTime: frames.at(-1)?.time ?? 0,
    sha256: createHash('sha256').update(file).digest('hex'),
    root: nodeHash(left, right),
  }
  const base = { seq: 0, writeSet: 0, root: EMPTY_ROOT }
  const index = encodeIndex({ boundaryId: BOUNDARY_ID, vkey, base, segments: [segment] }).toString()
  return {
    vectors: [
      {
        boundaryId: hex(BOUNDARY_ID),
        vkey,
        begins: { ...base, root: hex(base.root) },
        segments: [{ ...segment, root: hex(segment.root) }],
        index,
      },
    ],
    refused: [
      { why: 'of another version', index: index.replace('archive-1', 'archive-2') },
      { why: 'without the last line feed', index: index.slice(0, -1) },
      { why: 'cut after a line', index: index.slice(0, index.indexOf('begins')) },
      { why: 'a segment that does not begin where it should', index: index.replace('segment 0 ', 'segment 1 ') },
      { why: 'a segment without entries', index: index.replace('segment 0 2 ', 'segment 0 0 ') },
      { why: 'a number with a leading zero', index: index.replace('segment 0 2 ', 'segment 0 02 ') },
      { why: 'a hash in capitals', index: index.replace(segment.sha256, segment.sha256.toUpperCase()) },
      { why: 'two spaces', index: index.replace('boundary ', 'boundary  ') },
      { why: 'a carriage return', index: index.replaceAll('\n', '\r\n') },
      { why: 'a line too many', index: `${index}\n` },
    ],
  }
}
