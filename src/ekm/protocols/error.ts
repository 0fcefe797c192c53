/** A refusal in a protocol's own words: `name` is its name of the error. `message` is sent to the caller: nothing of the request's secrets. */
export class ProtocolError<Name extends string = string> extends Error {
  override readonly name: Name
  /** What the record says: `denied` where a rule of the owner's refuses what would be possible. */
  readonly outcome: 'denied' | 'failed'
  constructor(name: Name, message: string, outcome: 'denied' | 'failed' = 'failed') {
    super(message)
    this.name = name
    this.outcome = outcome
  }
}
