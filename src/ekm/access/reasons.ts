/**
 * Why a provider says that it needs a key: one vocabulary for all protocols, Google's Key Access Justifications
 * (`google.cloud.ekms.v0.AccessReasonContext`). A reason is a claim: policy input and evidence, never authentication. docs/policy.md tells owners.
 */

export interface Reason {
  /** As Google numbers it; undefined for the one that is ours. */
  readonly number: number | undefined
  readonly about: string
}

/** Names and numbers are Google's, for ever. */
export const REASONS = {
  REASON_UNSPECIFIED: { number: 0, about: 'the provider gave none' },
  CUSTOMER_INITIATED_SUPPORT: { number: 1, about: 'support that the customer asked for' },
  GOOGLE_INITIATED_SERVICE: { number: 2, about: 'the provider manages its systems, or looks for a fault' },
  THIRD_PARTY_DATA_REQUEST: { number: 3, about: 'a legal request or process: compelled access' },
  GOOGLE_INITIATED_REVIEW: { number: 4, about: 'the provider looks into security, fraud, abuse or compliance' },
  CUSTOMER_INITIATED_ACCESS: { number: 5, about: 'the customer, or whom its IAM policy allows, uses its data' },
  GOOGLE_INITIATED_SYSTEM_OPERATION: { number: 6, about: 'the provider’s machines index, cache or back up the data' },
  REASON_NOT_EXPECTED: { number: 7, about: 'none is expected for this request' },
  MODIFIED_CUSTOMER_INITIATED_ACCESS: {
    number: 8,
    about:
      'as 5, within 7 days of the provider’s resetting an administrator or of its emergency access; no longer sent',
  },
  MODIFIED_GOOGLE_INITIATED_SYSTEM_OPERATION: { number: 9, about: 'as 6, the same way; no longer sent' },
  GOOGLE_RESPONSE_TO_PRODUCTION_ALERT: { number: 10, about: 'the provider keeps its systems reliable' },
  CUSTOMER_AUTHORIZED_WORKFLOW_SERVICING: {
    number: 11,
    about: 'one of 5, 6, 1 or 10, while a fault of the provider’s kept it from saying which',
  },
  REASON_UNKNOWN: { number: undefined, about: 'a code that this version of Holdfast does not know' },
} as const satisfies Record<string, Reason>
export type ReasonCode = keyof typeof REASONS

const BY_NUMBER: ReadonlyMap<number | undefined, ReasonCode> = new Map(
  (Object.keys(REASONS) as ReasonCode[]).map(code => [REASONS[code].number, code]),
)

/** The code of what a provider sent: a name, a number, or nothing. Every code that is none of these is REASON_UNKNOWN, never an error. */
export function reasonCode(sent: string | number | undefined): ReasonCode {
  if (sent === undefined || sent === '') return 'REASON_UNSPECIFIED'
  if (typeof sent === 'number') return BY_NUMBER.get(sent) ?? 'REASON_UNKNOWN'
  return Object.hasOwn(REASONS, sent) ? (sent as ReasonCode) : 'REASON_UNKNOWN'
}
