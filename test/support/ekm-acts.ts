/** Every act by which an owner takes uses away, as data: what it does, which uses it ends and in what words, and how it is undone. */

import type { RevokeTarget } from '../../src/boundary/client/api.ts'
import { SERVICE_POLICY, starterPolicy } from '../../src/ekm/access/cedar/names.ts'
import { actionOf } from '../../src/ekm/access/operations.ts'
import {
  createCredential,
  deleteCredential,
  removeHold,
  restore,
  revoke,
  setClients,
  setHold,
  setPolicy,
} from '../../src/ekm/admin/index.ts'
import { findTenant } from '../../src/ekm/admin/tenants.ts'
import { PROTOCOL_NAMES } from '../../src/ekm/keys/protocols.ts'
import { type Caller, MINE } from './ekm-callers.ts'
import { type Cause, SAYS } from './ekm-says.ts'
import type { KeyName, Use } from './ekm-use.ts'
import { certificateNames, type World } from './ekm-world.ts'

export interface Act {
  readonly name: string
  /** What must be there before it, and who asks then. Default: whoever asks for the tenant. */
  readonly prepare?: (world: World) => Promise<Caller>
  readonly act: (world: World, uses: readonly Use[]) => Promise<unknown>
  /** What ends a use, or a word of its protocol's own; undefined where it goes on. */
  readonly ends: (use: Use, uses: readonly Use[]) => Cause | `${number} ${string}` | undefined
  readonly undo: (world: World, uses: readonly Use[]) => Promise<unknown>
}

/** What a use that an act has ended is answered. */
export function saidOf(use: Use, ended: NonNullable<ReturnType<Act['ends']>>): string {
  return ended in SAYS[use.protocol] ? SAYS[use.protocol][ended as Cause] : ended
}

function switched(name: string, target: (uses: readonly Use[]) => RevokeTarget, ends: Act['ends']): Act {
  return {
    name: `revoke ${name}`,
    act: ({ control }, uses) => revoke(control, target(uses)),
    undo: ({ control }, uses) => restore(control, target(uses)),
    ends,
  }
}

/** Without the pair that signs there is nothing that a delegate's token could be verified by. */
const unlessVerified = (use: Use): Cause => (use.delegated ? 'stranger' : 'revoked')

const keys: readonly Act[] = (['vault', 'pair', 'signer'] as const satisfies readonly KeyName[]).map(key =>
  switched(
    `the key ${key}`,
    () => ({ key: `${MINE}/${key}` }),
    use => {
      if (!use.keys.includes(key)) return undefined
      return key === 'signer' ? unlessVerified(use) : 'revoked'
    },
  ),
)

const protocols: readonly Act[] = PROTOCOL_NAMES.map(protocol =>
  switched(
    `the protocol ${protocol}`,
    () => ({ protocol }),
    use => (use.protocol === protocol ? unlessVerified(use) : undefined),
  ),
)

/** Each principal by the name of a use of its own. */
const PRINCIPALS = [
  'xks encrypt',
  'azure wrapkey A256KW',
  'kubernetes Encrypt over the socket',
  'kubernetes Encrypt over the plugin',
  'dke decrypt',
  'kacls privilegedwrap',
  'google wrap',
]
const principalOf = (name: string, uses: readonly Use[]): string => {
  const use = uses.find(each => each.name === name)
  if (use === undefined) throw new Error(`there is no use ${name}`)
  return use.principal
}
const principals: readonly Act[] = PRINCIPALS.map(name =>
  switched(
    `the principal of ${name}`,
    uses => ({ principal: principalOf(name, uses) }),
    (use, uses) => (use.principal === principalOf(name, uses) ? 'revoked' : undefined),
  ),
)

const tenant = switched('the tenant', () => ({ tenant: MINE }), unlessVerified)
const everything = switched('everything', () => ({ all: true }), unlessVerified)

const PERMIT = starterPolicy(MINE)
const FORBID = 'forbid (principal, action, resource);'
function policy(
  name: string,
  of: string,
  texts: readonly [denying: string, before: string],
  ends: Act['ends'] = () => 'denied',
): Act {
  const set = ({ control }: World, text: string) => setPolicy(control, of, Buffer.from(text))
  return { name, ends, act: world => set(world, texts[0]), undo: world => set(world, texts[1]) }
}
const policies: readonly Act[] = [
  policy('a policy that permits nothing', MINE, ['', PERMIT]),
  policy('a policy that forbids everything', MINE, [`${PERMIT}${FORBID}`, PERMIT]),
  policy('a policy of the whole service that forbids everything', SERVICE_POLICY, [FORBID, '']),
  policy(
    'a policy that forbids to unwrap',
    MINE,
    [`${PERMIT}forbid (principal, action in Action::"unwrap", resource);`, PERMIT],
    use => (actionOf(use.protocol, use.operation) === 'unwrap' ? 'denied' : undefined),
  ),
]

/** The provider's certificate is no longer one of the tenant's. */
const certificates: readonly Act[] = (['xks', 'azure', 'kubernetes'] as const).map(protocol => ({
  name: `the ${protocol} certificate taken from the tenant`,
  act: async ({ control }) => {
    const { clients } = (await findTenant(control, MINE)).tenant
    const own = certificateNames(MINE)[protocol]
    // Another one's in its place: at XKS, where requests are signed, no name at all means that no certificate is asked for.
    await setClients(
      control,
      MINE,
      clients.map(name => (name === own ? `next.${name}` : name)),
    )
  },
  undo: ({ control }) => setClients(control, MINE, Object.values(certificateNames(MINE))),
  ends: use => (use.protocol === protocol && use.principal !== socketOf(use) ? 'stranger' : undefined),
}))
const socketOf = (use: Use): string | undefined => (use.principal.startsWith('unix:') ? use.principal : undefined)

let credential = ''
const credentials: readonly Act[] = [
  {
    name: 'the credential deleted',
    prepare: async world => {
      const { accessKeyId, secretAccessKey } = await createCredential(world.control, MINE)
      credential = accessKeyId
      const secret = secretAccessKey.reveal(bytes => bytes.toString('latin1'))
      return { ...world.caller(MINE), xks: world.xks(MINE, accessKeyId, secret, world.certificate(MINE, 'xks')) }
    },
    act: ({ control }) => deleteCredential(control, credential),
    ends: use => (use.protocol === 'xks' ? 'stranger' : undefined),
    // It is gone for ever; the tenant's other one is not.
    undo: async () => {},
  },
]

const holds: readonly Act[] = [
  {
    name: 'the key vault put on hold',
    act: ({ control }) =>
      setHold(control, `${MINE}/vault`, { mode: 'deny', decisionSeconds: 60, approvers: ['ann'], note: '' }),
    ends: use => (use.keys.includes('vault') ? 'held' : undefined),
    undo: ({ control }) => removeHold(control, `${MINE}/vault`),
  },
]

export const ACTS: readonly Act[] = [
  ...keys,
  tenant,
  ...protocols,
  ...principals,
  everything,
  ...policies,
  ...certificates,
  ...credentials,
  ...holds,
]
/** Those that together end every use, for one restart each. */
export const ACTS_TOGETHER: Readonly<Record<string, readonly Act[]>> = {
  'every key revoked': keys,
  'the tenant revoked': [tenant],
  'every protocol revoked': protocols,
  'every principal revoked': principals,
  'everything revoked': [everything],
  'no policy': policies.slice(0, 1),
  'no certificate, and the key on hold': [...certificates, ...holds],
}
