/** What a key carries besides its policy: description and tags, in a row of kind `attributes` with the key's id. */
import type { Row } from '../../boundary/words.ts'

export interface Attributes {
  readonly description: string
  readonly tags: ReadonlyMap<string, string>
  /** Digest of the entry of a seed that the key was made from; absent of every other key. */
  readonly seed?: string
}

const NONE: Attributes = { description: '', tags: new Map() }

export function writeAttributes({ description, tags, seed }: Attributes): Buffer {
  return Buffer.from(JSON.stringify({ v: 1, description, tags: [...tags], seed }))
}

const PLAIN = writeAttributes(NONE)
const known = new WeakMap<Row, Attributes>()

/** Parsed once a row revision. */
export function readAttributes(row: Row | undefined | null): Attributes {
  if (row == null) return NONE
  const found = known.get(row)
  if (found) return found
  const bytes = row.body
  // Most keys have neither: one object for all of them, and nothing to remember.
  if (bytes === null || PLAIN.equals(bytes)) return NONE
  const body = JSON.parse(bytes.toString()) as {
    v: number
    description: string
    tags: [string, string][]
    seed?: string
  }
  if (body.v !== 1) throw new Error(`attributes of version ${body.v}, which this version of Holdfast cannot read`)
  const { description, seed } = body
  const attributes = { description, tags: new Map(body.tags), ...(seed === undefined ? {} : { seed }) }
  known.set(row, attributes)
  return attributes
}
