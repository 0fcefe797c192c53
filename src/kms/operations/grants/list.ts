/** ListGrants and ListRetirableGrants (aws-kms.md §3.10, §10), in order of the rows' ids. */
import type { Row } from '../../../boundary/words.ts'
import { granteeLink, retiringScope } from '../../access/grants.ts'
import { readPrincipalArn } from '../../access/principal-names.ts'
import { authorizeAny, authorizeKey } from '../../keys/allow.ts'
import { findKey } from '../../keys/find.ts'
import { KmsError } from '../../wire/errors.ts'
import { pageOf, readMarker } from '../markers.ts'
import type { Call, FoundKey, Operation } from '../types.ts'
import { checkPrincipal, entryOf, grantOfKey, noPrincipal } from './shared.ts'

interface ListInput {
  readonly KeyId: string
  readonly GrantId?: string
  readonly GranteePrincipal?: string
  readonly GranteeServicePrincipal?: string
  readonly Limit?: number
  readonly Marker?: string
}

export const ListGrants: Operation<ListInput, object> = {
  name: 'ListGrants',
  recordedBy: 'runner',
  async run(call, input) {
    const { GranteePrincipal, GranteeServicePrincipal, Limit = 50 } = input
    if (GranteePrincipal !== undefined && GranteeServicePrincipal !== undefined)
      throw new KmsError(
        'ValidationException',
        'GranteePrincipal and GranteeServicePrincipal cannot both be specified.',
      )
    const key = await findKey(call, input.KeyId, { aliases: false })
    authorizeKey(call, key, { grantIsForAwsResource: call.caller.kind === 'service' })
    if (GranteeServicePrincipal !== undefined && call.caller.kind !== 'service')
      throw new KmsError('ValidationException', 'GranteeServicePrincipal can be specified by services only.')
    const grantee = GranteePrincipal ?? GranteeServicePrincipal ?? ''
    const after = readMarker(call, input.Marker, grantee)
    const rows = await rowsOf(call, key, input, { after, limit: Limit + 1 })
    return answer(call, rows, Limit, grantee)
  },
}

async function rowsOf(
  call: Call,
  key: FoundKey,
  { GrantId, GranteePrincipal, GranteeServicePrincipal }: ListInput,
  page: { after: string; limit: number },
): Promise<readonly Row[]> {
  const { replica } = call.services
  const grantee = GranteePrincipal ?? GranteeServicePrincipal
  const link = grantee === undefined ? undefined : granteeLink(key.rowId, grantee)
  if (GrantId !== undefined) {
    const row = await grantOfKey(call, key, GrantId)
    return row === undefined || page.after !== '' || (link !== undefined && row.link !== link) ? [] : [row]
  }
  return link === undefined
    ? replica.listPrefixed('grant', `${key.rowId}#`, page)
    : replica.listLinked('grant', link, page)
}

interface ListRetirableInput {
  readonly RetiringPrincipal?: string
  readonly RetiringServicePrincipal?: string
  readonly Limit?: number
  readonly Marker?: string
}

/** Grants of keys of any account in this Region; a caller asks for principals of its own account, and a service for itself. */
export const ListRetirableGrants: Operation<ListRetirableInput, object> = {
  name: 'ListRetirableGrants',
  recordedBy: 'runner',
  async run(call, { RetiringPrincipal, RetiringServicePrincipal, Limit = 50, Marker }) {
    if ((RetiringPrincipal === undefined) === (RetiringServicePrincipal === undefined))
      throw new KmsError(
        'ValidationException',
        'Exactly one of RetiringPrincipal and RetiringServicePrincipal must be specified.',
      )
    authorizeAny(call)
    const retiring = RetiringPrincipal ?? RetiringServicePrincipal ?? ''
    const after = readMarker(call, Marker, retiring)
    if (RetiringPrincipal === undefined) {
      if (call.caller.servicePrincipal !== retiring)
        throw new KmsError('ValidationException', 'RetiringServicePrincipal can be specified by that service only.')
    } else {
      // What principals other accounts have is not told: there, none exist.
      if (readPrincipalArn(retiring)?.account !== call.caller.account) throw noPrincipal(retiring)
      await checkPrincipal(call, retiring)
    }
    const page = { after, limit: Limit + 1 }
    return answer(
      call,
      await call.services.replica.list('grant', retiringScope(call.region, retiring), page),
      Limit,
      retiring,
    )
  },
}

function answer(call: Call, rows: readonly Row[], limit: number, of: string): object {
  const { page, ...rest } = pageOf(call, rows, limit, ({ id }) => id, of)
  return { Grants: page.map(row => entryOf(call, row)), ...rest }
}
