import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { KeyRow, RevokeTarget } from '../client/api.ts'
import type { ControlConnection } from '../client/control.ts'
import type { UseConnection } from '../client/use.ts'
import type { Asserted } from '../words.ts'
import { decodeHold, encodeHold, type Hold } from './keys/holds.ts'
import { decodeSwitch, principalSwitch } from './keys/switches.ts'
import { fails, headerOfRow, type InProcess, inProcess } from './testing/in-process.ts'

let boundary: InProcess
let use: UseConnection
let control: ControlConnection

/** Milliseconds by which the boundary's clock is ahead. */
let ahead = 0

before(async () => {
  boundary = await inProcess({ config: { service: 'ekm' }, now: () => Date.now() + ahead })
  ;({ use, control } = boundary)
})
after(async () => {
  await boundary.stop()
  boundary.remove()
})

let count = 0
const create = (): Promise<KeyRow> => {
  const id = `acme/held-${++count}`
  const where = { scope: 'acme', tenant: 'acme', spec: 'EXTERNAL_AES_256', backing: 'SEALED', tokenObject: '' } as const
  return control.createExternalKey({ id, ...where, mayEncrypt: true, mayDecrypt: true }, {})
}
const plaintext = Buffer.from('a data key')
const none = Buffer.alloc(0)
const BY_XKS: Asserted = { operation: 'xks:encrypt', accessKeyId: 'AKID', claimedPrincipal: 'arn:aws:iam::1:role/App' }
const BY_AZURE: Asserted = { operation: 'azure:wrapkey', accessKeyId: 'ff00', principal: 'pool.example' }
const encrypt = (key: KeyRow, asserted: Asserted) => use.externalEncrypt(key, plaintext, none, false, asserted)
const wrap = (key: KeyRow, asserted: Asserted) => use.externalWrap(key, 'A256KWP', Buffer.from(plaintext), asserted)

test('a switch of a protocol or a principal stops exactly those, on every kind of use, until it is restored', async () => {
  const key = await create()
  const stopsXks: RevokeTarget[] = [
    { protocol: 'xks' },
    { principal: 'AKID' },
    { principal: 'arn:aws:iam::1:role/App' },
  ]
  for (const target of stopsXks) {
    await control.revoke(target, {})
    await assert.rejects(encrypt(key, BY_XKS), fails('KeyRevoked'), JSON.stringify(target))
    await wrap(key, BY_AZURE)
    await control.restore(target, {})
    await encrypt(key, BY_XKS)
  }
  await control.revoke({ principal: 'pool.example' }, {})
  await assert.rejects(wrap(key, BY_AZURE), fails('KeyRevoked'))
  await encrypt(key, BY_XKS)
  await control.revoke({ protocol: 'azure' }, {})
  await control.restore({ principal: 'pool.example' }, {})
  await assert.rejects(wrap(key, BY_AZURE), fails('KeyRevoked'), 'each of the two stops by itself')
  await control.restore({ protocol: 'azure' }, {})
  await wrap(key, BY_AZURE)
})

test('a rule can revoke and never restore; what it saw stands in the switch', async () => {
  const key = await create()
  await use.trip({ principal: 'AKID' }, 'burst', '1000 unwraps in 60 s', BY_XKS)
  await assert.rejects(encrypt(key, BY_XKS), fails('KeyRevoked'))
  const row = await control.getRow('switch', principalSwitch('AKID'))
  assert.equal(decodeSwitch(row?.body ?? none).cause, 'burst: 1000 unwraps in 60 s')
  await control.restore({ principal: 'AKID' }, {})
  await encrypt(key, BY_XKS)
  await use.trip({ key: key.id }, 'burst', 'again', BY_XKS)
  assert.equal(headerOfRow(await boundary.key(key.id)).state, 'Revoked')
  await assert.rejects(use.trip({ key: key.id }, '', 'no name', BY_XKS), fails('InvalidRequest'))
})

