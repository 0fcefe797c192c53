import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { makeRoot, openRoot, parseRootFile } from './rootfile.ts'
import { readShare, type ShareSet, writeShare } from './share-text.ts'
import { keyOf, makeShares, newShareSet, readParameters, sharesRoot, writeParameters } from './shares.ts'
import { RootError } from './types.ts'

const code =
  (wanted: string, text = /./) =>
  (error: unknown) =>
    error instanceof RootError && error.code === wanted && text.test(error.message)
const BOUNDARY = randomBytes(16)
const input = { service: 'ekm', dev: false, now: 1_700_000_000_000 } as const

test('a root file that shares wrap opens with any M of them, and not with a wrong one among them', async () => {
  const set = newShareSet(BOUNDARY, 2, 3)
  const { key, shares } = makeShares(set)
  const { bytes } = await makeRoot(sharesRoot(set, key), input)
  const file = parseRootFile(bytes)
  assert.equal(file.kind, 'shares')
  const found = readParameters(BOUNDARY, file.parameters)
  assert.deepEqual(found, set)
  const [a, b, c] = shares
  assert.ok(a && b && c)
  for (const some of [
    [a, b],
    [c, a],
    [b, c],
    [a, b, c],
  ])
    await openRoot(sharesRoot(found, keyOf(some)), file)
  const wrong = Buffer.from(b)
  wrong[0] = (wrong[0] ?? 0) ^ 1
  await assert.rejects(openRoot(sharesRoot(found, keyOf([a, wrong])), file), code('WrongShares', /one or more/))
})

test('the root file says nothing that tells one share from another', () => {
  const set = newShareSet(BOUNDARY, 3, 5)
  assert.equal(writeParameters(set).toString('hex'), `010305${set.setId.toString('hex')}`)
})

test('numbers out of bounds are refused, also where the root file names them', () => {
  for (const [threshold, count] of [
    [1, 2],
    [0, 0],
    [3, 2],
    [2, 17],
    [1.5, 3],
    [Number.NaN, 2],
  ] as const)
    assert.throws(() => newShareSet(BOUNDARY, threshold, count), code('Refused', /at least 2 of at most 16/))
  const good = writeParameters(newShareSet(BOUNDARY, 2, 16))
  for (const [at, value] of [
    [0, 2],
    [1, 1],
    [1, 17],
    [2, 17],
    [2, 1],
  ] as const) {
    const bad = Buffer.from(good)
    bad[at] = value
    assert.throws(() => readParameters(BOUNDARY, bad), code('Damaged'))
  }
  for (const bad of [good.subarray(1), good.subarray(0, -1), Buffer.concat([good, Buffer.alloc(1)]), Buffer.alloc(0)])
    assert.throws(() => readParameters(BOUNDARY, bad), code('Damaged'))
})

const lineOf = (set: ShareSet): { raw: Buffer; line: string } => {
  const [raw] = makeShares(set).shares
  assert.ok(raw)
  return { raw, line: writeShare(set, raw).toString('latin1') }
}

test('a share is one line of capitals and digits in groups, and is read back', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 16 }), threshold => {
      const set = newShareSet(randomBytes(16), threshold, 16)
      const { raw, line } = lineOf(set)
      assert.match(line, /^holdfast-share-1 (?:[A-Z2-7]{6}-){16}[A-Z2-7]{5}$/)
      assert.deepEqual(readShare(set, Buffer.from(line)), raw)
    }),
    { numRuns: 40 },
  )
})

test('it may be typed in small letters, with spaces for hyphens or nothing between them', () => {
  const set = newShareSet(BOUNDARY, 2, 2)
  const { raw, line } = lineOf(set)
  const [label = '', letters = ''] = line.split(' ')
  for (const typed of [
    letters.toLowerCase(),
    letters.replaceAll('-', ' '),
    letters.replaceAll('-', ''),
    `  ${letters}\t\r`,
  ])
    assert.deepEqual(readShare(set, Buffer.from(`${label} ${typed}`)), raw, typed)
})

test('every letter that is changed, left out, doubled or exchanged with the next one is noticed', () => {
  const set = newShareSet(BOUNDARY, 2, 3)
  const { line } = lineOf(set)
  const refused = (text: string) =>
    assert.throws(() => readShare(set, Buffer.from(text, 'latin1')), code('Refused', /no share/), text)
  for (let at = 0; at < line.length; at++) {
    const [before, letter, after] = [line.slice(0, at), line[at] ?? '', line.slice(at + 1)]
    if (letter === '-' && at > 16) continue
    if (letter !== ' ')
      for (const other of ['A', '7', '0', '1', '8', '\xc1', '=']) if (other !== letter) refused(before + other + after)
    if (letter === ' ') continue
    refused(before + after)
    refused(before + letter + letter + after)
    const next = after[0] ?? ''
    if (next !== '' && next !== letter && next !== '-' && next !== ' ') refused(before + next + letter + after.slice(1))
  }
  refused('')
  refused('holdfast-share-1')
  refused(`${line}A`)
  refused(`${line}${' '.repeat(512)}`)
})

test('a share of another boundary, of another set or of other numbers is told as such', () => {
  const set = newShareSet(BOUNDARY, 2, 3)
  const others: ShareSet[] = [
    { ...set, boundaryId: randomBytes(16) },
    { ...set, setId: randomBytes(8) },
    { ...set, threshold: 3 },
    { ...set, count: 4 },
  ]
  for (const other of others)
    assert.throws(() => readShare(set, Buffer.from(lineOf(other).line)), code('Refused', /another boundary/))
})
