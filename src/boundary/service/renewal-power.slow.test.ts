import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ExternalCiphertext, KeyRow } from '../client/api.ts'
import { readExternalMetadata } from '../crypto/external.ts'
import { BoundaryError } from '../words.ts'
import { counterId, decodeCounter } from './keys/counters.ts'
import { headerOfRow, inProcess } from './testing/in-process.ts'
import { diskWithFolder } from './testing/power.ts'

const limits = { maxEncryptions: 400, renewAfter: 200 }
const config = { service: 'ekm', limits } as const
const ID = 'acme/k'
const [aad, plaintext] = [Buffer.from('aad'), Buffer.from('the provider’s blob')]
const versionOf = ({ metadata }: ExternalCiphertext): number => readExternalMetadata(metadata) ?? 0

test('promise 4: power is lost at any moment around a renewal: no version twice, none lost, and no count runs backwards', async () => {
  let renewedUnderLoss = 0
  for (let seed = 1; seed <= 16; seed++) {
    const { disk, folder } = await diskWithFolder(seed)
    const first = await inProcess({ disk, folder, config })
    let row = await first.control.createExternalKey(
      {
        ...{ id: ID, scope: 'acme', tenant: 'acme', spec: 'EXTERNAL_AES_256', backing: 'SEALED', tokenObject: '' },
        ...{ mayEncrypt: true, mayDecrypt: true },
      },
      {},
    )
    const made: ExternalCiphertext[] = []
    const worker = async (): Promise<void> => {
      for (;;)
        try {
          made.push(await first.use.externalEncrypt(row, plaintext, aad, false, {}))
          // The loss comes soon after the limit, each time at another step.
          if (made.length === limits.renewAfter - 20) disk.lossAt = disk.calls + seed * 3
        } catch (error) {
          assert.ok(error instanceof BoundaryError)
          if (error.code !== 'StaleKey' || error.row === undefined) return
          row = error.row as KeyRow
        }
    }
    const workers = Promise.all(Array.from({ length: 4 }, worker))
    while (first.fatal === undefined) await new Promise(resolve => setImmediate(resolve))
    first.use.close()
    await workers
    await first.stop()

    const second = await inProcess({ disk: disk.reboot(), folder, config })
    let found = await second.key(ID)
    const by = new Map<number, number>()
    for (const each of made) {
      assert.deepEqual(await second.use.externalDecrypt(found, each, aad, {}).catch(stale => again(stale)), plaintext)
      by.set(versionOf(each), (by.get(versionOf(each)) ?? 0) + 1)
      async function again(error: unknown): Promise<Buffer> {
        if (!(error instanceof BoundaryError) || error.code !== 'StaleKey') throw error
        found = await second.key(ID)
        return second.use.externalDecrypt(found, each, aad, {})
      }
    }
    if (by.has(2)) renewedUnderLoss++
    for (const [version, uses] of by) {
      const counter = await second.control.getRow('counter', counterId(ID, version))
      const reserved = decodeCounter(counter?.body ?? Buffer.alloc(0))
      assert.ok(reserved >= uses, `seed ${seed}: ${uses} of version ${version} were acknowledged, ${reserved} reserved`)
      assert.ok(reserved <= limits.maxEncryptions)
    }
    // What was due is done at this start, or was before it; the key is used on until there is one more version.
    const before = headerOfRow(found).materials.length
    do {
      const each = await second.use.externalEncrypt(found, plaintext, aad, false, {}).catch(() => undefined)
      if (each === undefined) found = await second.key(ID)
    } while (headerOfRow(found).materials.length === before)
    const { materials } = headerOfRow(found)
    assert.deepEqual(
      materials.map(({ id, state }) => [Number.parseInt(id, 16), state]),
      materials.map((_, at) => [at + 1, at + 1 === materials.length ? 'CURRENT' : 'NON_CURRENT']),
      `seed ${seed}`,
    )
    assert.equal(found.revision, materials.length, `seed ${seed}: each version is one change of the key`)
    await second.stop()
    second.remove()
  }
  assert.ok(renewedUnderLoss > 0 && renewedUnderLoss < 16, `${renewedUnderLoss} of 16 lives had a second version`)
})
