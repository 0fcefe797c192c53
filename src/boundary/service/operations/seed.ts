/**
 * seedKey: a key of the KMS with the id and the material that somebody wrote down, so that tests find the same key in every run. Material that others know
 * protects nothing, so this is only done in a folder that is for development for ever. See docs/decisions/0042.
 */
import type { KeyObject } from 'node:crypto'
import { isAsymmetric } from '../../algorithms.ts'
import type { KeyRow, SeedKey } from '../../client/api.ts'
import type { InputOf } from '../../client/protocol/operations.ts'
import { readMaterial } from '../../crypto/imported.ts'
import { materialId } from '../../crypto/sealed.ts'
import { BoundaryError, type KeyHeader, type MaterialInfo, type Row } from '../../words.ts'
import { baseFields, type Call, type Core, type Gathered, refuse } from '../core.ts'
import { bareKeyId } from '../keys/open-keys.ts'
import { MULTI_REGION_ID, memberId, regionOf } from '../keys/regions.ts'
import { making } from '../slow.ts'
import { nextRow, sealed } from '../transition.ts'
import { checkNew, DAY, headerOf, policyDigest, roomForKey } from './create.ts'
import { newMaterial } from './material-info.ts'
import { draftRows, KEY_OF } from './rows.ts'

const wrong = (what: string): BoundaryError => new BoundaryError('InvalidRequest', what)

/** Row ids of the key and of its replicas. */
const membersOf = ({ id, replicaRegions }: SeedKey): string[] => [
  id,
  ...replicaRegions.map(region => memberId(region, id)),
]

const scopeOf = ({ account }: SeedKey, member: string): string => `${account}/${regionOf(member)}`

function checkShape(input: SeedKey): void {
  const { id, spec, origin, materials, state, replicaRegions } = input
  const multiRegion = MULTI_REGION_ID.test(bareKeyId(id))
  if (replicaRegions.length > 0 && (!multiRegion || state === 'PendingDeletion'))
    throw wrong('only a multi-Region key has replicas, and none while it waits for its deletion')
  if (materials.length === 0 && (origin !== 'EXTERNAL' || state === 'Enabled' || state === 'Disabled'))
    throw wrong('a key without material is EXTERNAL and not usable')
  if (materials.length > 0 && state === 'PendingImport') throw wrong('a key with material does not wait for it')
  if (materials.length > 1 && spec !== 'SYMMETRIC_DEFAULT') throw wrong('a key of this spec has one key material')
  const window = input.pendingWindowDays
  if (state === 'PendingDeletion' ? window < 7 || window > 30 : window !== 0)
    throw wrong('a waiting period of 7 to 30 days goes with the state PendingDeletion')
  const period = input.rotationPeriodDays
  if (period === 0 ? input.nextRotationAt !== 0 : period < 90 || period > 2560)
    throw wrong('a rotation period is 90 to 2560 days')
  if (period !== 0 && (spec !== 'SYMMETRIC_DEFAULT' || origin !== 'AWS_KMS')) throw wrong('such a key does not rotate')
  if (input.policy.length === 0) throw wrong('an empty policy')
}

/** Whatever it is, it is refused first where the folder is not for development. */
function check(core: Core, input: SeedKey): void {
  if (!core.root.file.dev)
    throw new BoundaryError('NotPermitted', 'keys with given material are made only in a service made with --dev')
  const { id, spec, usage, origin } = input
  const multiRegion = MULTI_REGION_ID.test(bareKeyId(id))
  checkNew(core, { id, spec, usage, origin, multiRegion, manager: 'CUSTOMER', managerService: '' })
  checkShape(input)
  const members = membersOf(input)
  if (new Set(members).size !== members.length) throw wrong('a Region twice')
  for (const member of members) {
    if (core.book.current('key', member) !== undefined) throw new BoundaryError('AlreadyExists', member)
    roomForKey(core, scopeOf(input, member))
  }
  for (const row of input.rows)
    if ((row.kind !== 'attributes' && row.kind !== 'alias') || !members.includes(KEY_OF[row.kind]?.(row) ?? ''))
      throw wrong('a row that does not belong to the key')
}

interface ReadMaterials {
  /** Oldest first. */
  readonly byId: ReadonlyMap<string, KeyObject>
  /** DER SPKI of a key pair; else empty. */
  readonly publicKey: Buffer
}

/**
 * The materials, checked against the spec and against themselves: of private keys only that their halves belong together, because an RSA key's primes take
 * half a second, and a key that others know has none that could be weak.
 */
