import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Admission, type LoadReason, type Quota, Ticket, type TurnedAway } from './admission.ts'

const QUOTA: Quota = { perSecond: 1000, inFlight: 100 }

function setup(t: TestContext, quotas: Readonly<Record<string, Quota>> = {}, inFlight = 10_000) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let now = 1000
  const told: string[] = []
  const reasons: string[] = []
  const admission = new Admission({
    quotaOf: tenant => quotas[tenant] ?? QUOTA,
    inFlight,
    onLoad: ({ tenant }, reason: LoadReason) => reasons.push(`${tenant} ${reason}`),
    now: () => now,
  })
  const enter = (tenant = 'a', protocol = 'xks'): Ticket | TurnedAway =>
    admission.enter({ tenant, protocol }, { timeIsOver: () => told.push(tenant) })
  const ticket = (tenant = 'a', protocol = 'xks'): Ticket => {
    const entered = enter(tenant, protocol)
    assert.ok(entered instanceof Ticket, String(entered))
    return entered
  }
  const tickets = (count: number, tenant = 'a'): Ticket[] => Array.from({ length: count }, () => ticket(tenant))
  const pass = (milliseconds: number) => {
    for (let i = 0; i < milliseconds; i++) {
      now++
      t.mock.timers.tick(1)
    }
  }
  const underWay = () => Object.fromEntries(admission.underWay())
  return { admission, enter, ticket, tickets, pass, told, reasons, underWay }
}

test('a rate: what a second brings at once, then as it comes, and each tenant its own', t => {
  const { enter, pass } = setup(t, { a: { perSecond: 10, inFlight: 1000 }, slow: { perSecond: 0.5, inFlight: 1 } })
  const many = (count: number) => {
    const entered = Array.from({ length: count }, () => enter()).filter(each => each instanceof Ticket)
    for (const each of entered) each.settle()
    return entered
  }
  assert.equal(many(30).length, 10)
  assert.equal(enter(), 'rate')
  assert.ok(enter('b') instanceof Ticket)
  pass(250)
  assert.equal(many(30).length, 2)
  pass(60_000)
  assert.equal(many(30).length, 10)
  const first = enter('slow')
  assert.ok(first instanceof Ticket)
  first.settle()
  assert.equal(enter('slow'), 'rate')
  pass(2000)
  assert.ok(enter('slow') instanceof Ticket)
})

test('a number under way, until the boundary has done with it', t => {
  const { enter, tickets, reasons, underWay } = setup(t, { a: { perSecond: 1e6, inFlight: 3 } })
  const [first] = tickets(3)
  assert.equal(enter(), 'in_flight')
  assert.deepEqual(underWay(), { a: 3 })
  first?.settle()
  assert.ok(enter() instanceof Ticket)
  assert.equal(enter(), 'in_flight')
  assert.deepEqual(reasons, ['a in_flight', 'a in_flight'])
})

test('from half full on, none has more than its equal share', t => {
  const { enter, tickets } = setup(t, {}, 100)
  tickets(49, 'a')
  tickets(1, 'b')
  assert.ok(enter('a') instanceof Ticket)
  assert.equal(enter('a'), 'share')
  assert.ok(enter('b') instanceof Ticket)
  assert.ok(enter('c') instanceof Ticket)
})

test('whoever waits is told when time is over, and its request stays under way until it is done', t => {
  const { tickets, ticket, pass, told, underWay, reasons } = setup(t)
  const [one] = tickets(1)
  const slow = ticket('k', 'kubernetes')
  pass(199)
  assert.deepEqual(told, [])
  pass(1)
  assert.deepEqual(told, ['a'])
  assert.deepEqual(reasons, ['a deadline'])
  assert.equal(one?.expired, true)
  assert.deepEqual(underWay(), { a: 1, k: 1 })
  one?.settle()
  pass(699)
  assert.deepEqual(told, ['a'])
  pass(1)
  assert.deepEqual(told, ['a', 'k'])
  slow.settle()
  assert.deepEqual(underWay(), { a: 0, k: 0 })
})

test('a tenant whose requests are late is turned away, and one whose requests are not answered is told so; others are not', t => {
  const { tickets, enter, pass } = setup(t)
  const stuck = tickets(9)
  pass(149)
  assert.ok(enter() instanceof Ticket)
  pass(1)
  assert.equal(enter(), 'late')
  assert.ok(enter('b') instanceof Ticket)
  pass(50)
  assert.equal(enter(), 'away')
  assert.ok(enter('b') instanceof Ticket)
  stuck[0]?.settle()
  assert.ok(enter() instanceof Ticket)
})

test('a few answers that never come turn nobody away', t => {
  const { tickets, enter, pass } = setup(t)
  tickets(8)
  pass(10_000)
  for (let i = 0; i < 50; i++) {
    const entered = enter()
    assert.ok(entered instanceof Ticket)
    entered.settle()
  }
})

test('waiting for a person is neither late nor under way, has a bound of its own, and time begins anew after it', t => {
  const { tickets, enter, pass, told, underWay } = setup(t, { a: { perSecond: 1e6, inFlight: 2 } })
  const [one, two] = tickets(2)
  assert.ok(one && two)
  pass(190)
  assert.equal(one.pause(), true)
  assert.equal(two.pause(), true)
  const [three] = tickets(1)
  assert.equal(three?.pause(), false)
  three?.settle()
  assert.deepEqual(underWay(), { a: 2 })
  pass(5000)
  assert.deepEqual(told, [])
  one.resume()
  pass(199)
  assert.deepEqual(told, [])
  pass(1)
  assert.deepEqual(told, ['a'])
  assert.equal(one.pause(), false)
  one.settle()
  two.settle()
  assert.deepEqual(underWay(), { a: 0 })
  assert.ok(enter() instanceof Ticket)
})

test('long uses of one tenant take turns in their order, and leave others alone', async t => {
  const { tickets, ticket } = setup(t)
  const all = tickets(20)
  const order: number[] = []
  const turns = all.map((each, i) => Promise.resolve(each.turn()).then(() => order.push(i)))
  const other = ticket('b')
  assert.equal(other.turn(), undefined)
  await Promise.all(turns.slice(0, 16))
  assert.deepEqual(order, [...Array(16).keys()])
  for (const each of all) {
    each.turnOver()
    await new Promise(setImmediate)
  }
  assert.deepEqual(order, [...Array(20).keys()])
  assert.equal(ticket().turn(), undefined)
})
