/**
 * The clear header of a sealed key, byte by byte: fields in one fixed order, every string with its length. See docs/formats/sealed-key.md.
 *
 * Version 2 is version 1 with what keys of one Region and 32 secret bytes do not have; each key has exactly one of the two.
 */
import { checkVersion, FormatError, Reader, Writer } from '../bytes.ts'
import {
  BACKINGS,
  EXPIRATION_MODELS,
  KEY_MANAGERS,
  KEY_ORIGINS,
  KEY_SPECS,
  KEY_STATES,
  KEY_USAGES,
  type KeyHeader,
  MATERIAL_STATES,
  type MaterialInfo,
  MULTI_REGION_TYPES,
  ROTATION_TYPES,
} from '../words.ts'

const DIGEST_BYTES = 32
const MAX_MATERIALS = 10_000
const MAX_PUBLIC_KEY_BYTES = 4096
const MAX_REGIONS = 64
const NONE = Buffer.alloc(0)
const NO_REGIONS: readonly string[] = []

/** The version in which a key is written: 1 for 32 secret bytes in one Region, 2 for all others. */
export const versionOf = ({ spec, multiRegion }: Pick<KeyHeader, 'spec' | 'multiRegion'>): 1 | 2 =>
  (spec === 'SYMMETRIC_DEFAULT' || spec === 'EXTERNAL_AES_256') && multiRegion === 'NONE' ? 1 : 2

/** A table of names and codes, read the other way round. */
function names<T extends string>(table: Readonly<Record<T, number>>): (code: number) => T {
  const byCode = new Map<number, T>()
  for (const name in table) byCode.set(table[name], name)
  return code => {
    const name = byCode.get(code)
    if (name === undefined) throw new FormatError('a code that no table has')
    return name
  }
}

const spec = names(KEY_SPECS)
const usage = names(KEY_USAGES)
const origin = names(KEY_ORIGINS)
const manager = names(KEY_MANAGERS)
const state = names(KEY_STATES)
const backing = names(BACKINGS)
const materialState = names(MATERIAL_STATES)
const expirationModel = names(EXPIRATION_MODELS)
const rotationType = names(ROTATION_TYPES)
const multiRegion = names(MULTI_REGION_TYPES)

function flag(reader: Reader): boolean {
  const value = reader.u8()
  if (value > 1) throw new FormatError('a flag is 0 or 1')
  return value === 1
}

export function writeHeader(header: KeyHeader): Buffer {
  if (header.policyDigest.length !== DIGEST_BYTES) throw new RangeError('a policy digest is 32 bytes')
  if (header.materials.length > MAX_MATERIALS) throw new RangeError('a key with too many materials')
  const version = versionOf(header)
  const writer = new Writer(512)
    .u8(version)
    .string(header.id)
    .string(header.account)
    .u64(header.revision)
    .u32(header.rootGeneration)
    .u64(header.fence)
    .u64(header.createdAt)
    .u8(KEY_SPECS[header.spec])
    .u8(KEY_USAGES[header.usage])
    .u8(KEY_ORIGINS[header.origin])
    .u8(KEY_MANAGERS[header.manager])
    .string(header.managerService)
    .u8(KEY_STATES[header.state])
    .u8(KEY_STATES[header.previousState])
    .u64(header.deletionDate)
    .u32(header.pendingWindowDays)
    .raw(header.policyDigest)
    .u8(header.rotationEnabled ? 1 : 0)
    .u32(header.rotationPeriodDays)
    .u64(header.nextRotationAt)
    .u32(header.onDemandRotations)
    .string(header.keyStoreId)
    .string(header.xksKeyId)
    .u8(BACKINGS[header.backing])
    .string(header.tokenObject)
    .u8(header.mayEncrypt ? 1 : 0)
    .u8(header.mayDecrypt ? 1 : 0)
  if (version === 2) writeExtension(writer, header)
  writer.u16(header.materials.length)
  for (const material of header.materials) writeMaterial(writer, material)
  return writer.done()
}

/** Region names are ASCII, so JavaScript's order is that of their bytes. */
const rising = (names: readonly string[]): boolean =>
  names.every((name, at) => at === 0 || (names[at - 1] as string) < name)

