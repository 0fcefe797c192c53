/** Promise 5: every route of every protocol declares what it is to the owner, and the start sees to it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { actionOf, allOperations, assertEveryRouteDeclared } from '../access/operations.ts'
import { PROTOCOL_NAMES } from '../keys/protocols.ts'
import { PROTOCOLS } from './index.ts'

/** Answered without asking the policy: nothing of a customer's is used. */
const WITHOUT_POLICY = ['xks:health', 'azure:info', 'dke:publickey', 'kacls:status', 'kacls:certs']
/** No route: the step of `rewrap` that asks the other key service. */
const STEPS = ['kacls:migrate']

test('promise 5: what the protocols serve is what the tables declare, no more and no less', () => {
  assertEveryRouteDeclared(PROTOCOLS)
  assert.deepEqual(PROTOCOLS.map(({ name }) => name).sort(), [...PROTOCOL_NAMES].sort())
  const served = new Set(PROTOCOLS.flatMap(({ name, routes }) => routes.map(route => `${name}:${route}`)))
  const declared = allOperations().map(({ operation }) => operation)
  assert.deepEqual([...served, ...STEPS].sort(), [...declared, ...WITHOUT_POLICY].sort())
})

test('promise 5: what is answered without asking the policy has no action, so that it can use no key', () => {
  for (const route of WITHOUT_POLICY) {
    const [protocol = '', operation = ''] = route.split(':')
    assert.equal(actionOf(protocol, operation), undefined)
  }
})

test('promise 5: a route that declares nothing does not start', () => {
  const refused = (name: string, route: string) =>
    assert.throws(
      () => assertEveryRouteDeclared([...PROTOCOLS, { name, routes: [route] }]),
      new RegExp(`${name}:${route}`),
    )
  refused('azure', 'signkey')
  refused('smtp', 'encrypt')
  // Of another protocol.
  refused('azure', 'encrypt')
  refused('google', 'health')
  for (const inherited of ['toString', 'constructor', '__proto__', '']) {
    refused('xks', inherited)
    refused(inherited, 'encrypt')
  }
})
