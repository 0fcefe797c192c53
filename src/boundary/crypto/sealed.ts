/**
 * Sealed keys: the clear, authenticated header of a key, and its materials encrypted under the sealing root. See docs/formats/sealed-key.md.
 */
import { createHmac, createPrivateKey, createSecretKey, type KeyObject } from 'node:crypto'
import { isAsymmetric } from '../algorithms.ts'
import { checkVersion, FormatError, Reader, Writer } from '../bytes.ts'
import type { Keyring } from '../root/keyring.ts'
import { BoundaryError, type KeyHeader, type KeySpec } from '../words.ts'
import { openBox, sealBox } from './box.ts'
import { readHeader, versionOf, writeHeader } from './header.ts'
import type { RandomOption } from './random.ts'

export interface OpenedKey {
  readonly header: KeyHeader
  /** By material id: those with `present`. Empty for keys whose materials are in the token. */
  readonly materials: ReadonlyMap<string, KeyObject>
}

const MATERIAL_BYTES = 32
/** Of one material: PKCS #8 of RSA-4096 takes 2.4 KB, of ML-DSA-87 with its expanded key 5 KB. */
const MAX_MATERIAL_BYTES = 8192
const MAX_HEADER_BYTES = 4 * 1024 * 1024

/** Ids of the materials whose bytes are inside, in the header's order. */
function sealedMaterials(header: KeyHeader): string[] {
  return header.backing === 'TOKEN'
    ? []
    : header.materials.filter(material => material.present).map(material => material.id)
}

/**
 * The body of a key row. `header.rootGeneration` must be the keyring's current generation. `materials` holds the bytes of exactly those materials that are
 * `present`, by id (secret bytes, or PKCS #8 DER of asymmetric keys); none where the backing is TOKEN. What is out of its bounds throws `RangeError`.
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
  const version = versionOf(header)
  const inside = ids.map(id => checkedMaterial(materials.get(id), version))
  const clear = Buffer.alloc(inside.reduce((size, { length }) => size + length + (version === 2 ? 2 : 0), 0))
  let at = 0
  for (const bytes of inside) {
    if (version === 2) at = clear.writeUInt16BE(bytes.length, at)
    at += bytes.copy(clear, at)
  }
  const encoded = writeHeader(header)
  const box = sealBox(keyring, 'seal', encoded, clear, options)
  clear.fill(0)
  return new Writer(encoded.length + box.length + 8).u8(version).long(encoded).raw(box).done()
}

function checkedMaterial(bytes: Buffer | undefined, version: 1 | 2): Buffer {
  const fits = version === 1 ? bytes?.length === MATERIAL_BYTES : bytes !== undefined && bytes.length > 0
  if (bytes === undefined || !fits || bytes.length > MAX_MATERIAL_BYTES)
    throw new RangeError('materials and header do not agree')
  return bytes
}

function split(sealed: Buffer): { header: KeyHeader; encoded: Buffer; box: Buffer } {
  const reader = new Reader(sealed)
  const version = reader.u8()
  checkVersion('a sealed key', version, 2, 1)
  const encoded = reader.long(MAX_HEADER_BYTES)
  const header = readHeader(encoded)
  if (versionOf(header) !== version) throw new FormatError('a sealed key and its header have different versions')
  return { header, encoded, box: reader.raw(reader.left) }
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
  const fixed = versionOf(header) === 1
  const reader = new Reader(clear)
  const materials = new Map<string, KeyObject>()
  for (const id of sealedMaterials(header)) {
    const bytes = reader.raw(fixed ? MATERIAL_BYTES : reader.u16())
    materials.set(id, materialKey(header.spec, bytes))
  }
  reader.end()
  clear.fill(0)
  return { header, materials }
}

/** A material as a key: `bytes` are secret bytes, or PKCS #8 DER. Throws for DER that is none. */
export const materialKey = (spec: KeySpec, bytes: Buffer): KeyObject =>
  isAsymmetric(spec) ? createPrivateKey({ key: bytes, format: 'der', type: 'pkcs8' }) : createSecretKey(bytes)

/** The bytes of a material, the caller's to wipe. */
export const materialBytes = (material: KeyObject): Buffer =>
  material.type === 'private' ? material.export({ format: 'der', type: 'pkcs8' }) : material.export()

/** The header, read without any key: for the front end. Strict and bounded; throws `FormatError`. Unauthenticated by itself. */
export function readKeyHeader(sealed: Buffer): KeyHeader {
  return split(sealed).header
}

/** 64 hex digits, derived from key id (not the row id) and material; deterministic, and says nothing about the material. */
export function materialId(keyId: string, material: KeyObject): string {
  const bytes = material.type === 'secret' ? undefined : materialBytes(material)
  const id = createHmac('sha256', bytes ?? material)
    .update('holdfast material id 1\0')
    .update(keyId)
    .digest('hex')
  bytes?.fill(0)
  return id
}