function writeExtension(writer: Writer, header: KeyHeader): void {
  if (header.publicKey.length > MAX_PUBLIC_KEY_BYTES) throw new RangeError('a public key of more than 4096 bytes')
  if (header.replicaRegions.length > MAX_REGIONS) throw new RangeError('a key in too many Regions')
  if (!rising(header.replicaRegions)) throw new RangeError('Regions are written in order, each once')
  writer
    .long(header.publicKey)
    .u8(MULTI_REGION_TYPES[header.multiRegion])
    .string(header.primaryRegion)
    .u16(header.replicaRegions.length)
  for (const region of header.replicaRegions) writer.string(region)
}

function readExtension(
  reader: Reader,
): Pick<KeyHeader, 'publicKey' | 'multiRegion' | 'primaryRegion' | 'replicaRegions'> {
  const publicKey = own(reader.long(MAX_PUBLIC_KEY_BYTES))
  const type = multiRegion(reader.u8())
  const primaryRegion = reader.string()
  const count = reader.u16()
  if (count > MAX_REGIONS) throw new FormatError('a key in too many Regions')
  const replicaRegions: string[] = []
  for (let index = 0; index < count; index++) replicaRegions.push(reader.string())
  if (!rising(replicaRegions)) throw new FormatError('Regions out of order')
  return { publicKey, multiRegion: type, primaryRegion, replicaRegions }
}

/** What a header of version 1 says by its version. */
const ONE_REGION = { publicKey: NONE, multiRegion: 'NONE', primaryRegion: '', replicaRegions: NO_REGIONS } as const

function writeMaterial(writer: Writer, material: MaterialInfo): void {
  writer
    .string(material.id)
    .u8(MATERIAL_STATES[material.state])
    .u8(material.present ? 1 : 0)
    .u64(material.createdAt)
    .u8(EXPIRATION_MODELS[material.expirationModel])
    .u64(material.validTo)
    .string(material.description)
    .u8(ROTATION_TYPES[material.rotationType])
    .u64(material.rotatedAt)
}

/** Strict: throws `FormatError` for anything that `writeHeader` would not have written. */
export function readHeader(bytes: Buffer): KeyHeader {
  const reader = new Reader(bytes)
  const version = reader.u8()
  checkVersion('the header of a key', version, 2, 1)
  const head = {
    id: reader.string(),
    account: reader.string(),
    revision: reader.u64(),
    rootGeneration: reader.u32(),
    fence: reader.u64(),
    createdAt: reader.u64(),
    spec: spec(reader.u8()),
    usage: usage(reader.u8()),
    origin: origin(reader.u8()),
    manager: manager(reader.u8()),
    managerService: reader.string(),
    state: state(reader.u8()),
    previousState: state(reader.u8()),
    deletionDate: reader.u64(),
    pendingWindowDays: reader.u32(),
    policyDigest: own(reader.raw(DIGEST_BYTES)),
    rotationEnabled: flag(reader),
    rotationPeriodDays: reader.u32(),
    nextRotationAt: reader.u64(),
    onDemandRotations: reader.u32(),
    keyStoreId: reader.string(),
    xksKeyId: reader.string(),
    backing: backing(reader.u8()),
    tokenObject: reader.string(),
    mayEncrypt: flag(reader),
    mayDecrypt: flag(reader),
  }
  const extension = version === 2 ? readExtension(reader) : ONE_REGION
  const count = reader.u16()
  if (count > MAX_MATERIALS) throw new FormatError('a key with too many materials')
  const materials: MaterialInfo[] = []
  for (let index = 0; index < count; index++) materials.push(readMaterial(reader))
  reader.end()
  const header = { ...head, ...extension, materials }
  if (versionOf(header) !== version) throw new FormatError('a key header in the wrong version')
  return header
}

/** A copy in memory of its own: the header outlives what it was read from, and `Buffer.from` would cut it from a pool and hold on to all 64 KiB of that. */
function own(bytes: Buffer): Buffer {
  const copy = Buffer.alloc(bytes.length)
  copy.set(bytes)
  return copy
}

function readMaterial(reader: Reader): MaterialInfo {
  return {
    id: reader.string(),
    state: materialState(reader.u8()),
    present: flag(reader),
    createdAt: reader.u64(),
    expirationModel: expirationModel(reader.u8()),
    validTo: reader.u64(),
    description: reader.string(),
    rotationType: rotationType(reader.u8()),
    rotatedAt: reader.u64(),
  }
}
