import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { KmsError } from '../wire/errors.ts'
import { aliasNameOf, aliasRowId, keyArn, keyIdOf, keyRowId, type Place, parseKeyId } from './identifiers.ts'

const PLACE: Place = { partition: 'aws', region: 'eu-north-1', account: '111122223333' }
const ID = '11111111-2222-3333-4444-555555555555'

const refused = (text: string, aliases: boolean, code: string, message: string): void => {
  assert.throws(
    () => parseKeyId(text, PLACE, aliases),
    (error: unknown) => error instanceof KmsError && error.code === code && error.text === message,
    `${text} should be ${code}: ${message}`,
  )
}

test('the four forms', () => {
  assert.deepEqual(parseKeyId(ID, PLACE, false), { kind: 'key', account: PLACE.account, keyId: ID, fromArn: false })
  assert.deepEqual(parseKeyId(`arn:aws:kms:eu-north-1:444455556666:key/${ID}`, PLACE, false), {
    kind: 'key',
    account: '444455556666',
    keyId: ID,
    fromArn: true,
  })
  assert.deepEqual(parseKeyId('alias/a/b_c-D', PLACE, true), {
    kind: 'alias',
    account: PLACE.account,
    name: 'alias/a/b_c-D',
  })
  assert.deepEqual(parseKeyId('arn:aws:kms:eu-north-1:444455556666:alias/x', PLACE, true), {
    kind: 'alias',
    account: '444455556666',
    name: 'alias/x',
  })
  const mrk = `mrk-${'a'.repeat(32)}`
  assert.deepEqual(parseKeyId(mrk, PLACE, false), { kind: 'key', account: PLACE.account, keyId: mrk, fromArn: false })
})

test('every other form, in AWS’s words (aws-kms.md §6)', () => {
  refused('fake-key-id', true, 'NotFoundException', "Invalid keyId 'fake-key-id'")
  refused('mrk-fake-key-id', true, 'NotFoundException', "Invalid keyId 'mrk-fake-key-id'")
  refused(ID.replaceAll('-', ''), true, 'NotFoundException', `Invalid keyId '${ID.replaceAll('-', '')}'`)
  refused(`arn:aws:kms:us-west-2:111122223333:key/${ID}`, true, 'NotFoundException', 'Invalid arn us-west-2')
  refused('arn:aws:kms:us-west-2:111122223333:alias/x', true, 'NotFoundException', 'Invalid arn us-west-2')
  refused('alias/x', false, 'NotFoundException', "Invalid keyId 'alias/x'")
  refused('arn:aws:kms:eu-north-1:111122223333:key/nope', true, 'NotFoundException', "Invalid keyId 'nope'")
  for (const arn of [
    'arn:',
    'arn:aws:s3:::bucket',
    `arn:aws-cn:kms:eu-north-1:111122223333:key/${ID}`,
    `arn:aws:kms:eu-north-1:1111:key/${ID}`,
    `arn:aws:kms:eu-north-1:111122223333:key/${ID}/x`,
    `arn:aws:kms:eu-north-1:111122223333:key/${ID}\n`,
  ])
    refused(arn, true, 'InvalidArnException', `Invalid arn ${arn}`)
})

test('row ids are read back, and no two names have one', () => {
  const region = fc.constantFrom('eu-north-1', 'us-east-1')
  const account = fc.stringMatching(/^[0-9]{12}$/)
  const name = fc.stringMatching(/^alias\/[A-Za-z0-9/_-]{1,40}$/)
  fc.assert(
    fc.property(account, region, name, fc.uuid(), (a, r, alias, id) => {
      assert.equal(aliasNameOf(aliasRowId(a, r, alias)), alias)
      assert.equal(keyIdOf(keyRowId(r, id)), id)
      const place = { partition: 'aws', region: r, account: a }
      const named = parseKeyId(keyArn(place, id), place, false)
      assert.deepEqual(named, { kind: 'key', account: a, keyId: id, fromArn: true })
    }),
  )
})

test('promise 11: whatever is given as a key’s name, it is a name or refused in the API’s words', () => {
  const pieces = fc.constantFrom(
    'arn:',
    'aws',
    ':',
    'kms',
    'eu-north-1',
    '111122223333',
    'key/',
    'alias/',
    ID,
    '/',
    '\u0000',
    'é',
  )
  fc.assert(
    fc.property(fc.array(fc.oneof(pieces, fc.string()), { maxLength: 12 }), fc.boolean(), (parts, aliases) => {
      try {
        const named = parseKeyId(parts.join(''), PLACE, aliases)
        assert.ok(named.kind === 'key' || aliases)
      } catch (error) {
        assert.ok(error instanceof KmsError)
        assert.ok(error.code === 'NotFoundException' || error.code === 'InvalidArnException')
      }
    }),
  )
})
