import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { CacheSpace, DecisionCache } from './cache.ts'

test('property: a cache answers what was set for that key, or nothing, and stays within two generations', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(200), fc.boolean()), { maxLength: 500 }), steps => {
      const cache = new DecisionCache<string>(new CacheSpace(1 << 20), 4096)
      for (const [n, write] of steps) {
        const key = `key ${n}`
        if (write) cache.set(key, `value ${n}`)
        else assert.ok([undefined, `value ${n}`].includes(cache.get(key)))
        assert.ok(cache.size < 2 * (4096 + 256))
      }
    }),
  )
})

test('what is asked for again and again stays, whatever else is asked for once', () => {
  const cache = new DecisionCache<number>(new CacheSpace(1 << 20), 4096)
  cache.set('hot', 1)
  for (let n = 0; n < 1000; n++) {
    cache.set(`once ${n}`, n)
    assert.equal(cache.get('hot'), 1)
  }
})

test('when all of them are full, the largest is emptied: who asks for little keeps what he has', () => {
  const space = new CacheSpace(100_000)
  const quiet = new DecisionCache<number>(space, 1 << 20)
  const noisy = new DecisionCache<number>(space, 1 << 20)
  quiet.set('mine', 1)
  for (let n = 0; n < 10_000; n++) noisy.set(`noise ${n}`, n)
  assert.equal(quiet.get('mine'), 1)
  assert.ok(space.used < 150_000, String(space.used))
  noisy.close()
  assert.equal(space.used, quiet.size)
})
