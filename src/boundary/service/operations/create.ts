/**
 * createKey: the KMS's keys of every origin. The key, its policy and the rows that come with it are one write set.
 */
import { createHash, createSecretKey } from 'node:crypto'
import { SPECS } from '../../algorithms.ts'
import type { CreateKey, KeyRow } from '../../client/api.ts'
import type { InputOf } from '../../client/protocol/operations.ts'
import { makePair } from '../../crypto/pairs.ts'
import { secretBytes } from '../../crypto/random.ts'
import { tagRow } from '../../crypto/rows.ts'
import { materialId, materialKey } from '../../crypto/sealed.ts'
import type { RecordFields } from '../../record-fields.ts'
import { BoundaryError, type KeyHeader, type KeySpec, type MaterialInfo } from '../../words.ts'
import { baseFields, type Call, type Core, refuse } from '../core.ts'
import { encodeCounter } from '../keys/counters.ts'
import { bareKeyId } from '../keys/open-keys.ts'
import { MULTI_REGION_ID, regionOf } from '../keys/regions.ts'
import { making } from '../slow.ts'
import { nextRow, type RowDraft, sealed } from '../transition.ts'
import { clusterCounter, makeClusterKey } from './cluster.ts'
import { newMaterial } from './material-info.ts'
import { draftRows } from './rows.ts'

export const NO_POLICY = Buffer.alloc(32)
export const policyDigest = (policy: Buffer): Buffer =>
  policy.length === 0 ? NO_POLICY : createHash('sha256').update(policy).digest()

/** Provider-managed keys rotate every year; others when their owner says so. */
const YEAR_DAYS = 365
export const DAY = 86_400_000

/** A header with everything at rest; the caller says what is different. */
export const headerOf = (
  core: Core,
  parts: Pick<KeyHeader, 'id' | 'account' | 'spec' | 'origin' | 'materials'> & Partial<KeyHeader>,
): KeyHeader => ({
  revision: 1,
  rootGeneration: core.keyring.current,
  fence: 1,
  createdAt: core.clocks.lifecycle(),
  usage: 'ENCRYPT_DECRYPT',
  manager: 'CUSTOMER',
  managerService: '',
  state: 'Enabled',
  previousState: 'Enabled',
  deletionDate: 0,
  pendingWindowDays: 0,
  policyDigest: NO_POLICY,
  rotationEnabled: false,
  rotationPeriodDays: 0,
  nextRotationAt: 0,
  onDemandRotations: 0,
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
  ...parts,
})

/** Fresh random material of a KMS key, with its id. The bytes are the caller's to wipe. */
export function freshMaterial(id: string): { id: string; bytes: Buffer } {
  const bytes = secretBytes(32)
  return { id: materialId(bareKeyId(id), createSecretKey(bytes)), bytes }
}

const NO_PUBLIC_KEY = Buffer.alloc(0)

/** Fresh material of any spec, and its DER SPKI where it has one. Key pairs are made on the thread pool. */
async function makeMaterial(id: string, spec: KeySpec): Promise<{ id: string; bytes: Buffer; publicKey: Buffer }> {
  const { material } = SPECS[spec]
  if (material.kind === 'secret') {
    const bytes = secretBytes(material.bytes)
    return { id: materialId(bareKeyId(id), createSecretKey(bytes)), bytes, publicKey: NO_PUBLIC_KEY }
  }
  const { privateKey, publicKey } = await making.run(() => makePair(material))
  return { id: materialId(bareKeyId(id), materialKey(spec, privateKey)), bytes: privateKey, publicKey }
}

/** What kind of key it is, and its id. */
type KeyKind = Pick<CreateKey, 'id' | 'spec' | 'usage' | 'origin' | 'multiRegion' | 'manager' | 'managerService'>

/** Throws for what does not go together, whatever else there is. */
function checkKind(input: KeyKind): void {
  const { spec, usage, origin } = input
  if (SPECS[spec].usages[usage] === undefined || spec === 'EXTERNAL_AES_256') {
    throw new BoundaryError('InvalidRequest', 'key spec and usage')
  }
  const fits =
    origin === 'AWS_KMS' ||
    (origin === 'EXTERNAL' && SPECS[spec].importable) ||
    ((origin === 'EXTERNAL_KEY_STORE' || origin === 'AWS_CLOUDHSM') && spec === 'SYMMETRIC_DEFAULT')
  if (!fits) throw new BoundaryError('InvalidRequest', 'key spec and origin')
  if (input.multiRegion !== MULTI_REGION_ID.test(bareKeyId(input.id)))
    throw new BoundaryError('InvalidRequest', 'mrk- and 32 hex digits name a key of several Regions, and no other')
  if (input.multiRegion && (input.manager === 'AWS' || (origin !== 'AWS_KMS' && origin !== 'EXTERNAL')))
    throw new BoundaryError('InvalidRequest', 'a key of several Regions')
  if ((input.manager === 'AWS') !== (input.managerService !== '')) throw new BoundaryError('InvalidRequest', 'manager')
  if (input.manager === 'AWS' && (origin !== 'AWS_KMS' || spec !== 'SYMMETRIC_DEFAULT')) {
    throw new BoundaryError('InvalidRequest', 'manager, origin and spec')
  }
}

