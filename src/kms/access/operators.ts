/**
 * IAM's condition operators, as data: what each compares, and whether it is negated. `make` turns a policy's values into one test of one value
 * of the request: true if it matches any of them. Negation, IfExists and the set operators are added in `conditions.ts`.
 */
import { compileArn, compileText, quote, type TextMatcher } from './patterns.ts'
import { MalformedPolicyError } from './types.ts'
import { inRange, readAddress, readDate, readNumber, readRange } from './values.ts'

export interface OperatorInfo {
  /** True for the Not… operators: they hold where no value of the policy matches, and where the key is absent. */
  readonly negated: boolean
  readonly make: (values: readonly string[], variables: boolean) => TextMatcher
}

type Compare = (actual: number, wanted: number) => boolean
const COMPARISONS = {
  Equals: (actual, wanted) => actual === wanted,
  LessThan: (actual, wanted) => actual < wanted,
  LessThanEquals: (actual, wanted) => actual <= wanted,
  GreaterThan: (actual, wanted) => actual > wanted,
  GreaterThanEquals: (actual, wanted) => actual >= wanted,
} as const satisfies Record<string, Compare>

function anyOf(matchers: readonly TextMatcher[]): TextMatcher {
  const [only] = matchers
  if (matchers.length === 1 && only !== undefined) return only
  return (subject, context) => {
    for (const matches of matchers) if (matches(subject, context)) return true
    return false
  }
}

function text(wildcards: boolean, ignoreCase = false): OperatorInfo['make'] {
  return (values, variables) => anyOf(values.map(value => compileText(value, { wildcards, variables, ignoreCase })))
}

/** Each of the six parts of an ARN is compared by itself; ArnEquals and ArnLike are the same. */
const arn: OperatorInfo['make'] = (values, variables) =>
  anyOf(values.map(value => compileArn(value, { variables, complete: false })))

/** A value of the request that cannot be read matches nothing. */
function measured(read: (text: string) => number | undefined, what: string, compare: Compare): OperatorInfo['make'] {
  return values => {
    const wanted = values.map(value => required(read(value), value, what))
    return subject => {
      const actual = read(subject)
      return actual !== undefined && wanted.some(value => compare(actual, value))
    }
  }
}

const bool: OperatorInfo['make'] = values => {
  const wanted = values.map((value): string => {
    const lower = value.toLowerCase()
    return required(lower === 'true' || lower === 'false' ? lower : undefined, value, 'true or false')
  })
  return subject => wanted.includes(subject.toLowerCase())
}

const address: OperatorInfo['make'] = values => {
  const ranges = values.map(value => required(readRange(value), value, 'an IP address or a CIDR range'))
  return subject => {
    const actual = readAddress(subject)
    return actual !== undefined && ranges.some(range => inRange(actual, range))
  }
}

/** Bytes are compared, in whatever way their base64 was written. */
const binary: OperatorInfo['make'] = values => {
  const canonical = (value: string) =>
    /^[A-Za-z0-9+/]*={0,2}$/.test(value) && value.length % 4 === 0
      ? Buffer.from(value, 'base64').toString('base64')
      : undefined
  const wanted = values.map(value => required(canonical(value), value, 'base64'))
  return subject => {
    const actual = canonical(subject)
    return actual !== undefined && wanted.includes(actual)
  }
}

function required<T>(value: T | undefined, written: string, what: string): T {
  if (value === undefined) throw new MalformedPolicyError(`The condition value ${quote(written)} is not ${what}.`)
  return value
}

function numeric(compare: Compare): OperatorInfo['make'] {
  return measured(readNumber, 'a number', compare)
}

function date(compare: Compare): OperatorInfo['make'] {
  return measured(readDate, 'a date', compare)
}

function pair(make: OperatorInfo['make']): [is: OperatorInfo, not: OperatorInfo] {
  return [
    { negated: false, make },
    { negated: true, make },
  ]
}

const [stringEquals, stringNotEquals] = pair(text(false))
const [stringEqualsIgnoreCase, stringNotEqualsIgnoreCase] = pair(text(false, true))
const [stringLike, stringNotLike] = pair(text(true))
const [numericEquals, numericNotEquals] = pair(numeric(COMPARISONS.Equals))
const [dateEquals, dateNotEquals] = pair(date(COMPARISONS.Equals))
const [ipAddress, notIpAddress] = pair(address)
const [arnEquals, arnNotEquals] = pair(arn)

/** All but Null, which looks only at whether the key is there. Names as AWS writes them. */
export const OPERATORS: ReadonlyMap<string, OperatorInfo> = new Map(
  Object.entries({
    StringEquals: stringEquals,
    StringNotEquals: stringNotEquals,
    StringEqualsIgnoreCase: stringEqualsIgnoreCase,
    StringNotEqualsIgnoreCase: stringNotEqualsIgnoreCase,
    StringLike: stringLike,
    StringNotLike: stringNotLike,
    NumericEquals: numericEquals,
    NumericNotEquals: numericNotEquals,
    NumericLessThan: { negated: false, make: numeric(COMPARISONS.LessThan) },
    NumericLessThanEquals: { negated: false, make: numeric(COMPARISONS.LessThanEquals) },
    NumericGreaterThan: { negated: false, make: numeric(COMPARISONS.GreaterThan) },
    NumericGreaterThanEquals: { negated: false, make: numeric(COMPARISONS.GreaterThanEquals) },
    DateEquals: dateEquals,
    DateNotEquals: dateNotEquals,
    DateLessThan: { negated: false, make: date(COMPARISONS.LessThan) },
    DateLessThanEquals: { negated: false, make: date(COMPARISONS.LessThanEquals) },
    DateGreaterThan: { negated: false, make: date(COMPARISONS.GreaterThan) },
    DateGreaterThanEquals: { negated: false, make: date(COMPARISONS.GreaterThanEquals) },
    Bool: { negated: false, make: bool },
    BinaryEquals: { negated: false, make: binary },
    IpAddress: ipAddress,
    NotIpAddress: notIpAddress,
    ArnEquals: arnEquals,
    ArnNotEquals: arnNotEquals,
    ArnLike: arnEquals,
    ArnNotLike: arnNotEquals,
  }),
)
