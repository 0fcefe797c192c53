/** A seed on a folder that is kept: the same again changes nothing, another one is refused before anything is made. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { AdminError } from '../../store/admin.ts'
import { ACCOUNT, REGION, startTestKms, type TestKms } from '../testing.ts'
import { applySeed, type SeedControl } from './apply.ts'
import { readSeed } from './read.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-seed-'))
const [ONE, TWO, THREE, FOUR, FIVE] = [1, 2, 3, 4, 5].map(n => `00000000-0000-4000-8000-00000000000${n}`)
let kms: TestKms
let control: SeedControl
before(async () => {
  kms = await startTestKms()
  control = kms.control as unknown as SeedControl
})
after(async () => {
  await kms.stop()
  rmSync(folder, { recursive: true, force: true })
})

function seed(...keys: object[]) {
  const file = join(folder, 'seed.json')
  writeFileSync(file, JSON.stringify({ Version: 1, Keys: keys }))
  return readSeed(file, { account: ACCOUNT, regions: [REGION] })
}
const apply = (...keys: object[]): Promise<number> => applySeed(control, seed(...keys))
const refused = (text: RegExp) => (error: unknown) => error instanceof AdminError && text.test(error.message)

test('the same seed again makes nothing, and takes nothing back that was done since', async () => {
  const keys = [
    { KeyId: ONE, Aliases: ['alias/one'], Tags: [{ TagKey: 'team', TagValue: 'a' }], Description: 'first' },
    { KeyId: TWO, KeyState: 'Disabled' },
  ]
  assert.equal(await apply(...keys), 2)
  assert.equal((await kms.ok('DescribeKey', { KeyId: 'alias/one' })).KeyMetadata.Description, 'first')
  await kms.ok('TagResource', { KeyId: ONE, Tags: [{ TagKey: 'team', TagValue: 'b' }] })
  await kms.ok('UpdateKeyDescription', { KeyId: ONE, Description: 'changed' })
  await kms.ok('DeleteAlias', { AliasName: 'alias/one' })
  await kms.ok('EnableKey', { KeyId: TWO })
  const records = await kms.records()
  assert.equal(await apply(...keys), 0)
  assert.equal(await kms.records(), records)
  assert.equal((await kms.ok('DescribeKey', { KeyId: ONE })).KeyMetadata.Description, 'changed')
  assert.equal((await kms.ok('DescribeKey', { KeyId: TWO })).KeyMetadata.KeyState, 'Enabled')
  // More keys than before come to those that are there.
  assert.equal(await apply(...keys, { KeyId: THREE }), 1)
})

test('another entry for a key that is there is refused, by name, and nothing of the file is made', async () => {
  const made = await kms.ok('CreateKey')
  const changes = [
    { KeyId: TWO },
    { KeyId: TWO, KeyState: 'Disabled', Description: 'x' },
    { KeyId: TWO, KeyState: 'Disabled', KeyMaterial: ['00'.repeat(32)] },
    {
      KeyId: TWO,
      KeyState: 'Disabled',
      Policy: { Statement: { Effect: 'Allow', Principal: '*', Action: 'kms:*', Resource: '*' } },
    },
  ]
  for (const changed of changes)
    await assert.rejects(
      apply({ KeyId: FOUR }, changed),
      refused(new RegExp(`Keys.1 \\(KeyId ${TWO}\\).*another entry`)),
    )
  await assert.rejects(apply({ KeyId: made.KeyMetadata.KeyId }), refused(/was not made by a seed/))
  assert.equal(await control.getRow('key', `${REGION}/${FOUR}`), undefined)
})

test('an alias that names another key, and a key that was deleted, are in the way', async () => {
  await kms.ok('CreateAlias', { AliasName: 'alias/mine', TargetKeyId: TWO })
  await assert.rejects(apply({ KeyId: FOUR, Aliases: ['alias/mine'] }), refused(/alias\/mine names another key/))
  const gone = { KeyId: FIVE, KeyState: 'PendingDeletion', PendingWindowInDays: 7 }
  assert.equal(await apply(gone), 1)
  await kms.advance(8 * 86_400_000)
  await assert.rejects(apply(gone), refused(/was deleted in this folder/))
})
