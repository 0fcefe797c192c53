/**
 * Revoked means revoked, through every protocol of the owner's key manager: while every use there is goes on without pause, so that decisions, issuers' keys and
 * open keys are all in memory, each act by which an owner takes uses away is answered, and nothing that is started after that answer succeeds; what the act is not
 * about goes on.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { restore } from '../src/ekm/admin/index.ts'
import { ACTS, ACTS_TOGETHER, type Act, saidOf } from './support/ekm-acts.ts'
import { type Caller, MINE } from './support/ekm-callers.ts'
import { SAYS } from './support/ekm-says.ts'
import type { Use } from './support/ekm-use.ts'
import { usesOf } from './support/ekm-uses.ts'
import { World } from './support/ekm-world.ts'
import { hammer } from './support/hammer.ts'

/** Of a delegate whose token was verified before, and of a key that the other service was asked for before. */
const WORDS = new Set([SAYS.kacls.revoked, SAYS.kacls.foreign])
/** At least so many ask at once, however few uses an act ends. */
const CLIENTS = 8

const folder = mkdtempSync(join(tmpdir(), 'holdfast-revoked-'))
let world: World
let by: Caller
let uses: readonly Use[]

before(async () => {
  world = await World.start(folder)
  by = world.caller(MINE)
  uses = (await usesOf(world, by)).filter(use => !use.describes)
})
after(async () => {
  assert.equal(await world?.stop(), 0)
  rmSync(folder, { recursive: true, force: true })
})

interface Ended {
  readonly use: Use
  readonly said: string
}

function endedBy(act: Act): readonly Ended[] {
  return uses.flatMap(use => {
    const ended = act.ends(use, uses)
    return ended === undefined ? [] : [{ use, said: saidOf(use, ended) }]
  })
}

async function everythingIsServed(): Promise<void> {
  for (const use of uses) assert.equal(await use.ask(by), 'ok', use.name)
}

/** `act` is answered while everything that it ends goes on; what is started later says why, and all else is served. */
async function ends(act: Act, acting = () => act.act(world, uses)): Promise<void> {
  const caller = (await act.prepare?.(world)) ?? by
  const ended = endedBy(act)
  assert.ok(ended.length > 0)
  const asking = ended.map(({ use, said }) => async (_: number, startedAfter: boolean) => {
    const answer = await use.ask(caller)
    if (answer === 'ok') return 'ok'
    // What was under way when the owner acted may be refused at a later step, in the words of that one.
    if (startedAfter || !WORDS.has(answer)) assert.equal(answer, said, use.name)
    return 'refused'
  })
  const clients = Array.from({ length: Math.ceil(CLIENTS / asking.length) }, () => asking).flat()
  try {
    await hammer(clients, acting)
    const said = new Map(ended.map(each => [each.use, each.said]))
    for (const use of uses) assert.equal(await use.ask(caller), said.get(use) ?? 'ok', use.name)
  } finally {
    await act.undo(world, uses)
  }
  await everythingIsServed()
}

describe('promise 3: no use of any protocol that starts after the answer succeeds', () => {
  for (const act of ACTS) test(act.name, () => ends(act))

  test('the command holdfast ekm revoke --all', async () => {
    const everything = ACTS.find(({ name }) => name === 'revoke everything')
    assert.ok(everything)
    await ends(everything, () => world.ekm.cli('revoke', '--all'))
  })

  test('revoke the tenant, while the issuers of tokens are away', async () => {
    const { people, google, accounts } = world.issuers
    const issuers = [...Object.values(people), google, accounts]
    const [act] = ACTS_TOGETHER['the tenant revoked'] ?? []
    assert.ok(act)
    for (const issuer of issuers) issuer.goAway()
    try {
      await ends(act)
    } finally {
      for (const issuer of issuers) issuer.comeBack()
    }
  })
})

test('promise 3: the other key service loses its right to ask, and takes nothing over any more', async () => {
  const rewrap = uses.find(({ name }) => name === 'kacls rewrap')
  assert.ok(rewrap)
  const principal = `${world.url('kacls')}/${MINE}/v1`
  const asking = async (): Promise<'ok' | 'refused'> => {
    const said = await rewrap.ask(by)
    if (said === 'ok') return said
    // What the other service refuses is told as an error of what it was asked with.
    assert.equal(said, '400 InvalidRequest')
    return 'refused'
  }
  await hammer(Array(CLIENTS).fill(asking), () => world.ekm.cli('revoke', '--principal', principal))
  await restore(world.control, { principal })
  await everythingIsServed()
})
