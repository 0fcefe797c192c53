/** Decisions of Cedar on claims of any text: each is what the same rule in plain words says. */

import type { KeyRow } from '../../src/boundary/client/api.ts'
import { CedarPolicy } from '../../src/ekm/access/cedar/policy.ts'
import { clip } from '../../src/ekm/access/claims.ts'
import type { Decision } from '../../src/ekm/access/policy.ts'
import { reasonCode } from '../../src/ekm/access/reasons.ts'
import type { Call } from '../../src/ekm/core.ts'
import { headerOf } from '../../src/ekm/keys/description.ts'
import { FakeOwner } from '../../src/ekm/testing.ts'
import { anyCall, type Made } from '../claims.ts'
import { NOW } from '../exchange.ts'
import { demand, type Target } from '../target.ts'

const POLICY = `
@id("known") permit (principal in Tenant::"acme", action, resource in Tenant::"acme")
when { context.claimedAccount == "111122223333" || context.claimedEmail like "*@acme.example" || principal.name == "ada@acme.example" };
@id("compelled") forbid (principal, action, resource)
when { context.reason == "THIRD_PARTY_DATA_REQUEST" || context.claimedResource like "secret*" };
@id("outside") forbid (principal, action in Action::"unwrap", resource)
unless { context has sourceIp && (context.sourceIp.isInRange(ip("192.0.2.0/24")) || context.sourceIp.isIpv6()) };
`

function expected({ caller, claims }: Call, action: string): boolean {
  const account = clip('claimedAccount', (claims.account ?? '').toWellFormed())
  const email = clip('claimedEmail', (claims.email ?? '').toWellFormed())
  const resource = clip('subject', (claims.resource ?? '').toWellFormed())
  const name = clip('principal', caller.principal.toWellFormed())
  const known = account === '111122223333' || email.endsWith('@acme.example') || name === 'ada@acme.example'
  const compelled = reasonCode(claims.reason) === 'THIRD_PARTY_DATA_REQUEST' || resource.startsWith('secret')
  // Every address of the generator but none is in the range or of IPv6.
  const outside = caller.sourceIp === ''
  return known && !compelled && !(action === 'unwrap' && outside)
}

export const policies: Target<Made> = {
  name: 'policies',
  about: 'claims of any text in decisions of Cedar',
  // Decisions in memory, up to 1 Mi characters in each of two generations.
  mayKeep: 32 << 20,
  start: () => {
    const owner = new FakeOwner()
    owner.key('acme', 'k')
    owner.put('owner-policy', 'acme', 'acme', Buffer.from(POLICY))
    const key = headerOf(owner.rows.get('key acme/k') as KeyRow)
    const onDefect = (error: unknown): void => {
      throw error
    }
    const policy = new CedarPolicy({ replica: owner.replica, now: () => NOW, onDefect })
    return {
      make: random => {
        const made = anyCall(random)
        if (random.chance(0.9)) return made
        const resource = random.pick(['secret', 'secret\0x', 'Secret', 'sécret'])
        return { ...made, call: { ...made.call, claims: { ...made.call.claims, resource } } }
      },
      run: ({ call, action }) => {
        const decision = policy.decide(call, action, key) as Decision
        demand(
          decision.allowed === expected(call, action),
          () => `${JSON.stringify(decision)} for ${JSON.stringify(call)}`,
        )
        return decision.policies.join() || 'nothing permits'
      },
    }
  },
}
