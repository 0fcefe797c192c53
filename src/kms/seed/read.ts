/** Reads a seed file: checked whole, with lines, before anything starts. */
import { SPECS } from '../../boundary/algorithms.ts'
import type { SeedKey } from '../../boundary/client/api.ts'
import type { KeyUsage } from '../../boundary/words.ts'
import { type ConfigDefinition, loadConfig } from '../../config/load.ts'
import { defaultKeyPolicy } from '../access/defaults.ts'
import { checkKeyPolicyForm } from '../access/validate.ts'
import { aliasRowId, keyRowId } from '../keys/identifiers.ts'
import { MaterialProblem, materialsOf } from './material.ts'
import { type SeedFileKey, seedSchema } from './schema.ts'

/** One key: what the boundary is asked for, and the rows beside it. */
export interface SeedEntry {
  /** Where it stands in the file: `Keys.3 (KeyId …)`. */
  readonly name: string
  readonly key: Omit<SeedKey, 'rows'>
  readonly description: string
  readonly tags: ReadonlyMap<string, string>
  /** `alias/…` */
  readonly aliases: readonly string[]
}

export interface Seed {
  readonly file: string
  readonly entries: readonly SeedEntry[]
}

/** Where the service is that is to have the keys. */
export interface SeedPlace {
  readonly account: string
  readonly regions: readonly string[]
}

interface Problem {
  readonly path: string
  readonly message: string
}

/** Throws `ConfigError` with every problem. */
export function readSeed(file: string, place: SeedPlace): Seed {
  const entries: SeedEntry[] = []
  const definition: ConfigDefinition<typeof seedSchema> = {
    service: 'kms',
    schema: seedSchema,
    environment: {},
    check: ({ Keys }) => {
      const taken = new Map<string, string>()
      return Keys.flatMap((key, at) => {
        const problems = check(key, place)
        if (problems.length === 0) {
          const entry = entryOf(key, at, place)
          entries.push(entry)
          problems.push(...repeated(entry, `Keys.${at}`, taken))
        }
        return problems.map(({ path, message }) => ({ path: `Keys.${at}.${path}`, message }))
      })
    },
  }
  loadConfig(file, definition, { env: {}, files: false })
  return { file, entries }
}

/** Ids and aliases that stand in the file before. `taken`: what has them. */
function repeated({ key, aliases }: SeedEntry, name: string, taken: Map<string, string>): Problem[] {
  const { region, keyId } = partsOf(key.id)
  const wanted = [
    ...[region, ...key.replicaRegions].map(each => ({ path: 'KeyId', id: keyRowId(each, keyId) })),
    ...aliases.map((alias, at) => ({ path: `Aliases.${at}`, id: aliasRowId(key.account, region, alias) })),
  ]
  return wanted.flatMap(({ path, id }) => {
    const other = taken.get(id)
    taken.set(id, name)
    return other === undefined ? [] : [{ path, message: `stands already in ${other}` }]
  })
}

export const partsOf = (rowId: string): { readonly region: string; readonly keyId: string } => {
  const at = rowId.indexOf('/')
  return { region: rowId.slice(0, at), keyId: rowId.slice(at + 1) }
}

const usageOf = ({ KeySpec, KeyUsage }: SeedFileKey): KeyUsage =>
  KeyUsage ?? (Object.keys(SPECS[KeySpec].usages)[0] as KeyUsage)

