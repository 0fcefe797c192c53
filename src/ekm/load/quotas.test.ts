import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeOwner } from '../testing.ts'
import { tenantQuotas } from './quotas.ts'

const USUAL = { perSecond: 100, inFlight: 10 }

test("a tenant's own quota goes before the configuration's, each part for itself, and a change is in force at once", () => {
  const owner = new FakeOwner()
  owner.tenant('plain')
  owner.tenant('fast', { perSecond: 5000 })
  owner.tenant('narrow', { inFlight: 1 })
  const quotaOf = tenantQuotas(owner.replica, USUAL)
  assert.deepEqual(quotaOf('plain'), USUAL)
  assert.deepEqual(quotaOf('fast'), { perSecond: 5000, inFlight: 10 })
  assert.deepEqual(quotaOf('narrow'), { perSecond: 100, inFlight: 1 })
  assert.equal(quotaOf('fast'), quotaOf('fast'))
  assert.equal(quotaOf('nobody'), USUAL)
  owner.tenant('fast', { perSecond: 1 })
  assert.deepEqual(quotaOf('fast'), { perSecond: 1, inFlight: 10 })
})

test('a row that is not in memory is asked for, and the configuration counts until it is there', async () => {
  const owner = new FakeOwner()
  owner.tenant('acme', { perSecond: 1 })
  let loaded = false
  const asked: string[] = []
  const quotaOf = tenantQuotas(
    {
      peek: (kind, id) => (loaded ? owner.replica.peek(kind, id) : undefined),
      get: async (kind, id) => {
        asked.push(`${kind} ${id}`)
        loaded = true
        return owner.replica.get(kind, id)
      },
    },
    USUAL,
  )
  assert.equal(quotaOf('acme'), USUAL)
  await new Promise(setImmediate)
  assert.deepEqual(quotaOf('acme'), { perSecond: 1, inFlight: 10 })
  assert.deepEqual(asked, ['tenant acme'])
})
