/** Status codes of gRPC (grpc/grpc, doc/statuscodes.md), as data, and what stands for them where the peer speaks HTTP only. */
export const GRPC_STATUS = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const
export type GrpcStatus = keyof typeof GRPC_STATUS

const NAMES = Object.keys(GRPC_STATUS) as GrpcStatus[]

/** The name of a `grpc-status`; UNKNOWN for anything that is none. */
export function statusNamed(code: unknown): GrpcStatus {
  return (typeof code === 'string' && /^\d{1,2}$/.test(code) ? NAMES[Number(code)] : undefined) ?? 'UNKNOWN'
}

/** doc/http-grpc-status-mapping.md */
const OF_HTTP: Readonly<Record<number, GrpcStatus>> = {
  400: 'INTERNAL',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'UNIMPLEMENTED',
  429: 'UNAVAILABLE',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'UNAVAILABLE',
}
export const statusOfHttp = (status: number): GrpcStatus => OF_HTTP[status] ?? 'UNKNOWN'

/** A call's end that is not OK. `message` is for the other side. */
export class GrpcError extends Error {
  readonly status: GrpcStatus
  constructor(status: GrpcStatus, message: string) {
    super(message)
    this.name = 'GrpcError'
    this.status = status
  }
}
