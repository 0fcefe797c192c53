/** What grants permit: operations × constraints as a table, contexts against a naive reading, what a grant can pass on, and tokens that fit one grant alone. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readGrantToken, writeGrantToken } from './grant-tokens.ts'
import {
  bitOfPermission,
  constraintsOf,
  GRANT_OPERATIONS,
  type GrantBody,
  type GrantedUse,
  type GrantOperation,
  grantThatPermits,
  maskOf,
  namesOf,
  readGrant,
  writeGrantBody,
} from './grants.ts'
import { callerOf, sessionOf } from './testing.ts'

type Asked = Pick<GrantBody, 'equals' | 'subset'> & { sourceArn?: string }
const NONE: Asked = {}
const SOURCE = 'arn:aws:s3:eu-north-1:111122223333:bucket'

const body = (operations: readonly string[], asked: Asked): GrantBody => ({
  ...{ v: 1, created: 1, name: '', grantee: 'arn:x', retiring: '', account: '1', issuer: '1', secret: '' },
  operations,
  sourceArn: '',
  ...asked,
})
const grant = (operations: readonly string[], asked: Asked = NONE, id = 'r/k#1') =>
  readGrant({
    ...{ kind: 'grant', id, scope: '', link: 'l', revision: 1, tag: Buffer.alloc(32) },
    body: writeGrantBody(body(operations, asked)),
  })
const useOf = (operation: string, more: Partial<GrantedUse> = {}): GrantedUse => ({
  operation: bitOfPermission(`kms:${operation}`),
  context: undefined,
  sourceArn: undefined,
  newGrant: undefined,
  ...more,
})
const created = (operations: readonly string[], asked: Asked = NONE): GrantedUse['newGrant'] => ({
  operations: maskOf(operations),
  constraints: constraintsOf({ sourceArn: '', ...asked }),
})
const permitted = (operations: readonly string[], asked: Asked, use: GrantedUse): boolean =>
  grantThatPermits([grant(operations, asked)], use) !== undefined

const WITH_CONTEXT = new Set<GrantOperation>([
  ...(['Decrypt', 'Encrypt', 'GenerateDataKey', 'GenerateDataKeyWithoutPlaintext'] as const),
  ...(['GenerateDataKeyPair', 'GenerateDataKeyPairWithoutPlaintext', 'ReEncryptFrom', 'ReEncryptTo'] as const),
])

test('operations × constraints: only what the grant names, held to its context where there is one, and to its source but for retiring', () => {
  assert.equal(GRANT_OPERATIONS.length, 19)
  const pairs = [['App', 'x']] as const
  for (const operation of GRANT_OPERATIONS) {
    const others = GRANT_OPERATIONS.filter(other => other !== operation)
    const newGrant = created([])
    assert.ok(permitted([operation], NONE, useOf(operation, { newGrant })), operation)
    assert.ok(!permitted(others, NONE, useOf(operation, { newGrant })), operation)
    const held = WITH_CONTEXT.has(operation)
    for (const context of [{}, { app: 'y' }, undefined]) {
      for (const asked of [{ equals: pairs }, { subset: pairs }]) {
        const made = created([], asked)
        assert.equal(permitted([operation], asked, useOf(operation, { context, newGrant: made })), !held, operation)
      }
    }
    const right = { context: { app: 'x' }, newGrant: created([], { equals: pairs }) }
    assert.ok(permitted([operation], { equals: pairs }, useOf(operation, right)), operation)
    const from = { sourceArn: SOURCE }
    const passedOn = created([], from)
    for (const sourceArn of [undefined, '', `${SOURCE}2`]) {
      const use = useOf(operation, { sourceArn, newGrant: passedOn })
      assert.equal(permitted([operation], from, use), operation === 'RetireGrant', `${operation} ${sourceArn}`)
    }
    assert.ok(permitted([operation], from, useOf(operation, { sourceArn: SOURCE, newGrant: passedOn })), operation)
  }
  for (const never of ['kms:PutKeyPolicy', 'kms:*', 'kms:ReEncrypt', 'kms:RevokeGrant', 'Encrypt', ''])
    assert.equal(bitOfPermission(never), 0, never)
})

const names = fc.constantFrom('a', 'A', 'b', 'B', 'İ', '__proto__')
const texts = fc.constantFrom('1', '2', '')
const context = fc.array(fc.tuple(names, texts), { maxLength: 4 }).map(pairs => Object.fromEntries(pairs))
const entries = (of: Record<string, string>): [string, string][] => Object.entries(of)

test('contexts: names without regard to case, values with it, and nothing hides behind another spelling', () => {
  // Read plainly: both as lists of lower-case names with their values.
  const plain = (of: Record<string, string>): [string, string][] =>
    entries(of).map(([name, value]) => [name.toLowerCase(), value])
  const within = (some: [string, string][], all: [string, string][]): boolean =>
    some.every(([name, value]) => all.some(other => other[0] === name && other[1] === value))
  fc.assert(
    fc.property(context, context, (wanted, given) => {
      const [w, g] = [plain(wanted), plain(given)]
      const equal = w.length === g.length && within(w, g) && within(g, w)
      const concerned = g.filter(([name]) => w.some(other => other[0] === name))
      const use = useOf('Encrypt', { context: given })
      assert.equal(permitted(['Encrypt'], { equals: entries(wanted) }, use), equal)
      assert.equal(permitted(['Encrypt'], { subset: entries(wanted) }, use), within(w, g) && within(concerned, w))
    }),
    { numRuns: 3000 },
  )
})

test('a grant passes on no operation that it lacks and no weaker constraint: whatever the child allows, the parent would', () => {
  const constraint = fc.oneof(
    fc.constant(NONE),
    context.map((of): Asked => ({ equals: entries(of) })),
    context.map((of): Asked => ({ subset: entries(of) })),
    fc.constant<Asked>({ sourceArn: SOURCE }),
  )
  const some = fc.subarray(['Encrypt', 'Decrypt', 'CreateGrant'])
  let passed = 0
  fc.assert(
    fc.property(some, constraint, some, constraint, context, (ownOperations, own, operations, made, given) => {
      const parent = [...ownOperations, 'CreateGrant']
      const use = useOf('CreateGrant', { newGrant: created(operations, made), sourceArn: SOURCE })
      if (!permitted(parent, own, use)) return
      passed++
      assert.ok(operations.every(operation => parent.includes(operation)))
      for (const operation of ['Encrypt', 'Decrypt'])
        for (const sourceArn of [SOURCE, undefined]) {
          const later = useOf(operation, { context: given, sourceArn })
          if (permitted(operations, made, later)) assert.ok(permitted(parent, own, later))
        }
    }),
    { numRuns: 5000 },
  )
  assert.ok(passed > 100)
  const equals: Asked = { equals: [['a', '1']] }
  assert.ok(
    permitted(['CreateGrant', 'Encrypt'], equals, useOf('CreateGrant', { newGrant: created(['Encrypt'], equals) })),
  )
  assert.ok(
    !permitted(['CreateGrant'], equals, useOf('CreateGrant', { newGrant: created([], { subset: [['a', '1']] }) })),
  )
  assert.ok(!permitted(['CreateGrant'], NONE, useOf('CreateGrant')))
})

test('the first grant that permits it is the one', () => {
  const all = [
    grant(['Decrypt'], NONE, 'r/k#1'),
    grant(['Encrypt'], { equals: [] }, 'r/k#2'),
    grant(['Encrypt'], { subset: [['a', '1']] }, 'r/k#3'),
  ]
  assert.equal(grantThatPermits(all, useOf('Encrypt', { context: { a: '1' } }))?.id, '3')
  assert.equal(grantThatPermits(all, useOf('Encrypt'))?.id, '2')
  assert.equal(grantThatPermits(all, useOf('Encrypt', { context: { b: '1' } })), undefined)
  assert.equal(grantThatPermits([], useOf('Encrypt')), undefined)
})

test('a caller is its ARN, and a service its name too', () => {
  const role = 'arn:aws:iam::111122223333:role/aws-service-role/objects.amazonaws.com/AWSServiceRoleForObjects'
  assert.deepEqual(namesOf(callerOf(role)), [role, 'objects.amazonaws.com'])
  const session = callerOf('arn:aws:iam::111122223333:role/p/app', [], {}, { session: sessionOf('one') })
  const names = ['arn:aws:sts::111122223333:assumed-role/app/one', 'arn:aws:iam::111122223333:role/p/app']
  assert.deepEqual(namesOf(session), names)
  assert.deepEqual(namesOf(callerOf('arn:aws:iam::111122223333:user/a')), ['arn:aws:iam::111122223333:user/a'])
})

test('a token fits the grant that it was made for, and nothing else is one', () => {
  const [id, secret] = [`eu-north-1/mrk-1#${'a'.repeat(64)}`, '0'.repeat(32)]
  assert.notEqual(writeGrantToken(id, secret), writeGrantToken(id, secret))
  // With this salt no part of it looks like a token by chance.
  const token = writeGrantToken(id, secret, Buffer.alloc(16, 7))
  const read = readGrantToken(token)
  assert.equal(read?.rowId, id)
  assert.ok(read.fits(secret))
  assert.ok(!read.fits('1'.repeat(32)))
  fc.assert(
    fc.property(
      fc.nat({ max: Buffer.from(token, 'base64').length - 1 }),
      fc.integer({ min: 1, max: 255 }),
      (at, flip) => {
        const bytes = Buffer.from(token, 'base64')
        bytes[at] = (bytes[at] ?? 0) ^ flip
        assert.notEqual(readGrantToken(bytes.toString('base64'))?.fits(secret), true)
      },
    ),
  )
  for (const none of ['', 'x', `${token}=`, ` ${token}`, token.slice(4), token.slice(0, 40), 'A'.repeat(8192)])
    assert.equal(readGrantToken(none), undefined, none)
})
