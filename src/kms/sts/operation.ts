/** What an operation of STS is. It reads like those of the KMS: parameters → (the role) → authorize → use of the boundary → reply. */
import type { Call } from '../operations/types.ts'
import type { Form } from './query.ts'
import type { Elements } from './xml.ts'

export interface StsOperation {
  /** The API's name, which is also the name in the permissions table. */
  readonly name: string
  /** Who records the success: the boundary where a session is sealed. */
  readonly recordedBy: 'boundary' | 'runner'
  /** Throws `StsError` for a refusal, and lets `BoundaryError` pass. */
  run(call: Call, form: Form): Promise<Elements>
}
