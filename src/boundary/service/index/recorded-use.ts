/**
 * What a record says of the use of keys, read from its bytes without decoding the rest: the same at the time of the use and when the journal is read
 * again. Which operations count: aws-kms.md §3.1, GetKeyLastUsage.
 */
import { BOUNDARY_OPERATIONS, OWN_FIELDS } from '../../record.ts'
import { ASSERTED_FIELDS, OUTCOMES } from '../../words.ts'

/** The API's operations that use a key. Codes stand in snapshots and are for ever. */
export const USE_OPERATIONS = {
  Decrypt: 1,
  DeriveSharedSecret: 2,
  Encrypt: 3,
  GenerateDataKey: 4,
  GenerateDataKeyPair: 5,
  GenerateDataKeyPairWithoutPlaintext: 6,
  GenerateDataKeyWithoutPlaintext: 7,
  GenerateMac: 8,
  ReEncrypt: 9,
  Sign: 10,
  Verify: 11,
  VerifyMac: 12,
  Encapsulate: 13,
  Decapsulate: 14,
} as const
export type UseOperation = keyof typeof USE_OPERATIONS

/**
 * What the record says of a key. `done`: it was used. `begun`: so it was unless it is in an external key store, whose owner has not answered yet.
 * `answered`: the outcome of what was begun, and nothing for keys that are in no such store.
 */
export type UseStep = 'done' | 'begun' | 'answered'

const STEPS: ReadonlyMap<number, readonly [key: UseStep, destination: UseStep]> = new Map(
  (
    [
      ['encrypt', 'begun', 'done'],
      ['generateDataKey', 'begun', 'done'],
      ['generateDataKeyPair', 'begun', 'done'],
      ['reEncrypt', 'done', 'begun'],
      ['record', 'answered', 'done'],
      ['decrypt', 'done', 'done'],
      ['sign', 'done', 'done'],
      ['verify', 'done', 'done'],
      ['generateMac', 'done', 'done'],
      ['verifyMac', 'done', 'done'],
      ['deriveSharedSecret', 'done', 'done'],
      ['encapsulate', 'done', 'done'],
      ['decapsulate', 'done', 'done'],
    ] as const
  ).map(([operation, key, destination]) => [BOUNDARY_OPERATIONS[operation], [key, destination]]),
)

export interface RecordedUse {
  readonly operation: UseOperation
  /** Empty where the record has none. */
  readonly requestId: string
  /** Lifecycle time where the record has it: else it is the time of the record. */
  readonly lifecycleTime: number | undefined
  /** Row ids. */
  readonly keys: readonly { readonly id: string; readonly step: UseStep }[]
}

const WANTED: ReadonlySet<number> = new Set([
  ASSERTED_FIELDS.operation.code,
  ASSERTED_FIELDS.requestId.code,
  OWN_FIELDS.boundaryOperation.code,
  OWN_FIELDS.outcome.code,
  OWN_FIELDS.keyId.code,
  OWN_FIELDS.destinationKeyId.code,
  OWN_FIELDS.lifecycleTime.code,
])

const isUse = (name: string): name is UseOperation => Object.hasOwn(USE_OPERATIONS, name)

/** Undefined where the record, which this boundary has encoded, is of anything but a successful use of a key. */
export function readUse(record: Buffer): RecordedUse | undefined {
  let operation = ''
  let requestId = ''
  let key = ''
  let destination = ''
  let lifecycleTime: number | undefined
  let allowed = false
  let steps: readonly [UseStep, UseStep] | undefined
  for (let at = 1; at < record.length; ) {
    const code = record[at] ?? 0
    const from = at + 3
    const to = from + record.readUInt16BE(at + 1)
    at = to
    if (!WANTED.has(code)) continue
    if (code === ASSERTED_FIELDS.operation.code) {
      operation = record.toString('latin1', from, to)
      if (!isUse(operation)) return undefined
    } else if (code === ASSERTED_FIELDS.requestId.code) requestId = record.toString('latin1', from, to)
    else if (code === OWN_FIELDS.boundaryOperation.code) {
      steps = STEPS.get(record[from] ?? 0)
      if (steps === undefined) return undefined
    } else if (code === OWN_FIELDS.outcome.code) {
      allowed = record[from] === OUTCOMES.allowed
    } else if (code === OWN_FIELDS.keyId.code) key = record.toString('utf8', from, to)
    else if (code === OWN_FIELDS.destinationKeyId.code) destination = record.toString('utf8', from, to)
    else lifecycleTime = record.readUInt32BE(from) * 0x1_0000_0000 + record.readUInt32BE(from + 4)
  }
  if (!isUse(operation) || steps === undefined || !allowed || key === '') return undefined
  const keys = [{ id: key, step: steps[0] }]
  if (destination !== '') keys.push({ id: destination, step: steps[1] })
  return { operation, requestId, lifecycleTime, keys }
}
