/**
 * `holdfast ekm revoke|restore`: the kill switch. It goes to the owner's boundary itself, over its control socket, so that it works with the front end
 * alive, dead or hostile.
 */
import type { Command } from 'commander'
import type { RevokeTarget } from '../boundary/client/api.ts'
import { BoundaryError } from '../boundary/words.ts'
import * as admin from '../ekm/admin/index.ts'
import type { Common } from './admin-tools.ts'
import { type Tools, tenantName, time } from './ekm-tools.ts'

interface TargetOptions extends Common {
  readonly tenant?: string
  readonly protocol?: string
  readonly principal?: string
  readonly all?: boolean
}

/** Keys that are named one by one. */
const SHOWN = 10
const WITH = { key: 'by itself', tenant: 'with its tenant', all: 'with all keys' } as const

/** Adds the commands. */
export function registerSwitches(ekm: Command, { run, common, print, table, note }: Tools): void {
  const about = (name: string, description: string, examples: string) =>
    common(ekm, name, description)
      .argument('[key]', 'one key: TENANT/NAME, or NAME where one tenant only has it')
      .option('--tenant <prefix>', 'every key of this tenant, those included that are made later')
      .option('--protocol <name>', 'every use over this protocol')
      .option('--principal <name>', 'every use by whoever authenticates, or is named by a provider, exactly so')
      .option('--all', 'every key there is')
      .addHelpText('after', `\n${examples}`)
  about(
    'revoke',
    'stop every use, at once: in force for each request that starts after this command has ended',
    'The owner’s boundary itself decides it: the front end may be alive, dead or hostile.\n\nExamples:\n  holdfast ekm revoke customers/acme/payments\n  holdfast ekm revoke --tenant customers/acme\n  holdfast ekm revoke --principal arn:aws:iam::111122223333:role/App\n  holdfast ekm revoke --protocol azure\n  holdfast ekm revoke --all\n',
  ).action((key: string | undefined, options: TargetOptions) =>
    run(options, async control => {
      const done = await admin.revoke(control, targetOf(key, options)).catch(error => {
        if (error instanceof BoundaryError && error.code === 'Unavailable')
          note(
            'Nothing is known to be revoked. While no boundary runs no key can be used; when it runs again, revoke again.',
          )
        throw error
      })
      const seconds = (done.took / 1000).toFixed(3)
      print(
        options,
        { revoked: done.target, ...times(done) },
        `Revoked: ${done.target}. The boundary answered in ${seconds} s.`,
      )
    }),
  )
  about(
    'restore',
    'undo a revocation of the same kind: of a key, a tenant, a protocol, a principal, or of everything',
    'Examples:\n  holdfast ekm restore customers/acme/payments\n  holdfast ekm restore --all\n',
  ).action((key: string | undefined, options: TargetOptions) =>
    run(options, async control => {
      const target = targetOf(key, options)
      const done = await admin.restore(control, target)
      const still = await admin.stillRevoked(control, target)
      const stillRevoked = still.map(each => each.key)
      const some = still
        .slice(0, SHOWN)
        .map(({ key: id, revokedBy }) => `\n  ${id}: ${revokedBy.map(by => WITH[by]).join(', ')}`)
      const more = still.length > SHOWN ? `\n  and ${still.length - SHOWN} more: holdfast ekm key list` : ''
      const text = still.length === 0 ? '' : `\nStill revoked, for another reason:${some.join('')}${more}`
      print(options, { restored: done.target, ...times(done), stillRevoked }, `Restored: ${done.target}.${text}`)
      note('One person did this alone. In a later version it will take M of N approvals.')
    }),
  )
  common(
    ekm,
    'switches',
    'list what is revoked beside single keys, since when, and by which rule',
    'holdfast ekm switches --json',
  ).action((options: Common) =>
    run(options, async control => {
      const off = (await admin.listSwitches(control)).map(each => ({ ...each, since: time(each.since) }))
      table(options, off, 'Nothing is revoked beside single keys: holdfast ekm key list')
    }),
  )
}

const times = ({ answeredAt, took }: admin.SwitchResult) => ({ answeredAt, tookMs: Math.round(took * 1000) / 1000 })

function targetOf(key: string | undefined, { tenant, protocol, principal, all }: TargetOptions): RevokeTarget {
  const given: RevokeTarget[] = [
    ...(key === undefined ? [] : [{ key }]),
    ...(tenant === undefined ? [] : [{ tenant: tenantName(tenant) }]),
    ...(protocol === undefined ? [] : [{ protocol }]),
    ...(principal === undefined ? [] : [{ principal }]),
    ...(all === undefined ? [] : [{ all: true } as const]),
  ]
  const [only] = given
  if (only === undefined || given.length > 1)
    throw new admin.AdminError('Say what: one KEY, or --tenant, --protocol or --principal with a name, or --all.')
  return only
}
