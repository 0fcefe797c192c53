/** Recipient (aws-kms.md §3.12): who attests itself with a signed document gets its plaintext encrypted to the key in it, and nobody else gets any. */
import type { Asserted } from '../../boundary/words.ts'
import { AttestationError } from '../attestation/refusal.ts'
import type { Attestation } from '../attestation/verify.ts'
import { KmsError } from '../wire/errors.ts'
import type { Call } from './types.ts'

export interface RecipientInput {
  /** RSAES_OAEP_SHA_256 is the only one in the model. */
  readonly KeyEncryptionAlgorithm?: string
  readonly AttestationDocument?: Buffer
}

/** What the record says of a verified document (docs/formats/record.md). */
function attestedFields({ kind, moduleId, pcrs }: Attestation): Asserted {
  const prefix = kind === 'enclave' ? 'PCR' : 'NitroTPMPCR'
  const registers = [...pcrs]
    .sort(([a], [b]) => a - b)
    .map(([index, digits]) => `${prefix}${index}=${/^0+$/.test(digits) ? '0' : digits}`)
  return { attestedModule: moduleId, attestedRegisters: registers.join(',') }
}

/**
 * What the verified document says, which every record of the call says from now on; undefined where the request has no Recipient. To be asked before the
 * caller's permission, which may depend on it. Throws ValidationException with the rule that the document breaks, and UnsupportedOperationException where the operator trusts no root.
 */
export function recipientOf(call: Call, recipient: RecipientInput | undefined): Attestation | undefined {
  if (recipient === undefined) return undefined
  const { attestations, clocks } = call.services
  if (attestations === undefined) {
    throw new KmsError(
      'UnsupportedOperationException',
      'Recipient cannot be used: this service trusts no root of attestation documents (its setting attestation.roots is empty).',
    )
  }
  const { KeyEncryptionAlgorithm, AttestationDocument } = recipient
  if (KeyEncryptionAlgorithm === undefined || AttestationDocument === undefined)
    throw new KmsError('ValidationException', 'Recipient needs both KeyEncryptionAlgorithm and AttestationDocument.')
  try {
    const attestation = attestations.verify(AttestationDocument, clocks.real())
    call.asserted = { ...call.asserted, ...attestedFields(attestation) }
    return attestation
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error
    throw new KmsError('ValidationException', `The attestation document ${error.message}.`)
  }
}

/** The member of an answer that holds what was plaintext, as text of a JSON object, for the operations that write their own. */
export function plaintextMember(name: string, bytes: Buffer, encrypted: boolean): string {
  return `"${encrypted ? 'CiphertextForRecipient' : name}":"${bytes.toString('base64')}"`
}
