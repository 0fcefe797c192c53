/** What each failure is called here: the status codes of gRPC, which are all that Kubernetes KMS v2 has for errors. */
import type { CoreErrorCode } from '../../core.ts'
import { ProtocolError } from '../error.ts'
import type { GrpcStatus } from './grpc/status.ts'

export class KubernetesError extends ProtocolError<Exclude<GrpcStatus, 'OK'>> {}

export const ERROR_NAMES: Readonly<Record<CoreErrorCode, Exclude<GrpcStatus, 'OK'>>> = {
  KeyUnknown: 'NOT_FOUND',
  KeyRevoked: 'FAILED_PRECONDITION',
  UsageForbidden: 'FAILED_PRECONDITION',
  BadRequest: 'INVALID_ARGUMENT',
  PolicyDenied: 'PERMISSION_DENIED',
  Held: 'PERMISSION_DENIED',
  BadCiphertext: 'INVALID_ARGUMENT',
  KeyExhausted: 'FAILED_PRECONDITION',
  Busy: 'RESOURCE_EXHAUSTED',
  Unavailable: 'UNAVAILABLE',
  Internal: 'INTERNAL',
}
