import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { test } from 'node:test'
import { fails } from '../testing/in-process.ts'
import { Threads } from './threads.ts'

const p384 = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey

test('more than anybody waits for is refused, and the others are done', async () => {
  const threads = new Threads(1)
  const [own, peer] = [p384(), createPublicKey(p384())]
  const asked = Array.from({ length: 1100 }, () => threads.agree(own, peer))
  const ends = await Promise.allSettled(asked)
  const refused = ends.filter(end => end.status === 'rejected')
  assert.equal(refused.length, 1100 - 1024 - 32)
  for (const { reason } of refused) assert.ok(fails('Busy')(reason))
})
