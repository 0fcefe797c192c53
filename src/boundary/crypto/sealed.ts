/**
 * Sealed keys: the clear, authenticated header of a key, and its materials encrypted under the sealing root. See docs/formats/sealed-key.md.
 */
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import { FormatError, Reader, Writer } from '../bytes.ts'
import type { Keyring } from '../root/keyring.ts'
import { BoundaryError, type KeyHeader } from '../words.ts'
import { openBox, sealBox } from './box.ts'
import { readHeader, writeHeader } from './header.ts'
import type { RandomOption } from './random.ts'

export interface OpenedKey {
  readonly header: KeyHeader
  /** By material id: those with `present`. Empty for keys whose materials are in the token. */
  readonly materials: ReadonlyMap<string, KeyObject>
}

const VERSION = 1
const MATERIAL_BYTES = 32
const MAX_HEADER_BYTES = 4 * 1024 * 1024

/** Ids of the materials whose bytes are inside, in the header's order. */
function sealedMaterials(header: KeyHeader): string[] {
  return header.backing === 'TOKEN'
    ? []
    : header.materials.filter(material => material.present).map(material => material.id)
}

/**
 * The body of a key row. `header.rootGeneration` must be the keyring's current generation. `materials` holds the bytes of exactly those materials that are
 * `present`, by id; none where the backing is TOKEN. A header out of its bounds throws `RangeError`.
 */
export function sealKey(
  keyring: Keyring,
  header: KeyHeader,
  materials: ReadonlyMap<string, Buffer>,
  options?: RandomOption,
): Buffer {
  if (header.rootGeneration !== keyring.current)
    throw new RangeError('a key is sealed under the current root generation')
  const ids = sealedMaterials(header)
  if (ids.length !== materials.size) throw new RangeError('materials and header do not agree')
  const clear = Buffer.alloc(ids.length * MATERIAL_BYTES)
  for (const [index, id] of ids.entries()) {
    const bytes = materials.get(id)
    if (bytes?.length !== MATERIAL_BYTES) throw new RangeError('materials and header do not agree')
    bytes.copy(clear, index * MATERIAL_BYTES)
  }
  const encoded = writeHeader(header)
  const box = sealBox(keyring, 'seal', encoded, clear, options)
  clear.fill(0)
  return new Writer(encoded.length + box.length + 8).u8(VERSION).long(encoded).raw(box).done()
}

function split(sealed: Buffer): { header: KeyHeader; encoded: Buffer; box: Buffer } {
  const reader = new Reader(sealed)
  if (reader.u8() !== VERSION) throw new FormatError('a sealed key of unknown version')
  const encoded = reader.long(MAX_HEADER_BYTES)
  return { header: readHeader(encoded), encoded, box: reader.raw(reader.left) }
}

/** Throws `FormatError` for what is no sealed key, and `BoundaryError` Internal where it was not sealed by this keyring. */
export function openKey(keyring: Keyring, sealed: Buffer): OpenedKey {
  const { header, encoded, box } = split(sealed)
  let clear: Buffer
  try {
    clear = openBox(keyring, 'seal', encoded, box)
  } catch {
    throw new BoundaryError('Internal', 'a sealed key does not open')
  }
  const ids = sealedMaterials(header)
  if (clear.length !== ids.length * MATERIAL_BYTES) throw new FormatError('materials and header do not agree')
  const materials = new Map<string, KeyObject>()
  for (const [index, id] of ids.entries()) {
    materials.set(id, createSecretKey(clear.subarray(index * MATERIAL_BYTES, (index + 1) * MATERIAL_BYTES)))
  }
  clear.fill(0)
  return { header, materials }
}

/** The header, read without any key: for the front end. Strict and bounded; throws `FormatError`. Unauthenticated by itself. */
export function readKeyHeader(sealed: Buffer): KeyHeader {
  return split(sealed).header
}

/** 64 hex digits, derived from key id (not the row id) and material; deterministic, and says nothing about the material. */
export function materialId(keyId: string, material: KeyObject): string {
  return createHmac('sha256', material).update('holdfast material id 1\0').update(keyId).digest('hex')
}