async function read({ id, spec, materials }: SeedKey): Promise<ReadMaterials> {
  const byId = new Map<string, KeyObject>()
  let publicKey: Buffer = Buffer.alloc(0)
  for (const bytes of materials) {
    const found = await (isAsymmetric(spec)
      ? making.run(() => readMaterial(spec, bytes, 'signature'))
      : readMaterial(spec, bytes))
    byId.set(materialId(bareKeyId(id), found.material), found.material)
    publicKey = found.publicKey
  }
  if (byId.size !== materials.length) throw wrong('a key material twice')
  return { byId, publicKey }
}

/** Each material after the first came by a rotation. */
function infosOf(input: SeedKey, ids: readonly string[], createdAt: number): MaterialInfo[] {
  return ids.map((id, at) => ({
    ...newMaterial(id, createdAt),
    state: at === ids.length - 1 ? 'CURRENT' : 'NON_CURRENT',
    ...(input.origin === 'EXTERNAL' ? { expirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' } : {}),
    ...(at === 0 ? {} : { rotationType: 'ON_DEMAND', rotatedAt: createdAt }),
  }))
}

function headersOf(core: Core, input: SeedKey, { byId, publicKey }: ReadMaterials): KeyHeader[] {
  const { id, account, spec, usage, origin, state, pendingWindowDays, rotationPeriodDays } = input
  const now = core.clocks.lifecycle()
  if (input.createdAt > now) throw wrong('a key that is made in the future')
  const createdAt = input.createdAt || now
  const primary = headerOf(core, {
    id,
    account,
    spec,
    usage,
    origin,
    createdAt,
    state,
    previousState: byId.size === 0 ? 'PendingImport' : 'Enabled',
    deletionDate: pendingWindowDays === 0 ? 0 : now + pendingWindowDays * DAY,
    pendingWindowDays,
    policyDigest: policyDigest(input.policy),
    rotationEnabled: rotationPeriodDays > 0,
    rotationPeriodDays,
    nextRotationAt: rotationPeriodDays === 0 ? 0 : input.nextRotationAt || now + rotationPeriodDays * DAY,
    publicKey,
    multiRegion: MULTI_REGION_ID.test(bareKeyId(id)) ? 'PRIMARY' : 'NONE',
    primaryRegion: MULTI_REGION_ID.test(bareKeyId(id)) ? regionOf(id) : '',
    replicaRegions: input.replicaRegions.toSorted(),
    materials: infosOf(input, [...byId.keys()], createdAt),
  })
  return membersOf(input).map(member =>
    member === id ? primary : { ...primary, id: member, multiRegion: 'REPLICA' as const },
  )
}

/** Every row of one member: the key, its policy, and what was given with it. */
function rowsOf(core: Core, input: SeedKey, header: KeyHeader, materials: ReadonlyMap<string, KeyObject>): Row[] {
  const { id } = header
  const scope = scopeOf(input, id)
  return [
    nextRow(core, { kind: 'key', id, scope, link: '', body: sealed(core, header, materials) }),
    nextRow(core, { kind: 'policy', id, scope, link: '', body: Buffer.from(input.policy) }),
    ...draftRows(
      core,
      input.rows.filter(row => KEY_OF[row.kind]?.(row) === id),
      'use',
      id,
    ),
  ]
}

export async function seedKey(core: Core, { input, asserted }: InputOf<'seedKey'>, call: Call): Promise<KeyRow> {
  let fields: Gathered = { ...baseFields(core, 'seedKey', call, asserted), keyId: input.id }
  let row: Row | undefined
  let durable: Promise<{ writeSet: number }>
  try {
    check(core, input)
    const materials = await read(input)
    // While a private key was checked, another may have taken the id.
    check(core, input)
    const headers = headersOf(core, input, materials)
    const rows = headers.flatMap(header => rowsOf(core, input, header, materials.byId))
    row = rows[0]
    const current = [...materials.byId.keys()].at(-1)
    fields = {
      ...fields,
      ...(current === undefined ? {} : { materialId: current }),
      keyRevision: 1,
      policyDigest: policyDigest(input.policy),
      transition: `>${input.state}`,
      outcome: 'allowed',
    }
    durable = core.book.commit(fields, rows)
  } catch (error) {
    return refuse(core, fields, error)
  } finally {
    for (const bytes of input.materials) bytes.fill(0)
  }
  call.writeSet = (await durable).writeSet
  return row as KeyRow
}
