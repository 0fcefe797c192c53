/** What the boundary refused, in AWS's words: one table from its error codes to the KMS's errors. */
import type { BoundaryError, BoundaryErrorCode } from '../../boundary/words.ts'
import { keyArn, keyIdOf } from '../keys/identifiers.ts'
import { KmsError, tooFast } from '../wire/errors.ts'
import { overQuota } from './common.ts'
import { isRecorded } from './recorded.ts'
import type { Call } from './types.ts'

type ToKmsError = (error: BoundaryError, arn: string) => KmsError

const internal: ToKmsError = error => new KmsError('KMSInternalException', undefined, { cause: error })
const pendingDeletion: ToKmsError = (_, arn) =>
  new KmsError('KMSInvalidStateException', `${arn} is pending deletion (or pending replica deletion).`)

const TABLE: Readonly<Record<BoundaryErrorCode, ToKmsError>> = {
  // Nothing can be done until the operator acts, or the boundary is back: 5xx at once.
  Locked: internal,
  Unavailable: internal,
  DiskFull: internal,
  TokenUnavailable: error => new KmsError('DependencyTimeoutException', undefined, { cause: error }),
  StaleKey: internal,
  NeedSealedKey: internal,
  KeyGone: (_, arn) => new KmsError('NotFoundException', `Key '${arn}' does not exist`),
  KeyDisabled: (_, arn) => new KmsError('DisabledException', `${arn} is disabled.`),
  KeyPendingDeletion: pendingDeletion,
  KeyPendingImport: (_, arn) => new KmsError('KMSInvalidStateException', `${arn} is pending import.`),
  KeyRevoked: internal,
  InvalidState: ({ detail }, arn) =>
    new KmsError(
      'KMSInvalidStateException',
      detail === 'Creating' || detail === 'Updating'
        ? `${arn} is ${detail.toLowerCase()}.`
        : `${arn} does not allow this operation now${detail ? `: ${detail}` : ''}.`,
    ),
  InvalidKeyUsage: (_, arn) =>
    new KmsError('InvalidKeyUsageException', `${arn} key usage is not valid for this operation.`),
  InvalidCiphertext: () => new KmsError('InvalidCiphertextException'),
  // Of the boundary it is a limit of the API; of this process, a moment's load.
  Busy: () => tooFast(),
  LimitExceeded: error => (isRecorded(error) ? overQuota(`The limit is ${error.detail}.`) : tooFast()),
  Conflict: () => new KmsError('ConflictException', 'The resource was changed at the same time. Try again.'),
  AlreadyExists: () => new KmsError('AlreadyExistsException', 'The resource exists already.'),
  // Only an owner's boundary has keys on hold.
  Held: internal,
  InvalidRequest: internal,
  InvalidImportToken: () =>
    new KmsError('InvalidImportTokenException', 'The import token is invalid or is for another key.'),
  ExpiredImportToken: () => new KmsError('ExpiredImportTokenException', 'The import token has expired.'),
  IncorrectKeyMaterial: () =>
    new KmsError('IncorrectKeyMaterialException', 'The key material is not the material that this operation needs.'),
  NoPendingMaterial: (_, arn) =>
    new KmsError('KMSInvalidStateException', `No available key material pending rotation for the key: ${arn}.`),
  InvalidSignature: () => new KmsError('KMSInvalidSignatureException'),
  InvalidMac: () => new KmsError('KMSInvalidMacException'),
  DryRun: () =>
    new KmsError('DryRunOperationException', 'The request would have succeeded, but the DryRun option is set.'),
  InvalidPublicKey: () => new KmsError('ValidationException'),
  InvalidSession: internal,
  ExpiredSession: internal,
  WrongPassphrase: internal,
  WrongShares: internal,
  NotPermitted: (_, arn) => new KmsError('UnsupportedOperationException', `${arn} does not allow this operation.`),
  Internal: internal,
}

/** `arn` of the key that the call is about, as far as it is known by then. */
export function kmsErrorOf(error: BoundaryError, call: Call): KmsError {
  const { replica, settings } = call.services
  const scope = replica.peek('key', call.keyId)?.scope ?? `${call.caller.account}/${call.region}`
  const place = { partition: settings.partition, region: call.region, account: scope.slice(0, scope.indexOf('/')) }
  return TABLE[error.code](error, keyArn(place, keyIdOf(call.keyId)))
}
