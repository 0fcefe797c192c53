/** Secrets that two sides come to share: DeriveSharedSecret, Encapsulate and Decapsulate (aws-kms.md §3.3). */
import { createPublicKey } from 'node:crypto'
import { peerKey } from '../../boundary/crypto/agreement.ts'
import { KmsError } from '../wire/errors.ts'
import { refuseDryRun, refuseRecipient } from './common.ts'
import type { FoundKey, Operation } from './types.ts'
import { keyOfUse } from './usage.ts'

interface DeriveInput {
  readonly KeyId: string
  readonly KeyAgreementAlgorithm: string
  /** DER SPKI, at most 8192 bytes. */
  readonly PublicKey: Buffer
  readonly GrantTokens?: readonly string[]
  readonly Recipient?: unknown
  readonly DryRun?: boolean
}

export const DeriveSharedSecret: Operation<DeriveInput, object> = {
  name: 'DeriveSharedSecret',
  recordedBy: 'boundary',
  async run(call, input) {
    refuseRecipient(input.Recipient)
    const { KeyAgreementAlgorithm, PublicKey } = input
    const key = await keyOfUse(call, input, 'KEY_AGREEMENT', KeyAgreementAlgorithm, {
      keyAgreementAlgorithm: KeyAgreementAlgorithm,
    })
    if (input.DryRun === true) checkPeer(key, PublicKey)
    refuseDryRun(input.DryRun)
    const { sharedSecret } = await call.services.boundary.deriveSharedSecret(key.row, PublicKey, call.asserted)
    return {
      KeyId: key.arn,
      SharedSecret: sharedSecret.toString('base64'),
      KeyAgreementAlgorithm,
      KeyOrigin: key.header.origin,
    }
  },
}

/** A dry run does not come as far as the boundary, which refuses a peer's key that is none of the curve: the same is asked here. */
function checkPeer(key: FoundKey, publicKey: Buffer): void {
  peerKey(createPublicKey({ key: key.header.publicKey, format: 'der', type: 'spki' }), publicKey)
}

interface KemInput {
  readonly KeyId: string
  readonly EncapsulationAlgorithm: string
  readonly GrantTokens?: readonly string[]
  readonly DryRun?: boolean
}

export const Encapsulate: Operation<KemInput, object> = {
  name: 'Encapsulate',
  recordedBy: 'boundary',
  async run(call, input) {
    const { EncapsulationAlgorithm } = input
    const key = await keyOfUse(call, input, 'ENCAPSULATE_DECAPSULATE', EncapsulationAlgorithm)
    refuseDryRun(input.DryRun)
    const { sharedSecret, ciphertext } = await call.services.boundary.encapsulate(key.row, call.asserted)
    return {
      SharedSecret: sharedSecret.toString('base64'),
      SharedSecretCiphertextBlob: ciphertext.toString('base64'),
      KeyId: key.arn,
      EncapsulationAlgorithm,
    }
  },
}

/** Bytes of a ciphertext (FIPS 203, table 3). */
const CIPHERTEXT_BYTES: Readonly<Record<string, number>> = { ML_KEM_512: 768, ML_KEM_768: 1088, ML_KEM_1024: 1568 }

/** A ciphertext of another length is refused; one that is merely wrong gives a secret that nobody else has. */
export const Decapsulate: Operation<KemInput & { readonly SharedSecretCiphertextBlob: Buffer }, object> = {
  name: 'Decapsulate',
  recordedBy: 'boundary',
  async run(call, input) {
    const { EncapsulationAlgorithm, SharedSecretCiphertextBlob: ciphertext } = input
    const key = await keyOfUse(call, input, 'ENCAPSULATE_DECAPSULATE', EncapsulationAlgorithm)
    if (ciphertext.length !== CIPHERTEXT_BYTES[key.header.spec]) throw new KmsError('InvalidCiphertextException')
    refuseDryRun(input.DryRun)
    const { sharedSecret } = await call.services.boundary.decapsulate(key.row, ciphertext, call.asserted)
    return { SharedSecret: sharedSecret.toString('base64'), KeyId: key.arn, EncapsulationAlgorithm }
  },
}
