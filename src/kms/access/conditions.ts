/**
 * One line of a Condition block, read and compiled: `[ForAllValues:|ForAnyValue:]Operator[IfExists]` over one condition key.
 * Semantics as IAM documents them for missing keys, empty sets, negated operators and several values.
 */
import { readConditionKey } from './condition-keys.ts'
import { OPERATORS } from './operators.ts'
import { quote } from './patterns.ts'
import { MalformedPolicyError, type PolicyUse, type RequestContext } from './types.ts'

export interface Condition {
  readonly set: 'ForAllValues' | 'ForAnyValue' | undefined
  /** A name in `OPERATORS`, or `Null`. */
  readonly operator: string
  readonly ifExists: boolean
  /** As the policy writes it. */
  readonly key: string
  readonly values: readonly string[]
}

export type ConditionTest = (context: RequestContext) => boolean

const OPERATOR_FORM = /^(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?$/

/** Takes the operator's name apart. Throws `MalformedPolicyError` on one that IAM does not have. */
export function readOperator(written: string): Pick<Condition, 'set' | 'operator' | 'ifExists'> {
  const found = OPERATOR_FORM.exec(written)
  const operator = found?.[2] ?? ''
  const ifExists = found?.[3] !== undefined
  if (!OPERATORS.has(operator) && !(operator === 'Null' && !ifExists)) {
    throw new MalformedPolicyError(`Invalid condition operator: ${quote(written)}.`)
  }
  return { set: found?.[1] as Condition['set'], operator, ifExists }
}

/** Where a policy may not ask for a key although the request has it: aws-kms.md §12.6. */
const IDENTITY_ONLY: ReadonlySet<string> = new Set(['kms:resourcealiases'])

export interface ConditionPlace {
  readonly use: PolicyUse
  readonly effect: 'Allow' | 'Deny'
  readonly variables: boolean
}

/**
 * Compiles one condition. Where a policy uses an operator without a set operator on a key that has several values in the request, which IAM
 * leaves undefined, the safe reading is taken: an Allow holds only if every value matches, a Deny as soon as one does.
 */
export function compileCondition(condition: Condition, place: ConditionPlace): ConditionTest {
  const named = readConditionKey(condition.key)
  const { suffix } = named
  const key = place.use === 'key' && named.key !== undefined && IDENTITY_ONLY.has(named.key) ? undefined : named.key
  if (condition.operator === 'Null') return compileNull(condition, key, suffix)
  const operator = OPERATORS.get(condition.operator)
  if (operator === undefined)
    throw new MalformedPolicyError(`Invalid condition operator: ${quote(condition.operator)}.`)
  const { negated } = operator
  const matches = operator.make(condition.values, place.variables)
  const ifAbsent =
    condition.set === 'ForAllValues' ? true : condition.ifExists || (condition.set === undefined && negated)
  if (key === undefined) return () => ifAbsent

  const holds = (value: string, context: RequestContext) => matches(value, context) !== negated
  const everyValue = condition.set === 'ForAllValues' || (condition.set === undefined && place.effect === 'Allow')
  const blankHolds = condition.set === 'ForAllValues'
  return context => {
    const value = context.get(key, suffix)
    if (value === undefined) return ifAbsent
    // ForAllValues is true for a null data set, such as an empty string.
    if (typeof value === 'string') return (blankHolds && value === '') || holds(value, context)
    if (value.length === 0) return ifAbsent
    for (const one of value) {
      const held = (blankHolds && one === '') || holds(one, context)
      if (held !== everyValue) return held
    }
    return everyValue
  }
}

/** `true`: the key must be absent; `false`: it must be there with a value. */
function compileNull(
  condition: Condition,
  key: ReturnType<typeof readConditionKey>['key'],
  suffix: string,
): ConditionTest {
  const wanted = condition.values.map(value => {
    const lower = value.toLowerCase()
    if (lower !== 'true' && lower !== 'false') {
      throw new MalformedPolicyError(`The condition value ${quote(value)} is not true or false.`)
    }
    return lower === 'true'
  })
  if (key === undefined) return () => wanted.includes(true)
  return context => {
    const value = context.get(key, suffix)
    return wanted.includes(value === undefined || value.length === 0)
  }
}
