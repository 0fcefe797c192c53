/**
 * What a provider asserts of its own caller: evidence and, later, input of the owner's policy; never authentication. Claims go into the record
 * as claims, cut to the record's bounds.
 */
import { ASSERTED_FIELDS, type Asserted, type AssertedField } from '../../boundary/words.ts'

export interface Claims {
  readonly requestId?: string
  /** The provider's own operation, for example `GenerateDataKey`. */
  readonly operation?: string
  /** Who the provider says is asking: an ARN, an e-mail address, the name of a pool. */
  readonly principal?: string
  /** The provider's account, project or tenant that this is for. */
  readonly account?: string
  /** Where in the provider's cloud it is for. */
  readonly region?: string
  readonly keyArn?: string
  readonly viaService?: string
  readonly sourceVpc?: string
  readonly sourceVpce?: string
  /** Why: a code of `REASONS`. Absent where the protocol has none, which is the same as unspecified. */
  readonly reason?: string
  /** Why, in the provider's own words. Evidence, never policy. */
  readonly justification?: string
  /** The managed HSM pool that asks (Azure). */
  readonly pool?: string
  /** E-mail address of the person for whom it is. */
  readonly email?: string
  /** What it is for: a document, a message, a resource name. */
  readonly resource?: string
  /** The perimeter that the resource is in (Google Workspace). */
  readonly perimeter?: string
}

/** For requests that ended before their claims could be read. */
export const NO_CLAIMS: Claims = {}

/** Cuts `text` to the field's bytes of UTF-8, never inside a character. */
export function clip(field: AssertedField, text: string): string {
  const max = ASSERTED_FIELDS[field].max
  // UTF-8 takes at most three bytes a unit of UTF-16.
  if (text.length * 3 <= max || Buffer.byteLength(text) <= max) return text
  const bytes = Buffer.from(text)
  let end = max
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}

/** Leaves out what is absent or empty, and cuts what is too long. */
export function asserted(fields: { readonly [F in AssertedField]?: string | undefined }): Asserted {
  const result: { [F in AssertedField]?: string } = {}
  for (const name in fields) {
    const field = name as AssertedField
    const value = fields[field]
    if (value !== undefined && value !== '') result[field] = clip(field, value)
  }
  return result
}
