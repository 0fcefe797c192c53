/** Calls as verifiers and protocols make them, with claims of any text. */
import { verified } from '../src/ekm/access/caller.ts'
import type { Claims } from '../src/ekm/access/claims.ts'
import { allOperations } from '../src/ekm/access/operations.ts'
import type { Action } from '../src/ekm/access/policy.ts'
import { REASONS } from '../src/ekm/access/reasons.ts'
import type { Call } from '../src/ekm/core.ts'
import { damagedText, text } from './mutate.ts'
import type { Random } from './random.ts'

const USUAL: Claims = {
  requestId: 'r-1',
  operation: 'GenerateDataKey',
  principal: 'arn:aws:iam::111122223333:user/Ada',
  account: '111122223333',
  region: 'eu-west-1',
  keyArn: 'arn:aws:kms:eu-west-1:111122223333:key/1234',
  viaService: 's3.amazonaws.com',
  sourceVpc: 'vpc-1',
  sourceVpce: 'vpce-1',
  reason: 'CUSTOMER_INITIATED_ACCESS',
  justification: '{"client":"drive"}',
  pool: 'pool-1',
  email: 'ada@acme.example',
  resource: 'document-1',
  perimeter: 'legal',
}
const NAMES = Object.keys(USUAL) as (keyof Claims)[]
const OPERATIONS = allOperations()
const ADDRESSES = ['192.0.2.7', '::1', 'fe80::1%eth0', '::ffff:192.0.2.7', '', '2001:db8::7']
const CODES = Object.keys(REASONS)

export interface Made {
  readonly call: Call
  readonly action: Action
}

/** `fixed`: what is not to be chosen. */
export function anyCall(random: Random, fixed: Partial<Call['caller']> = {}): Made {
  const { operation, action } = random.pick(OPERATIONS)
  const [protocol = '', own = ''] = operation.split(':')
  const rate = random.pick([0.05, 0.3])
  const damaged = (usual: string): string => (random.chance(rate) ? damagedText(random, usual) : usual)
  const claims: { -readonly [C in keyof Claims]: string } = {}
  for (const name of NAMES) {
    if (random.chance(0.3)) continue
    claims[name] = name === 'reason' && random.chance(0.5) ? random.pick(CODES) : damaged(USUAL[name] ?? '')
  }
  // Nobody is verified without a name.
  const caller = verified({
    ...{
      protocol,
      tenant: 'acme',
      principal: damaged('ada@acme.example') || 'ada',
      credentialId: damaged('https://id.example/ ada'),
    },
    ...{ region: damaged('eu-west-1'), sourceIp: random.pick(ADDRESSES), peerName: damaged('client.example') },
    userAgent: random.chance(0.9) ? 'client/1.0' : text(random),
    ...fixed,
  })
  const errorNames = {} as Call['errorNames']
  return { action, call: { caller, claims, operation: own, keyId: 'k', requestId: 'ours-1', errorNames } }
}
