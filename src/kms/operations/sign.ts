/** Sign and Verify (aws-kms.md §3.3): what is signed fits the algorithm, or is refused before the boundary sees it. */
import { hasAlgorithm, type MessageType, type SigningAlgorithm } from '../../boundary/algorithms.ts'
import type { ToSign } from '../../boundary/client/api.ts'
import { KmsError } from '../wire/errors.ts'
import { refuseDryRun } from './common.ts'
import type { Call, FoundKey, Operation } from './types.ts'
import { keyOfUse } from './usage.ts'

/** Bytes that a message of this type must have; 0: as many as a message may have. A type that is missing does not go with the algorithm. */
type Types = Readonly<Partial<Record<MessageType, number>>>

/** Hashed by the boundary, or by the caller. */
const hashed = (digestBytes: number): Types => ({ RAW: 0, DIGEST: digestBytes })

const TYPES: Readonly<Record<SigningAlgorithm, Types>> = {
  RSASSA_PSS_SHA_256: hashed(32),
  RSASSA_PSS_SHA_384: hashed(48),
  RSASSA_PSS_SHA_512: hashed(64),
  RSASSA_PKCS1_V1_5_SHA_256: hashed(32),
  RSASSA_PKCS1_V1_5_SHA_384: hashed(48),
  RSASSA_PKCS1_V1_5_SHA_512: hashed(64),
  ECDSA_SHA_256: hashed(32),
  ECDSA_SHA_384: hashed(48),
  ECDSA_SHA_512: hashed(64),
  ED25519_SHA_512: { RAW: 0 },
  // The digest is the message: Ed25519ph hashes it once more.
  ED25519_PH_SHA_512: { DIGEST: 64 },
  ML_DSA_SHAKE_256: { RAW: 0, EXTERNAL_MU: 64 },
}

interface Input {
  readonly KeyId: string
  readonly Message: Buffer
  readonly MessageType?: MessageType
  /** As the model has them: one that no key has here (SM2DSA) is refused with the key's spec. */
  readonly SigningAlgorithm: string
  readonly GrantTokens?: readonly string[]
  readonly DryRun?: boolean
}

async function prepare(call: Call, input: Input): Promise<{ readonly key: FoundKey; readonly toSign: ToSign }> {
  const { Message: message, MessageType: messageType = 'RAW', SigningAlgorithm: algorithm } = input
  const key = await keyOfUse(call, input, 'SIGN_VERIFY', algorithm, { signingAlgorithm: algorithm, messageType })
  const toSign = { algorithm: algorithm as SigningAlgorithm, messageType, message }
  checkMessage(key, toSign)
  return { key, toSign }
}

function checkMessage(key: FoundKey, { algorithm, messageType, message }: ToSign): void {
  const { spec, usage } = key.header
  const bytes = TYPES[algorithm][messageType]
  if (bytes === undefined) {
    // Where a spec has one algorithm for all, AWS names the spec.
    const prehashed = hasAlgorithm(spec, usage, 'ED25519_SHA_512')
    const what = prehashed ? `algorithm ${algorithm}` : `key spec ${spec}`
    throw new KmsError('ValidationException', `Message type ${messageType} is incompatible with ${what}.`)
  }
  if (bytes !== 0 && message.length !== bytes) {
    const what = messageType === 'EXTERNAL_MU' ? 'External Mu' : 'Digest'
    throw new KmsError('ValidationException', `${what} is invalid length for algorithm ${algorithm}.`)
  }
}

interface SignOutput {
  readonly KeyId: string
  readonly Signature: Buffer
  readonly SigningAlgorithm: string
}

export const Sign: Operation<Input, SignOutput> = {
  name: 'Sign',
  recordedBy: 'boundary',
  async run(call, input) {
    const { key, toSign } = await prepare(call, input)
    refuseDryRun(input.DryRun)
    const { signature } = await call.services.boundary.sign(key.row, toSign, call.asserted)
    return { KeyId: key.arn, Signature: signature, SigningAlgorithm: toSign.algorithm }
  },
  write: ({ KeyId, Signature, SigningAlgorithm }) =>
    `{"KeyId":"${KeyId}","Signature":"${Signature.toString('base64')}","SigningAlgorithm":"${SigningAlgorithm}"}`,
}

/** A signature that does not verify is an error, with DryRun too. */
export const Verify: Operation<Input & { readonly Signature: Buffer }, object> = {
  name: 'Verify',
  recordedBy: 'boundary',
  async run(call, input) {
    const { key, toSign } = await prepare(call, input)
    await call.services.boundary.verify(key.row, toSign, input.Signature, input.DryRun ?? false, call.asserted)
    return { KeyId: key.arn, SignatureValid: true, SigningAlgorithm: toSign.algorithm }
  },
}
