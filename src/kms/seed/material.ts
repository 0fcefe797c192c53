/** The material of a seed's key as bytes: what the file gives, or what follows from the key's id. */
import { createPrivateKey, hkdfSync, type KeyObject } from 'node:crypto'
import { type MaterialKind, SPECS } from '../../boundary/algorithms.ts'
import type { SeedFileKey } from './schema.ts'

/** What is wrong with one member of the key. */
export class MaterialProblem extends Error {
  readonly member: string
  constructor(member: string, message: string) {
    super(message)
    this.member = member
  }
}

/** Oldest first. Secret bytes, or PKCS #8 DER. Throws `MaterialProblem`. */
export function materialsOf(key: SeedFileKey): Buffer[] {
  const { material } = SPECS[key.KeySpec]
  if (material.kind === 'secret') {
    if (key.PrivateKeyPem !== undefined)
      throw new MaterialProblem('PrivateKeyPem', `a ${key.KeySpec} key has none: give KeyMaterial`)
    const given = key.KeyMaterial?.map((text, at) => secretBytes(text, material, at))
    if (given !== undefined) return distinct(key, given)
    return key.Origin === 'EXTERNAL' ? [] : [derived(key, material.bytes)]
  }
  if (key.KeyMaterial !== undefined)
    throw new MaterialProblem('KeyMaterial', `a ${key.KeySpec} key has none: give PrivateKeyPem`)
  if (key.PrivateKeyPem !== undefined) return [privateKey(key, material, key.PrivateKeyPem)]
  if (key.Origin === 'EXTERNAL') return []
  throw new MaterialProblem('PrivateKeyPem', `missing: an asymmetric key cannot be derived from its id`)
}

function distinct({ KeySpec }: SeedFileKey, materials: Buffer[]): Buffer[] {
  if (materials.length > 1 && KeySpec !== 'SYMMETRIC_DEFAULT')
    throw new MaterialProblem('KeyMaterial', `a ${KeySpec} key does not rotate: give one`)
  if (new Set(materials.map(each => each.toString('hex'))).size < materials.length)
    throw new MaterialProblem('KeyMaterial', 'names one of them twice')
  return materials
}

function secretBytes(text: string, { min, max }: MaterialKind & { kind: 'secret' }, at: number): Buffer {
  const hex = /^(?:[0-9a-f]{2})+$/i.test(text)
  const bytes = Buffer.from(text, hex ? 'hex' : 'base64')
  if (!hex && bytes.toString('base64') !== text)
    throw new MaterialProblem(`KeyMaterial.${at}`, 'must be hexadecimal digits or base64')
  if (bytes.length < min || bytes.length > max)
    throw new MaterialProblem(`KeyMaterial.${at}`, `must have ${min === max ? min : `${min} to ${max}`} bytes`)
  return bytes
}

/** The same bytes in every run, and known to everybody who knows the id: nothing to protect anything with. */
function derived({ KeyId, KeySpec }: SeedFileKey, bytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', 'holdfast development seed 1', KeyId, KeySpec, bytes))
}

function privateKey(key: SeedFileKey, kind: MaterialKind, pem: string): Buffer {
  let read: KeyObject
  try {
    read = createPrivateKey({ key: pem, format: 'pem' })
  } catch {
    throw new MaterialProblem('PrivateKeyPem', 'must be a private key in PEM that is not encrypted')
  }
  const { namedCurve, modulusLength } = read.asymmetricKeyDetails ?? {}
  const fits =
    read.asymmetricKeyType === kind.kind &&
    (kind.kind !== 'ec' || namedCurve === kind.curve) &&
    (kind.kind !== 'rsa' || modulusLength === kind.modulusBits)
  if (!fits) throw new MaterialProblem('PrivateKeyPem', `must be a key of KeySpec ${key.KeySpec}`)
  return read.export({ format: 'der', type: 'pkcs8' })
}
