/**
 * Rows whose bytes lie in slabs. One object for as long as a row does not change. `body`, `digest` and `tag` are accessors: spreading a row loses them.
 */
import type { Row, RowKind } from '../../boundary/words.ts'
import { type Held, NO_SLAB, type Slab } from './slabs.ts'

const TAG_BYTES = 32
const DIGEST_BYTES = 32

/** A body that several rows have. The object stands for its bytes: what is derived from them can be kept with it. */
export class SharedBody implements Held {
  readonly digest: string
  readonly size: number
  slab: Slab = NO_SLAB
  offset = 0
  alive = false
  rows = 0

  constructor(digest: string, size: number) {
    this.digest = digest
    this.size = size
  }
}

const view = ({ slab, offset }: Held, from: number, to: number): Buffer =>
  slab.buffer.subarray(offset + from, offset + to)

export interface Place {
  readonly id: string
  readonly scope: string
  /** Of body, where it is not shared, digest, where there is one, and tag together. */
  readonly size: number
}

export class CachedRow implements Held {
  readonly kind: RowKind
  readonly id: string
  readonly scope: string
  readonly link: string
  readonly revision: number
  readonly size: number
  readonly shared: SharedBody | undefined
  slab: Slab = NO_SLAB
  offset = 0
  alive = false
  /** Asked for since it became the newest: it is spared once when it is the oldest. */
  asked = false
  newer: CachedRow | undefined = undefined
  older: CachedRow | undefined = undefined

  constructor(row: Row, { id, scope, size }: Place, shared: SharedBody | undefined) {
    this.kind = row.kind
    this.id = id
    this.scope = scope
    this.link = row.link
    this.revision = row.revision
    this.size = size
    this.shared = shared
  }

  get body(): Buffer {
    const { shared } = this
    return shared === undefined ? view(this, 0, this.size - TAG_BYTES) : view(shared, 0, shared.size)
  }

  get tag(): Buffer {
    return view(this, this.size - TAG_BYTES, this.size)
  }
}

interface Besides {
  readonly policy: BesideKey | undefined
  readonly attributes: BesideKey | undefined
}

/** A key's row, and with it those of its id: every request asks for all three, and they come and go together. */
export class CachedKey extends CachedRow {
  policy: BesideKey | undefined
  attributes: BesideKey | undefined

  constructor(row: Row, place: Place, besides: Besides | undefined) {
    super(row, place, undefined)
    this.policy = besides?.policy
    this.attributes = besides?.attributes
    if (this.policy !== undefined) this.policy.key = this
    if (this.attributes !== undefined) this.attributes.key = this
  }

  /** Lets go of what lies beside it, for the row that takes its place; undefined where that has another scope. */
  release(scope: string): Besides | undefined {
    if (scope !== this.scope) return undefined
    const { policy, attributes } = this
    this.policy = undefined
    this.attributes = undefined
    return { policy, attributes }
  }

  override get body(): Buffer {
    return view(this, 0, this.size - TAG_BYTES - DIGEST_BYTES)
  }

  /** Every use of a key names its row by its digest: it lies ready. */
  get digest(): Buffer {
    return view(this, this.size - TAG_BYTES - DIGEST_BYTES, this.size - TAG_BYTES)
  }
}

/** The row of kind `policy` (whose body is shared) or `attributes` (whose body is its own) of a key that is cached. */
export class BesideKey implements Held {
  key: CachedKey
  readonly revision: number
  readonly size: number
  readonly shared: SharedBody | undefined
  slab: Slab = NO_SLAB
  offset = 0
  alive = false

  constructor(key: CachedKey, revision: number, size: number, shared: SharedBody | undefined) {
    this.key = key
    this.revision = revision
    this.size = size
    this.shared = shared
  }

  get kind(): 'policy' | 'attributes' {
    return this.shared === undefined ? 'attributes' : 'policy'
  }

  get id(): string {
    return this.key.id
  }

  get scope(): string {
    return this.key.scope
  }

  get link(): string {
    return ''
  }

  get body(): Buffer {
    const { shared } = this
    return shared === undefined ? view(this, 0, this.size - TAG_BYTES) : view(shared, 0, shared.size)
  }

  get tag(): Buffer {
    return view(this, this.size - TAG_BYTES, this.size)
  }
}