/** What no single member can say. */
function check(key: SeedFileKey, { regions }: SeedPlace): Problem[] {
  const problems: Problem[] = []
  const wrong = (path: string, message: string): number => problems.push({ path, message })
  const { KeySpec, Origin, KeyState, Region, ReplicaRegions = [] } = key
  const { usages, importable } = SPECS[KeySpec]
  if (usages[usageOf(key)] === undefined)
    wrong('KeyUsage', `a ${KeySpec} key is for ${Object.keys(usages).join(' or ')}`)
  if (Origin === 'EXTERNAL' && !importable) wrong('Origin', `material of a ${KeySpec} key cannot be imported`)
  for (const [path, region] of [
    ['Region', Region],
    ...ReplicaRegions.map((each, at) => [`ReplicaRegions.${at}`, each]),
  ])
    if (path !== undefined && region !== undefined && !regions.includes(region))
      wrong(path, `this service has ${regions.join(', ')}: name it with --regions`)
  if (ReplicaRegions.length > 0 && !key.KeyId.startsWith('mrk-'))
    wrong('ReplicaRegions', 'only a key whose id begins with mrk- has replicas')
  if (ReplicaRegions.length > 0 && KeyState === 'PendingDeletion')
    wrong('KeyState', 'a primary is deleted when its replicas are gone')
  if (new Set([Region ?? regions[0], ...ReplicaRegions]).size <= ReplicaRegions.length)
    wrong('ReplicaRegions', 'names a Region twice, or the Region of the primary')
  if (key.PendingWindowInDays !== undefined && KeyState !== 'PendingDeletion')
    wrong('PendingWindowInDays', 'goes with KeyState PendingDeletion')
  const rotates = key.RotationPeriodInDays !== undefined || key.NextRotationDate !== undefined
  if (rotates && (KeySpec !== 'SYMMETRIC_DEFAULT' || Origin !== 'AWS_KMS'))
    wrong(
      key.NextRotationDate === undefined ? 'RotationPeriodInDays' : 'NextRotationDate',
      'only SYMMETRIC_DEFAULT keys of Origin AWS_KMS rotate by themselves',
    )
  if (key.CreationDate !== undefined && Date.parse(key.CreationDate) > Date.now())
    wrong('CreationDate', 'is in the future')
  if (new Set(key.Tags.map(({ TagKey }) => TagKey)).size < key.Tags.length) wrong('Tags', 'names one of them twice')
  problems.push(...policyProblems(key), ...materialProblems(key))
  return problems
}

function policyProblems({ Policy }: SeedFileKey): Problem[] {
  if (Policy === undefined) return []
  try {
    checkKeyPolicyForm(policyBytes(Policy))
    return []
  } catch (error) {
    return [{ path: 'Policy', message: error instanceof Error ? error.message : 'is no policy' }]
  }
}

function materialProblems(key: SeedFileKey): Problem[] {
  const { KeyState } = key
  try {
    const some = materialsOf(key).length > 0
    if (some && KeyState === 'PendingImport')
      return [{ path: 'KeyState', message: 'a key with material does not wait for it' }]
    if (!some && (KeyState === 'Enabled' || KeyState === 'Disabled'))
      return [{ path: 'KeyState', message: 'a key without material is PendingImport or PendingDeletion' }]
    return []
  } catch (error) {
    if (!(error instanceof MaterialProblem)) throw error
    return [{ path: error.member, message: error.message }]
  }
}

const policyBytes = (policy: NonNullable<SeedFileKey['Policy']>): Buffer =>
  Buffer.from(typeof policy === 'string' ? policy : JSON.stringify(policy, null, 2))

const timeOf = (text: string | undefined): number => (text === undefined ? 0 : Date.parse(text))

function entryOf(key: SeedFileKey, at: number, place: SeedPlace): SeedEntry {
  const account = key.AWSAccountId ?? place.account
  const rotates = key.RotationPeriodInDays !== undefined || key.NextRotationDate !== undefined
  const materials = materialsOf(key)
  return {
    name: `Keys.${at} (KeyId ${key.KeyId})`,
    key: {
      id: keyRowId(key.Region ?? place.regions[0] ?? '', key.KeyId),
      account,
      spec: key.KeySpec,
      usage: usageOf(key),
      origin: key.Origin,
      replicaRegions: key.ReplicaRegions ?? [],
      materials,
      state: key.KeyState ?? (materials.length === 0 ? 'PendingImport' : 'Enabled'),
      createdAt: timeOf(key.CreationDate),
      pendingWindowDays: key.KeyState === 'PendingDeletion' ? (key.PendingWindowInDays ?? 30) : 0,
      rotationPeriodDays: rotates ? (key.RotationPeriodInDays ?? 365) : 0,
      nextRotationAt: timeOf(key.NextRotationDate),
      policy: key.Policy === undefined ? defaultKeyPolicy(account) : policyBytes(key.Policy),
    },
    description: key.Description,
    tags: new Map(key.Tags.map(({ TagKey, TagValue }) => [TagKey, TagValue])),
    aliases: key.Aliases,
  }
}
