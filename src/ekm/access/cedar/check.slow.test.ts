import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import fc from 'fast-check'
import { CacheSpace } from './cache.ts'
import { checkPolicy } from './check.ts'
import { CompiledPolicies } from './compiled.ts'
import { starterPolicy } from './names.ts'
import { placeOf, readsOf, scan } from './scan.ts'
import { schemaText } from './schema.ts'

const check = (text: string | Buffer, owner: 'tenant' | 'service' = 'tenant') => checkPolicy(Buffer.from(text), owner)
const shown = (text: string | Buffer, owner?: 'tenant' | 'service') =>
  check(text, owner).map(({ line, column, severity, message }) => `${line}:${column} ${severity} ${message}`)

const OPEN = 'permit (principal, action, resource)'

test('the schema that is published is the one that is used', () => {
  const file = join(import.meta.dirname, '..', '..', '..', '..', 'docs', 'policy.cedarschema')
  assert.equal(readFileSync(file, 'utf8'), schemaText())
})

test('good policies: the starter of any tenant, an empty file, comments, all annotations', () => {
  for (const tenant of ['acme', 'customers/acme', '/', 'A-b_c']) assert.deepEqual(shown(starterPolicy(tenant)), [])
  assert.deepEqual(shown(''), [])
  assert.deepEqual(shown('// nothing yet; "not even this\n'), [])
  assert.deepEqual(
    shown(`@id("a.b-c_1") @description("why; \\"because\\"") @revoke("key")\nforbid (principal, action, resource);`),
    [],
  )
  assert.deepEqual(shown('@revoke("protocol") forbid (principal, action, resource);', 'service'), [])
})

