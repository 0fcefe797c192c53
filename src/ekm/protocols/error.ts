/** A refusal in a protocol's own words: `name` is its name of the error. `message` is sent to the caller: nothing of the request's secrets. */
export class ProtocolError<Name extends string = string> extends Error {
  override readonly name: Name
  constructor(name: Name, message: string) {
    super(message)
    this.name = name
  }
}