const hold = (key: KeyRow, expected: number, held: Partial<Hold> | undefined) => {
  const all: Hold = { mode: 'deny', decisionSeconds: 60, approvers: [], note: 'audit', ...held }
  const body = held === undefined ? null : encodeHold(all)
  return control.putRows([{ kind: 'hold', id: key.id, scope: 'acme', link: '', expected, body }], {})
}

test('a key on hold is used only by whom a named person has let, and for as long as that', async () => {
  const key = await create()
  await hold(key, 0, { approvers: ['ann', 'bob'] })
  await assert.rejects(encrypt(key, BY_XKS), fails('Held'))
  await assert.rejects(encrypt(key, BY_XKS), fails('Held'))
  await assert.rejects(wrap(key, BY_AZURE), fails('Held'))
  const asks = (await control.listAsks()).filter(ask => ask.keyId === key.id)
  assert.deepEqual(
    asks.map(ask => [ask.asserted.operation, ask.asserted.claimedPrincipal, ask.count, ask.decision]),
    [
      ['xks:encrypt', 'arn:aws:iam::1:role/App', 2, 'none'],
      ['azure:wrapkey', undefined, 1, 'none'],
    ],
  )
  const [first] = asks
  assert.ok(first)
  await assert.rejects(control.decideAsk(first.id, true, 'mallory', 0, {}), fails('NotPermitted'))
  await assert.rejects(control.decideAsk(first.id, true, '', 0, {}), fails('NotPermitted'))
  await assert.rejects(control.decideAsk('ffffffffffff', true, 'ann', 0, {}), fails('KeyGone'))
  await assert.rejects(encrypt(key, BY_XKS), fails('Held'), 'none of these decided anything')
  await control.decideAsk(first.id, true, 'ann', 0, { operation: 'ekm:approve' })
  await encrypt(key, BY_XKS)
  await assert.rejects(encrypt(key, { ...BY_XKS, claimedPrincipal: 'arn:aws:iam::1:role/Other' }), fails('Held'))
  await assert.rejects(wrap(key, BY_AZURE), fails('Held'), 'somebody else asks something else')
  ahead += 61_000
  await assert.rejects(encrypt(key, BY_XKS), fails('Held'), 'the decision has run out')
  await control.decideAsk(first.id, false, 'bob', 3600, {})
  await assert.rejects(encrypt(key, BY_XKS), fails('Held'))
  await hold(key, 1, undefined)
  await encrypt(key, BY_XKS)
})

test('a use may wait for the decision, and is told at once when it is there', async () => {
  const key = await create()
  await hold(key, 0, { mode: 'wait' })
  const ask = await encrypt(key, BY_XKS).then(
    () => assert.fail('held'),
    error => /^wait ([0-9a-f]{12})$/.exec(error.detail)?.[1] ?? assert.fail(error),
  )
  const decided = use.awaitDecision(ask, 60_000)
  await control.decideAsk(ask, true, 'ann', 10, {})
  await decided
  await encrypt(key, BY_XKS)
  await use.awaitDecision('ffffffffffff', 60_000)
})

test('the body of a hold comes back as it was; bytes that are none hold and let nobody decide', async () => {
  const one: Hold = { mode: 'wait', decisionSeconds: 7, approvers: ['ann', 'bob'], note: 'é' }
  assert.deepEqual(decodeHold(encodeHold(one)), one)
  assert.throws(() => decodeHold(Buffer.from([2])))
  const key = await create()
  await control.putRows(
    [{ kind: 'hold', id: key.id, scope: 'acme', link: '', expected: 0, body: Buffer.from('nonsense') }],
    {},
  )
  await assert.rejects(encrypt(key, BY_XKS), fails('Held'))
  const ask = (await control.listAsks()).find(each => each.keyId === key.id)
  assert.ok(ask)
  await assert.rejects(control.decideAsk(ask.id, true, 'ann', 0, {}), fails('NotPermitted'))
})
