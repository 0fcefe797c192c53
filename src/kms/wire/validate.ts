/**
 * Requests checked against the API's model, which is compiled to closures once. Wrong JSON types are a SerializationException at once; broken
 * constraints are collected into one ValidationException in AWS's words (aws-kms.md §5.3). Members that the model does not know are dropped.
 */
import { KmsError } from './errors.ts'
import { DEVIATIONS, OPERATION_INPUTS, type Shape, shapeOf } from './model/model.ts'

/** Checks one value and returns what operations work with, or undefined after adding to `found`. `path` is lowerCamel, as AWS prints it. */
type Check = (value: unknown, path: string, found: string[]) => unknown

/** At most so many characters of a refused value are repeated to the caller. */
const ECHO_CHARS = 256

/** Turns the parsed body of one operation into its input: blobs as Buffers, timestamps as milliseconds. Throws KmsError. */
export type Validator = (body: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>

const lowerCamel = (name: string): string => name.charAt(0).toLowerCase() + name.slice(1)

function echo(shape: Shape, value: unknown): string {
  if (shape.sensitive || shape.type === 'blob') return 'Value'
  const text = typeof value === 'object' ? '[...]' : String(value)
  return `Value '${text.length > ECHO_CHARS ? `${text.slice(0, ECHO_CHARS)}...` : text}'`
}

const broken = (shape: Shape, value: unknown, path: string, constraint: string): string =>
  `${echo(shape, value)} at '${path}' failed to satisfy constraint: ${constraint}`

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

/** Length and range of one value; `unit` is what the bound is on. */
function bounds(
  shape: Shape,
  unit: 'length' | 'value',
  size: number,
  value: unknown,
  path: string,
  found: string[],
): boolean {
  if (shape.max !== undefined && size > shape.max) {
    found.push(broken(shape, value, path, `Member must have ${unit} less than or equal to ${shape.max}`))
    return false
  }
  if (shape.min !== undefined && size < shape.min) {
    found.push(broken(shape, value, path, `Member must have ${unit} greater than or equal to ${shape.min}`))
    return false
  }
  return true
}

function stringCheck(shape: Shape): Check {
  const values = shape.enum && new Set(shape.enum)
  const enumText = `Member must satisfy enum value set: [${shape.enum?.join(', ')}]`
  // Patterns hold for the whole value, whether the model anchors them or not.
  const pattern = shape.pattern === undefined ? undefined : new RegExp(`^(?:${shape.pattern})$`)
  return (value, path, found) => {
    if (typeof value !== 'string') throw wrongType(value, 'a String')
    if (values && !values.has(value)) found.push(broken(shape, value, path, enumText))
    else if (bounds(shape, 'length', value.length, value, path, found) && pattern && !pattern.test(value))
      found.push(broken(shape, value, path, `Member must satisfy regular expression pattern: ${shape.pattern}`))
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
  return (value, path, found) => {
    if (typeof value !== 'string') throw wrongType(value, 'a Blob')
    const bytes = decodeBlob(value)
    if (bytes === undefined) throw new KmsError('SerializationException', `'${path}' is not canonical base64`)
    bounds(shape, 'length', bytes.length, value, path, found)
    return bytes
  }
}

function integerCheck(shape: Shape): Check {
  return (value, path, found) => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw wrongType(value, 'an Integer')
    bounds(shape, 'value', value, value, path, found)
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

function listCheck(shape: Shape): Check {
  const member = compile(shapeOf(shape.member?.shape ?? ''))
  return (value, path, found) => {
    if (!Array.isArray(value)) throw wrongType(value, 'a List')
    if (!bounds(shape, 'length', value.length, value, path, found)) return value
    return value.map((item: unknown, index) => {
      const itemPath = `${path}.${index + 1}.member`
      if (item === null) {
        found.push(`Value null at '${itemPath}' failed to satisfy constraint: Member must not be null`)
        return undefined
      }
      return member(item, itemPath, found)
    })
  }
}

function mapCheck(shape: Shape): Check {
  const member = compile(shapeOf(shape.value?.shape ?? ''))
  return (value, path, found) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrongType(value, 'a Map')
    const map = value as Record<string, unknown>
    for (const name of Object.keys(map)) {
      if (map[name] === null)
        found.push(broken(shape, value, path, 'Map value must satisfy constraint: [Member must not be null]'))
      else member(map[name], `${path}.${name}.member`, found)
    }
    // What JSON.parse made has only own members, also for names such as __proto__.
    return map
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
        if (required)
          found.push(
            `Value null at '${path === '' ? last : `${path}.${last}`}' failed to satisfy constraint: Member must not be null`,
          )
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
