/** From a record of the log back to the call that it is of, so that a policy can be tried on what has happened. */
import type { DecodedRecord } from '../../../boundary/record-fields.ts'
import { actionOf } from '../operations.ts'
import type { Action } from '../policy.ts'
import type { Asked } from './input.ts'

export interface PastCall {
  readonly asked: Asked
  readonly action: Action
  /** Row id of the key. */
  readonly key: string
  /** What the policy of that time said: what it allowed may have failed later, for another reason. */
  readonly allowed: boolean
  /** Ids of the policies that decided then; empty where none did, or the record is of before policies. */
  readonly policy: string
}

/** Uses in the boundary itself: policy had allowed each of them. */
const USES: ReadonlySet<string | undefined> = new Set([
  'externalEncrypt',
  'externalDecrypt',
  'externalWrap',
  'externalUnwrap',
])

/** Undefined for a record that policy was not asked about: of anything else, or refused before. */
export function pastCall({ asserted, boundaryOperation, outcome, keyId }: DecodedRecord): PastCall | undefined {
  const [protocol = '', operation = '', ...rest] = (asserted.operation ?? '').split(':')
  const action = rest.length === 0 ? actionOf(protocol, operation) : undefined
  if (action === undefined || keyId === undefined || keyId === '') return undefined
  const used = USES.has(boundaryOperation)
  if (!used && (boundaryOperation !== 'record' || outcome === 'failed')) return undefined
  const [reason] = (asserted.reason ?? '').split(': ', 1)
  const credentialId = asserted.accessKeyId ?? ''
  return {
    asked: {
      operation,
      caller: {
        protocol,
        tenant: asserted.account ?? '',
        principal: asserted.principal ?? credentialId,
        credentialId,
        region: asserted.region ?? '',
        sourceIp: asserted.sourceIp ?? '',
        peerName: asserted.peer ?? '',
      },
      claims: {
        ...given('principal', asserted.claimedPrincipal),
        ...given('account', asserted.claimedAccount),
        ...given('region', asserted.claimedRegion),
        ...given('operation', asserted.claimedOperation),
        ...given('keyArn', asserted.claimedKeyArn),
        ...given('viaService', asserted.viaService),
        ...given('sourceVpc', asserted.claimedSourceVpc),
        ...given('sourceVpce', asserted.claimedSourceVpce),
        ...given('reason', reason),
        ...given('pool', asserted.claimedPool),
        ...given('email', asserted.claimedEmail),
        ...given('resource', asserted.subject),
        ...given('perimeter', asserted.claimedPerimeter),
      },
    },
    action,
    key: keyId,
    allowed: used || outcome === 'allowed',
    policy: asserted.policy ?? '',
  }
}

function given<Name extends string>(name: Name, value: string | undefined): { readonly [N in Name]?: string } {
  return value === undefined || value === '' ? {} : ({ [name]: value } as { [N in Name]: string })
}
