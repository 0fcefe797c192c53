/** CreateAlias, UpdateAlias, DeleteAlias, ListAliases (aws-kms.md §3.9). An alias grants: it is a row that the boundary tags. */
import { isAsymmetric } from '../../boundary/algorithms.ts'
import type { Row } from '../../boundary/words.ts'
import { authorizeAny, authorizeKey, hidden } from '../keys/allow.ts'
import { findKey, placeOf } from '../keys/find.ts'
import { aliasArn, aliasNameOf, aliasRowId, keyIdOf } from '../keys/identifiers.ts'
import { checkState } from '../keys/states.ts'
import { KmsError } from '../wire/errors.ts'
import { seconds } from './common.ts'
import { inOrder } from './in-order.ts'
import { pageOf, readMarker } from './markers.ts'
import type { Call, FoundKey, Operation } from './types.ts'

const PREFIX = 'alias/'
const RESERVED = 'alias/aws/'
const MAX_ALIASES_PER_KEY = 50

interface AliasBody {
  readonly v: 1
  readonly created: number
  readonly updated: number
}

function checkName(name: string): void {
  if (!name.startsWith(PREFIX)) {
    throw new KmsError(
      'ValidationException',
      'Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html',
    )
  }
  if (name.startsWith(RESERVED)) throw new KmsError('NotAuthorizedException')
  if (name.length === PREFIX.length || !/^alias\/[a-zA-Z0-9/_-]+$/.test(name)) {
    throw new KmsError('InvalidAliasNameException', `${name} contains invalid characters for an alias`)
  }
}

const rowIdOf = (call: Call, name: string): string => aliasRowId(call.caller.account, call.region, name)

async function existing(call: Call, name: string): Promise<Row> {
  const row = await call.services.replica.get('alias', rowIdOf(call, name))
  if (row === undefined) throw new KmsError('NotFoundException', `Alias ${aliasArn(placeOf(call), name)} is not found.`)
  return row
}

/** Whether code that uses an alias can go on with another key: what kind of key it is, and what for. */
function checkSameKind(now: FoundKey, next: FoundKey): void {
  const kindOf = ({ header: { spec, usage } }: FoundKey): string => `${isAsymmetric(spec)} ${usage}`
  if (kindOf(now) === kindOf(next)) return
  throw new KmsError(
    'ValidationException',
    `The current and the new KMS key of an alias must be of the same type and have the same key usage: ${now.header.spec} for ${now.header.usage} is not ${next.header.spec} for ${next.header.usage}.`,
  )
}

/** Aliases of an account and Region change one after the other: a name is taken once, and a key's aliases are counted right. */
const changing = <T>(call: Call, change: () => Promise<T>): Promise<T> =>
  inOrder(`aliases ${call.caller.account}/${call.region}`, change)

async function put(call: Call, name: string, target: FoundKey | undefined, now: Row | undefined): Promise<void> {
  const time = call.services.clocks.lifecycle()
  const created = now?.body == null ? time : (JSON.parse(now.body.toString()) as AliasBody).created
  const body: AliasBody = { v: 1, created, updated: time }
  const id = rowIdOf(call, name)
  const row = {
    kind: 'alias' as const,
    id,
    scope: `${call.caller.account}/${call.region}`,
    link: target?.rowId ?? now?.link ?? '',
    expected: now?.revision ?? 0,
    body: target === undefined ? null : Buffer.from(JSON.stringify(body)),
  }
  await call.services.boundary.putRows([row], { ...call.asserted, subject: id })
}

async function checkRoom(call: Call, target: FoundKey): Promise<void> {
  const aliases = await call.services.replica.listLinked('alias', target.rowId, {
    after: '',
    limit: MAX_ALIASES_PER_KEY,
  })
  if (aliases.length >= MAX_ALIASES_PER_KEY)
    throw new KmsError('LimitExceededException', `A key has at most ${MAX_ALIASES_PER_KEY} aliases.`)
}

