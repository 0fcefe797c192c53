/** The constraints of STS's parameters, as its API model has them, and AWS's words for what breaks them (aws-kms.md §5.3): all in one message. */
import { StsError } from './errors.ts'

export interface Constraint {
  readonly required?: true
  /** Characters. */
  readonly min?: number
  readonly max?: number
  /** As AWS prints it, and as it is matched. */
  readonly pattern?: readonly [shown: string, matches: RegExp]
  /** An integer within these. */
  readonly range?: readonly [least: number, most: number]
  /** Not repeated in the error. */
  readonly secret?: true
}

const NAME = ['[\\w+=,.@-]*', /^[\w+=,.@-]*$/] as const
const TAG_TEXT = '[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]'
const TEXT = [
  '[\\u0009\\u000A\\u000D\\u0020-\\u007E\\u0085\\u00A0-\\uD7FF\\uE000-\\uFFFD\\u10000-\\u10FFFF]+',
  /^[\t\n\r\u0020-\u007e\u0085\u00a0-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]+$/u,
] as const

/** Names in an error are lower camel case. */
export const CONSTRAINTS = {
  roleArn: { required: true, min: 20, max: 2048, pattern: TEXT },
  roleSessionName: { required: true, min: 2, max: 64, pattern: NAME },
  policy: { min: 1, max: 2048, pattern: TEXT },
  durationSeconds: { range: [900, 43_200] },
  externalId: { min: 2, max: 1224, pattern: ['[\\w+=,.@:\\/-]*', /^[\w+=,.@:/-]*$/] },
  sourceIdentity: { min: 2, max: 64, pattern: NAME },
  sessionTokenSeconds: { range: [900, 129_600] },
  tagKey: { required: true, min: 1, max: 128, pattern: [`${TAG_TEXT}+`, /^[\p{L}\p{Z}\p{N}_.:/=+\-@]+$/u] },
  tagValue: { max: 256, pattern: [`${TAG_TEXT}*`, /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u] },
} as const satisfies Record<string, Constraint>

/** Gathers what is wrong; `end` throws all of it. */
export class Problems {
  readonly #found: string[] = []

  /** `path`: where the value stands, for the error: `tags.1.member.key`. */
  check(path: string, value: string | undefined, constraint: Constraint): void {
    if (value === undefined) {
      if (constraint.required === true)
        this.#found.push(`Value null at '${path}' failed to satisfy constraint: Member must not be null`)
      return
    }
    const shown = constraint.secret === true ? 'Value' : `Value '${value.slice(0, 256)}'`
    const fails = (what: string) =>
      this.#found.push(`${shown} at '${path}' failed to satisfy constraint: Member must ${what}`)
    const { min, max, pattern, range } = constraint
    const length = [...value].length
    if (range !== undefined) {
      const number = /^-?\d{1,10}$/.test(value) ? Number(value) : undefined
      if (number === undefined) fails('be an integer')
      else if (number > range[1]) fails(`have value less than or equal to ${range[1]}`)
      else if (number < range[0]) fails(`have value greater than or equal to ${range[0]}`)
    }
    if (max !== undefined && length > max) fails(`have length less than or equal to ${max}`)
    if (min !== undefined && length < min) fails(`have length greater than or equal to ${min}`)
    if (pattern !== undefined && !pattern[1].test(value)) fails(`satisfy regular expression pattern: ${pattern[0]}`)
  }

  count(path: string, length: number, most: number): void {
    if (length > most)
      this.#found.push(
        `Value at '${path}' failed to satisfy constraint: Member must have length less than or equal to ${most}`,
      )
  }

  /** Throws ValidationError where anything is wrong. */
  end(): void {
    const { length } = this.#found
    if (length === 0) return
    throw new StsError(
      'ValidationError',
      `${length} validation error${length === 1 ? '' : 's'} detected: ${this.#found.join('; ')}`,
    )
  }
}
