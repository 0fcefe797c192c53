/**
 * Revoked means revoked, through every protocol of the owner's key manager, after the front end was killed and after the whole service was started anew: what
 * was taken away stays so, although nothing that the front end knew of it is left.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { ACTS_TOGETHER, type Act, saidOf } from './support/ekm-acts.ts'
import { type Caller, MINE } from './support/ekm-callers.ts'
import { SAYS } from './support/ekm-says.ts'
import { NO_ANSWER, type Use } from './support/ekm-use.ts'
import { usesOf } from './support/ekm-uses.ts'
import { World } from './support/ekm-world.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-restarted-'))
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

/** Not there yet, or not well yet. */
const ASLEEP = new Set([NO_ANSWER, 'UNAVAILABLE', '429 ThrottlingException'])

/** Until every protocol is served again. */
async function awake(): Promise<void> {
  for (const use of uses) {
    for (let said = NO_ANSWER; ASLEEP.has(said) || said.startsWith('503 '); said = await use.ask(by)) await delay(20)
  }
}

/** What a use is answered when all of `acts` are in force: whoever is nobody any more hears no more than that. */
function saidAfter(acts: readonly Act[], use: Use): string {
  const said = acts.flatMap(act => {
    const ended = act.ends(use, uses)
    return ended === undefined ? [] : [saidOf(use, ended)]
  })
  const { stranger } = SAYS[use.protocol]
  return said.includes(stranger) ? stranger : (said[0] ?? 'ok')
}

const RESTARTS: Readonly<Record<string, () => Promise<void>>> = {
  'the front end killed': async () => {
    const { frontEnd } = world.ekm.children()
    process.kill(frontEnd, 'SIGKILL')
    while ([0, frontEnd].includes(world.ekm.children().frontEnd)) await delay(10)
  },
  'the whole service stopped and started': () => world.restart(),
}

for (const [name, acts] of Object.entries(ACTS_TOGETHER)) {
  for (const [how, restarting] of Object.entries(RESTARTS)) {
    test(`promise 3: ${name}, ${how}`, async () => {
      try {
        for (const act of acts) await act.act(world, uses)
        await restarting()
        await awake()
        for (const use of uses) assert.equal(await use.ask(by), saidAfter(acts, use), use.name)
      } finally {
        for (const act of acts) await act.undo(world, uses)
      }
      for (const use of uses) assert.equal(await use.ask(by), 'ok', use.name)
    })
  }
}
