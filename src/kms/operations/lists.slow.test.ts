/** Every list of the API while entries come and go between its pages. */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import type { Caller } from '../access/types.ts'
import { startTestKms, type TestKms, user } from '../testing.ts'

let kms: TestKms
before(async () => {
  kms = await startTestKms({ list: () => Promise.resolve([]) })
})
after(() => kms.stop())

const DAY = 86_400_000

/** A caller of an account that has nothing yet. */
const newcomer = (): Caller => user('lister', undefined, String(randomInt(100_000_000_000, 999_999_999_999)))

/** One of the real lists: what it shows, and how entries come and go. Names are those that the list shows. */
interface List {
  page(input: object): Promise<{ shown: readonly string[]; NextMarker?: string; Truncated: boolean }>
  add(): Promise<string>
  remove(name: string): Promise<void>
}

async function aliasesOf(caller: Caller, ofOneKey: boolean): Promise<List> {
  const { KeyMetadata } = await kms.ok('CreateKey', {}, caller)
  const KeyId = KeyMetadata.KeyId
  return {
    page: async input => {
      const answer = await kms.ok('ListAliases', ofOneKey ? { ...input, KeyId } : input, caller)
      return { ...answer, shown: answer.Aliases.map((alias: { AliasName: string }) => alias.AliasName) }
    },
    add: async () => {
      const AliasName = `alias/${randomInt(2 ** 40).toString(36)}`
      await kms.ok('CreateAlias', { AliasName, TargetKeyId: KeyId }, caller)
      return AliasName
    },
    remove: AliasName => kms.ok('DeleteAlias', { AliasName }, caller),
  }
}

async function keysOf(caller: Caller): Promise<List> {
  return {
    page: async input => {
      const answer = await kms.ok('ListKeys', input, caller)
      return { ...answer, shown: answer.Keys.map((key: { KeyId: string }) => key.KeyId) }
    },
    add: async () => (await kms.ok('CreateKey', {}, caller)).KeyMetadata.KeyId,
    remove: async KeyId => {
      await kms.ok('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 }, caller)
      await kms.advance(8 * DAY)
    },
  }
}

async function tagsOf(caller: Caller): Promise<List> {
  const { KeyId } = (await kms.ok('CreateKey', {}, caller)).KeyMetadata
  return {
    page: async input => {
      const answer = await kms.ok('ListResourceTags', { ...input, KeyId }, caller)
      return { ...answer, shown: answer.Tags.map((tag: { TagKey: string }) => tag.TagKey) }
    },
    add: async () => {
      // Beyond ASCII the orders of UTF-8 and UTF-16 differ.
      const TagKey = `${['a', 'Z', 'é', '\u{ffee}', '\u{1f600}'][randomInt(5)]}${randomInt(2 ** 30)}`
      await kms.ok('TagResource', { KeyId, Tags: [{ TagKey, TagValue: '' }] }, caller)
      return TagKey
    },
    remove: TagKey => kms.ok('UntagResource', { KeyId, TagKeys: [TagKey] }, caller),
  }
}

const LISTS: Readonly<Record<string, (caller: Caller) => Promise<List>>> = {
  ListKeys: keysOf,
  'ListAliases of an account': caller => aliasesOf(caller, false),
  'ListAliases of a key': caller => aliasesOf(caller, true),
  ListResourceTags: tagsOf,
}

/** Between two pages: what comes and goes, the latter by its place among what is there. */
const between = fc.record({
  limit: fc.integer({ min: 1, max: 5 }),
  add: fc.nat(2),
  remove: fc.array(fc.nat(), { maxLength: 2 }),
})

for (const [name, make] of Object.entries(LISTS)) {
  test(`${name}: what is there throughout is shown once, whatever comes and goes between the pages`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(12), fc.array(between, { minLength: 1, maxLength: 4 }), async (first, steps) => {
        const list = await make(newcomer())
        const there: string[] = []
        for (let i = 0; i < first; i++) there.push(await list.add())
        const throughout = new Set((await list.page({})).shown)
        const shown: string[] = []
        let Marker: string | undefined
        for (let turn = 0; turn === 0 || Marker !== undefined; turn++) {
          const { limit, add, remove } = steps[turn % steps.length] ?? { limit: 5, add: 0, remove: [] }
          const page = await list.page({ Limit: limit, ...(Marker === undefined ? {} : { Marker }) })
          assert.ok(page.shown.length <= limit)
          assert.equal(page.Truncated, page.NextMarker !== undefined)
          shown.push(...page.shown)
          Marker = page.NextMarker
          if (turn >= steps.length) continue
          for (let i = 0; i < add; i++) there.push(await list.add())
          for (const place of remove) {
            const [gone] = there.splice(place % Math.max(1, there.length), 1)
            if (gone === undefined) continue
            await list.remove(gone)
            throughout.delete(gone)
          }
        }
        assert.equal(new Set(shown).size, shown.length, 'shown twice')
        for (const entry of throughout) assert.ok(shown.includes(entry), `lost: ${entry}`)
      }),
      { numRuns: name === 'ListKeys' ? 8 : 12 },
    )
  })
}

/** aws-kms.md §10: what a list takes as Limit. */
const LIMITS: readonly (readonly [operation: string, most: number])[] = [
  ['ListKeys', 1000],
  ['ListAliases', 100],
  ['ListResourceTags', 50],
  ['ListKeyPolicies', 1000],
  ['ListKeyRotations', 1000],
  ['DescribeCustomKeyStores', 1000],
]

test('limits of every list', async () => {
  const { KeyId } = (await kms.ok('CreateKey', {})).KeyMetadata
  for (const [operation, most] of LIMITS) {
    const of =
      operation === 'ListKeys' || operation === 'ListAliases' || operation === 'DescribeCustomKeyStores'
        ? {}
        : { KeyId }
    for (const [Limit, status] of [
      [0, 400],
      [1, 200],
      [most, 200],
      [most + 1, 400],
    ] as const) {
      const answer = await kms.call(operation, { ...of, Limit })
      assert.equal(answer.status, status, `${operation} ${Limit}`)
      if (status === 400) assert.equal(answer.body.__type, 'ValidationException')
    }
  }
})

test('without a limit a page has as many entries as AWS shows', async () => {
  const caller = newcomer()
  const { KeyId } = (await kms.ok('CreateKey', {}, caller)).KeyMetadata
  for (let i = 0; i < 49; i++) await kms.ok('CreateAlias', { AliasName: `alias/a${i}`, TargetKeyId: KeyId }, caller)
  const other = (await kms.ok('CreateKey', {}, caller)).KeyMetadata.KeyId
  for (let i = 0; i < 9; i++) await kms.ok('CreateAlias', { AliasName: `alias/b${i}`, TargetKeyId: other }, caller)
  assert.equal((await kms.ok('ListAliases', {}, caller)).Aliases.length, 50)
  for (let i = 0; i < 99; i++) await kms.ok('CreateKey', {}, caller)
  const page = await kms.ok('ListKeys', {}, caller)
  assert.deepEqual([page.Keys.length, page.Truncated], [100, true])
})