/** What every new key of the KMS must be. */
export function checkNew(core: Core, input: KeyKind): void {
  if (core.service !== 'kms') throw new BoundaryError('NotPermitted', 'this boundary holds an owner’s keys')
  if (!/^[a-z0-9-]{1,32}\/[A-Za-z0-9-]{1,64}$/.test(input.id)) throw new BoundaryError('InvalidRequest', 'the key’s id')
  checkKind(input)
}

function check(core: Core, input: CreateKey): void {
  checkNew(core, input)
  const external = input.origin === 'EXTERNAL_KEY_STORE'
  const inStore = external || input.origin === 'AWS_CLOUDHSM'
  if (inStore !== (input.keyStoreId !== '') || external !== (input.xksKeyId !== '')) {
    throw new BoundaryError('InvalidRequest', 'key store and origin')
  }
  if (core.book.current('key', input.id) !== undefined) throw new BoundaryError('AlreadyExists')
  if (input.manager === 'CUSTOMER') roomForKey(core, input.scope)
  if (inStore && (core.book.current('keystore', input.keyStoreId)?.deleted ?? true)) {
    throw new BoundaryError('InvalidState', 'there is no such key store')
  }
}

/** Throws LimitExceeded where the scope has as many keys as a customer may have. */
export function roomForKey(core: Core, scope: string): void {
  const { keys } = core.quotas
  if (core.book.customerKeys(scope) >= keys) throw new BoundaryError('LimitExceeded', `${keys} keys`)
}

export async function createKey(core: Core, { input, asserted }: InputOf<'createKey'>, call: Call): Promise<KeyRow> {
  let fields: RecordFields = { ...baseFields(core, 'createKey', call, asserted), keyId: input.id }
  let row: KeyRow
  let durable: Promise<{ writeSet: number }>
  try {
    check(core, input)
    const clustered = input.origin === 'AWS_CLOUDHSM'
    const made = clustered || input.origin === 'EXTERNAL' ? undefined : await makeMaterial(input.id, input.spec)
    const object = clustered ? await makeClusterKey(core, input.id, input.keyStoreId) : undefined
    // While a key pair was made, another may have taken the id, or deleted the key store.
    check(core, input)
    const now = core.clocks.lifecycle()
    const materials = new Map<string, Buffer>()
    const infos: MaterialInfo[] = []
    if (made !== undefined) {
      materials.set(made.id, made.bytes)
      infos.push(newMaterial(made.id, now))
      fields = { ...fields, materialId: made.id }
    }
    if (object !== undefined) infos.push(object)
    const provider = input.manager === 'AWS'
    const header = headerOf(core, {
      id: input.id,
      account: input.account,
      spec: input.spec,
      usage: input.usage,
      origin: input.origin,
      manager: input.manager,
      managerService: input.managerService,
      state: input.origin === 'EXTERNAL' ? 'PendingImport' : 'Enabled',
      policyDigest: policyDigest(input.policy),
      rotationEnabled: provider,
      rotationPeriodDays: provider ? YEAR_DAYS : 0,
      nextRotationAt: provider ? now + YEAR_DAYS * DAY : 0,
      multiRegion: input.multiRegion ? 'PRIMARY' : 'NONE',
      primaryRegion: input.multiRegion ? regionOf(input.id) : '',
      keyStoreId: input.keyStoreId,
      xksKeyId: input.xksKeyId,
      backing: clustered ? 'TOKEN' : 'SEALED',
      tokenObject: object?.description ?? '',
      publicKey: made?.publicKey ?? NO_PUBLIC_KEY,
      materials: infos,
    })
    row = tagRow(core.keyring, {
      kind: 'key',
      id: input.id,
      scope: input.scope,
      link: input.keyStoreId,
      revision: 1,
      body: sealed(core, header, materials),
    }) as KeyRow
    const own: RowDraft[] = []
    if (input.policy.length > 0) {
      own.push({ kind: 'policy', id: input.id, scope: input.scope, link: '', body: input.policy })
    }
    if (clustered) {
      const counter = clusterCounter(input.id)
      own.push({ kind: 'counter', id: counter, scope: input.scope, link: input.id, body: encodeCounter(0) })
    }
    const rows = [row, ...own.map(draft => nextRow(core, draft)), ...draftRows(core, input.rows, 'use', input.id)]
    fields = { ...fields, policyDigest: header.policyDigest, transition: `>${header.state}`, outcome: 'allowed' }
    durable = core.book.commit({ ...fields, keyRevision: 1 }, rows)
  } catch (error) {
    return refuse(core, fields, error)
  }
  call.writeSet = (await durable).writeSet
  return row
}
