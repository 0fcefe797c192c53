/**
 * Requests checked against the API's model, which is compiled to closures once. Wrong JSON types are a SerializationException at once; broken
 * constraints are collected into one ValidationException in AWS's words (aws-kms.md §5.3). Members that the model does not know are dropped.
 */
import { broken, keep, missing, NOT_NULL, rulesOf } from './constraints.ts'
import { KmsError } from './errors.ts'
import { DEVIATIONS, OPERATION_INPUTS, type Shape, shapeOf } from './model/model.ts'

/** Checks one value and returns what operations work with, or undefined after adding to `found`. `path` is lowerCamel, as AWS prints it. */
type Check = (value: unknown, path: string, found: string[]) => unknown

/** Turns the parsed body of one operation into its input: blobs as Buffers, timestamps as milliseconds. Throws KmsError. */
export type Validator = (body: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>

const lowerCamel = (name: string): string => name.charAt(0).toLowerCase() + name.slice(1)

/** The name of a JSON value in the words of AWS's parser. */
function jsonKind(value: unknown): string {
  if (Array.isArray(value)) return 'Start of list'
  if (typeof value === 'object') return 'Start of structure or map'
  if (typeof value === 'number') return 'NUMBER_VALUE'
  if (typeof value === 'string') return 'STRING_VALUE'
  return value ? 'TRUE_VALUE' : 'FALSE_VALUE'
}

function wrongType(value: unknown, wanted: string): KmsError {
  const kind = jsonKind(value)
  const text = kind.startsWith('Start')
    ? `${kind} found where not expected`
    : `${kind} can not be converted to ${wanted}`
  return new KmsError('SerializationException', text)
}

function stringCheck(shape: Shape): Check {
  const rules = rulesOf(shape)
  return (value, path, found) => {
    if (typeof value !== 'string') throw wrongType(value, 'a String')
    keep(rules, shape, value.length, value, path, found)
    return value
  }
}

/** Strict canonical base64: decoding and encoding again must give the same text, so that no two texts name one blob. */
export function decodeBlob(text: string): Buffer | undefined {
  if (text.length % 4 !== 0) return undefined
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

function blobCheck(shape: Shape): Check {
  const rules = rulesOf(shape)
  return (value, path, found) => {
    if (typeof value !== 'string') throw wrongType(value, 'a Blob')
    const bytes = decodeBlob(value)
    if (bytes === undefined) throw new KmsError('SerializationException', `'${path}' is not canonical base64`)
    keep(rules, shape, bytes.length, bytes, path, found)
    return bytes
  }
}

function integerCheck(shape: Shape): Check {
  const rules = rulesOf(shape)
  return (value, path, found) => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw wrongType(value, 'an Integer')
    keep(rules, shape, value, value, path, found)
    return value
  }
}

function timestampCheck(): Check {
  return value => {
    // Epoch seconds; the bound is the year 9999.
    if (typeof value !== 'number' || !(Math.abs(value) < 253_402_300_800)) throw wrongType(value, 'a Timestamp')
    return Math.round(value * 1000)
  }
}

function booleanCheck(): Check {
  return value => {
    if (typeof value !== 'boolean') throw wrongType(value, 'a Boolean')
    return value
  }
}

/** Lists of structures name the item that is wrong by its place; of lists of strings AWS names the list, with all that holds for an item. */
function listCheck(shape: Shape): Check {
  const memberShape = shapeOf(shape.member?.shape ?? '')
  return memberShape.type === 'structure' ? structuresCheck(shape, memberShape) : stringsCheck(shape, memberShape)
}

function structuresCheck(shape: Shape, memberShape: Shape): Check {
  const rules = rulesOf(shape)
  const member = compile(memberShape)
  return (value, path, found) => {
    if (!Array.isArray(value)) throw wrongType(value, 'a List')
    keep(rules, shape, value.length, value, path, found)
    return value.map((item: unknown, index) => {
      const itemPath = `${path}.${index + 1}.member`
      if (item !== null) return member(item, itemPath, found)
      found.push(missing(itemPath))
      return undefined
    })
  }
}

function stringsCheck(shape: Shape, memberShape: Shape): Check {
  const rules = rulesOf(shape)
  const itemRules = rulesOf(memberShape)
  return (value, path, found) => {
    if (!Array.isArray(value)) throw wrongType(value, 'a List')
    keep(rules, shape, value.length, value, path, found)
    let wrong = false
    let absent = false
    for (const item of value) {
      if (item === null) absent = true
      else if (typeof item !== 'string') throw wrongType(item, 'a String')
      else wrong ||= itemRules.some(({ holds }) => !holds(item.length, item))
    }
    if (wrong || absent) {
      const texts = itemRules.map(({ text }) => text)
      const all = (absent ? [...texts, NOT_NULL] : texts).join(', ')
      found.push(broken(shape, value, path, `Member must satisfy constraint: [${all}]`))
    }
    return value
  }
}

/** The API's maps go from strings to strings that have no constraint of their own. */
function mapCheck(shape: Shape): Check {
  return (value, path, found) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrongType(value, 'a Map')
    let absent = false
    for (const item of Object.values(value)) {
      if (item === null) absent = true
      else if (typeof item !== 'string') throw wrongType(item, 'a String')
    }
    if (absent) found.push(broken(shape, value, path, `Map value must satisfy constraint: [${NOT_NULL}]`))
    // What JSON.parse made has only own members, also for names such as __proto__.
    return value
  }
}

function structureCheck(shape: Shape, operation?: string): Check {
  const members = Object.entries(shape.members ?? {}).map(([name, ref]) => {
    const deviation = operation === undefined ? undefined : DEVIATIONS[`${operation}.${name}`]
    const memberShape = deviation ? { ...shapeOf(ref.shape), ...deviation } : shapeOf(ref.shape)
    return {
      name,
      path: lowerCamel(name),
      check: compile(memberShape),
      required: shape.required?.includes(name) ?? false,
    }
  })
  return (value, path, found) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrongType(value, 'a Structure')
    const given = value as Record<string, unknown>
    const taken: Record<string, unknown> = {}
    for (const { name, path: last, check, required } of members) {
      const item = Object.hasOwn(given, name) ? given[name] : undefined
      if (item === undefined || item === null) {
        if (required) found.push(missing(path === '' ? last : `${path}.${last}`))
      } else {
        taken[name] = check(item, path === '' ? last : `${path}.${last}`, found)
      }
    }
    return taken
  }
}

function compile(shape: Shape): Check {
  switch (shape.type) {
    case 'string':
      return stringCheck(shape)
    case 'blob':
      return blobCheck(shape)
    case 'integer':
      return integerCheck(shape)
    case 'timestamp':
      return timestampCheck()
    case 'boolean':
      return booleanCheck()
    case 'list':
      return listCheck(shape)
    case 'map':
      return mapCheck(shape)
    case 'structure':
      return structureCheck(shape)
  }
}

/** One ValidationException for all that was found. */
function validationError(found: readonly string[]): KmsError {
  const count = found.length === 1 ? '1 validation error' : `${found.length} validation errors`
  return new KmsError('ValidationException', `${count} detected: ${found.join('; ')}`)
}

/** The validator of one operation of the API. */
export function compileValidator(operation: string): Validator {
  const name = OPERATION_INPUTS.get(operation)
  if (name === undefined) throw new Error(`the API model has no operation ${operation}`)
  const check = structureCheck(name === '' ? { type: 'structure' } : shapeOf(name), operation)
  return body => {
    const found: string[] = []
    const input = check(body, '', found)
    if (found.length > 0) throw validationError(found)
    return input as Readonly<Record<string, unknown>>
  }
}
