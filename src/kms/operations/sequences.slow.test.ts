/** Random lives of keys: every answer of the KMS beside that of a small model of the key (testing/key-model.ts); fast-check prints the seed of a failure. */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { startTestKms, type TestKms, user } from '../testing.ts'
import { Life } from './testing/key-life.ts'
import { MAX_ROTATIONS } from './testing/key-model.ts'

let kms: TestKms
before(async () => {
  kms = await startTestKms({}, { quotas: { onDemandRotations: MAX_ROTATIONS } })
})
after(async () => {
  await kms.stop()
  assert.deepEqual(kms.defects, [])
})

/** What every life has, and what only makes sense with the provider's or with imported material; all are asked of both, seldom of the wrong one. */
const COMMON = [
  'EnableKey',
  'DisableKey',
  'ScheduleKeyDeletion',
  'CancelKeyDeletion',
  'Encrypt',
  'Decrypt',
  'Encrypt',
  'Decrypt',
]
const SIDE = [
  'TagResource',
  'UntagResource',
  'CreateAlias',
  'DeleteAlias',
  'UpdateKeyDescription',
  'ListKeyRotations',
  'Pass',
  'Pass',
]
const OWN = [
  'EnableKeyRotation',
  'EnableKeyRotation',
  'DisableKeyRotation',
  'GetKeyRotationStatus',
  'RotateKeyOnDemand',
  'RotateKeyOnDemand',
]
const IMPORTED = [
  'ImportNew',
  'ImportNew',
  'ImportNew',
  'ImportAgain',
  'ImportAgain',
  'DeleteImportedKeyMaterial',
  'RotateKeyOnDemand',
]

const step = (names: readonly string[]) => fc.tuple(fc.constantFrom(...names), fc.nat(1000))

for (const [origin, often, seldom] of [
  ['AWS_KMS', OWN, IMPORTED],
  ['EXTERNAL', IMPORTED, OWN],
] as const) {
  test(`random lives of keys of origin ${origin}`, async () => {
    const done = new Map<string, number>()
    const names = [...COMMON, ...SIDE, ...often, ...often, ...COMMON, ...SIDE, ...often, ...seldom]
    await fc.assert(
      fc.asyncProperty(fc.array(step(names), { minLength: 10, maxLength: 60 }), async steps => {
        const caller = user('owner', undefined, String(randomInt(100_000_000_000, 999_999_999_999)))
        const life = await Life.begin(kms, caller, origin)
        for (const [name, n] of steps) {
          await life.steps[name]?.(n)
          done.set(name, (done.get(name) ?? 0) + 1)
          await life.look()
        }
      }),
      { numRuns: 40 },
    )
    // How often is chance; each was done.
    for (const name of new Set([...COMMON, ...SIDE, ...often])) assert.ok((done.get(name) ?? 0) > 0, name)
  })
}
