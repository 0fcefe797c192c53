/** Why an attestation document is refused. */

/** `message` goes on from "The attestation document …": it is for the caller, and names a rule, never bytes of the document. */
export class AttestationError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'AttestationError'
  }
}
