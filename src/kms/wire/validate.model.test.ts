/** Every constraint of every input member of the model, broken one at a time and several at once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KmsError } from './errors.ts'
import { DEVIATIONS, OPERATION_INPUTS, type Shape, shapeOf } from './model/model.ts'
import { compileValidator } from './validate.ts'

/** Texts that keep the pattern of a shape, by its name: as long as asked where the pattern leaves it open. */
const FITTING: Readonly<Record<string, (length: number) => string>> = {
  AccountIdType: length => '1'.repeat(length),
  BackingKeyIdType: length => 'a'.repeat(length),
  CloudHsmClusterIdType: length => `cluster-${'a'.repeat(length - 8)}`,
  GrantConstraintSourceArnType: length => `arn:aws:s3::${'1'.repeat(12)}:${'x'.repeat(Math.max(1, length - 25))}`,
  RegionType: length => `${'a'.repeat(Math.max(1, length - 4))}-b-1`,
  ServicePrincipalType: length => `${'a'.repeat(Math.max(1, length - 4))}.b.c`,
  XksProxyAuthenticationAccessKeyIdType: length => 'A'.repeat(length),
  XksProxyUriEndpointType: length => `https://${'a'.repeat(Math.max(1, length - 8))}`,
  XksProxyUriPathType: length => `/${'a'.repeat(Math.max(1, length - 12))}/kms/xks/v1`,
  XksProxyVpcEndpointServiceNameType: length =>
    `com.amazonaws.vpce.a-b-1.vpce-svc-${'0'.repeat(Math.max(1, length - 34))}`,
}

/** The shortest that these patterns allow is above what the model's own minimum refuses. */
const NEVER_SHORT = new Set([
  'CloudHsmClusterIdType',
  'GrantConstraintSourceArnType',
  'XksProxyUriEndpointType',
  'XksProxyUriPathType',
  'XksProxyVpcEndpointServiceNameType',
])

/** Their patterns fix the length, so that a wrong length is two errors. */
const OF_ONE_LENGTH = new Set(['AccountIdType', 'CloudHsmClusterIdType'])

const text = (name: string, length: number): string => (FITTING[name] ?? ((n: number) => 'a'.repeat(n)))(length)
const blob = (length: number): string => Buffer.alloc(length, 7).toString('base64')

/** A value that keeps every constraint of a shape. */
function fitting(name: string, shape: Shape = shapeOf(name)): unknown {
  switch (shape.type) {
    case 'string':
      return shape.enum?.[0] ?? text(name, Math.max(1, shape.min ?? 1))
    case 'blob':
      return blob(Math.max(1, shape.min ?? 1))
    case 'integer':
      return shape.min ?? 1
    case 'boolean':
      return true
    case 'timestamp':
      return 1_800_000_000
    case 'list':
      return [fitting(shape.member?.shape ?? '')]
    case 'map':
      return { name: 'value' }
    case 'structure':
      return Object.fromEntries(
        (shape.required ?? []).map(member => [member, fitting(shape.members?.[member]?.shape ?? '')]),
      )
  }
}

interface Broken {
  readonly value: unknown
  readonly constraint: string
}

/** Values that each break exactly one constraint of a shape, with AWS's words for it. */
function brokenOnes(name: string, shape: Shape): Broken[] {
  const { type, min, max, pattern } = shape
  const ones: Broken[] = []
  const add = (value: unknown, constraint: string) => ones.push({ value, constraint: `Member must ${constraint}` })
  if (type === 'integer') {
    if (max !== undefined) add(max + 1, `have value less than or equal to ${max}`)
    if (min !== undefined) add(min - 1, `have value greater than or equal to ${min}`)
  }
  if (type === 'string' || type === 'blob') {
    const make = type === 'blob' ? blob : (length: number) => text(name, length)
    if (max !== undefined) add(make(max + 1), `have length less than or equal to ${max}`)
    if (OF_ONE_LENGTH.has(name)) ones.pop()
    // An empty text breaks most patterns too: that is two errors.
    if (
      min !== undefined &&
      min > (pattern === undefined ? 0 : 1) &&
      !NEVER_SHORT.has(name) &&
      !OF_ONE_LENGTH.has(name)
    )
      add(make(min - 1), `have length greater than or equal to ${min}`)
    if (shape.enum !== undefined) add('NOT_ONE', `satisfy enum value set: [${shape.enum.join(', ')}]`)
    if (pattern !== undefined)
      add('\u{1f600}'.repeat(Math.max(1, Math.ceil((min ?? 1) / 2))), `satisfy regular expression pattern: ${pattern}`)
  }
  if (type === 'list' && max !== undefined)
    add(
      Array.from({ length: max + 1 }, () => fitting(shape.member?.shape ?? '')),
      `have length less than or equal to ${max}`,
    )
  return ones
}

interface Case extends Broken {
  /** The whole input, and the input's member that is broken. */
  readonly input: Record<string, unknown>
  readonly member: string
  readonly expected: string
}

const lowerCamel = (name: string): string => name.charAt(0).toLowerCase() + name.slice(1)
const message = (shape: Shape, shown: unknown, path: string, constraint: string): string => {
  const value = String(shown)
  const echo = value.length > 256 ? `${value.slice(0, 256)}...` : value
  const head = shape.sensitive || shape.type === 'blob' ? 'Value' : `Value '${echo}'`
  return `${head} at '${path}' failed to satisfy constraint: ${constraint}`
}

