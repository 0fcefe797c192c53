/**
 * The administrator's side of the control socket: connects when something is asked, once, and says Unavailable where it cannot.
 */
import type { BoundaryControl } from './api.ts'
import { Connection } from './connection.ts'
import type { InputOf, OperationName, OutputOf } from './protocol/operations.ts'
import { asAsserted } from './references.ts'

export type ControlConnection = BoundaryControl & {
  /** For good; what waits is rejected with Unavailable. */
  close(): void
}

/** What the process of an admin API may do. */
export type AdminConnection = Pick<
  ControlConnection,
  'status' | 'getRow' | 'listRows' | 'revoke' | 'restore' | 'listAsks' | 'decideAsk' | 'close'
>

/** `socket`: path of `admin.sock`. As `connectControl`. */
export const connectAdmin = (options: { readonly socket: string }): AdminConnection => connectControl(options)

/** `socket`: path of `control.sock`. Does not connect before the first request. */
export function connectControl(options: { readonly socket: string }): ControlConnection {
  const connection = new Connection({ socket: options.socket, onWriteSet: async () => {}, onState: () => {} })
  const ask = async <N extends OperationName>(name: N, input: InputOf<N>): Promise<OutputOf<N>> => {
    await connection.open()
    return connection.request(name, input)
  }
  return {
    close: () => connection.close(),
    status: () => ask('status', undefined),
    unlock: passphrase => ask('unlock', passphrase),
    ceremony: () => ask('ceremony', undefined),
    giveShare: (ceremony, share) => ask('giveShare', { ceremony, share }),
    cancelCeremony: ceremony => ask('cancelCeremony', { ceremony }),
    splitRoot: (threshold, shares) => ask('splitRoot', { threshold, shares }),
    takeShare: ceremony => ask('takeShare', { ceremony }),
    confirmShare: (ceremony, share) => ask('confirmShare', { ceremony, share }),
    putRows: async (rows, asserted) => ask('putRows', { rows, asserted: asAsserted(asserted) }),
    getRow: (kind, id) => ask('getRow', { kind, id }),
    listRows: (kind, after, max) => ask('listRows', { kind, after, max }),
    createExternalKey: async (input, asserted) => ask('createExternalKey', { input, asserted: asAsserted(asserted) }),
    rotateExternalKey: async (id, asserted) => ask('rotateExternalKey', { id, asserted: asAsserted(asserted) }),
    revoke: async (target, asserted) => ask('revoke', { target, asserted: asAsserted(asserted) }),
    restore: async (target, asserted) => ask('restore', { target, asserted: asAsserted(asserted) }),
    wrapForImport: async (input, asserted) =>
      ask('wrapForImport', { ...input, from: input.from, asserted: asAsserted(asserted) }),
    listAsks: () => ask('listAsks', undefined),
    decideAsk: async (id, approve, by, seconds, asserted) =>
      ask('decideAsk', { ask: id, approve, by, seconds, asserted: asAsserted(asserted) }),
    advanceClock: async milliseconds => ({ lifecycleNow: await ask('advanceClock', milliseconds) }),
    rotateRoot: trust => ask('rotateRoot', { trust }),
    rootStatus: () => ask('rootStatus', undefined),
    stop: () => ask('stop', undefined),
  }
}
