/** Keys that are kept as they were read: from the second look on, also where the members of a multi-Region set take turns. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { Call } from '../operations/types.ts'
import { REGIONS, startTestKms } from '../testing.ts'
import { findKeyIn, placeFor } from './find.ts'

/** Of AWS, by how their names are made: those that differ least. */
const NAMES = [
  ...['us-east-1', 'us-east-2', 'us-west-1', 'us-west-2', 'eu-west-1', 'eu-west-2', 'eu-west-3', 'ca-west-1'],
  ...['af-south-1', 'ap-south-1', 'ap-south-2', 'eu-south-1', 'eu-south-2', 'me-south-1', 'eu-north-1', 'cn-north-1'],
  ...['ca-central-1', 'eu-central-1', 'il-central-1', 'me-central-1', 'mx-central-1'],
  ...['us-gov-east-1', 'us-gov-west-1', 'ap-northeast-1', 'ap-southeast-1'],
]

test('no two Regions of one length share a place for the keys of their sets, and keys of one Region are spread', () => {
  const length = new Map<number, string[]>()
  for (const name of NAMES) length.set(name.length, [...(length.get(name.length) ?? []), name])
  for (const keyId of [`mrk-${'0'.repeat(32)}`, `mrk-${randomUUID().replaceAll('-', '')}`])
    for (const names of length.values()) {
      const places = names.map(name => placeFor(`${name}/${keyId}`))
      assert.equal(new Set(places).size, names.length, `${names} ${keyId} ${places}`)
    }
  const spread = new Set(Array.from({ length: 1024 }, () => placeFor(`eu-north-1/${randomUUID()}`)))
  // By chance alone it is 647, give or take 12.
  assert.ok(spread.size > 570, `${spread.size} places of 1024 keys`)
})

test('the members of a set that are used in turn are read once each and kept', async () => {
  const kms = await startTestKms()
  try {
    const { KeyId } = (await kms.ok('CreateKey', { MultiRegion: true })).KeyMetadata
    for (const ReplicaRegion of REGIONS.slice(1)) {
      await kms.ok('ReplicateKey', { KeyId, ReplicaRegion })
      await kms.advance(1)
    }
    const call = { services: kms.services } as Call
    const look = () => Promise.all(REGIONS.map(region => findKeyIn(call, region, KeyId)))
    const looks = [await look(), await look(), await look(), await look()]
    for (const [at, region] of REGIONS.entries()) {
      assert.equal(looks[2]?.[at]?.region, region)
      assert.equal(looks[2]?.[at], looks[3]?.[at], `${region} is read again`)
    }
  } finally {
    await kms.stop()
  }
})
