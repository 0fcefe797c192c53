/**
 * Makes the keys of a seed in a service that has been started with `--dev`, over its control socket: those that are not there. A key that is there must have
 * been made from the same entry, which its attributes remember; whatever was done with it since stays.
 */
import { createHash, createPrivateKey, createSecretKey } from 'node:crypto'
import { isAsymmetric } from '../../boundary/algorithms.ts'
import type { BoundaryControl, PutRow } from '../../boundary/client/api.ts'
import { materialId } from '../../boundary/crypto/sealed.ts'
import { BoundaryError } from '../../boundary/words.ts'
import { type AdminControl, AdminError, operator } from '../../store/admin.ts'
import { ensureAccount } from '../admin/index.ts'
import { readAttributes, writeAttributes } from '../keys/attributes.ts'
import { aliasRowId, keyRowId } from '../keys/identifiers.ts'
import { partsOf, type Seed, type SeedEntry } from './read.ts'

const DELETED = 'was deleted in this folder, and an id does not come again: take another folder'

export type SeedControl = AdminControl & Pick<BoundaryControl, 'seedKey' | 'status'>

/** Throws AdminError, with every key that is in the way, before anything is made. Resolves with how many keys were made. */
export async function applySeed(control: SeedControl, { file, entries }: Seed): Promise<number> {
  const { keys, lifecycleNow } = await control.status()
  // In a new folder nothing is in the way, and hundreds of questions take their time.
  const found = keys === 0 ? [] : await Promise.all(entries.map(entry => look(control, entry)))
  const problems = found.flatMap(each => (typeof each === 'string' && each !== '' ? [`${file}: ${each}`] : []))
  if (problems.length > 0) throw new AdminError(problems.join('\n'))
  const missing = entries.filter((_, at) => found[at] === undefined)
  for (const account of new Set(missing.map(({ key }) => key.account))) await ensureAccount(control, account)
  await Promise.all(missing.map(entry => make(control, file, entry, lifecycleNow)))
  return missing.length
}

/** Undefined: the key is to be made. Empty: it is there, made from this entry. Else what is in the way. */
async function look(control: SeedControl, entry: SeedEntry): Promise<string | undefined> {
  const { name, key, aliases } = entry
  const row = await control.getRow('key', key.id)
  if (row !== undefined) {
    if (row.body === null) return `${name}: ${DELETED}`
    const { seed } = readAttributes(await control.getRow('attributes', key.id))
    if (seed === digestOf(entry)) return ''
    const why = seed === undefined ? 'was not made by a seed' : 'was made from another entry than this'
    return `${name}: is in this folder already, and ${why}: take another folder, or the seed that made it`
  }
  const { region } = partsOf(key.id)
  for (const alias of aliases) {
    const taken = await control.getRow('alias', aliasRowId(key.account, region, alias))
    if (taken !== undefined && taken.body !== null)
      return `${name}: ${alias} names another key in this folder: take another folder, or delete the alias`
  }
  return undefined
}

async function make(control: SeedControl, file: string, entry: SeedEntry, now: number): Promise<void> {
  const { name, key } = entry
  try {
    await control.seedKey({ ...key, rows: rowsOf(entry, now) }, operator('seed', key.id))
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error
    const why = error.code === 'AlreadyExists' ? DELETED : `the boundary refuses it (${error.message})`
    throw new AdminError(`${file}: ${name}: ${why}`)
  }
}

function rowsOf(entry: SeedEntry, now: number): PutRow[] {
  const { key, description, tags, aliases } = entry
  const { region, keyId } = partsOf(key.id)
  const body = writeAttributes({ description, tags, seed: digestOf(entry) })
  const alias = Buffer.from(JSON.stringify({ v: 1, created: now, updated: now }))
  return [
    ...[region, ...key.replicaRegions].map(each => ({
      kind: 'attributes' as const,
      id: keyRowId(each, keyId),
      scope: `${key.account}/${each}`,
      link: '',
      expected: 0,
      body,
    })),
    ...aliases.map(name => ({
      kind: 'alias' as const,
      id: aliasRowId(key.account, region, name),
      scope: `${key.account}/${region}`,
      link: key.id,
      expected: 0,
      body: alias,
    })),
  ]
}

/** SHA-256 (hex) of all that an entry says. Of material only its id goes in, which says nothing about it. */
function digestOf({ key, description, tags, aliases }: SeedEntry): string {
  const { id, spec, materials, policy, ...rest } = key
  const { keyId } = partsOf(id)
  const ids = materials.map(bytes =>
    materialId(
      keyId,
      isAsymmetric(spec) ? createPrivateKey({ key: bytes, format: 'der', type: 'pkcs8' }) : createSecretKey(bytes),
    ),
  )
  const said = [id, spec, ids, policy.toString('base64'), rest, description, [...tags], aliases]
  return createHash('sha256').update(JSON.stringify(said)).digest('hex')
}