export const CreateAlias: Operation<{ AliasName: string; TargetKeyId: string }, void> = {
  name: 'CreateAlias',
  recordedBy: 'boundary',
  async run(call, { AliasName, TargetKeyId }) {
    checkName(AliasName)
    call.subject = AliasName
    const key = await findKey(call, TargetKeyId, { aliases: false, on: 'new-key' })
    authorizeAny(call, {}, aliasArn(placeOf(call), AliasName))
    authorizeKey(call, key, {}, 'new-key')
    checkState(call, key)
    await changing(call, async () => {
      if ((await call.services.replica.get('alias', rowIdOf(call, AliasName))) !== undefined)
        throw new KmsError(
          'AlreadyExistsException',
          `An alias with the name ${aliasArn(placeOf(call), AliasName)} already exists`,
        )
      await checkRoom(call, key)
      await put(call, AliasName, key, undefined)
    })
  },
}

export const UpdateAlias: Operation<{ AliasName: string; TargetKeyId: string }, void> = {
  name: 'UpdateAlias',
  recordedBy: 'boundary',
  async run(call, { AliasName, TargetKeyId }) {
    checkName(AliasName)
    call.subject = AliasName
    await changing(call, async () => {
      const now = await existing(call, AliasName)
      authorizeAny(call, {}, aliasArn(placeOf(call), AliasName))
      const current = await findKey(call, keyIdOf(now.link), { aliases: false })
      authorizeKey(call, current)
      const key = await findKey(call, TargetKeyId, { aliases: false, on: 'new-key' })
      authorizeKey(call, key, {}, 'new-key')
      checkState(call, key)
      checkSameKind(current, key)
      if (now.link !== key.rowId) await checkRoom(call, key)
      await put(call, AliasName, key, now)
    })
  },
}

export const DeleteAlias: Operation<{ AliasName: string }, void> = {
  name: 'DeleteAlias',
  recordedBy: 'boundary',
  async run(call, { AliasName }) {
    checkName(AliasName)
    call.subject = AliasName
    await changing(call, async () => {
      const now = await existing(call, AliasName)
      authorizeAny(call, {}, aliasArn(placeOf(call), AliasName))
      authorizeKey(call, await findKey(call, keyIdOf(now.link), { aliases: false }))
      await put(call, AliasName, undefined, now)
    })
  },
}

interface AliasEntry {
  readonly AliasName: string
  readonly AliasArn: string
  readonly TargetKeyId?: string
  readonly CreationDate?: number
  readonly LastUpdatedDate?: number
}

function entryOf(call: Call, row: Row): AliasEntry {
  const AliasName = aliasNameOf(row.id)
  const { created, updated } = JSON.parse(row.body?.toString() ?? '{}') as AliasBody
  return {
    AliasName,
    AliasArn: aliasArn(placeOf(call), AliasName),
    TargetKeyId: keyIdOf(row.link),
    CreationDate: seconds(created),
    LastUpdatedDate: seconds(updated),
  }
}

/** The aliases that the provider's services will have, whose keys are not made yet: AWS lists them without a target. */
async function predefined(call: Call): Promise<AliasEntry[]> {
  const entries: AliasEntry[] = []
  for (const service of call.services.settings.services) {
    const AliasName = `${RESERVED}${service}`
    if ((await call.services.replica.get('alias', rowIdOf(call, AliasName))) !== undefined) continue
    entries.push({ AliasName, AliasArn: aliasArn(placeOf(call), AliasName) })
  }
  return entries
}

export const ListAliases: Operation<{ KeyId?: string; Limit?: number; Marker?: string }, object> = {
  name: 'ListAliases',
  recordedBy: 'runner',
  async run(call, { KeyId, Limit = 50, Marker }) {
    authorizeAny(call)
    const after = readMarker(call, Marker)
    const page = { after: after === '' ? '' : rowIdOf(call, after), limit: Limit + 1 }
    const { replica } = call.services
    let entries: AliasEntry[]
    if (KeyId === undefined) {
      const rows = await replica.list('alias', `${call.caller.account}/${call.region}`, page)
      const waiting = (await predefined(call)).filter(({ AliasName }) => AliasName > after)
      entries = [...rows.map(row => entryOf(call, row)), ...waiting].sort((a, b) =>
        a.AliasName < b.AliasName ? -1 : 1,
      )
    } else {
      const target = await findKey(call, KeyId, { aliases: false })
      // Only the account's own aliases are listed.
      if (target.account !== call.caller.account) throw hidden(call, target.arn, 'key')
      entries = (await replica.listLinked('alias', target.rowId, page)).map(row => entryOf(call, row))
    }
    const { page: Aliases, ...rest } = pageOf(call, entries, Limit, ({ AliasName }) => AliasName)
    return { Aliases, ...rest }
  },
}
