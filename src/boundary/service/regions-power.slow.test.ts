import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KeyRow } from '../client/api.ts'
import { BoundaryError } from '../words.ts'
import { headerOfRow as header, inProcess, newKey } from './testing/in-process.ts'
import { diskWithFolder } from './testing/power.ts'

const [A, B, C] = ['eu-north-1', 'us-west-2', 'ap-south-1'] as const
const POLICY = Buffer.from('{"Statement":[]}')

test('promise 4: power is lost at any moment, and the members of every set still agree', async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const { disk, folder } = await diskWithFolder(seed)
    const first = await inProcess({ disk, folder })
    disk.lossAt = disk.calls + 10 + seed * 11
    const acknowledged = new Map<string, KeyRow>()
    const live = async (n: number): Promise<void> => {
      const id = `mrk-${n.toString(16).padStart(32, '0')}`
      const asked = [
        () => newKey(first.use, { id: `${A}/${id}`, multiRegion: true }),
        () => first.use.replicateKey(`${A}/${id}`, { region: B, policy: POLICY, rows: [] }, {}),
        () => first.use.rotateKeyOnDemand(`${A}/${id}`, {}),
        () => first.use.replicateKey(`${A}/${id}`, { region: C, policy: POLICY, rows: [] }, {}),
        () => first.use.updatePrimaryRegion(`${A}/${id}`, B, {}),
      ]
      for (const ask of asked) {
        const row = await ask().catch(error => {
          assert.ok(error instanceof BoundaryError)
          // The primary does not move to a replica that is still Creating.
          return error.code === 'InvalidState' ? undefined : Promise.reject(error)
        })
        if (row !== undefined) acknowledged.set(row.id, row)
      }
    }
    const lives = Array.from({ length: 4 }, async (_, at) => {
      for (let n = at; ; n += 4) await live(n)
    })
    const ended = Promise.allSettled(lives)
    while (first.fatal === undefined) await new Promise(resolve => setImmediate(resolve))
    first.use.close()
    await ended
    await first.stop()
    const second = await inProcess({ disk: disk.reboot(), folder })
    await second.control.advanceClock(1)
    for (const [id, row] of acknowledged) {
      const found = await second.key(id)
      assert.ok(found !== undefined && found.revision >= row.revision, `seed ${seed}: ${id}`)
      const said = header(found)
      assert.equal(said.state, 'Enabled', `seed ${seed}`)
      for (const region of [said.primaryRegion, ...said.replicaRegions]) {
        const other = header(await second.key(`${region}/${id.slice(id.indexOf('/') + 1)}`))
        assert.deepEqual(
          [other.primaryRegion, other.replicaRegions, other.materials],
          [said.primaryRegion, said.replicaRegions, said.materials],
          `seed ${seed}: ${id} and ${region}`,
        )
      }
    }
    await second.stop()
    second.remove()
  }
})