/** Every way to break one constraint somewhere in the value of a member; `wrap` puts it into that member's value. */
function waysOf(
  name: string,
  shape: Shape,
  path: string,
  wrap: (value: unknown) => unknown,
): { value: unknown; expected: string }[] {
  const shown = (value: unknown) => (Array.isArray(value) ? `[${value.join(', ')}]` : value)
  const ways = brokenOnes(name, shape).map(({ value, constraint }) => ({
    value: wrap(value),
    expected: message(shape, shown(value), path, constraint),
  }))
  if (shape.type === 'list') {
    const itemName = shape.member?.shape ?? ''
    const item = shapeOf(itemName)
    const at = (value: unknown) => wrap([fitting(itemName), value])
    if (item.type === 'structure') {
      ways.push(...waysOf(itemName, item, `${path}.2.member`, at))
      ways.push({
        value: at(null),
        expected: `Value null at '${path}.2.member' failed to satisfy constraint: Member must not be null`,
      })
    } else {
      const all = [
        ...(item.max === undefined ? [] : [`Member must have length less than or equal to ${item.max}`]),
        ...(item.min === undefined ? [] : [`Member must have length greater than or equal to ${item.min}`]),
        ...(item.enum === undefined ? [] : [`Member must satisfy enum value set: [${item.enum.join(', ')}]`]),
      ].join(', ')
      for (const { value } of brokenOnes(itemName, item))
        ways.push({
          value: at(value),
          expected: message(
            shape,
            `[${fitting(itemName)}, ${value}]`,
            path,
            `Member must satisfy constraint: [${all}]`,
          ),
        })
    }
  }
  if (shape.type === 'map')
    ways.push({
      value: wrap({ name: null }),
      expected: `Value '{name=null}' at '${path}' failed to satisfy constraint: Map value must satisfy constraint: [Member must not be null]`,
    })
  for (const [member, ref] of Object.entries(shape.members ?? {})) {
    const whole = fitting(name) as Record<string, unknown>
    const last = `${path}.${lowerCamel(member)}`
    ways.push(...waysOf(ref.shape, shapeOf(ref.shape), last, value => wrap({ ...whole, [member]: value })))
    if (shape.required?.includes(member))
      ways.push({
        value: wrap({ ...whole, [member]: null }),
        expected: `Value null at '${last}' failed to satisfy constraint: Member must not be null`,
      })
  }
  return ways
}

function membersOf(operation: string): { name: string; member: string; shape: Shape }[] {
  const input = OPERATION_INPUTS.get(operation) ?? ''
  if (input === '') return []
  return Object.entries(shapeOf(input).members ?? {}).map(([member, { shape }]) => ({
    name: shape,
    member,
    shape: { ...shapeOf(shape), ...DEVIATIONS[`${operation}.${member}`] },
  }))
}

function casesOf(operation: string): Omit<Case, 'value' | 'constraint'>[] {
  const inputName = OPERATION_INPUTS.get(operation) ?? ''
  if (inputName === '') return []
  const whole = fitting(inputName) as Record<string, unknown>
  return membersOf(operation).flatMap(({ name, member, shape }) => {
    const cases = waysOf(name, shape, lowerCamel(member), value => value).map(({ value, expected }) => ({
      input: { ...whole, [member]: value },
      member,
      expected,
    }))
    if (!shapeOf(inputName).required?.includes(member)) return cases
    const expected = `Value null at '${lowerCamel(member)}' failed to satisfy constraint: Member must not be null`
    const { [member]: _, ...without } = whole
    return [...cases, { input: without, member, expected }, { input: { ...whole, [member]: null }, member, expected }]
  })
}

const answerOf = (operation: string, input: object): string => {
  try {
    compileValidator(operation)(JSON.parse(JSON.stringify(input)))
  } catch (error) {
    assert.ok(error instanceof KmsError, String(error))
    assert.equal(error.code, 'ValidationException')
    return error.text ?? ''
  }
  return 'accepted'
}

for (const operation of OPERATION_INPUTS.keys()) {
  const cases = casesOf(operation)
  test(`${operation}: ${cases.length} broken constraints, each with AWS’s words and nothing else`, () => {
    const inputName = OPERATION_INPUTS.get(operation) ?? ''
    assert.equal(answerOf(operation, inputName === '' ? {} : (fitting(inputName) as object)), 'accepted')
    for (const { input, expected } of cases) {
      assert.equal(answerOf(operation, input), `1 validation error detected: ${expected}`)
    }
  })

  test(`${operation}: one broken constraint in every member, all in one message`, () => {
    const first = new Map<string, { value: unknown; expected: string }>()
    for (const { input, member, expected } of cases)
      if (!first.has(member)) first.set(member, { value: input[member], expected })
    if (first.size === 0) return
    const input = Object.fromEntries([...first].map(([member, { value }]) => [member, value]))
    const texts = [...first.values()].map(({ expected }) => expected)
    const count = texts.length === 1 ? '1 validation error' : `${texts.length} validation errors`
    assert.equal(answerOf(operation, input), `${count} detected: ${texts.join('; ')}`)
  })

  test(`${operation}: wrong JSON types are no validation errors`, () => {
    const whole =
      OPERATION_INPUTS.get(operation) === '' ? {} : (fitting(OPERATION_INPUTS.get(operation) ?? '') as object)
    for (const { member, shape } of membersOf(operation)) {
      const wrong =
        shape.type === 'string' || shape.type === 'blob' ? [1, true, [], {}] : ['text', 'list' === shape.type ? {} : []]
      for (const value of wrong) {
        assert.throws(
          () => compileValidator(operation)({ ...whole, [member]: value } as Record<string, unknown>),
          (error: unknown) => error instanceof KmsError && error.code === 'SerializationException',
          `${member} ${JSON.stringify(value)}`,
        )
      }
    }
  })
}
