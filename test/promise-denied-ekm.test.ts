/**
 * Denied unless allowed, through every protocol of the owner's key manager: each use and each route, asked without one thing that it needs at a time, gets the
 * protocol's own error, and one record says so. Who is nobody is counted, by reason. Generated from the table of uses, which has every route that is served.
 */
import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { DecodedRecord } from '../src/boundary/record-fields.ts'
import { startService } from '../src/boundary/supervisor/supervisor.ts'
import { boundarySettings } from '../src/config/boundary.ts'
import { ekmConfig } from '../src/config/ekm.ts'
import { serviceFolders } from '../src/config/folders.ts'
import { parseConfig } from '../src/config/load.ts'
import { allOperations } from '../src/ekm/access/operations.ts'
import { setPolicy } from '../src/ekm/admin/index.ts'
import { PROTOCOLS } from '../src/ekm/protocols/index.ts'
import { type Caller, MINE, THEIRS } from './support/ekm-callers.ts'
import { OPENS, RULES, STRANGERS } from './support/ekm-lacks.ts'
import { SAYS } from './support/ekm-says.ts'
import type { Use } from './support/ekm-use.ts'
import { usesOf } from './support/ekm-uses.ts'
import { certificateNames, World } from './support/ekm-world.ts'
import { readRecords } from './support/journal.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-denied-'))
const PERMIT = 'permit (principal, action, resource);'
/** For everybody: they are answered without anyone's being known. */
const OPEN = ['dke:publickey', 'kacls:status', 'kacls:certs']

let world: World
let by: Caller
let uses: readonly Use[]
let theirs: readonly Use[]
/** By protocol, how many requests were answered as those of nobody. */
const strangers: Record<string, number> = {}

