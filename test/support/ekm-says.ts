/** What each protocol says of each thing that is missing, as its documentation has it: status and its own name of the error. */
import type { ProtocolName } from '../../src/ekm/keys/protocols.ts'

/** `stranger`: nobody who is known for this tenant. `foreign`: a ciphertext that this key has not made. */
export type Cause = 'revoked' | 'denied' | 'held' | 'stranger' | 'unknownKey' | 'foreign'

export const SAYS: Readonly<Record<ProtocolName, Readonly<Record<Cause, string>>>> = {
  xks: {
    revoked: '400 InvalidStateException',
    denied: '403 AccessDeniedException',
    held: '403 AccessDeniedException',
    stranger: '401 AuthenticationFailedException',
    unknownKey: '404 KeyNotFoundException',
    foreign: '400 InvalidCiphertextException',
  },
  azure: {
    revoked: '403 KeyDisabled',
    denied: '403 Forbidden',
    held: '403 Forbidden',
    stranger: '401 Unauthorized',
    unknownKey: '404 KeyNotFound',
    foreign: '400 InvalidRequest',
  },
  google: {
    revoked: '400 FAILED_PRECONDITION',
    denied: '403 PERMISSION_DENIED',
    held: '400 FAILED_PRECONDITION',
    stranger: '401 UNAUTHENTICATED',
    unknownKey: '404 NOT_FOUND',
    foreign: '400 INVALID_ARGUMENT',
  },
  kacls: {
    revoked: '403 KeyRevoked',
    denied: '403 Forbidden',
    held: '403 Forbidden',
    stranger: '401 Unauthorized',
    unknownKey: '404 KeyNotFound',
    foreign: '400 InvalidRequest',
  },
  dke: {
    revoked: '403 KeyRevoked',
    denied: '403 Forbidden',
    held: '403 Forbidden',
    stranger: '401 Unauthorized',
    unknownKey: '400 KeyNotFound',
    foreign: '400 InvalidRequest',
  },
  kubernetes: {
    revoked: 'FAILED_PRECONDITION',
    denied: 'PERMISSION_DENIED',
    held: 'PERMISSION_DENIED',
    stranger: 'UNAUTHENTICATED',
    unknownKey: 'NOT_FOUND',
    foreign: 'INVALID_ARGUMENT',
  },
}
