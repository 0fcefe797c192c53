/**
 * What a record says of the use of keys, read from its bytes without decoding the rest: the same at the time of the use and when the journal is read
 * again. Which operations count: aws-kms.md §3.1, GetKeyLastUsage.
 */
import { BOUNDARY_OPERATIONS, type BoundaryOperation, OWN_FIELDS } from '../../record-fields.ts'
import { ASSERTED_FIELDS, OUTCOMES } from '../../words.ts'
import { sameBytes } from './columns.ts'

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

/** What the boundary's operations say of the key and of the destination; others are no uses. */
const STEPS: Partial<Record<BoundaryOperation, readonly [key: UseStep, destination: UseStep]>> = {
  encrypt: ['begun', 'done'],
  generateDataKey: ['begun', 'done'],
  generateDataKeyPair: ['begun', 'done'],
  reEncrypt: ['done', 'begun'],
  record: ['answered', 'done'],
  decrypt: ['done', 'done'],
  sign: ['done', 'done'],
  verify: ['done', 'done'],
  generateMac: ['done', 'done'],
  verifyMac: ['done', 'done'],
  deriveSharedSecret: ['done', 'done'],
  encapsulate: ['done', 'done'],
  decapsulate: ['done', 'done'],
}
const stepsByCode: (readonly [UseStep, UseStep])[] = []
for (const [name, steps] of Object.entries(STEPS)) stepsByCode[BOUNDARY_OPERATIONS[name as BoundaryOperation]] = steps

const names = Object.entries(USE_OPERATIONS).map(([name, code]) => ({ bytes: Buffer.from(name), code }))

const OPERATION = ASSERTED_FIELDS.operation.code
const REQUEST_ID = ASSERTED_FIELDS.requestId.code
const BOUNDARY_OPERATION = OWN_FIELDS.boundaryOperation.code
const OUTCOME = OWN_FIELDS.outcome.code
const KEY = OWN_FIELDS.keyId.code
const DESTINATION = OWN_FIELDS.destinationKeyId.code
const TIME = OWN_FIELDS.lifecycleTime.code

/** Some bytes of the record. */
interface Part {
  from: number
  length: number
}

/**
 * The use that a record tells of: one object for all records that are read one after the other, and places instead of copies, because there is a record
 * for every use and nothing should be allocated for it.
 */
export class RecordedUse {
  /** Code of the API's operation. */
  operation = 0
  readonly requestId: Part = { from: 0, length: 0 }
  /** Lifecycle time where the record has it, else -1: it is the time of the record. */
  lifecycleTime = -1
  /** Row ids. */
  readonly key: Part = { from: 0, length: 0 }
  readonly destination: Part = { from: 0, length: 0 }
  keyStep: UseStep = 'done'
  destinationStep: UseStep = 'done'

  /** False where the record, which this boundary has encoded, is of anything but a successful use of a key. */
  read(record: Buffer): boolean {
    this.operation = 0
    this.lifecycleTime = -1
    this.requestId.length = this.key.length = this.destination.length = 0
    let steps: readonly [UseStep, UseStep] | undefined
    let allowed = false
    for (let at = 1; at < record.length; ) {
      const code = record[at] ?? 0
      const length = ((record[at + 1] ?? 0) << 8) | (record[at + 2] ?? 0)
      const from = at + 3
      at = from + length
      switch (code) {
        case OPERATION:
          this.operation = operationAt(record, from, length)
          if (this.operation === 0) return false
          break
        case REQUEST_ID:
          take(this.requestId, from, length)
          break
        case BOUNDARY_OPERATION:
          steps = stepsByCode[record[from] ?? 0]
          if (steps === undefined) return false
          break
        case OUTCOME:
          allowed = record[from] === OUTCOMES.allowed
          break
        case KEY:
          take(this.key, from, length)
          break
        case DESTINATION:
          take(this.destination, from, length)
          break
        case TIME:
          this.lifecycleTime = record.readUInt32BE(from) * 0x1_0000_0000 + record.readUInt32BE(from + 4)
      }
    }
    if (this.operation === 0 || steps === undefined || !allowed || this.key.length === 0) return false
    this.keyStep = steps[0]
    this.destinationStep = steps[1]
    return true
  }
}

function take(part: Part, from: number, length: number): void {
  part.from = from
  part.length = length
}

/** Code of the operation of this name; 0 for one that is no use. */
function operationAt(record: Buffer, from: number, length: number): number {
  for (const { bytes, code } of names)
    if (bytes.length === length && sameBytes(bytes, 0, record, from, length)) return code
  return 0
}