before(async () => {
  world = await World.start(folder)
  by = world.caller(MINE)
  uses = await usesOf(world, by)
  theirs = await usesOf(world, world.caller(THEIRS))
})
after(async () => {
  await world?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const nameOf = ({ protocol, operation }: Use): string => `${protocol}:${operation}`
const set = (text: string) => setPolicy(world.control, MINE, Buffer.from(text))

let seen = 0
/** What was recorded since the last look. */
function recorded(): DecodedRecord[] {
  const all = readRecords(world.ekm.data)
  const fresh = all.slice(seen)
  seen = all.length
  return fresh.map(({ record }) => record)
}

interface Expected {
  readonly outcome: 'denied' | 'failed'
  /** Where it is not the use's own. */
  readonly operation?: string
  readonly keyId?: string
  /** Where the boundary has it in a word of its own. */
  readonly error?: string
}

/** Asks, is refused with `said`, and finds the one record of it. */
async function refused(
  use: Use,
  asking: () => Promise<string>,
  said: string,
  { outcome, operation, keyId, error = said.split(' ').at(-1) }: Expected,
): Promise<void> {
  assert.equal(await asking(), said, use.name)
  const records = recorded().filter(
    ({ outcome, asserted }) => outcome !== 'allowed' && asserted.operation?.startsWith(`${use.protocol}:`),
  )
  assert.equal(records.length, 1, `${use.name}: ${JSON.stringify(records)}`)
  const [record] = records
  assert.deepEqual(
    { outcome: record?.outcome, error: record?.error, operation: record?.asserted.operation },
    { outcome, error, operation: operation ?? nameOf(use) },
    use.name,
  )
  if (keyId !== undefined) assert.equal(record?.keyId, keyId, use.name)
}

/** Is answered as nobody, and has neither a use nor a record of its own. */
async function stranger(use: Use, caller: Caller, said: string): Promise<void> {
  recorded()
  assert.equal(await use.ask(caller), said, use.name)
  const own = recorded().filter(({ asserted }) => asserted.operation?.startsWith(`${use.protocol}:`))
  assert.deepEqual(
    own.map(({ asserted }) => asserted.operation),
    [],
    use.name,
  )
  strangers[use.protocol] = (strangers[use.protocol] ?? 0) + 1
}

test('promise 5: the uses that the tests of the promises are made of are every route that is served', async () => {
  const served = PROTOCOLS.flatMap(({ name, routes }) => routes.map(route => `${name}:${route}`))
  const asked = new Set([...uses.map(nameOf), ...OPEN])
  assert.deepEqual([...new Set(served)].sort(), [...asked].sort())
  for (const use of uses) assert.equal(await use.ask(by), 'ok', use.name)
})

describe('promise 5: what the policy does not permit', () => {
  /** Of the operation, or of a step of it. */
  const takes = (use: Use, operation: string): boolean =>
    nameOf(use) === operation || (use.steps ?? []).some(step => `${use.protocol}:${step}` === operation)
  /** What the policy is asked of. */
  const asked = (use: Use): boolean => use.keys.length > 0

  const only = async (operation: string): Promise<void> => {
    for (const use of uses) {
      if (!takes(use, operation)) assert.equal(await use.ask(by), 'ok', `${use.name} without ${operation}`)
      // A step that is refused is recorded under its own name.
      else await refused(use, () => use.ask(by), SAYS[use.protocol].denied, { outcome: 'denied', operation })
    }
  }

  for (const { operation } of allOperations())
    test(`${operation}, by a policy that permits everything else, and by one that forbids it`, async () => {
      await set(`permit (principal, action, resource) unless { action == Action::"${operation}" };`)
      await only(operation)
      await set(`${PERMIT} forbid (principal, action == Action::"${operation}", resource);`)
      await only(operation)
    })

  const NOTHING: Readonly<Record<string, string>> = {
    'without any policy': '',
    'by a policy that permits another tenant': `permit (principal in Tenant::"${THEIRS}", action, resource);`,
    'by a policy that permits another tenant’s keys': `permit (principal, action, resource in Tenant::"${THEIRS}");`,
  }
  for (const [name, text] of Object.entries(NOTHING))
    test(`anything, ${name}`, async () => {
      await set(text)
      for (const use of uses) {
        if (!asked(use)) assert.equal(await use.ask(by), 'ok', use.name)
        else
          await refused(use, () => use.ask(by), SAYS[use.protocol].denied, {
            outcome: 'denied',
            ...(use.steps ? { operation: `${use.protocol}:${use.steps[0]}` } : {}),
          })
      }
      for (const use of theirs) assert.equal(await use.ask(world.caller(THEIRS)), 'ok', use.name)
    })

  test('a protocol or a peer that is not the permitted one', async () => {
    for (const one of uses.filter(asked)) {
      await set(`permit (principal == Peer::"${one.protocol}:${one.principal}", action, resource);`)
      for (const use of uses.filter(asked)) {
        const allowed = use.protocol === one.protocol && use.principal === one.principal
        assert.equal(
          await use.ask(by),
          allowed ? 'ok' : SAYS[use.protocol].denied,
          `${use.name} where ${one.name} is permitted`,
        )
      }
    }
    await set(PERMIT)
    recorded()
  })
})

describe('promise 5: whoever is nobody here', () => {
  for (const { name, of, caller, said } of STRANGERS)
    test(name, async () => {
      const somebody = await caller(world)
      for (const use of uses.filter(of)) {
        const cause = said(use)
        if (cause === 'denied')
          await refused(use, () => use.ask(somebody), SAYS[use.protocol].denied, { outcome: 'denied' })
        else await stranger(use, somebody, cause === 'stranger' ? SAYS[use.protocol].stranger : cause)
      }
    })

  test('another user of the machine, at the socket', () => {
    assert.equal(statSync(world.socketOf(MINE)).mode & 0o777, 0o600)
  })
})

describe('promise 5: whoever is known, and lacks one thing', () => {
  for (const { name, of, caller } of RULES)
    test(name, async () => {
      const somebody = await caller(world)
      const asking = uses.filter(of)
      assert.ok(asking.length > 0)
      for (const use of asking)
        await refused(use, () => use.ask(somebody), SAYS[use.protocol].denied, { outcome: 'denied' })
    })

  test('a key that only another tenant has', async () => {
    for (const use of uses.filter(({ namesKey }) => namesKey))
      await refused(use, () => use.ask(by, 'only'), SAYS[use.protocol].unknownKey, {
        outcome: 'failed',
        keyId: `${MINE}/only`,
      })
    const plugin = { ...by, plugin: world.door(world.certificate(MINE, 'kubernetes'), MINE, 'only') }
    for (const use of uses.filter(
      ({ protocol, principal }) => protocol === 'kubernetes' && principal === certificateNames(MINE).kubernetes,
    ))
      if (use.operation !== 'decrypt')
        await refused(use, () => use.ask(plugin), SAYS.kubernetes.unknownKey, {
          outcome: 'failed',
          keyId: `${MINE}/only`,
        })
  })

  test('what another tenant’s key of the same name has made', async () => {
    const opening = theirs.filter(({ name }) => OPENS.test(name))
    assert.ok(opening.length >= 15)
    for (const use of opening)
      await refused(use, () => use.ask(by), SAYS[use.protocol].foreign, {
        outcome: 'failed',
        error: 'InvalidCiphertext',
      })
  })
})

test('promise 5: a route that declares no action is not served: nothing is', async () => {
  const data = join(folder, 'undeclared')
  const stderr = openSync(join(folder, 'undeclared.log'), 'a', 0o600)
  const config = parseConfig(ekmConfig, {
    data,
    listen: { port: 0 },
    boundary: { root: { kind: 'keyfile', file: join(folder, 'undeclared.key') } },
  })
  const entry = join(import.meta.dirname, 'support', 'undeclared-ekm.ts')
  const frontEnd = { entry, config, folders: [serviceFolders(data).frontEnd] }
  const service = startService({ stderr, boundary: boundarySettings('ekm', config, false), frontEnd })
  await assert.rejects(service.ready, /declare no action.*azure:releasekey/)
  await service.stop()
  closeSync(stderr)
})

test('promise 2: whoever was nobody was counted, each request once', async () => {
  assert.equal(await world.stop(), 0)
  const counted: Record<string, number> = {}
  const open = new Set(['PublicKey', 'Certs', 'Status'])
  for (const { record } of readRecords(world.ekm.data)) {
    const count = record.count ?? 0
    const protocol = record.asserted.operation ?? ''
    // What the boundary counts of its own has no protocol.
    if (count === 0 || protocol === '' || open.has(record.error ?? '')) continue
    counted[protocol] = (counted[protocol] ?? 0) + count
  }
  assert.deepEqual(counted, strangers)
})
