/** The constraints of the API's model as rules, and AWS's words for a value that breaks one (aws-kms.md §5.3). */
import type { Shape } from './model/model.ts'

/** At most so many characters of a refused value are repeated to the caller. */
const ECHO_CHARS = 256
export const NOT_NULL = 'Member must not be null'

/** One constraint of a model: whether a value keeps it, and AWS's words for it. `size` is the length of strings, blobs and lists, and a number itself. */
export interface Rule {
  readonly text: string
  readonly holds: (size: number, value: unknown) => boolean
}

/** In AWS's order. Each rule that a value breaks is an error of its own. */
export function rulesOf(shape: Shape): readonly Rule[] {
  const unit = shape.type === 'integer' ? 'value' : 'length'
  const { min, max, pattern } = shape
  const rules: Rule[] = []
  if (max !== undefined)
    rules.push({ text: `Member must have ${unit} less than or equal to ${max}`, holds: size => size <= max })
  if (min !== undefined)
    rules.push({ text: `Member must have ${unit} greater than or equal to ${min}`, holds: size => size >= min })
  if (shape.enum !== undefined) {
    const values = new Set<unknown>(shape.enum)
    rules.push({
      text: `Member must satisfy enum value set: [${shape.enum.join(', ')}]`,
      holds: (_, value) => values.has(value),
    })
  }
  if (pattern !== undefined) {
    // Patterns hold for the whole value, whether the model anchors them or not.
    const whole = new RegExp(`^(?:${pattern})$`)
    rules.push({
      text: `Member must satisfy regular expression pattern: ${pattern}`,
      holds: (_, value) => whole.test(value as string),
    })
  }
  return rules
}

/** A value as AWS's Java prints it: `[a, b]` for lists, `{a=b}` for maps. */
function printed(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(printed).join(', ')}]`
  if (typeof value !== 'object' || value === null) return String(value)
  return `{${Object.entries(value)
    .map(([name, item]) => `${name}=${printed(item)}`)
    .join(', ')}}`
}

function echo(shape: Shape, value: unknown): string {
  if (shape.sensitive || shape.type === 'blob') return 'Value'
  const text = printed(value)
  return `Value '${text.length > ECHO_CHARS ? `${text.slice(0, ECHO_CHARS)}...` : text}'`
}

/** That a value breaks a constraint; `path` is lowerCamel, as AWS prints it. */
export const broken = (shape: Shape, value: unknown, path: string, constraint: string): string =>
  `${echo(shape, value)} at '${path}' failed to satisfy constraint: ${constraint}`

/** That a required member is not there. */
export const missing = (path: string): string => `Value null at '${path}' failed to satisfy constraint: ${NOT_NULL}`

/** Adds each rule that is broken. */
export function keep(
  rules: readonly Rule[],
  shape: Shape,
  size: number,
  value: unknown,
  path: string,
  found: string[],
): void {
  for (const { holds, text } of rules) if (!holds(size, value)) found.push(broken(shape, value, path, text))
}
