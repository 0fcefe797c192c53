/**
 * An owner's external keys: made, and encrypting in the boundary or in the token (XKS proxy API §2.5). Encryptions are counted per version.
 */
import { createHash } from 'node:crypto'
import { type ExternalSpec, SPECS } from '../../algorithms.ts'
import type { ExternalCiphertext, KeyRow } from '../../client/api.ts'
import type { InputOf } from '../../client/protocol/operations.ts'
import { encryptExternal } from '../../crypto/external.ts'
import { makePair } from '../../crypto/pairs.ts'
import { secretBytes } from '../../crypto/random.ts'
import type { EncodedAsserted, RecordFields } from '../../record-fields.ts'
import { type Backing, BoundaryError, type KeySpec, type KeyUsage } from '../../words.ts'
import { baseFields, type Call, type Core, refuse, spaceForUses } from '../core.ts'
import { counterId, encodeCounter } from '../keys/counters.ts'
import { type OpenKey, Stale } from '../keys/open-keys.ts'
import { making } from '../slow.ts'
import { nextRow, type RowDraft, sealed } from '../transition.ts'
import { headerOf } from './create.ts'
import { newMaterial } from './material-info.ts'
import { mayAsk, mayUse } from './may-use.ts'
import { makeTokenKey, makeTokenPair, tokenEncrypt, type Wanted } from './token.ts'

/** Version n of a key, as its material's id: 8 hex digits. */
export const versionId = (version: number): string => version.toString(16).padStart(8, '0')

/** Of a version that has encrypted nothing yet; pairs do not do what is counted. */
export const counterRows = (spec: KeySpec, id: string, scope: string, version: number): RowDraft[] =>
  spec === 'EXTERNAL_AES_256' ? [newCounter(id, scope, version)] : []

const newCounter = (id: string, scope: string, version: number): RowDraft => ({
  kind: 'counter',
  id: counterId(id, version),
  scope,
  link: id,
  body: encodeCounter(0),
})

export interface NewExternalKey {
  readonly id: string
  readonly scope: string
  readonly tenant: string
  readonly spec: ExternalSpec
  readonly backing: 'SEALED' | 'TOKEN'
  readonly tokenObject: string
  readonly mayEncrypt: boolean
  readonly mayDecrypt: boolean
}

/** A pair that may neither encrypt nor decrypt signs, and does nothing else: one pair is never for both. */
const usageOf = ({ spec, mayEncrypt, mayDecrypt }: NewExternalKey): KeyUsage =>
  spec !== 'EXTERNAL_AES_256' && !mayEncrypt && !mayDecrypt ? 'SIGN_VERIFY' : 'ENCRYPT_DECRYPT'

function checkNew(core: Core, input: NewExternalKey): void {
  if (core.service !== 'ekm') throw new BoundaryError('NotPermitted', 'this boundary holds a provider’s keys')
  if (!input.id.startsWith(`${input.tenant}/`) || input.id.length === input.tenant.length + 1) {
    throw new BoundaryError('InvalidRequest', 'the id of an external key is <tenant>/<name>')
  }
  if (core.book.current('key', input.id) !== undefined) throw new BoundaryError('AlreadyExists')
}

/** Material of one version: sealed bytes, or an object in the token; and the DER SPKI of a pair. */
export interface ExternalMaterial {
  readonly bytes: Buffer | undefined
  readonly object: string
  readonly publicKey: Buffer
}

const NO_PUBLIC_KEY = Buffer.alloc(0)
export const sealedSecret = (bytes: Buffer): ExternalMaterial => ({ bytes, object: '', publicKey: NO_PUBLIC_KEY })

/** Fresh material for one version of a key. Key pairs are made on the thread pool. */
export async function makeExternal(
  core: Core,
  key: Wanted,
  { spec, backing, named }: { spec: KeySpec; backing: Backing; named: string },
): Promise<ExternalMaterial> {
  const { material } = SPECS[spec]
  if (material.kind === 'secret') {
    return backing === 'TOKEN'
      ? { bytes: undefined, object: await makeTokenKey(core, key, named), publicKey: NO_PUBLIC_KEY }
      : sealedSecret(secretBytes(material.bytes))
  }
  if (backing === 'TOKEN') {
    if (material.kind !== 'rsa' || !(key.mayEncrypt || key.mayDecrypt))
      throw new BoundaryError('InvalidRequest', 'a pair in a token is RSA and for wrapping; pairs that sign are sealed')
    const { place, publicKey } = await makeTokenPair(core, key, named, material.modulusBits)
    return { bytes: undefined, object: place, publicKey }
  }
  const { privateKey, publicKey } = await making.run(() => makePair(material))
  return { bytes: privateKey, object: '', publicKey }
}