const BAD: readonly (readonly [text: string, place: string, message: RegExp, owner?: 'service'])[] = [
  ['permit', '1:7', /unexpected end of input/],
  [`${OPEN} whn { true };`, '1:38', /invalid policy condition: whn/],
  [`// é🎉\n${OPEN}\n  when { /* é */ true };`, '3:13', /invalid token/],
  [`${OPEN} when { "é🎉" == context.nope };`, '1:53', /attribute `nope` in context not found/],
  [`${OPEN};\n\n${OPEN} when { context.reason == 1 };`, '3:45', /not compatible|expected/],
  [`permit (principal, action == Action::"xks:encryp", resource);`, '1:30', /unrecognized action/],
  [`permit (principal in Tenat::"x", action, resource);`, '1:22', /unrecognized entity type `Tenat`/],
  [`permit (principal in Protocol::"xsk", action, resource);`, '1:22', /"xsk"` is not declared/],
  [`${OPEN} when { context.sourceIp.isLoopback() };`, '1:45', /optional attribute `sourceIp`/],
  [`${OPEN} when { ip(context.region).isLoopback() };`, '1:45', /non-literal/],
  [`permit (principal == ?principal, action, resource);`, '1:22', /templates are not supported/],
  [
    `forbid (principal, action, resource) when { context.reason == "THIRD_PARTY" };`,
    '1:63',
    /context\.reason is never "THIRD_PARTY"; it is one of/,
  ],
  [`forbid (principal, action, resource) when { "X" != context.reason };`, '1:45', /context\.reason is never "X"/],
  [
    `forbid (principal, action, resource) unless { ["token", "hsm"].contains(resource.backing) };`,
    '1:57',
    /resource\.backing is never "hsm"/,
  ],
  [
    `forbid (principal, action, resource) when { context.weekday == "Sun" };`,
    '1:64',
    /context\.weekday is never "Sun"/,
  ],
  [`@revok("key") forbid (principal, action, resource);`, '1:1', /there is no annotation @revok/],
  [
    `@id("x") @revoke("everything") forbid (principal, action, resource);`,
    '1:10',
    /@revoke takes "key", "principal", "protocol", "tenant"/,
  ],
  [`@revoke forbid (principal, action, resource);`, '1:1', /@revoke takes/],
  [`@revoke("key") ${OPEN};`, '1:1', /stands on policies that forbid/],
  [`@revoke("protocol") forbid (principal, action, resource);`, '1:1', /concerns all tenants/],
  [`@id("a b") ${OPEN};`, '1:1', /@id takes/],
  [`@id("a") ${OPEN};\n  @id("a") ${OPEN};`, '2:3', /another policy of this file has the id a/],
  [`${OPEN};\n@id("policy1") ${OPEN};`, '2:1', /another policy of this file has the id policy1/],
  [`${OPEN};`, '1:1', /only forbids/, 'service'],
  [`${OPEN} when { ${'('.repeat(40)}true${')'.repeat(40)} };`, '1:1', /at most 32 brackets/],
  [`${OPEN} when { ${'true && '.repeat(600)}true };`, '1:1', /at most 512 words/],
  [`${OPEN};\n`.repeat(257), '257:1', /at most 256 policies/],
]

for (const [text, place, message, owner] of BAD) {
  test(`refused at ${place}: ${message.source}`, () => {
    const errors = shown(text, owner).filter(line => line.includes(' error '))
    const [first = ''] = errors
    assert.equal(first.split(' ')[0], place, errors.join('\n'))
    assert.match(first, message)
  })
}

test('what cannot be a text is refused: too long, or not UTF-8', () => {
  assert.match(shown(Buffer.alloc(65_537, 32))[0] ?? '', /at most 65536 bytes/)
  assert.match(shown(Buffer.from([0x2f, 0x2f, 0xff]))[0] ?? '', /UTF-8/)
})

test('a policy that can never hold is told, and may be set', () => {
  assert.match(
    shown('forbid (principal, action, resource) when { 1 == 2 };')[0] ?? '',
    /^1:1 warning policy is impossible/,
  )
})

/** At the bounds, in every shape that makes Cedar recurse. */
const SHAPES: Readonly<Record<string, string>> = {
  and: `${'true && '.repeat(240)}true`,
  sum: `${'1 + '.repeat(240)}1 == 1`,
  attributes: `context${'.a'.repeat(240)} == 1`,
  ifs: `${'if true then false else '.repeat(95)}true`,
  brackets: `${'('.repeat(30)}true${')'.repeat(30)}`,
  sets: `${'['.repeat(30)}1${']'.repeat(30)}.isEmpty()`,
  records: `${'{a:'.repeat(30)}1${'}'.repeat(30)} has a`,
  mixed: `${'(true && [1 + '.repeat(15)}1${'].contains(1))'.repeat(15)} || ${'1 + '.repeat(100)}1 == 1`,
  nots: `${'!'.repeat(400)}true`,
}

test('within the bounds no shape of an expression takes Cedar down', () => {
  for (const [shape, expression] of Object.entries(SHAPES)) {
    const problems = check(`${OPEN} when { ${expression} };`)
    for (const { message } of problems) assert.doesNotMatch(message, /cannot take|words|brackets/, shape)
    assert.deepEqual(shown(starterPolicy('acme')), [], `after ${shape}`)
  }
})

test('property: any text is judged, never thrown at, and what is accepted compiles', () => {
  const piece = fc.constantFrom(
    'permit',
    'forbid',
    '(',
    ')',
    'principal',
    'action',
    'resource',
    ',',
    ';',
    'when',
    '{',
    '}',
    'context',
    '.',
    'reason',
    '==',
    '"x"',
    '"',
    '@id("a")',
    '//',
    '\n',
    ' ',
    '?',
    'in',
    'Tenant::"a"',
    OPEN,
    `${OPEN};`,
    'é',
    '\\',
    '&&',
    'true',
    'has',
  )
  const text = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 30 }).map(all => all.join(' ')),
  )
  fc.assert(
    fc.property(text, given => {
      const problems = check(given)
      const lines = given.split(/\r\n|\r|\n/)
      for (const { line, column } of problems) {
        assert.ok(line >= 1 && line <= lines.length)
        assert.ok(column >= 1 && column <= [...(lines[line - 1] ?? '')].length + 1)
      }
      if (problems.some(({ severity }) => severity === 'error')) return
      new CompiledPolicies({ tenant: given, service: undefined }, new CacheSpace(0)).release()
    }),
    { numRuns: 200 },
  )
})

test('what a policy reads of the context is found, and everything where that is not certain', () => {
  const reads = (expression: string) => readsOf(scan(`${OPEN} when { ${expression} };`)).join(' ')
  assert.equal(reads('principal.name == "context.reason"'), '')
  assert.equal(reads('context.reason == "context"'), 'reason')
  assert.equal(reads('context // here\n . region == ""'), 'region')
  assert.equal(reads('context has sourceIp && context.sourceIp.isIpv4()'), 'sourceIp')
  assert.equal(reads('context.hour > 3 && context.claimedPool == ""'), 'hour claimedPool')
  for (const all of [
    'context["reason"] == ""',
    '{a: context}.a.reason == ""',
    'context == context',
    'principal in context.reason && [context].isEmpty()',
  ])
    assert.match(reads(all), /^time hour .* claimedPerimeter$/, all)
})

test('places are counted in characters, over every kind of line end', () => {
  const text = 'a\r\nb\rc\n🎉x'
  assert.deepEqual(placeOf(text, text.indexOf('b')), { line: 2, column: 1 })
  assert.deepEqual(placeOf(text, text.indexOf('c')), { line: 3, column: 1 })
  assert.deepEqual(placeOf(text, text.indexOf('x')), { line: 4, column: 2 })
})