/** Header and rows of a new external key with this material. */
export function draftExternalKey(core: Core, input: NewExternalKey, { bytes, object, publicKey }: ExternalMaterial) {
  checkNew(core, input)
  const now = core.clocks.lifecycle()
  const id = versionId(1)
  const header = headerOf(core, {
    id: input.id,
    account: input.tenant,
    spec: input.spec,
    usage: usageOf(input),
    origin: 'OWNER',
    publicKey,
    backing: input.backing,
    tokenObject: object,
    mayEncrypt: input.mayEncrypt,
    mayDecrypt: input.mayDecrypt,
    // Each version names its own object: the header names only the current one.
    materials: [{ ...newMaterial(id, now), description: object }],
  })
  const body = sealed(core, header, bytes === undefined ? new Map() : new Map([[id, bytes]]))
  const { id: keyId, scope } = input
  const row = nextRow(core, { kind: 'key', id: keyId, scope, link: '', body }) as KeyRow
  return { row, rows: [row, ...counterRows(input.spec, keyId, scope, 1).map(draft => nextRow(core, draft))] }
}

export function createExternalKey(
  core: Core,
  { input, asserted }: InputOf<'createExternalKey'>,
  call: Call,
): Promise<KeyRow> {
  return core.locks.run(input.id, async () => {
    const fields: RecordFields = { ...baseFields(core, 'createExternalKey', call, asserted), keyId: input.id }
    let row: KeyRow
    let durable: Promise<{ writeSet: number }>
    try {
      checkNew(core, input)
      const { spec, backing, tokenObject: named } = input
      const drafted = draftExternalKey(
        core,
        input,
        await makeExternal(core, { ...input, version: 1 }, { spec, backing, named }),
      )
      row = drafted.row
      const done: RecordFields = { ...fields, outcome: 'allowed', transition: '>Enabled', materialId: versionId(1) }
      durable = core.book.commit({ ...done, keyRevision: 1 }, drafted.rows)
    } catch (error) {
      return refuse(core, fields, error)
    }
    call.writeSet = (await durable).writeSet
    return row
  })
}

export function forOwner(core: Core, key: OpenKey, asserted: EncodedAsserted): void {
  mayUse(core, key)
  mayAsk(core, key, asserted)
  if (key.spec !== 'EXTERNAL_AES_256') throw new BoundaryError('InvalidKeyUsage')
}

/** After waiting for a token or a block: what was revoked meanwhile is not handed out, although the use began before. */
export function stillAllowed(core: Core, key: OpenKey, asserted: EncodedAsserted): void {
  if (core.book.current('key', key.id)?.revision !== key.revision) throw new Stale(key.id)
  mayUse(core, key)
  mayAsk(core, key, asserted)
}

export const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest()

export async function externalEncrypt(
  core: Core,
  input: InputOf<'externalEncrypt'>,
  call: Call,
): Promise<ExternalCiphertext> {
  spaceForUses(core)
  let fields: RecordFields = {
    ...baseFields(core, 'externalEncrypt', call, input.asserted),
    keyId: input.key.id,
    aadDigest: sha256(input.aad),
    size: input.plaintext.length,
  }
  let result: ExternalCiphertext
  try {
    const key = core.open.open(input.key)
    forOwner(core, key, input.asserted)
    if (!key.mayEncrypt) throw new BoundaryError('InvalidKeyUsage')
    const version = key.current
    if (version === undefined) throw new BoundaryError('Internal')
    const number = Number.parseInt(version.id, 16)
    fields = { ...fields, keyRevision: key.revision, materialId: version.id }
    const counted = core.counters.take(counterId(key.id, number))
    if (!(counted === true || (await counted))) throw new BoundaryError('LimitExceeded', 'rotate this key')
    const { key: material, place } = version
    if (material !== undefined) result = encryptExternal(material, number, input.plaintext, input.aad, input.integrity)
    else if (place !== undefined) result = await tokenEncrypt(core, place, number, input)
    else throw new BoundaryError('Internal')
    if (counted !== true || material === undefined) stillAllowed(core, key, input.asserted)
  } catch (error) {
    return refuse(core, fields, error)
  }
  await core.book.record({ ...fields, outcome: 'allowed' })
  return result
}
